"""The machine's own clock."""

from __future__ import annotations

from time import monotonic, time_ns


class SystemClock:
    """`core.clock.Clock` on the machine's clocks."""

    monotonic = staticmethod(monotonic)

    @staticmethod
    def wall_us() -> int:
        return time_ns() // 1000
