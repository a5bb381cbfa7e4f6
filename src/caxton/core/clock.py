"""Time as a thing that is handed in, so that tests can turn it by hand."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two times: one for people, one for measuring. `caxton.observe.time` has the real one."""

    def wall_us(self) -> int:
        """Microseconds since 1970 UTC. May jump when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow. Its zero means nothing."""
        ...
