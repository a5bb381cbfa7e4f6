"""Routes about live figures: of the node and its agents, and of one agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.api.operation import Answer, Operation, Route
from caxton.api.query import choice, duration, flag, integer, word
from caxton.api.reply import Reply, json_reply
from caxton.core.errors.agents import AgentNotFound
from caxton.core.errors.values import InvalidName, InvalidValue
from caxton.core.views.stats import MAX_WINDOW_S, MIN_WINDOW_S, SORTS, AgentStatsView, StatsFilter, StatsView

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import StatsService

MAX_MATCH_CHARS = 128


def parse_match(text: str) -> str:
    """A part of a name; raises `InvalidValue`."""
    if len(text) > MAX_MATCH_CHARS:
        raise InvalidValue("match", text, f"give at most {MAX_MATCH_CHARS} characters")
    return text


WINDOW = duration("window", "How far back figures go.", default_s=60.0, low_s=MIN_WINDOW_S, high_s=MAX_WINDOW_S)
SORT = choice("sort", "What agents are put in order by, the largest first. Default: rate.", SORTS)
MATCH = word("match", "Only agents whose name contains this.", parse_match, default="")
TROUBLED = flag("troubled", "Only agents that somebody should look at.")
LIMIT = integer("limit", "How many agents at most.", default=100, low=0, high=1000)
OFFSET = integer("offset", "How many to leave out first.", default=0, low=0, high=10**9)
RECENT = integer("limit", "How many of the last things that it did at most.", default=50, low=0, high=500)

STATS = Operation(
    method="GET",
    path="/api/v1/stats",
    action="agents:read",
    summary="Live figures of the server and of its agents.",
    query=(WINDOW, SORT, MATCH, TROUBLED, LIMIT, OFFSET),
    answers=(Answer(kind=StatsView, doc="The server, and one page of agents."),),
)
AGENT = Operation(
    method="GET",
    path="/api/v1/agents/{name}/stats",
    action="agents:read",
    summary="Live figures of one agent, and what it did last.",
    query=(WINDOW, RECENT),
    answers=(Answer(kind=AgentStatsView, doc="It."),),
    errors=(AgentNotFound, InvalidName),
)


def stats_routes(stats: StatsService) -> list[Route]:
    """The routes of this module."""

    async def view(request: ApiRequest) -> Reply:
        wanted = StatsFilter(
            sort=request.read(SORT) or SORTS[0], match=request.read(MATCH), troubled=request.read(TROUBLED)
        )
        limit, offset, window_s = request.read(LIMIT), request.read(OFFSET), request.read(WINDOW)
        return json_reply(await stats.view(request.workspace, wanted, window_s=window_s, limit=limit, offset=offset))

    async def agent(request: ApiRequest) -> Reply:
        window_s, limit = request.read(WINDOW), request.read(RECENT)
        return json_reply(await stats.agent(request.workspace, request.agent, window_s=window_s, limit=limit))

    return [Route(STATS, view), Route(AGENT, agent)]
