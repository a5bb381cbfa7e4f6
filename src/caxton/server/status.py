"""What the node says of itself, and all that it counts."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from caxton.core.views.server import Reason, ServerView
from caxton.observe.metrics import Metrics, Snapshot
from caxton.server.figures import figures_of
from caxton.server.readiness import reasons
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from caxton.core.clock import Clock
    from caxton.server.wiring import Rooms
    from caxton.telemetry.figures import Named, Samples


class NodeStatus:
    """What the node says of itself: `api.services.ServerService`."""

    def __init__(self, clock: Clock, data_dir: Path) -> None:
        self.state = "starting"
        self.started_at = datetime.fromtimestamp(clock.wall_us() / 1e6, UTC).isoformat(timespec="milliseconds")
        self._clock, self._data_dir = clock, data_dir
        self._started = clock.monotonic()
        self._metrics = Metrics(self._snapshot)
        self.rooms: Rooms | None = None

    def reasons(self) -> list[Reason]:
        rooms = self.rooms
        causes = () if rooms is None else rooms.bus.intake.causes
        return reasons(self.state, causes, has_failed=rooms is not None and rooms.journal.failed)

    def ready(self) -> bool:
        return not self.reasons()

    def _status(self) -> str:
        return "read-only" if self.state == "ready" and self.reasons() else self.state

    def metrics(self) -> bytes:
        return self._metrics.render()

    async def figures(self) -> Iterable[tuple[Named, Samples]]:
        """The same as what `metrics` renders."""
        return figures_of(self._metrics.collect())

    def view(self) -> ServerView:
        now = self._snapshot()
        return ServerView(
            status=self._status(), version=VERSION, pid=os.getpid(), started_at=self.started_at, uptime_s=now.uptime_s,
            data_dir=str(self._data_dir), agents=now.agents, instances=now.instances, messages_handled=now.settled,
            messages_pending=now.mailbox_messages, dead_letters=now.dead_letters,
        )  # fmt: skip

    def _snapshot(self) -> Snapshot:
        rooms = self.rooms
        assert rooms is not None  # noqa: S101
        bus, agents, talks = rooms.bus, rooms.agents, rooms.conversation_room
        return Snapshot(
            version=VERSION, agents=agents.counts(), instances=agents.instances, wasm_memory_bytes=agents.memory_bytes,
            restarts=agents.restarts, accepted=rooms.postbox.accepted, settled=bus.settled, failures=bus.failures,
            dead_letters=bus.letters.count, dead_letters_bytes=bus.letters.bytes,
            dead_letters_buried=dict(bus.letters.buried), dead_letters_replayed=bus.letters.replayed,
            refused=rooms.postbox.refused,
            mailbox_messages=sum(receiver.messages for receiver in bus.names.receivers()),
            latency_us=list(bus.latency_us),
            circuits=agents.circuit_states(), circuit_transitions=dict(agents.circuits.transitions),
            callers_refused=dict(agents.circuits.refused), commits=rooms.journal.commits,
            rows_written=rooms.journal.rows_written, journal_bytes=rooms.database.usage.live_bytes,
            wal_bytes=rooms.database.usage.wal_bytes, disk_free_bytes=rooms.disk.free_bytes,
            commit_us=list(rooms.database.commit_us), storage_failures=dict(rooms.database.failures),
            storage_causes=bus.intake.causes,
            conversations_open=talks.book.open, conversations_ended=dict(talks.table.ended),
            conversation_violations=talks.referee.violations, conversation_deadlines=talks.deadlines.passed,
            conversation_late=talks.referee.late, deadlocks=len(talks.watch.found), deadlocks_found=talks.watch.total,
            uptime_s=round(self._clock.monotonic() - self._started, 3),
        )  # fmt: skip
