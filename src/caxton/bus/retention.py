"""How long settled messages from and to the outside are kept: so long, so many, so many bytes; whichever ends first.

Counted in bundles, so that keeping and letting go cost the same however many there are.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

KEEP_SETTLED_US = 7 * 86_400 * 1_000_000
KEEP_SETTLED_ROWS = 100_000
KEEP_SETTLED_BYTES = 256 << 20

BUNDLE_ROWS = 256
BUNDLE_BYTES = 1 << 20
BUNDLE_US = 3_600 * 1_000_000
"""A bundle is let go as a whole, so these are how much more than its limit may be kept."""


class _Bundle:
    __slots__ = ("began_us", "bytes", "seqs")

    def __init__(self, began_us: int) -> None:
        self.began_us = began_us
        self.seqs = array("q")
        self.bytes = 0

    def is_complete(self, now_us: int) -> bool:
        return (
            len(self.seqs) >= BUNDLE_ROWS or self.bytes >= BUNDLE_BYTES or not 0 <= now_us - self.began_us < BUNDLE_US
        )


class Retention:
    """What is kept, oldest settlement first."""

    def __init__(self) -> None:
        self.rows = self.bytes = 0
        self.begun = 0
        """Bundles, since somebody set this to 0."""
        self.gone = 0
        """Let go of, ever."""
        self._bundles: deque[_Bundle] = deque()

    def load(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """(seq, bytes, settled µs) of what was kept before this run, oldest first."""
        for seq, size, settled_us in rows:
            self.add(seq, size, settled_us)

    def add(self, seq: int, size: int, settled_us: int) -> None:
        """Message `seq` with a body of `size` bytes is settled and kept."""
        bundles = self._bundles
        if not bundles or bundles[-1].is_complete(settled_us):
            bundles.append(_Bundle(settled_us))
            self.begun += 1
        bundle = bundles[-1]
        bundle.seqs.append(seq)
        bundle.bytes += size
        self.rows += 1
        self.bytes += size

    @property
    def is_too_much(self) -> bool:
        """Whether there is something to let go of for its number or size."""
        if not self._bundles:
            return False
        oldest = self._bundles[0]
        return self.rows - len(oldest.seqs) >= KEEP_SETTLED_ROWS or self.bytes - oldest.bytes >= KEEP_SETTLED_BYTES

    def let_go(self, now_us: int) -> list[int]:
        """The messages of the oldest bundle, if it is over a limit; they count no more. Ask again for the next one."""
        if not self._bundles:
            return []
        oldest = self._bundles[0]
        if not self.is_too_much and oldest.began_us + BUNDLE_US >= now_us - KEEP_SETTLED_US:
            return []
        self._bundles.popleft()
        self.rows -= len(oldest.seqs)
        self.bytes -= oldest.bytes
        self.gone += len(oldest.seqs)
        return list(oldest.seqs)
