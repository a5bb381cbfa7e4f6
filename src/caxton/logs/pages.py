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


class Page:
    """The lines of one agent, oldest first."""

    __slots__ = ("bytes", "key", "records")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.records: deque[Record] = deque()
        self.bytes = 0


class Pages:
    """All lines of a node."""

    def __init__(self, max_bytes: int = MAX_TOTAL_BYTES) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self.lines = 0
        self.let_go = 0
        """Lines that went because all together were too much."""
        self._pages: dict[tuple[str, str], Page] = {}
        self._by_size: dict[int, dict[tuple[str, str], Page]] = {}
        """Pages by the bit length of their bytes: the largest is found, to a factor of two, without a search."""

    def get(self, workspace: str, agent: str) -> Page | None:
        """The lines of one agent, if there are any."""
        return self._pages.get((workspace, agent))

    def of(self, workspace: str, agents: Iterable[str] | None) -> list[Page]:
        """Those of these agents, or of all in the workspace."""
        if agents is None:
            return [page for (space, _), page in self._pages.items() if space == workspace]
        found = (self._pages.get((workspace, agent)) for agent in agents)
        return [page for page in found if page is not None]

    def add(self, record: Record) -> None:
        """Keep a line, the newest of its agent."""
        key = record[2], record[3]
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = Page(key)
        before = page.bytes
        page.records.append(record)
        size = cost(record)
        page.bytes += size
        self.bytes += size
        self.lines += 1
        oldest_us = record[1] - KEEP_S * 1_000_000
        records = page.records
        while page.bytes > MAX_BYTES or len(records) > MAX_LINES or records[0][1] < oldest_us:
            self._forget_oldest(page)
        self._sort_in(page, before)
        while self.bytes > self.max_bytes:
            self._make_room()

    def forget(self, workspace: str, agent: str) -> None:
        """Drop all lines of an agent."""
        key = workspace, agent
        page = self._pages.pop(key, None)
        if page is not None:
            self._by_size[page.bytes.bit_length()].pop(key, None)
            self.bytes -= page.bytes
            self.lines -= len(page.records)

    def expire(self, page: Page, now_us: int) -> None:
        """Let go of what is too old by now."""
        oldest_us = now_us - KEEP_S * 1_000_000
        if not page.records or page.records[0][1] >= oldest_us:
            return
        before = page.bytes
        while page.records and page.records[0][1] < oldest_us:
            self._forget_oldest(page)
        self._sort_in(page, before)

    def keeps(self, workspace: str, agent: str, seq: int) -> bool:
        """Whether a line is still kept. May be asked in another thread."""
        page = self._pages.get((workspace, agent))
        try:
            return page is not None and page.records[0][0] <= seq
        except IndexError:
            return False

    def _forget_oldest(self, page: Page) -> None:
        size = cost(page.records.popleft())
        page.bytes -= size
        self.bytes -= size
        self.lines -= 1

    def _sort_in(self, page: Page, before: int) -> None:
        """Its size was `before` when it was sorted in last; an empty page is let go."""
        old, new = before.bit_length(), page.bytes.bit_length()
        if old != new:
            if old:
                self._by_size[old].pop(page.key, None)
            if new:
                self._by_size.setdefault(new, {})[page.key] = page
            else:
                del self._pages[page.key]

    def _make_room(self) -> None:
        """One line of one of the largest pages goes; the next time it is another one's turn."""
        pages = self._by_size[max(size for size, pages in self._by_size.items() if pages)]
        page = pages.pop(next(iter(pages)))
        self._forget_oldest(page)
        self.let_go += 1
        self._sort_in(page, 0)
        if not page.records:
            del self._pages[page.key]
