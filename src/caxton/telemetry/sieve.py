"""Which of the flight recorder's records the selection gets to see. Pure.

A node that does a hundred thousand messages a second makes as many records, and to hold them for a moment costs more
than to make them: memory that was in the processor's cache is not any more. So it holds the first of each look, and of
the others those that must be looked at however many there are. The passes over these are done by the interpreter in C,
within the pump, on records that were made just now.
"""

from __future__ import annotations

from itertools import compress
from operator import itemgetter
from typing import TYPE_CHECKING

from caxton.recorder.record import REPLIED, SETTLED, TIMER
from caxton.telemetry.selection import KIND, TRACE, Raw

if TYPE_CHECKING:
    from collections.abc import Container

LOOKED_AT = 2_500
"""Records of one look, at least."""

_kind_of, _trace_of = itemgetter(KIND), itemgetter(TRACE)
_MAY_BE_WRONG = bytes(kind not in (SETTLED, TIMER, REPLIED) for kind in range(256))


class Sieve:
    """What one thread puts in and another looks at, again and again."""

    def __init__(self) -> None:
        self._room = LOOKED_AT

    def next_look(self) -> None:
        """What came until now is looked at."""
        self._room = LOOKED_AT

    def sift(self, records: list[Raw], live: Container[str]) -> list[Raw]:
        """Those of `records` that are to be looked at, in their order; a new list.

        Args:
            records: in the order in which they happened.
            live: traces of which everything is kept.
        """
        whole, rest = records[: self._room], records[self._room :]
        self._room -= len(whole)
        return whole + _odd(rest, live) if rest else whole


def _odd(records: list[Raw], live: Container[str]) -> list[Raw]:
    is_odd = bytes(map(live.__contains__, map(_trace_of, records)))
    may_be_wrong = bytes(map(_kind_of, records)).translate(_MAY_BE_WRONG)
    if 1 in may_be_wrong:
        is_odd = bytes(map(int.__or__, is_odd, may_be_wrong))
    return [*compress(records, is_odd)] if 1 in is_odd else []
