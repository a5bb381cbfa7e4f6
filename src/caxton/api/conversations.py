"""Routes about conversations: how they stand, who waits for whom, cancelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.api.messages import parse_conversation_id
from caxton.api.operation import Answer, Operation, Route
from caxton.api.query import choice, integer, word
from caxton.api.reply import Reply, json_reply
from caxton.conversations.facts import STATUSES
from caxton.core.errors.conversations import ConversationNotFound, ConversationOver
from caxton.core.errors.requests import InvalidRequest
from caxton.core.views.conversations import CancelReceipt, ConversationDetail, ConversationFilter, ConversationPage
from caxton.core.views.waits import CriticalPath, DeadlockView
from caxton.messages.codec import MAX_FIELD_CHARS

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import ConversationService

PATH = "/api/v1/conversations"

IN_QUERY = "-"
"""Stands in a path for an id that the query has: an id may be any text, also one that no path can hold."""


def _text(text: str) -> str:
    if not 0 < len(text) <= MAX_FIELD_CHARS:
        raise InvalidRequest(f"it must have 1 to {MAX_FIELD_CHARS} characters", field="query")
    return text


STATUS = choice("status", "Only conversations in this state.", STATUSES)
AGENT = word("agent", "Only those that this agent, or `client:NAME`, began or takes part in.", _text)
PROTOCOL = word("protocol", "Only those that follow this protocol.", _text)
LIMIT = integer("limit", "How many at most.", default=100, low=1, high=1000)
AFTER = word("after", "Go on with the list: the `next` of the page before.", _text)
CONVERSATION = word(
    "conversation_id",
    f"The id, if the path has `{IN_QUERY}` for it: one with a slash, say.",
    parse_conversation_id,
)


class Deadlocks(msgspec.Struct, kw_only=True):
    """All deadlocks that there are now."""

    deadlocks: list[DeadlockView]


_ONE = f"{PATH}/{{id}}"

LIST = Operation(
    method="GET",
    path=PATH,
    action="conversations:read",
    summary="Conversations that follow a protocol, those begun last first.",
    query=(STATUS, AGENT, PROTOCOL, LIMIT, AFTER),
    answers=(Answer(kind=ConversationPage, doc="One page of them."),),
)
DEADLOCKS = Operation(
    method="GET",
    path=f"{PATH}/deadlocks",
    action="conversations:read",
    summary="Agents that wait for one another and have nothing left to do.",
    answers=(Answer(kind=Deadlocks, doc="Empty when there are none."),),
)
GET = Operation(
    method="GET",
    path=_ONE,
    action="conversations:read",
    summary="How one conversation stands with each participant.",
    query=(CONVERSATION,),
    answers=(Answer(kind=ConversationDetail, doc="It."),),
    errors=(ConversationNotFound,),
)
WHY = Operation(
    method="GET",
    path=f"{_ONE}/why",
    action="conversations:read",
    summary="What a conversation waits for, or what its time went into. Free messages count as well.",
    query=(CONVERSATION,),
    answers=(Answer(kind=CriticalPath, doc="Its critical path."),),
    errors=(ConversationNotFound,),
)
CANCEL = Operation(
    method="POST",
    path=f"{_ONE}/cancel",
    action="conversations:write",
    summary="Send `cancel` in the initiator's name to every participant whose exchange goes on.",
    query=(CONVERSATION,),
    answers=(Answer(status=202, kind=CancelReceipt, doc="The messages are on disk."),),
    errors=(ConversationNotFound, ConversationOver),
)


def conversation_routes(conversations: ConversationService) -> list[Route]:
    """The routes of this module."""

    async def list_(request: ApiRequest) -> Reply:
        wanted = ConversationFilter(
            status=request.read(STATUS), agent=request.read(AGENT), protocol=request.read(PROTOCOL)
        )
        limit, after = request.read(LIMIT), request.read(AFTER)
        return json_reply(await conversations.list(request.workspace, wanted, limit=limit, after=after))

    async def deadlocks(request: ApiRequest) -> Reply:
        return json_reply(Deadlocks(deadlocks=[*await conversations.deadlocks(request.workspace)]))

    async def get(request: ApiRequest) -> Reply:
        return json_reply(await conversations.get(request.workspace, _named(request)))

    async def why(request: ApiRequest) -> Reply:
        return json_reply(await conversations.why(request.workspace, _named(request)))

    async def cancel(request: ApiRequest) -> Reply:
        receipt = await conversations.cancel(request.workspace, request.principal, _named(request))
        return json_reply(receipt, status=202)

    return [Route(LIST, list_), Route(DEADLOCKS, deadlocks), Route(GET, get), Route(WHY, why), Route(CANCEL, cancel)]


def _named(request: ApiRequest) -> str:
    """The conversation that is meant; raises `InvalidRequest`."""
    in_path: str = request.scope["path_params"]["id"]
    in_query: str | None = request.read(CONVERSATION)
    if in_path != IN_QUERY:
        if in_query is not None:
            raise InvalidRequest(f"the path names one already; put {IN_QUERY} there", field="conversation_id")
        return parse_conversation_id(in_path)
    if in_query is None:
        raise InvalidRequest(f"it is required when the path has {IN_QUERY}", field="conversation_id")
    return in_query
