"""The machine's own clock."""

from __future__ import annotations

from time import monotonic, monotonic_ns, time_ns


class SystemClock:
    """`core.clock.Clock` on the machine's clocks."""

    def __init__(self) -> None:
        self._offset_ns = time_ns() - monotonic_ns()

    monotonic = staticmethod(monotonic)

    @staticmethod
    def wall_us() -> int:
        return time_ns() // 1000

    def steady_us(self) -> int:
        return (self._offset_ns + monotonic_ns()) // 1000
