"""The log lines of all agents of one server: in memory, on disk beside it if there is one, and to those who follow.

All methods run on the event loop's thread. `append` is called while a guest runs: it keeps the line and returns;
writing it down is another thread's work (`logs.writer`).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from heapq import heappush, heappushpop
from sys import maxsize
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from caxton.core.errors.limits import TooManyListeners
from caxton.core.errors.values import InvalidValue
from caxton.logs.filter import LogFilter
from caxton.logs.line import FORGOTTEN, WARNING, Record, split, to_line
from caxton.logs.pages import MAX_TOTAL_BYTES, Pages
from caxton.logs.reader import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable

    from caxton.core.clock import Clock
    from caxton.core.views.logs import LogLine
    from caxton.logs.line import Context
    from caxton.logs.pages import Page

MAX_READERS = 64
"""Who follow at once; each costs a little for every line."""

MAX_SEARCH_S = 10.0
"""Of one search through what is kept; a pattern that takes longer is too dear for a server at work."""

SLICE_S = 0.001
"""After so long a search lets everybody else have a turn."""

_LOOK_EVERY = 32
"""Lines between two looks at the clock."""


class Sink(Protocol):
    """Where records go to outlive the server (`logs.writer.LogWriter`)."""

    def put(self, record: Record) -> None:
        """Write it down soon. Never waits, never raises."""
        ...


class LogBook:
    """See the module.

    Args:
        clock: for the times of lines.
        max_bytes: memory for the lines of all agents together.
    """

    def __init__(self, clock: Clock, *, max_bytes: int = MAX_TOTAL_BYTES) -> None:
        self._clock = clock
        # Above every number of earlier runs: readers come back with the last one that they saw.
        self._seq = clock.wall_us() // 1000
        self.pages = Pages(max_bytes)
        self.sink: Sink | None = None
        """Set once, after `restore`."""
        self.on_record: list[Callable[[Record], None]] = []
        """Told of each new line; this must be quick."""
        self._readers: list[Reader] = []

    def restore(self, records: Iterable[Record]) -> None:
        """Take up lines of earlier runs, in the order of their numbers; before the first line of this run."""
        for record in records:
            self._seq = max(self._seq, record[0])
            self.pages.add(record)

    # --- writing ---------------------------------------------------------------------------------------------

    def warn(self, workspace: str, agent: str, text: str, context: Context | None = None) -> None:
        """A warning of the host's own; `context` is that of the message that it is about, if it is about one."""
        self.append(workspace, agent, 0, WARNING, "host", text, context)

    def append(
        self, workspace: str, agent: str, replica: int, level: int, source: str, text: str,
        context: Context | None = None,
    ) -> None:  # fmt: skip
        """Add `text`, one line for each of its lines; control characters are replaced.

        Args:
            workspace: of the agent.
            agent: its name.
            replica: the instance that said it.
            level: index into `line.LEVELS`.
            source: `guest`, `stdout`, `stderr` or `host`.
            text: as the guest wrote it.
            context: of the message in hand, if there is one.
        """
        at_us = self._clock.wall_us()
        for part in split(text):
            self._seq += 1
            record = Record(self._seq, at_us, workspace, agent, replica, level, source, part, context)
            self.pages.add(record)
            if self.sink is not None:
                self.sink.put(record)
            for tell in self.on_record:
                tell(record)
            for reader in self._readers:
                reader.offer(record)

    def forget(self, workspace: str, agent: str) -> None:
        """The agent is removed, and its lines with it, on disk as well."""
        self.pages.forget(workspace, agent)
        if self.sink is not None:
            self._seq += 1
            self.sink.put(Record(self._seq, self._clock.wall_us(), workspace, agent, 0, FORGOTTEN, "host", "", None))

    # --- reading ---------------------------------------------------------------------------------------------

    def tail(
        self,
        workspace: str,
        agents: Iterable[str] | None,
        *,
        limit: int,
        since_s: float | None = None,
        level: str | None = None,
    ) -> list[LogLine]:
        """The last `limit` lines in order of writing; `since_s` seconds back at most, of `level` or graver."""
        names = None if agents is None else frozenset(agents)
        steps = self._search(workspace, LogFilter(agents=names, since_s=since_s, level=level), limit)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return [to_line(record) for record in end.value]

    async def find(self, workspace: str, wanted: LogFilter, *, limit: int) -> list[LogLine]:
        """As `tail`, in slices between which everybody else has a turn. Raises `InvalidValue` if it takes too long."""
        return [to_line(record) for record in await self._found(workspace, wanted, limit)]

    def follow(
        self, workspace: str, wanted: LogFilter, *, after_seq: int | None = None, past: int = 0
    ) -> AsyncGenerator[LogLine]:
        """New lines as they come, for ever.

        A reader more than `reader.MAX_UNREAD` lines behind misses some; a line of the host then says how many.

        Args:
            workspace: of the agents.
            wanted: which lines; its age counts for `past` only.
            after_seq: begin with all kept lines that have a larger number.
            past: without that, begin with the last so many kept lines.

        Raises: TooManyListeners, InvalidValue.
        """
        if len(self._readers) >= MAX_READERS:
            raise TooManyListeners(MAX_READERS, "to the logs")
        if after_seq is not None:
            past = 0
        return self._follow(workspace, wanted, self._seq if after_seq is None else after_seq, past)

    async def _follow(self, workspace: str, wanted: LogFilter, start: int, past: int) -> AsyncGenerator[LogLine]:
        reader = Reader(workspace, wanted)
        self._readers.append(reader)  # before the search, during which further lines may come
        upto, missing = self._seq, replace(wanted, since_s=None)
        try:
            for record in await self._found(workspace, wanted, past, upto=start):
                yield to_line(record)
            for record in await self._found(workspace, missing, maxsize, after_seq=start, upto=upto):
                yield to_line(record)
            while True:
                for line in await reader.take():
                    yield line
        finally:
            self._readers.remove(reader)

    @property
    def readers(self) -> int:
        """How many follow now."""
        return len(self._readers)

    async def _found(
        self, workspace: str, wanted: LogFilter, limit: int, *, after_seq: int = 0, upto: int = maxsize
    ) -> list[Record]:
        until = perf_counter() + MAX_SEARCH_S
        steps = self._search(workspace, wanted, limit, after_seq=after_seq, upto=upto)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            if perf_counter() > until:
                rule = f"looking for it took more than {MAX_SEARCH_S:g} s; name agents, a time, or a simpler pattern"
                raise InvalidValue("grep", wanted.grep, rule)
            await asyncio.sleep(0)

    def _search(
        self, workspace: str, wanted: LogFilter, limit: int, *, after_seq: int = 0, upto: int = maxsize
    ) -> Generator[None, None, list[Record]]:
        """The last `limit` records that are wanted, oldest first; yields about each millisecond.

        A heap holds the newest found so far, so an agent whose lines are older than all of these costs one look.
        """
        if limit <= 0:
            return []
        matches = wanted.test()
        now_us = self._clock.wall_us()
        oldest_us = 0 if wanted.since_s is None else now_us - round(wanted.since_s * 1e6)
        found: list[Record] = []
        slice_until = perf_counter() + SLICE_S
        looked = 0
        for page in self.pages.of(workspace, wanted.agents):
            if len(found) == limit and page.records and page.records[-1] < found[0]:
                continue  # not worth a copy
            for record in self._newest_first(page, now_us):
                looked += 1
                if looked % _LOOK_EVERY == 0 and perf_counter() > slice_until:
                    yield
                    slice_until = perf_counter() + SLICE_S
                if record[0] <= after_seq or record[1] < oldest_us or (len(found) == limit and record < found[0]):
                    break
                if record[0] > upto or not matches(record):
                    continue
                if len(found) < limit:
                    heappush(found, record)
                else:
                    heappushpop(found, record)
        found.sort()
        return found

    def _newest_first(self, page: Page, now_us: int) -> list[Record]:
        """A copy, so that lines may come and go while it is looked at."""
        if self.pages.get(*page.key) is not page:  # forgotten since the search began
            return []
        self.pages.expire(page, now_us)
        return list(reversed(page.records))
