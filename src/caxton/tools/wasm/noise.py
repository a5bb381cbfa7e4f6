"""What a tool says beside the protocol, for whoever mends it: lines, cleaned and bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.sandbox.trap import printable

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NOISE_CHARS = 2000
"""Of one line; the rest is left out."""
MAX_NOISE_LINES = 200
"""For one piece of work; further ones are only counted."""


class Noise:
    """Gathers what one instance writes into lines, and hands them on."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear = hear
        self._left = MAX_NOISE_LINES
        self._dropped = 0
        self._part = b""

    def renew(self) -> None:
        """A new piece of work begins."""
        if self._dropped:
            self._hear(f"({self._dropped} more lines left out)")
        self._left, self._dropped = MAX_NOISE_LINES, 0

    def write(self, data: bytes) -> None:
        """A piece of a stream."""
        *lines, part = (self._part + data).split(b"\n")
        for line in lines:
            self.line(line)
        self._part = part[: MAX_NOISE_CHARS + 1]

    def line(self, line: bytes) -> None:
        """A whole line."""
        if self._left <= 0:
            self._dropped += 1
            return
        self._left -= 1
        self._hear(printable(line[: 4 * MAX_NOISE_CHARS].decode("utf-8", "replace"), MAX_NOISE_CHARS))
