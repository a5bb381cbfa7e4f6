"""`api.services.LogService` over a list."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from caxton.core.views.logs import LogLine
from caxton.testing.fakes.agents import check_workspace
from caxton.testing.fakes.server import STARTED_AT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from caxton.core.ids import WorkspaceName


LEVELS = ("trace", "debug", "info", "warn", "error")


class FakeLogs:
    """Log lines in a list. `write` adds one and wakes those who follow."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.followers = 0
        self._changed = asyncio.Event()

    def write(self, agent: str, text: str, *, level: str = "info", source: str = "guest") -> LogLine:
        """Add a line."""
        seq = len(self.lines) + 1
        line = LogLine(seq=seq, at=STARTED_AT, agent=agent, replica=0, level=level, source=source, text=text)
        self.lines.append(line)
        self._changed.set()
        self._changed = asyncio.Event()
        return line

    def tail(
        self,
        workspace: WorkspaceName,
        agents: list[str] | None,
        *,
        limit: int,
        since_s: float | None,
        level: str | None,
    ) -> list[LogLine]:
        """The clock stands still here: `since_s` cuts nothing off unless it is 0."""
        check_workspace(workspace)
        gravest = 0 if level is None else LEVELS.index(level)
        lines = [line for line in self._of(agents) if LEVELS.index(line.level) >= gravest]
        return [] if since_s == 0 else lines[-limit:]

    async def follow(
        self, workspace: WorkspaceName, agents: list[str] | None, *, after_seq: int
    ) -> AsyncIterator[LogLine]:
        """Never skips: a fake has room for all lines."""
        check_workspace(workspace)
        self.followers += 1
        try:
            while True:
                changed = self._changed
                for line in [line for line in self._of(agents) if line.seq > after_seq]:
                    after_seq = line.seq
                    yield line
                if changed is self._changed:
                    await changed.wait()
        finally:
            self.followers -= 1

    def _of(self, agents: list[str] | None) -> list[LogLine]:
        return [line for line in self.lines if agents is None or line.agent in agents]
