"""What agents say and the host says about them: the last lines of each in memory, and live streams of new ones."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from caxton.core.views.logs import LogLine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from caxton.core.clock import Clock

LEVELS = ("trace", "debug", "info", "warn", "error")
WARNING = LEVELS.index("warn")

MAX_LINES = 2000
MAX_BYTES = 4 << 20
KEEP_S = 7 * 86_400
"""Per agent: the oldest lines go when there are more, when they are larger in UTF-8, or older."""

MAX_LINE_CHARS = 4096
MAX_UNREAD = 1000
"""Lines that a slow reader may be behind before it misses some."""

_CONTROL = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if code != 9}
"""A guest must not write into the operator's terminal (escape sequences) or forge lines."""


class LogBook:
    """Log lines of all agents of one server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Above every number of earlier runs: readers come back with the last one that they saw.
        self._seq = clock.wall_us() // 1000
        self._lines: dict[tuple[str, str], _Lines] = {}
        self._readers: list[_Reader] = []
        self.on_line: list[Callable[[str, LogLine], None]] = []
        """Told of the workspace and each new line; this must be quick."""

    def warn(self, workspace: str, agent: str, text: str) -> None:
        """A warning of the host's own."""
        self.append(workspace, agent, 0, WARNING, "host", text)

    def append(self, workspace: str, agent: str, replica: int, level: int, source: str, text: str) -> None:
        """Add `text`, one line for each of its lines; control characters are replaced."""
        lines = self._lines.get((workspace, agent))
        if lines is None:
            lines = self._lines[workspace, agent] = _Lines()
        lines.forget_before(self._iso(KEEP_S))
        at = self._iso(0)
        for part in text.rstrip("\n").split("\n"):
            self._seq += 1
            clean = part[:MAX_LINE_CHARS].rstrip("\r").translate(_CONTROL)
            line = LogLine(
                seq=self._seq,
                at=at,
                agent=agent,
                replica=replica,
                level=LEVELS[level],
                source=source,
                text=clean,
            )
            lines.add(line)
            for tell in self.on_line:
                tell(workspace, line)
            for reader in self._readers:
                reader.offer(workspace, line)

    def forget(self, workspace: str, agent: str) -> None:
        """The agent is removed."""
        self._lines.pop((workspace, agent), None)

    def tail(
        self,
        workspace: str,
        agents: list[str] | None,
        *,
        limit: int,
        since_s: float | None = None,
        level: str | None = None,
    ) -> list[LogLine]:
        """The last `limit` lines in order of writing; `since_s` seconds back at most, of `level` or graver."""
        chosen: list[LogLine] = []
        for (space, agent), lines in self._lines.items():
            if space == workspace and (agents is None or agent in agents):
                lines.forget_before(self._iso(KEEP_S))
                chosen += lines.lines
        if level is not None:
            chosen = [line for line in chosen if LEVELS.index(line.level) >= LEVELS.index(level)]
        if since_s is not None:
            oldest = self._iso(since_s)
            chosen = [line for line in chosen if line.at >= oldest]
        chosen.sort(key=lambda line: line.seq)
        return chosen[-limit:] if limit > 0 else []

    def _iso(self, seconds_ago: float) -> str:
        at = self._clock.wall_us() / 1e6 - seconds_ago
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")

    async def follow(self, workspace: str, agents: list[str] | None, *, after_seq: int) -> AsyncGenerator[LogLine]:
        """New lines as they come, after those already there with a larger number than `after_seq`.

        A reader more than `MAX_UNREAD` lines behind misses some; a line of the host then says how many.
        """
        reader = _Reader(workspace, agents)
        self._readers.append(reader)
        try:
            for line in self.tail(workspace, agents, limit=MAX_LINES):
                if line.seq > after_seq:
                    yield line
            while True:
                for line in await reader.take():
                    yield line
        finally:
            self._readers.remove(reader)


class _Lines:
    """What is kept of one agent."""

    def __init__(self) -> None:
        self.lines: deque[LogLine] = deque()
        self.bytes = 0

    def add(self, line: LogLine) -> None:
        self.lines.append(line)
        self.bytes += _size(line)
        while self.bytes > MAX_BYTES or len(self.lines) > MAX_LINES:
            self._forget_oldest()

    def forget_before(self, at: str) -> None:
        while self.lines and self.lines[0].at < at:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self.bytes -= _size(self.lines.popleft())


def _size(line: LogLine) -> int:
    return len(line.text) if line.text.isascii() else len(line.text.encode("utf-8", "replace"))


class _Reader:
    """One live stream."""

    def __init__(self, workspace: str, agents: Iterable[str] | None) -> None:
        self._workspace = workspace
        self._agents = None if agents is None else set(agents)
        self._unread: list[LogLine] = []
        self._missed = 0
        self._some = asyncio.Event()

    def offer(self, workspace: str, line: LogLine) -> None:
        if workspace != self._workspace or (self._agents is not None and line.agent not in self._agents):
            return
        if len(self._unread) >= MAX_UNREAD:
            self._missed += 1
            return
        self._unread.append(line)
        self._some.set()

    async def take(self) -> list[LogLine]:
        await self._some.wait()
        self._some.clear()
        lines, self._unread = self._unread, []
        missed, self._missed = self._missed, 0
        if missed:
            last = lines[-1]
            text = f"{missed} lines are left out here: they came faster than they were read"
            lines.append(
                LogLine(
                    seq=last.seq,
                    at=last.at,
                    agent=last.agent,
                    replica=0,
                    level="warn",
                    source="host",
                    text=text,
                )
            )
        return lines
