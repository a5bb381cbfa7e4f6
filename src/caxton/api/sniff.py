"""Routes about who says what to whom: live, or what is remembered of one conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import msgspec

from caxton.api.events import EventStream, event
from caxton.api.logs import MAX_AGENTS
from caxton.api.messages import parse_conversation_id
from caxton.api.operation import EVENTS, Answer, Operation, Route
from caxton.api.query import duration, integer, word
from caxton.api.reply import json_reply
from caxton.bus.envelope import CLIENT_PREFIX
from caxton.core.errors.agents import AgentNotFound
from caxton.core.errors.limits import TooManyListeners
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.values import InvalidName
from caxton.core.ids import parse_agent_name
from caxton.core.views.messages import Gap, Sighting

if TYPE_CHECKING:
    import asyncio

    from caxton.api.reply import Asgi
    from caxton.api.request import ApiRequest
    from caxton.api.services import Listener, SniffService

PATH = "/api/v1/sniff"

MAX_FOR_S = 86_400.0
"""Who wants to listen for longer leaves `for` out."""


def parse_speakers(text: str) -> list[str]:
    """Names of agents, or `client:NAME`, with commas between them; raises `InvalidName`."""
    names = text.split(",")
    if len(names) > MAX_AGENTS:
        raise InvalidRequest(f"{len(names)} names, the limit is {MAX_AGENTS}", field="agents")
    return [name if name.startswith(CLIENT_PREFIX) else parse_agent_name(name) for name in names]


AGENTS = word("agents", "Only what these say or are told: names with commas between them.", parse_speakers)
CONVERSATION = word("conversation", "Only what belongs to this conversation.", parse_conversation_id)
WHICH = word("conversation", "Which conversation.", parse_conversation_id, required=True)
FOR = duration("for", "The stream ends by itself after so long.", default_s=None, low_s=0.001, high_s=MAX_FOR_S)
LIMIT = integer("limit", "How many of the last messages at most.", default=1000, low=1, high=1000)


class Sightings(msgspec.Struct, kw_only=True):
    """The last messages of a conversation that are remembered, oldest first."""

    sightings: list[Sighting]


LIVE = Operation(
    method="GET",
    path=PATH,
    action="sniff:read",
    summary="Every message when it has taken effect and is on disk, as server-sent events.",
    query=(AGENTS, CONVERSATION, FOR),
    answers=(
        Answer(
            media_type=EVENTS,
            doc="`event: sighting`, `data` the Sighting; `event: gap`, `data` how many were missed; `event: end`.",
        ),
    ),
    errors=(AgentNotFound, InvalidName, TooManyListeners),
)
PAST = Operation(
    method="GET",
    path=f"{PATH}/past",
    action="sniff:read",
    summary="What is remembered of a conversation: each message for each receiver, and its dead letters.",
    query=(WHICH, LIMIT),
    answers=(Answer(kind=Sightings, doc="Empty for a conversation that nobody knows."),),
)


def sniff_routes(sniff: SniffService, stopping: asyncio.Event) -> list[Route]:
    """The routes of this module."""

    async def live(request: ApiRequest) -> Asgi:
        lasts_s = request.read(FOR)
        listener = sniff.listen(request.workspace, request.read(AGENTS), request.read(CONVERSATION))
        return EventStream(
            b"", _Events(listener), heartbeat_s=request.limits.heartbeat_s, stopping=stopping, lasts_s=lasts_s,
            last=event("end", {}),
        )  # fmt: skip

    async def past(request: ApiRequest) -> Asgi:
        found = await sniff.past(request.workspace, request.read(WHICH), limit=request.read(LIMIT))
        return json_reply(Sightings(sightings=found))

    return [Route(LIVE, live), Route(PAST, past)]


class _Events:
    """What a listener hears, as events. No generator: one that was never begun would not close the listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return b"".join(map(_event, await self._listener.__anext__()))

    async def aclose(self) -> None:
        await self._listener.aclose()


def _event(seen: Sighting | Gap) -> bytes:
    return event("gap", seen) if isinstance(seen, Gap) else event("sighting", seen, number=seen.seq)
