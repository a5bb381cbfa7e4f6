"""Routes about logs: the last lines, or all lines as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.api.events import EventStream, event
from caxton.api.operation import EVENTS, Answer, Operation, Route
from caxton.api.query import choice, duration, flag, integer, word
from caxton.api.reply import json_reply
from caxton.core.errors.agents import AgentNotFound
from caxton.core.errors.limits import TooManyListeners
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.values import InvalidName, InvalidValue
from caxton.core.ids import AgentName, parse_agent_name
from caxton.core.views.logs import LogLine  # noqa: TC001
from caxton.logs.filter import LogFilter, pattern
from caxton.logs.line import LEVELS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from caxton.api.reply import Asgi
    from caxton.api.request import ApiRequest
    from caxton.api.services import AgentService, LogService

MAX_AGENTS = 100
MAX_ID_CHARS = 1024
"""Of a conversation, as in a message."""


def parse_agents(text: str) -> list[AgentName]:
    """Names with commas between them; raises `InvalidName`."""
    names = text.split(",")
    if len(names) > MAX_AGENTS:
        raise InvalidRequest(f"{len(names)} names, the limit is {MAX_AGENTS}", field="agents")
    return [parse_agent_name(name) for name in names]


def _pattern(text: str) -> str:
    pattern(text)
    return text


def _conversation(text: str) -> str:
    if not 0 < len(text) <= MAX_ID_CHARS:
        raise InvalidValue("conversation", text[:MAX_ID_CHARS], f"give 1 to {MAX_ID_CHARS} characters")
    return text


LIMIT = integer("limit", "How many of the last lines at most.", default=100, low=1, high=10_000)
SINCE = duration("since", "Only lines of the last while, like `1h`.", default_s=None)
LEVEL = choice("level", "The least grave level wanted.", LEVELS)
GREP = word("grep", "Only lines in which this pattern (RE2) is found.", _pattern)
CONVERSATION = word(
    "conversation", "Only lines written while a message of this conversation was in hand.", _conversation
)
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
    query=(LIMIT, SINCE, LEVEL, GREP, CONVERSATION, FOLLOW),
    answers=_ANSWERS,
    errors=(AgentNotFound, InvalidName, TooManyListeners),
)
MANY = Operation(
    method="GET",
    path="/api/v1/logs",
    action="logs:read",
    summary="The logs of several agents, or of all.",
    query=(AGENTS, LIMIT, SINCE, LEVEL, GREP, CONVERSATION, FOLLOW),
    answers=_ANSWERS,
    errors=(AgentNotFound, InvalidName, TooManyListeners),
)


def log_routes(logs: LogService, agents: AgentService, stopping: asyncio.Event) -> list[Route]:
    """The routes of this module. An agent that is not there is an error: a slip would look like silence."""

    async def one(request: ApiRequest) -> Asgi:
        return await answer(request, [request.agent])

    async def many(request: ApiRequest) -> Asgi:
        return await answer(request, request.read(AGENTS))

    async def answer(request: ApiRequest, names: list[AgentName] | None) -> Asgi:
        for name in names or []:
            agents.get(request.workspace, name)
        wanted = _wanted(request, names)
        if _wants_stream(request):
            return _stream(request, logs, wanted, stopping)
        return json_reply(LogLines(lines=await logs.find(request.workspace, wanted, limit=request.read(LIMIT))))

    return [Route(ONE, one), Route(MANY, many)]


def _wanted(request: ApiRequest, names: list[AgentName] | None) -> LogFilter:
    return LogFilter(
        agents=None if names is None else frozenset(names),
        since_s=request.read(SINCE),
        level=request.read(LEVEL),
        conversation_id=request.read(CONVERSATION),
        grep=request.read(GREP),
    )


def _wants_stream(request: ApiRequest) -> bool:
    return request.read(FOLLOW) or b"text/event-stream" in request.headers.get(b"accept", b"")


def _stream(request: ApiRequest, logs: LogService, wanted: LogFilter, stopping: asyncio.Event) -> EventStream:
    """Lines from now on; before them those that `limit` or `since` ask for, or all after Last-Event-ID."""
    past = request.read(LIMIT) if request.has(LIMIT) or request.has(SINCE) else 0
    lines = logs.follow(request.workspace, wanted, after_seq=_last_event_id(request), past=past)
    return EventStream(b"", _events(lines), heartbeat_s=request.limits.heartbeat_s, stopping=stopping)


def _last_event_id(request: ApiRequest) -> int | None:
    text = request.headers.get(b"last-event-id")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 18:
        raise InvalidRequest("it is the id of no event here", field="Last-Event-ID")
    return int(text)


async def _events(lines: AsyncIterator[LogLine]) -> AsyncIterator[bytes]:
    try:
        async for line in lines:
            yield event("log", line, number=line.seq)
    finally:
        close = getattr(lines, "aclose", None)
        if close is not None:
            await close()
