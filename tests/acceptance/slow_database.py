"""`caxton serve` with a tool, a database whose queries time out: `python -m tests.acceptance.slow_database serve …`.

Each query takes five seconds of the server's time, in which nothing has to wait: its clock is put forward.
"""

from __future__ import annotations

import functools
import sys
from time import monotonic, monotonic_ns, time_ns
from typing import TYPE_CHECKING

from caxton.cli.main import main
from caxton.sandbox.codes import NOT_FOUND, TIMED_OUT
from caxton.server import node
from caxton.server.wiring import build

if TYPE_CHECKING:
    from caxton.tools.wanted import Wanted

QUERY_S = 5.001


class Clock:
    """The machine's, and what was skipped."""

    def __init__(self) -> None:
        self._offset_us = (time_ns() - monotonic_ns()) // 1000
        self._skipped_us = 0

    def monotonic(self) -> float:
        return monotonic() + self._skipped_us / 1e6

    def wall_us(self) -> int:
        return time_ns() // 1000 + self._skipped_us

    def steady_us(self) -> int:
        return self._offset_us + monotonic_ns() // 1000 + self._skipped_us

    def skip(self, seconds: float) -> None:
        """So much time has passed."""
        self._skipped_us += round(seconds * 1e6)


class SlowDatabase:
    """The only tool that there is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def call(self, wanted: Wanted, /) -> bytes | int:
        """Takes its time and gives up."""
        if wanted.tool != "database_query":
            return NOT_FOUND
        self._clock.skip(QUERY_S)
        return TIMED_OUT


if __name__ == "__main__":
    clock = Clock()
    node.build = functools.partial(build, clock=clock, tools=SlowDatabase(clock))
    sys.exit(main(sys.argv[1:]))
