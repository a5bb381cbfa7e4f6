"""Looks for agents that wait for each other for ever, and says so once."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from caxton.conversations.waits import deadlocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.bus import Bus
    from caxton.bus.envelope import Envelope
    from caxton.conversations.table import Table
    from caxton.core.clock import Clock

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.4
"""A deadlock is named within a second, also on a machine that has other work."""

MAX_SHARE = 0.05
"""Of the loop's time that looking may take: with a hundred thousand who wait, a look takes tens of milliseconds."""


class Deadlock(NamedTuple):
    """Each waits for the next, the last for the first, and none of them has anything left to do."""

    workspace: str
    agents: tuple[str, ...]
    found_us: int
    """Wall time."""


class DeadlockWatch:
    """Idle while nobody waits for anybody, and cheap while nothing happens."""

    def __init__(
        self, bus: Bus, table: Table, clock: Clock, say: Callable[[str, str, str, Envelope | None], None]
    ) -> None:
        """`say(workspace, agent, text, about)` writes a warning, about a message or none, into the log of an agent."""
        self._bus, self._table, self._clock, self._say = bus, table, clock, say
        self.found: dict[tuple[str, tuple[str, ...]], Deadlock] = {}
        """Those there are now."""
        self.total = 0
        """In this run."""
        self.is_armed = False
        self._took_s = 0.0
        self._seen: tuple[int, ...] = ()
        self._call: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Somebody waits: look in a while, and again until nobody does."""
        self.is_armed = True
        wait_s = max(LOOK_EVERY_S, self._took_s / MAX_SHARE)
        self._call = asyncio.get_running_loop().call_later(wait_s, self._look)

    def close(self) -> None:
        if self._call is not None:
            self._call.cancel()

    def _look(self) -> None:
        self.is_armed = False
        began = self._clock.monotonic()
        graphs = [self._table.graph(workspace) for workspace in self._table.workspaces()]
        now = (self._bus.settled, self._bus.failures, *(graph.version for graph in graphs))
        if now != self._seen:
            self._seen = now
            self.look()
        self._took_s = self._clock.monotonic() - began
        if any(len(graph) for graph in graphs):
            self.arm()

    def look(self) -> None:
        """Find all deadlocks there are now; those that were not there before are told."""
        found: dict[tuple[str, tuple[str, ...]], Deadlock] = {}
        for workspace in self._table.workspaces():
            self._table.asks(workspace).expire(self._clock.steady_us())
            graph = self._table.graph(workspace)
            for cycle in deadlocks(graph, lambda name, workspace=workspace: self._is_quiet(workspace, name)):
                key = workspace, tuple(cycle)
                found[key] = self.found.get(key) or self._tell(Deadlock(*key, self._clock.wall_us()))
        self.found = found

    def _tell(self, deadlock: Deadlock) -> Deadlock:
        self.total += 1
        chain = " → ".join((*deadlock.agents, deadlock.agents[0]))
        facts = {"action": "conversations.deadlock", "workspace": deadlock.workspace, "agents": list(deadlock.agents)}
        logger.warning("agents wait for each other: %s", chain, extra=facts)
        for name in deadlock.agents:
            text = f"deadlock: {chain}; each waits for the next, and none has work left"
            self._say(deadlock.workspace, name, text, None)
        return deadlock

    def _is_quiet(self, workspace: str, name: str) -> bool:
        """Whether nothing that is on its way could make the agent speak."""
        receiver = self._bus.names.directory(workspace).receivers.get(name)
        return (
            receiver is not None
            and receiver.is_running
            and not receiver.messages
            and not receiver.timers
            and not any(box.busy for box in receiver.mailboxes)
        )
