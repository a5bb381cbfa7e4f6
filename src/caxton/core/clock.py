"""Time as a thing that is handed in, so that tests can turn it by hand."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Three times: for people, for due times, for measuring. `caxton.observe.time` has the real ones."""

    def wall_us(self) -> int:
        """Microseconds since 1970 UTC. May jump when the machine's clock is set."""
        ...

    def steady_us(self) -> int:
        """Microseconds since 1970 UTC as they were when the node started, and since then only time that passed.

        Timers and lifetimes go by it: somebody who sets the machine's clock neither fires nor delays them.
        """
        ...

    def monotonic(self) -> float:
        """Seconds that only grow. Its zero means nothing."""
        ...
