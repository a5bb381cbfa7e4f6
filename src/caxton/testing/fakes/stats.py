"""`api.services.StatsService` over the other fakes: agents as they are there, with figures that the test sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.core.errors.agents import AgentNotFound
from caxton.core.suggest import nearest
from caxton.core.views.stats import (
    AgentFigures,
    AgentStatsView,
    HandlingView,
    NodeFigures,
    StatsView,
    TimesView,
    WindowView,
)
from caxton.services.figures import chosen
from caxton.testing.fakes.agents import check_workspace

if TYPE_CHECKING:
    from caxton.core.ids import AgentName, WorkspaceName
    from caxton.core.views.agents import AgentView
    from caxton.core.views.stats import StatsFilter
    from caxton.testing.fakes.agents import FakeAgents
    from caxton.testing.fakes.server import FakeServer


class FakeStats:
    """Every agent rests, unless the test says otherwise."""

    def __init__(self, agents: FakeAgents, server: FakeServer) -> None:
        self._agents, self._server = agents, server
        self.figures: dict[str, dict[str, Any]] = {}
        """By agent: fields of its figures that differ from those of one that rests."""
        self.node: dict[str, Any] = {}
        """The same for the node."""
        self.window: dict[str, Any] = {}
        """The same for the window."""
        self.incidents: list[HandlingView] = []
        self.recent: dict[str, list[HandlingView]] = {}
        self.asked = 0
        """How often somebody wanted to know."""

    async def view(
        self, workspace: WorkspaceName, wanted: StatsFilter, *, window_s: float, limit: int, offset: int
    ) -> StatsView:
        """As the real one."""
        check_workspace(workspace)
        self.asked += 1
        agents = [self._of(view) for view in self._agents.views.values()]
        found = chosen(agents, wanted)
        return StatsView(
            window=self._window(window_s), node=self._node(), agents=found[offset : offset + limit],
            matched=len(found), total=len(agents), incidents=self.incidents,
        )  # fmt: skip

    async def agent(self, workspace: WorkspaceName, name: AgentName, *, window_s: float, limit: int) -> AgentStatsView:
        """As the real one."""
        check_workspace(workspace)
        self.asked += 1
        view = self._agents.views.get(name)
        if view is None:
            raise AgentNotFound(name, nearest=nearest(name, self._agents.views))
        recent = self.recent.get(name, [])[:limit]
        return AgentStatsView(window=self._window(window_s), agent=self._of(view), recent=recent)

    def _of(self, view: AgentView) -> AgentFigures:
        return agent_figures(
            view.name,
            **{
                "status": view.status, "reason": view.reason, "replicas": view.replicas, "healthy": view.healthy,
                "memory_bytes": view.memory_bytes, "memory_limit_bytes": view.memory_limit_bytes * view.replicas,
                "handled": view.messages_handled, "failed": view.messages_failed, "queue": view.mailbox_messages,
                "circuit": view.circuit_breaker.state, "uptime_s": view.uptime_s, "restarts": view.restarts,
                **self.figures.get(view.name, {}),
            },
        )  # fmt: skip

    def _node(self) -> NodeFigures:
        server = self._server.view()
        return node_figures(
            status=server.status, agents=server.agents, instances=server.instances, version=server.version,
            dead_letters=server.dead_letters, **self.node,
        )  # fmt: skip

    def _window(self, asked_s: float) -> WindowView:
        found = WindowView(asked_s=asked_s, covered_s=asked_s, records=0, is_cut=False, is_recorded=True)
        return msgspec.structs.replace(found, **self.window)


def agent_figures(name: str, **fields: Any) -> AgentFigures:
    """An agent that rests, but for `fields`."""
    values: dict[str, Any] = {
        "type": "wasm", "status": "running", "reason": None, "replicas": 1, "healthy": 1, "rate_per_s": 0.0,
        "ended_in_window": 0, "failed_in_window": 0,
        "handling": None, "waiting": None, "busy_s": None, "queue": 0, "queue_limit": 10_000,
        "memory_bytes": 1 << 16, "memory_limit_bytes": 10 << 20, "restarts": 0, "handled": 0, "failed": 0,
        "circuit": "closed", "uptime_s": 1.0, **fields,
    }  # fmt: skip
    return AgentFigures(name=name, **values)


def node_figures(**fields: Any) -> NodeFigures:
    """A node that rests, but for `fields`."""
    values: dict[str, Any] = {
        "run": "run-1", "status": "ready", "version": "0.0.0", "uptime_s": 1.0, "causes": [], "agents": {},
        "circuits": {}, "instances": 0, "rate_per_s": 0.0, "ended_in_window": 0, "failed_in_window": 0,
        "handling": None, "waiting": None,
        "queue": 0, "queue_limit": 2_000_000, "memory_bytes": 0, "memory_limit_bytes": 0, "process_bytes": 90 << 20,
        "cpu_s": 0.5, "handled": 0, "failed": 0, "accepted": 0, "refused": 0, "restarts": 0, "commits": 0,
        "journal_bytes": 1 << 20, "journal_limit_bytes": 8 << 30, "wal_bytes": 0, "wal_limit_bytes": 256 << 20,
        "disk_free_bytes": 50 << 30, "disk_total_bytes": 100 << 30, "disk_low_bytes": 64 << 20,
        "storage_failures": {"full": 0, "io": 0, "other": 0}, "dead_letters": 0, "dead_letters_bytes": 0,
        "dead_letters_limit_bytes": 1 << 30, "conversations_open": 0, "deadlocks": 0, **fields,
    }  # fmt: skip
    return NodeFigures(**values)


def times_view(p50_ms: float, p99_ms: float) -> TimesView:
    """Times, the longest of them the 99th percentile."""
    return TimesView(p50_ms=p50_ms, p99_ms=p99_ms, max_ms=p99_ms)


def handling(kind: str, sender: str, receiver: str, **fields: Any) -> HandlingView:
    """Something that happened, but for `fields` an ordinary handling."""
    values: dict[str, Any] = {
        "at": "2026-01-01T00:00:00.000+00:00", "performative": "request", "conversation_id": "c-1",
        "message_id": "m-1", "attempt": 1, "waited_ms": 0.5, "handled_ms": 1.5, "size_bytes": 100, "detail": None,
        **fields,
    }  # fmt: skip
    return HandlingView(kind=kind, sender=sender, receiver=receiver, **values)
