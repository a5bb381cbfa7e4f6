"""How much one instance may log in a second of the clock. Pure."""

from __future__ import annotations

EXTRA_LINE_BYTES = 64
"""What each further line of one text counts: 16 KiB of line ends are 16,384 lines to be kept."""


class Meter:
    """Counts bytes of the second, and lines that were too much."""

    __slots__ = ("_bytes", "_max_bytes", "_second", "dropped")

    def __init__(self, bytes_per_s: int) -> None:
        self._max_bytes = bytes_per_s
        self._second = self._bytes = 0
        self.dropped = 0
        """Texts that were not admitted since `tell`."""

    def admits(self, text: bytes, now_us: int) -> bool:
        """Whether `text` may be logged now; it counts either way."""
        second = now_us // 1_000_000
        if second != self._second:
            self._second, self._bytes = second, 0
        self._bytes += len(text) + 1 + EXTRA_LINE_BYTES * text.count(b"\n", 0, -1)
        if self._bytes <= self._max_bytes:
            return True
        self.dropped += 1
        return False

    def tell(self) -> str | None:
        """What is to be said about lines that were dropped, once."""
        dropped, self.dropped = self.dropped, 0
        return f"{dropped} log lines were dropped: more than {self._max_bytes} bytes a second" if dropped else None
