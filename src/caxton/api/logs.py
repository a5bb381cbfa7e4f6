"""Routes about logs: the last lines, or all lines as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.api.events import EventStream, event
from caxton.api.operation import EVENTS, Answer, Operation, Route
from caxton.api.query import choice, duration, flag, integer, word
from caxton.api.reply import json_reply
from caxton.core.errors import AgentNotFound, InvalidName, InvalidRequest
from caxton.core.ids import AgentName, parse_agent_name
from caxton.core.views.logs import LogLine  # noqa: TC001

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from caxton.api.reply import Asgi
    from caxton.api.request import ApiRequest
    from caxton.api.services import AgentService, LogService

LEVELS = ("trace", "debug", "info", "warn", "error")
MAX_AGENTS = 100


def parse_agents(text: str) -> list[AgentName]:
    """Names with commas between them; raises `InvalidName`."""
    names = text.split(",")
    if len(names) > MAX_AGENTS:
        raise InvalidRequest(f"{len(names)} names, the limit is {MAX_AGENTS}", field="agents")
    return [parse_agent_name(name) for name in names]


LIMIT = integer("limit", "How many of the last lines at most.", default=100, low=1, high=10_000)
SINCE = duration("since", "Only lines of the last while, like `1h`.", default_s=None)
LEVEL = choice("level", "The least grave level wanted.", LEVELS)
FOLLOW = flag("follow", "Go on with each line as it is written, as server-sent events.")
AGENTS = word("agents", "Names with commas between them; all agents when left out.", parse_agents)

_ANSWERS_DOC = "As server-sent events: `event: log`, `id` the line's seq, `data` the line."


class LogLines(msgspec.Struct, kw_only=True):
    """The last lines, oldest first."""

    lines: list[LogLine]


_ANSWERS = (
    Answer(kind=LogLines, doc="The last lines, oldest first."),
    Answer(media_type=EVENTS, doc=_ANSWERS_DOC),
)

ONE = Operation(
    method="GET",
    path="/api/v1/agents/{name}/logs",
    action="logs:read",
    summary="The log of one agent.",
    query=(LIMIT, SINCE, LEVEL, FOLLOW),
    answers=_ANSWERS,
    errors=(AgentNotFound, InvalidName),
)
MANY = Operation(
    method="GET",
    path="/api/v1/logs",
    action="logs:read",
    summary="The logs of several agents, or of all.",
    query=(AGENTS, LIMIT, SINCE, LEVEL, FOLLOW),
    answers=_ANSWERS,
    errors=(AgentNotFound, InvalidName),
)


def log_routes(logs: LogService, agents: AgentService, stopping: asyncio.Event) -> list[Route]:
    """The routes of this module. An agent that is not there is an error: a slip would look like silence."""

    async def one(request: ApiRequest) -> Asgi:
        return answer(request, [request.agent])

    async def many(request: ApiRequest) -> Asgi:
        return answer(request, request.read(AGENTS))

    def answer(request: ApiRequest, names: list[AgentName] | None) -> Asgi:
        for name in names or []:
            agents.get(request.workspace, name)
        known = None if names is None else [str(name) for name in names]
        if _wants_stream(request):
            return _stream(request, logs, known, stopping)
        return json_reply(LogLines(lines=_tail(request, logs, known)))

    return [Route(ONE, one), Route(MANY, many)]


def _wants_stream(request: ApiRequest) -> bool:
    return request.read(FOLLOW) or b"text/event-stream" in request.headers.get(b"accept", b"")


def _tail(request: ApiRequest, logs: LogService, names: list[str] | None) -> list[LogLine]:
    limit, since_s, level = request.read(LIMIT), request.read(SINCE), request.read(LEVEL)
    return logs.tail(request.workspace, names, limit=limit, since_s=since_s, level=level)


def _stream(request: ApiRequest, logs: LogService, names: list[str] | None, stopping: asyncio.Event) -> EventStream:
    """Lines from now on; before them those that `limit` or `since` ask for, or all after Last-Event-ID."""
    after_seq = _last_event_id(request)
    past: list[LogLine] = []
    if after_seq is None:
        newest = logs.tail(request.workspace, names, limit=1, since_s=None, level=None)
        after_seq = newest[-1].seq if newest else 0
        if request.has(LIMIT) or request.has(SINCE):
            past = [line for line in _tail(request, logs, names) if line.seq <= after_seq]
    events = _events(logs.follow(request.workspace, names, after_seq=after_seq), request.read(LEVEL))
    first = b"".join(map(_event, past))
    return EventStream(first, events, heartbeat_s=request.limits.heartbeat_s, stopping=stopping)


def _last_event_id(request: ApiRequest) -> int | None:
    text = request.headers.get(b"last-event-id")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 18:
        raise InvalidRequest("it is the id of no event here", field="Last-Event-ID")
    return int(text)


def _event(line: LogLine) -> bytes:
    return event("log", line, number=line.seq)


async def _events(lines: AsyncIterator[LogLine], level: str | None) -> AsyncIterator[bytes]:
    """Lines of `level` or graver, as events."""
    wanted = frozenset(LEVELS[LEVELS.index(level) :]) if level else frozenset(LEVELS)
    try:
        async for line in lines:
            if line.level in wanted:
                yield _event(line)
    finally:
        close = getattr(lines, "aclose", None)
        if close is not None:
            await close()
