"""The route about what happened in a conversation, or because of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.api.messages import parse_conversation_id
from caxton.api.operation import Answer, Operation, Route
from caxton.api.query import duration, flag, integer, word
from caxton.api.reply import Reply, json_reply
from caxton.api.sniff import parse_speakers
from caxton.core.errors.conversations import ConversationNotFound
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.traces import MessageNotFound
from caxton.core.errors.values import InvalidName
from caxton.core.views.traces import MAX_LAST_S, TraceFilter, TraceView
from caxton.messages.codec import MAX_FIELD_CHARS

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import TraceService

PATH = "/api/v1/trace"

MAX_MESSAGES = 5000
"""Of one trace: more than anybody reads, some megabytes, and 20 ms to write as JSON."""


def _parse_message_id(text: str) -> str:
    if not 0 < len(text) <= MAX_FIELD_CHARS:
        raise InvalidRequest(f"it must have 1 to {MAX_FIELD_CHARS} characters", field="message_id")
    return text


def _parse_agent(text: str) -> str:
    names = parse_speakers(text)
    if len(names) != 1:
        raise InvalidRequest("it must be one name", field="agent")
    return names[0]


CONVERSATION = word("conversation_id", "Which conversation. Either this or `message_id`.", parse_conversation_id)
MESSAGE = word(
    "message_id", "Which message: with those that led to it and those that it led to, in any conversation.",
    _parse_message_id,
)  # fmt: skip
LAST = duration("last", "Only what ended within this time.", default_s=None, low_s=0.001, high_s=MAX_LAST_S)
AGENT = word("agent", "Only what this agent, or `client:NAME`, sent or got.", _parse_agent)
ERRORS = flag("errors", "Only what went wrong, and the messages that led to it.")
BODIES = flag("bodies", "Also what was said, of conversations that are kept whole.")
LIMIT = integer("limit", "How many messages at most, those sent last.", default=1000, low=1, high=MAX_MESSAGES)

GET = Operation(
    method="GET",
    path=PATH,
    action="conversations:read",
    summary="What happened in a conversation or because of a message, and what those do that are not over.",
    query=(CONVERSATION, MESSAGE, LAST, AGENT, ERRORS, BODIES, LIMIT),
    answers=(Answer(kind=TraceView, doc="Without messages if nothing of it happened in that time."),),
    errors=(ConversationNotFound, MessageNotFound, InvalidName),
)


def trace_routes(traces: TraceService) -> list[Route]:
    """The routes of this module."""

    async def get(request: ApiRequest) -> Reply:
        wanted = TraceFilter(
            conversation_id=request.read(CONVERSATION), message_id=request.read(MESSAGE), last_s=request.read(LAST),
            agent=request.read(AGENT), errors=request.read(ERRORS), bodies=request.read(BODIES),
        )  # fmt: skip
        if (wanted.conversation_id is None) == (wanted.message_id is None):
            raise InvalidRequest("give either conversation_id or message_id", field="query")
        return json_reply(await traces.trace(request.workspace, wanted, limit=request.read(LIMIT)))

    return [Route(GET, get)]
