"""What the node says of itself, and all that it counts."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from caxton.core.views.server import Reason, ServerView
from caxton.observe.process import read_process
from caxton.server.census import take_census
from caxton.server.metrics import Moment, read, text_of
from caxton.server.readiness import reasons
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from caxton.core.clock import Clock
    from caxton.observe.metrics import Metric, Samples
    from caxton.server.rooms import Rooms


class NodeStatus:
    """What the node says of itself: `api.services.ServerService`."""

    def __init__(self, clock: Clock, data_dir: Path) -> None:
        self.state = "starting"
        self._started_us = clock.wall_us()
        self.started_at = datetime.fromtimestamp(self._started_us / 1e6, UTC).isoformat(timespec="milliseconds")
        self._clock, self._data_dir = clock, data_dir
        self._started = clock.monotonic()
        self.rooms: Rooms | None = None

    def reasons(self) -> list[Reason]:
        rooms = self.rooms
        causes = () if rooms is None else rooms.bus.intake.causes
        return reasons(self.state, causes, has_failed=rooms is not None and rooms.journal.failed)

    def ready(self) -> bool:
        return not self.reasons()

    def _status(self) -> str:
        return "read-only" if self.state == "ready" and self.reasons() else self.state

    async def metrics(self) -> bytes:
        return text_of(await self.moment())

    async def moment(self) -> Moment:
        """What all figures are read from, now."""
        rooms = self._rooms()
        return Moment(
            rooms=rooms, census=await take_census(rooms.agents.all_supervisors(), rooms.bus.names.receivers()),
            process=read_process(), version=VERSION, now_us=self._clock.wall_us(), started_s=self._started_us / 1e6,
            uptime_s=self._uptime_s(),
        )  # fmt: skip

    async def figures(self) -> Iterable[tuple[Metric, Samples]]:
        """The same as what `metrics` renders."""
        return read(await self.moment())

    def view(self) -> ServerView:
        rooms = self._rooms()
        bus, agents = rooms.bus, rooms.agents
        return ServerView(
            status=self._status(), version=VERSION, pid=os.getpid(), started_at=self.started_at,
            uptime_s=self._uptime_s(), data_dir=str(self._data_dir), agents=agents.counts(),
            instances=agents.instances, messages_handled=bus.settled,
            messages_pending=sum(receiver.messages for receiver in bus.names.receivers()),
            dead_letters=bus.letters.count,
        )  # fmt: skip

    def _rooms(self) -> Rooms:
        assert self.rooms is not None  # noqa: S101 - it is set as soon as the rooms are built
        return self.rooms

    def _uptime_s(self) -> float:
        return round(self._clock.monotonic() - self._started, 3)
