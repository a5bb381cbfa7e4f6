"""What is kept of the agents' lines: bounds for each agent, and one for all of them together. Pure.

When all together is too much, the agent that takes most gives way first, by its oldest lines: one that shouts does not
silence those that speak once a day.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from caxton.logs.line import cost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caxton.logs.line import Record

MAX_LINES = 2000
MAX_BYTES = 4 << 20
KEEP_S = 7 * 86_400
"""Of one agent: the oldest lines go when there are more, when they take more memory, or are older."""

MAX_TOTAL_BYTES = 64 << 20
"""Memory for the lines of all agents together, unless configured."""


class Shelf:
    """The lines of one agent, oldest first."""

    __slots__ = ("bytes", "key", "records")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.records: deque[Record] = deque()
        self.bytes = 0


class Shelves:
    """All lines of a node."""

    def __init__(self, max_bytes: int = MAX_TOTAL_BYTES) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self.lines = 0
        self.let_go = 0
        """Lines that went because all together were too much."""
        self._shelves: dict[tuple[str, str], Shelf] = {}
        self._by_size: dict[int, dict[tuple[str, str], Shelf]] = {}
        """Shelves by the bit length of their bytes: the largest is found, to a factor of two, without a search."""

    def get(self, workspace: str, agent: str) -> Shelf | None:
        """The lines of one agent, if there are any."""
        return self._shelves.get((workspace, agent))

    def of(self, workspace: str, agents: Iterable[str] | None) -> list[Shelf]:
        """Those of these agents, or of all in the workspace."""
        if agents is None:
            return [shelf for (space, _), shelf in self._shelves.items() if space == workspace]
        found = (self._shelves.get((workspace, agent)) for agent in agents)
        return [shelf for shelf in found if shelf is not None]

    def add(self, record: Record) -> None:
        """Keep a line, the newest of its agent."""
        key = record[2], record[3]
        shelf = self._shelves.get(key)
        if shelf is None:
            shelf = self._shelves[key] = Shelf(key)
        before = shelf.bytes
        shelf.records.append(record)
        size = cost(record)
        shelf.bytes += size
        self.bytes += size
        self.lines += 1
        oldest_us = record[1] - KEEP_S * 1_000_000
        records = shelf.records
        while shelf.bytes > MAX_BYTES or len(records) > MAX_LINES or records[0][1] < oldest_us:
            self._forget_oldest(shelf)
        self._sort_in(shelf, before)
        while self.bytes > self.max_bytes:
            self._make_room()

    def forget(self, workspace: str, agent: str) -> None:
        """Drop all lines of an agent."""
        key = workspace, agent
        shelf = self._shelves.pop(key, None)
        if shelf is not None:
            self._by_size[shelf.bytes.bit_length()].pop(key, None)
            self.bytes -= shelf.bytes
            self.lines -= len(shelf.records)

    def expire(self, shelf: Shelf, now_us: int) -> None:
        """Let go of what is too old by now."""
        oldest_us = now_us - KEEP_S * 1_000_000
        if not shelf.records or shelf.records[0][1] >= oldest_us:
            return
        before = shelf.bytes
        while shelf.records and shelf.records[0][1] < oldest_us:
            self._forget_oldest(shelf)
        self._sort_in(shelf, before)

    def keeps(self, workspace: str, agent: str, seq: int) -> bool:
        """Whether a line is still kept. May be asked in another thread."""
        shelf = self._shelves.get((workspace, agent))
        try:
            return shelf is not None and shelf.records[0][0] <= seq
        except IndexError:
            return False

    def _forget_oldest(self, shelf: Shelf) -> None:
        size = cost(shelf.records.popleft())
        shelf.bytes -= size
        self.bytes -= size
        self.lines -= 1

    def _sort_in(self, shelf: Shelf, before: int) -> None:
        """Its size was `before` when it was sorted in last; an empty shelf is let go."""
        old, new = before.bit_length(), shelf.bytes.bit_length()
        if old != new:
            if old:
                self._by_size[old].pop(shelf.key, None)
            if new:
                self._by_size.setdefault(new, {})[shelf.key] = shelf
            else:
                del self._shelves[shelf.key]

    def _make_room(self) -> None:
        """One line of one of the largest shelves goes; the next time it is another one's turn."""
        shelves = self._by_size[max(size for size, shelves in self._by_size.items() if shelves)]
        shelf = shelves.pop(next(iter(shelves)))
        self._forget_oldest(shelf)
        self.let_go += 1
        self._sort_in(shelf, 0)
        if not shelf.records:
            del self._shelves[shelf.key]
