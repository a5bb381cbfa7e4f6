"""Time that only the test turns: a clock, and an event loop whose timers follow it."""

from __future__ import annotations

import asyncio


class ManualClock:
    """`core.clock.Clock` that stands still until it is told otherwise."""

    def __init__(self, wall_us: int = 1_800_000_000_000_000) -> None:
        self._wall_us = wall_us
        self._monotonic_us = 1_000_000_000
        self.restart()

    def restart(self) -> None:
        """A node that starts takes its steady time from the time of day."""
        self._steady_offset_us = self._wall_us - self._monotonic_us

    def wall_us(self) -> int:
        return self._wall_us

    def steady_us(self) -> int:
        return self._steady_offset_us + self._monotonic_us

    def monotonic(self) -> float:
        return self._monotonic_us / 1e6

    def advance(self, seconds: float) -> None:
        """Let time pass, in both of its ways."""
        self._wall_us += round(seconds * 1e6)
        self._monotonic_us += round(seconds * 1e6)

    def set_wall_us(self, wall_us: int) -> None:
        """Somebody sets the machine's clock: the time of day jumps, time itself goes on."""
        self._wall_us = wall_us


class ManualLoop(asyncio.SelectorEventLoop):
    """An event loop whose `call_later` waits for the clock to be turned; files and threads wake it as ever."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._manual_clock = clock

    def time(self) -> float:
        return self._manual_clock.monotonic()
