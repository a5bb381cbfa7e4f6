"""Routes about messages: send, ask, look back. The hot path of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.api.acl import acl_reply, read_message, wants_acl
from caxton.api.body import UPLOAD_BODY_BYTES, decode, read_json
from caxton.api.errors import to_problem
from caxton.api.operation import ACL, Answer, Body, Operation, Route
from caxton.api.query import choice, duration, integer, word
from caxton.api.reply import Reply, json_reply
from caxton.api.shapes import MESSAGE, MESSAGES, list_of_either, shape
from caxton.core.errors.agents import AgentFailed, AgentStateConflict
from caxton.core.errors.conversations import ProtocolViolation
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.messages import InvalidMessage, MessageExpired, MessageIdConflict, MessageTooLarge, ReplyTimeout
from caxton.core.errors.receivers import BulkheadFull, CircuitOpen, MailboxFull, UnknownReceiver
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.values import InvalidName
from caxton.core.errors.workspaces import WorkspaceFull
from caxton.core.views.messages import Receipt
from caxton.core.views.problem import Problem
from caxton.messages.codec import (
    MAX_CONTENT_BYTES,
    MAX_FIELD_CHARS,
    MAX_ID_CHARS,
    check_json,
    decode_message,
)
from caxton.messages.message import AclMessage
from caxton.messages.performative import parse_performative

if TYPE_CHECKING:
    from caxton.api.reply import Header
    from caxton.api.request import ApiRequest
    from caxton.api.services import MessageService

PATH = "/api/v1/messages"

MAX_BATCH = 1000
MAX_WAIT_S = 300.0
"""Proxies and clients give up at about this time; a conversation goes on without us."""


def parse_conversation_id(text: str) -> str:
    """A conversation's id from outside; raises `InvalidRequest`."""
    if not 0 < len(text) <= MAX_FIELD_CHARS:
        raise InvalidRequest(f"it must have 1 to {MAX_FIELD_CHARS} characters", field="conversation_id")
    return text


def parse_message_id(text: str) -> str:
    """An id that a client gives its message; raises `InvalidRequest`."""
    if not text or len(text) > MAX_ID_CHARS or not text.isprintable():
        raise InvalidRequest(f"it must have 1 to {MAX_ID_CHARS} characters that can be printed", field="message_id")
    return text


WAIT = duration("wait", "Wait this long for the reply and return that.", default_s=None, low_s=0.001, high_s=MAX_WAIT_S)
TIMEOUT = duration("timeout", "How long to wait for the reply.", default_s=30.0, low_s=0.001, high_s=MAX_WAIT_S)
PERFORMATIVE = word("performative", "The act to perform.", parse_performative, default="request")
DURABILITY = choice(
    "durability",
    "`fsync` (default): on disk before the receipt is given. `memory`: at once, and lost if the server ends other than "
    "by a stop.",
    ("fsync", "memory"),
)
MESSAGE_ID = word(
    "message_id",
    "Makes it safe to try again: the same request under the same id is handled once and has the same answer.",
    parse_message_id,
)
CONVERSATION = word("conversation_id", "The conversation that is meant.", parse_conversation_id, required=True)
LIMIT = integer("limit", "How many of the last messages at most.", default=100, low=1, high=1000)


class InvokeReply(msgspec.Struct, kw_only=True):
    """An agent's answer. `failure`, `refuse` and `not-understood` are answers too."""

    conversation_id: str
    message_id: str
    performative: str
    sender: str
    content: msgspec.Raw = msgspec.Raw(b"null")
    """Any JSON value."""


class MessageBatch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Messages to accept, each for itself."""

    messages: list[msgspec.Raw]


class BatchReceipts(msgspec.Struct, kw_only=True):
    """What became of each message, in their order."""

    receipts: list[Receipt | Problem]


class Conversation(msgspec.Struct, kw_only=True):
    """The last messages of a conversation, oldest first."""

    messages: list[msgspec.Raw]
    total: int
    """How many are in this answer."""


_SEND_ERRORS = (
    InvalidMessage,
    MessageTooLarge,
    MessageExpired,
    MessageIdConflict,
    ProtocolViolation,
    UnknownReceiver,
    MailboxFull,
    WorkspaceFull,
)
_ASK_ERRORS = (ReplyTimeout, AgentFailed, AgentStateConflict, CircuitOpen, BulkheadFull)
_RECEIPTS = shape(BatchReceipts, receipts=list_of_either("Receipt", "Problem"))
_EXAMPLE = {"performative": "request", "receiver": "echo", "content": {"text": "hello"}}

POST = Operation(
    method="POST",
    path=PATH,
    action="messages:write",
    summary="Send a message. It is on disk when the receipt is given.",
    body=Body(kind=MESSAGE, example=_EXAMPLE, acl=True),
    query=(WAIT, DURABILITY),
    answers=(
        Answer(status=202, kind=Receipt, doc="Accepted."),
        Answer(kind=MESSAGE, doc="With `wait`: the reply."),
        Answer(media_type=ACL),
    ),
    errors=(*_SEND_ERRORS, *_ASK_ERRORS),
)
BATCH = Operation(
    method="POST",
    path=f"{PATH}/batch",
    action="messages:write",
    summary=f"Send up to {MAX_BATCH} messages; one that is refused stops no other.",
    body=Body(kind=shape(MessageBatch, messages=MESSAGES), example={"messages": [_EXAMPLE]}),
    query=(DURABILITY,),
    answers=(
        Answer(status=202, kind=_RECEIPTS, doc="All accepted."),
        Answer(status=207, kind=_RECEIPTS, doc="Some refused."),
    ),
)
READ = Operation(
    method="GET",
    path=PATH,
    action="messages:read",
    summary="The last messages of a conversation, oldest first.",
    query=(CONVERSATION, LIMIT),
    answers=(
        Answer(kind=shape(Conversation, messages=MESSAGES), doc="Empty for a conversation that nobody knows."),
        Answer(media_type=ACL),
    ),
)
INVOKE = Operation(
    method="POST",
    path="/api/v1/agents/{name}/invoke",
    action="messages:write",
    summary="Send content to an agent and wait for its answer.",
    body=Body(kind=Any, example={"text": "hello"}),
    query=(TIMEOUT, PERFORMATIVE, MESSAGE_ID),
    answers=(Answer(kind=shape(InvokeReply), doc="What it said; `performative` tells in which sense."),),
    errors=(*_SEND_ERRORS, *_ASK_ERRORS, InvalidName),
)

_decode_reply = msgspec.json.Decoder(InvokeReply).decode


def message_routes(messages: MessageService) -> list[Route]:
    """The routes of this module."""

    async def post(request: ApiRequest) -> Reply:
        wait_s = request.read(WAIT)
        message = await read_message(request)
        message.traceparent = parent = request.traceparent
        if wait_s is not None:
            reply = await messages.ask(request.workspace, request.principal, message, timeout_s=wait_s)
            return acl_reply([reply]) if wants_acl(request) else Reply(reply)
        durable = request.read(DURABILITY) != "memory"
        receipt = await messages.post(request.workspace, request.principal, message, durable=durable)
        return json_reply(receipt, status=202, headers=traceresponse(parent, message))

    async def batch(request: ApiRequest) -> Reply:
        posted = decode_batch(request, await read_json(request, UPLOAD_BODY_BYTES))
        good = [message for message in posted if isinstance(message, AclMessage)]
        durable = request.read(DURABILITY) != "memory"
        results = iter(await messages.post_batch(request.workspace, request.principal, good, durable=durable))
        receipts = [next(results) if isinstance(message, AclMessage) else message for message in posted]
        told = [_told(request, receipt) for receipt in receipts]
        refused = any(isinstance(receipt, Problem) for receipt in told)
        return json_reply(BatchReceipts(receipts=told), status=207 if refused else 202)

    async def read(request: ApiRequest) -> Reply:
        conversation_id = request.read(CONVERSATION)
        found = await messages.conversation(request.workspace, conversation_id, limit=request.read(LIMIT))
        if wants_acl(request):
            return acl_reply(found)
        return json_reply(Conversation(messages=[msgspec.Raw(one) for one in found], total=len(found)))

    async def invoke(request: ApiRequest) -> Reply:
        name, timeout_s = request.agent, request.read(TIMEOUT)
        performative = request.read(PERFORMATIVE)
        content = await read_json(request, MAX_CONTENT_BYTES, MessageTooLarge)
        check_json(content)
        message = AclMessage(
            performative=performative,
            receiver=name,
            content=msgspec.Raw(content),
            message_id=request.read(MESSAGE_ID) or "",
            traceparent=request.traceparent,
        )
        reply = await messages.ask(request.workspace, request.principal, message, timeout_s=timeout_s)
        return json_reply(_decode_reply(reply))

    return [Route(POST, post), Route(BATCH, batch), Route(READ, read), Route(INVOKE, invoke)]


def decode_batch(request: ApiRequest, data: bytes) -> list[AclMessage | CaxtonError]:
    """Each message, or why it is none. Raises `InvalidRequest` if the batch itself is at fault."""
    raw = decode(data, MessageBatch).messages
    if not 0 < len(raw) <= MAX_BATCH:
        raise InvalidRequest(f"a batch has 1 to {MAX_BATCH} messages, this has {len(raw)}", field="messages")
    found: list[AclMessage | CaxtonError] = []
    parent = request.traceparent  # each message gets a span of its own when it is accepted
    for one in raw:
        try:
            message = decode_message(bytes(one))  # with the batch, its JSON was checked strictly
        except CaxtonError as exc:
            found.append(exc)
        else:
            message.traceparent = parent
            found.append(message)
    return found


def traceresponse(parent: str | None, message: AclMessage) -> tuple[Header, ...]:
    """The span of what was accepted, as a header; none if it had been accepted before, and so has no new one.

    Source: W3C trace context level 2, draft of response headers.
    """
    given = message.traceparent
    return () if given in (None, parent) else ((b"traceresponse", given.encode()),)


def _told(request: ApiRequest, receipt: Receipt | CaxtonError) -> Receipt | Problem:
    return receipt if isinstance(receipt, Receipt) else to_problem(receipt, trace_id=request.trace_id)
