"""`api.services.LogService` over a list."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from caxton.core.errors.limits import TooManyListeners
from caxton.core.views.logs import LogLine
from caxton.testing.fakes.agents import check_workspace
from caxton.testing.fakes.server import STARTED_AT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from caxton.core.ids import WorkspaceName
    from caxton.logs.filter import LogFilter


class FakeLogs:
    """Log lines in a list. `write` adds one and wakes those who follow."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.followers = 0
        self.most = 64
        """Who may follow at once."""
        self._changed = asyncio.Event()

    def write(
        self, agent: str, text: str, *, level: str = "info", source: str = "guest", conversation_id: str | None = None
    ) -> LogLine:
        """Add a line."""
        seq = len(self.lines) + 1
        line = LogLine(
            seq=seq, at=STARTED_AT, agent=agent, replica=0, level=level, source=source, text=text,
            conversation_id=conversation_id,
        )  # fmt: skip
        self.lines.append(line)
        self._changed.set()
        self._changed = asyncio.Event()
        return line

    async def find(self, workspace: WorkspaceName, wanted: LogFilter, *, limit: int) -> list[LogLine]:
        """The clock stands still here: an age cuts nothing off unless it is 0."""
        check_workspace(workspace)
        return self._of(wanted)[-limit:]

    def follow(
        self, workspace: WorkspaceName, wanted: LogFilter, *, after_seq: int | None = None, past: int = 0
    ) -> AsyncIterator[LogLine]:
        """Never skips: a fake has room for all lines."""
        check_workspace(workspace)
        if self.followers >= self.most:
            raise TooManyListeners(self.most, "to the logs")
        first = self._of(wanted)[-past:] if past and after_seq is None else []
        return self._follow(first, replace(wanted, since_s=None), len(self.lines) if after_seq is None else after_seq)

    async def _follow(self, first: list[LogLine], wanted: LogFilter, after_seq: int) -> AsyncIterator[LogLine]:
        self.followers += 1
        try:
            for line in first:
                yield line
            while True:
                changed = self._changed
                for line in [line for line in self._of(wanted) if line.seq > after_seq]:
                    after_seq = line.seq
                    yield line
                if changed is self._changed:
                    await changed.wait()
        finally:
            self.followers -= 1

    def _of(self, wanted: LogFilter) -> list[LogLine]:
        return [] if wanted.since_s == 0 else [line for line in self.lines if wanted.shows(line)]
