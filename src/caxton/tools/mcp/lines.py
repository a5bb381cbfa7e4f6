"""A stream of bytes as lines of bounded length. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES = 256
"""How much of a line that is too long is shown; the id of an answer stands there."""

_ID = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*,')


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line passed the limit; the rest of it is left out without another word."""

    head: bytes


class EndlessLine(Exception):
    """A line that is left out does not come to its end."""


class Lines:
    """Cuts what comes in into lines, without their ends, in time that grows only with the bytes."""

    def __init__(self, most: int, most_skipped: int) -> None:
        """`most`: bytes of a line; `most_skipped`: bytes of one that is left out before it counts as endless."""
        self._most, self._most_skipped = most, most_skipped
        self._kept = bytearray()
        self._skipped = 0

    def feed(self, chunk: bytes) -> list[bytes | TooLong]:
        """The lines that end in `chunk`, and those found to be too long. Raises `EndlessLine`."""
        found: list[bytes | TooLong] = []
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._go_on(chunk[start:end], found)
            if not self._skipped:
                found.append(bytes(self._kept))
            self._kept.clear()
            self._skipped = 0
            start = end + 1
        self._go_on(chunk[start:], found)
        return found

    def _go_on(self, part: bytes, found: list[bytes | TooLong]) -> None:
        if self._skipped:
            self._skipped += len(part)
            if self._skipped > self._most_skipped:
                raise EndlessLine
        elif len(self._kept) + len(part) > self._most:
            found.append(TooLong(bytes(self._kept[:HEAD_BYTES] + part[:HEAD_BYTES])[:HEAD_BYTES]))
            self._skipped = len(self._kept) + len(part)
            self._kept.clear()
        else:
            self._kept += part


def answered_id(head: bytes) -> int | None:
    """The id of the request that a line answers, if it begins as answers do. For lines that cannot be parsed."""
    found = _ID.match(head)
    return int(found[1]) if found else None
