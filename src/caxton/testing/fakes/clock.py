"""A clock for a test."""

from __future__ import annotations


class FakeClock:
    """A clock that stands still until it is turned."""

    def __init__(self, wall_s: float = 1_800_000_000.0) -> None:
        self.wall_s = wall_s
        self.monotonic_s = 0.0

    def wall_us(self) -> int:
        """Microseconds since 1970."""
        return int(self.wall_s * 1_000_000)

    def steady_us(self) -> int:
        """As if nobody ever set the clock."""
        return self.wall_us()

    def monotonic(self) -> float:
        """Seconds."""
        return self.monotonic_s

    def advance(self, seconds: float) -> None:
        """Turn both times forward."""
        self.wall_s += seconds
        self.monotonic_s += seconds
