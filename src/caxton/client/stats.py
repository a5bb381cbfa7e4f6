"""Calls about live figures."""

from __future__ import annotations

from caxton.client.transport import Transport, agent_path
from caxton.core.views.stats import AgentStatsView, StatsFilter, StatsView


class StatsCalls(Transport):
    """What is going on."""

    def stats(
        self, wanted: StatsFilter | None = None, *, window_s: float | None = None, limit: int | None = None,
        offset: int | None = None,
    ) -> StatsView:  # fmt: skip
        """Figures of the server over the last `window_s` (60 s), and of those agents that are wanted: all, by rate."""
        wanted = wanted or StatsFilter()
        return self._get(
            "/api/v1/stats", StatsView,
            {"window": _seconds(window_s), "sort": wanted.sort, "match": wanted.match or None,
             "troubled": wanted.troubled or None, "limit": limit, "offset": offset},
        )  # fmt: skip

    def agent_stats(self, name: str, *, window_s: float | None = None, limit: int | None = None) -> AgentStatsView:
        """Figures of one agent, and the last `limit` (50) things that it did."""
        return self._get(f"{agent_path(name)}/stats", AgentStatsView, {"window": _seconds(window_s), "limit": limit})


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:g}s"
