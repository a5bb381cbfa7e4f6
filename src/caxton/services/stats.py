"""Live figures of agents and node, made when somebody asks: from counters that are there, and the flight recorder.

Nothing is done for a message. Who asks twice within `FRESH_S`, or while another's answer is being made, gets the same
answer; records are read in a thread, agents are looked at in portions between which the event loop goes on.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caxton.core.errors.agents import AgentNotFound
from caxton.core.errors.receivers import MailboxFull
from caxton.core.errors.workspaces import WorkspaceFull, WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, AgentName, WorkspaceName
from caxton.core.suggest import nearest
from caxton.core.views.stats import (
    AgentFigures,
    AgentStatsView,
    HandlingView,
    NodeFigures,
    StatsFilter,
    StatsView,
    WindowView,
)
from caxton.observe.process import resident_bytes
from caxton.services.figures import Ended, Tally, chosen, of_agent, tally, window_of
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from caxton.agents.service import AgentService
    from caxton.agents.supervisor import Supervisor
    from caxton.bus.bus import Bus
    from caxton.bus.disk import DiskGuard
    from caxton.bus.journal import Journal
    from caxton.bus.mailbox import Receiver
    from caxton.bus.postbox import Postbox
    from caxton.conversations.room import Conversations
    from caxton.core.clock import Clock
    from caxton.recorder.record import Record
    from caxton.recorder.recorder import Recorder
    from caxton.storage.database import Database

MAX_RECORDS = 10_000
"""Of a window that are looked at, the last ones: they take some ten milliseconds of a thread."""

FRESH_S = 0.5
"""For so long an answer is given again: ten who watch cost as much as one."""

AGENTS_AT_ONCE = 200
"""Looked at before others have their turn on the event loop: about a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    """Everything that one look found."""

    made_at: float
    tally: Tally
    agents: list[AgentFigures]
    node: NodeFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The rooms whose counters are read."""

    bus: Bus
    agents: AgentService
    postbox: Postbox
    journal: Journal
    database: Database
    disk: DiskGuard
    conversations: Conversations
    recorder: Recorder
    state: Callable[[], str]
    """Of the node: `starting`, `ready`, `stopping`."""


class StatsService:
    """See the module."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self._from, self._clock = sources, clock
        self._started = clock.monotonic()
        self._one_at_a_time = asyncio.Lock()
        self._lately: dict[tuple[str, float], _Snapshot] = {}

    async def view(
        self, workspace: WorkspaceName, wanted: StatsFilter, *, window_s: float, limit: int, offset: int
    ) -> StatsView:
        """The node, and the agents that are wanted."""
        _check(workspace)
        now = await self._snapshot(workspace, window_s)
        found = await asyncio.to_thread(chosen, now.agents, wanted)
        return StatsView(
            window=now.tally.window, node=now.node, agents=found[offset : offset + limit], matched=len(found),
            total=len(now.agents), incidents=now.tally.incidents,
        )  # fmt: skip

    async def agent(self, workspace: WorkspaceName, name: AgentName, *, window_s: float, limit: int) -> AgentStatsView:
        """One agent and what it did last. Raises `AgentNotFound`."""
        window, figures, _, recent = await self._one(workspace, name, window_s, limit)
        return AgentStatsView(window=window, agent=figures, recent=recent)

    async def ended(
        self, workspace: WorkspaceName, name: AgentName, *, window_s: float
    ) -> tuple[WindowView, AgentFigures, Ended]:
        """One agent, and what of it ended lately. Raises `AgentNotFound`."""
        window, figures, ended, _ = await self._one(workspace, name, window_s, 0)
        return window, figures, ended

    async def _one(
        self, workspace: WorkspaceName, name: AgentName, window_s: float, limit: int
    ) -> tuple[WindowView, AgentFigures, Ended, list[HandlingView]]:
        _check(workspace)
        receivers = self._from.bus.names.directory(workspace).receivers
        if name not in receivers:
            raise AgentNotFound(name, nearest=nearest(name, receivers))

        def read() -> tuple[Tally, list[HandlingView]]:
            records, found = self._read(workspace, window_s)
            return found, of_agent(records, workspace, name, limit) if limit else []

        async with self._one_at_a_time:
            found, recent = await asyncio.to_thread(read)
        if name not in receivers:  # it was removed meanwhile
            raise AgentNotFound(name, nearest=nearest(name, receivers))
        figures = self._figures(receivers[name], self._from.agents.supervisors(workspace).get(name), found)
        return found.window, figures, found.agents.get(name, found.none), recent

    # --- one look --------------------------------------------------------------------------------------------

    async def _snapshot(self, workspace: WorkspaceName, window_s: float) -> _Snapshot:
        async with self._one_at_a_time:
            now = self._clock.monotonic()
            self._lately = {key: one for key, one in self._lately.items() if now - one.made_at < FRESH_S}
            found = self._lately.get((workspace, window_s))
            if found is None:
                found = self._lately[workspace, window_s] = await self._look(workspace, window_s)
            return found

    async def _look(self, workspace: WorkspaceName, window_s: float) -> _Snapshot:
        def read() -> tuple[Tally, _Space]:
            return self._read(workspace, window_s)[1], _space(self._from.database.path)

        found, space = await asyncio.to_thread(read)
        supervisors = self._from.agents.supervisors(workspace)
        agents: list[AgentFigures] = []
        for receiver in list(self._from.bus.names.directory(workspace).receivers.values()):
            if len(agents) % AGENTS_AT_ONCE == AGENTS_AT_ONCE - 1:
                await asyncio.sleep(0)
            agents.append(self._figures(receiver, supervisors.get(receiver.name), found))
        return _Snapshot(
            made_at=self._clock.monotonic(), tally=found, agents=agents, node=self._node(agents, found, space)
        )

    def _read(self, workspace: str, window_s: float) -> tuple[Sequence[Record], Tally]:
        """In a thread."""
        recorder, now_us = self._from.recorder, self._clock.wall_us()
        records = recorder.recent(since_us=now_us - round(window_s * 1e6), limit=MAX_RECORDS)
        window = window_of(
            records, asked_s=window_s, now_us=now_us, uptime_s=self._uptime_s, limit=MAX_RECORDS,
            is_recorded=recorder.is_on, whole_since_us=recorder.whole_since_us(),
        )  # fmt: skip
        return records, tally(records, window, workspace)

    @property
    def _uptime_s(self) -> float:
        return self._clock.monotonic() - self._started

    def _figures(self, receiver: Receiver, supervisor: Supervisor | None, found: Tally) -> AgentFigures:
        ended = found.agents.get(receiver.name, found.none)
        figures = AgentFigures(
            name=receiver.name, type="native", status="running", reason=None, replicas=1, healthy=1,
            rate_per_s=ended.rate_per_s, ended_in_window=ended.count, failed_in_window=ended.failed,
            handling=ended.handling, waiting=ended.waiting, busy_s=self._busy_s(receiver), queue=receiver.messages,
            queue_limit=receiver.max_messages, memory_bytes=0, memory_limit_bytes=0, restarts=0,
            handled=receiver.handled, failed=receiver.failed, circuit="off", uptime_s=round(self._uptime_s, 3),
        )  # fmt: skip
        if supervisor is not None:
            definition, since = supervisor.definition, supervisor.running_since
            figures.type, figures.status, figures.reason = "wasm", supervisor.state.phase, supervisor.state.reason
            figures.replicas, figures.healthy = definition.replicas, supervisor.healthy
            figures.memory_bytes = supervisor.memory_bytes
            figures.memory_limit_bytes = definition.limits.memory_bytes * definition.replicas
            figures.restarts, figures.circuit = supervisor.restarts, supervisor.circuit.phase
            figures.uptime_s = None if since is None else round(self._clock.monotonic() - since, 3)
        elif receiver.is_vacant:
            figures.type = figures.status = "vacant"
            figures.replicas = figures.healthy = 0
            figures.uptime_s = None
        return figures

    def _busy_s(self, receiver: Receiver) -> float | None:
        began = [box.turn.now_us for box in receiver.mailboxes if box.busy and box.turn is not None]
        return round(max(self._clock.wall_us() - min(began), 0) / 1e6, 3) if began else None

    def _node(self, agents: list[AgentFigures], found: Tally, space: _Space) -> NodeFigures:
        rooms = self._from
        bus, letters, usage, limits = rooms.bus, rooms.bus.letters, rooms.database.usage, rooms.disk.limits()
        directory = bus.names.directory(DEFAULT_WORKSPACE)
        state = rooms.state()
        return NodeFigures(
            run=bus.id_prefix.rstrip("-"), version=VERSION, uptime_s=round(self._uptime_s, 3),
            status="read-only" if state == "ready" and rooms.disk.is_read_only else state,
            causes=list(bus.intake.causes), agents=rooms.agents.counts(), circuits=dict(rooms.agents.circuit_states()),
            instances=rooms.agents.instances, rate_per_s=found.all.rate_per_s,
            ended_in_window=found.all.count,
            failed_in_window=found.all.failed, handling=found.all.handling, waiting=found.all.waiting,
            queue=sum(one.queue for one in agents),
            queue_limit=directory.max_messages, memory_bytes=sum(one.memory_bytes for one in agents),
            memory_limit_bytes=sum(one.memory_limit_bytes for one in agents), process_bytes=space.process_bytes,
            cpu_s=round(time.process_time(), 3), handled=bus.settled, failed=bus.failures,
            accepted=rooms.postbox.accepted, restarts=rooms.agents.restarts,
            refused=bus.flight.refusals[MailboxFull.code] + bus.flight.refusals[WorkspaceFull.code],
            commits=rooms.journal.commits, journal_bytes=usage.live_bytes, journal_limit_bytes=limits[_JOURNAL],
            wal_bytes=usage.wal_bytes, wal_limit_bytes=limits[_WAL], disk_free_bytes=space.free_bytes,
            disk_total_bytes=space.total_bytes, disk_low_bytes=limits[_FREE],
            storage_failures=dict(rooms.database.failures), dead_letters=letters.count,
            dead_letters_bytes=letters.bytes, dead_letters_limit_bytes=letters.max_bytes,
            conversations_open=rooms.conversations.book.open, deadlocks=len(rooms.conversations.watch.found),
        )  # fmt: skip


_JOURNAL, _WAL, _FREE = "journal", "wal", "free"


@dataclass(frozen=True, slots=True)
class _Space:
    """What the system says of the disk and of the process."""

    free_bytes: int
    total_bytes: int
    process_bytes: int


def _space(path: Path) -> _Space:
    """In a thread: a disk that does not answer must hold up nobody else."""
    disk = os.statvfs(path.parent)
    return _Space(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize, resident_bytes())


def _check(workspace: WorkspaceName) -> None:
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)
