"""Drives the bus from the event loop: a slice of work, then everybody else's turn, as long as there is work."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caxton.bus.bus import Bus
    from caxton.sandbox.engine import Engine

SLICE_S = 0.0015
"""Messages are handled for so long before requests, timers and commits get their turn. A request takes several turns:
at 2 ms a saturated bus left room for 900 requests a second, at 1.5 ms for 2,000, at 1 ms for 2,300."""

QUIET_S = 0.1
"""Epochs go on ticking for so long after the last work, so that sparse messages do not start and stop them."""


class Pump:
    """`wake` is cheap and may be called at any time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._bus: Bus | None = None
        self._scheduled = False
        self._quiet: asyncio.TimerHandle | None = None
        self._holding = False
        self._closed = self._paused = False

    def attach(self, bus: Bus) -> None:
        self._bus = bus

    def wake(self) -> None:
        """There is work."""
        if self._scheduled or self._closed or self._paused:
            return
        self._scheduled = True
        if not self._holding:
            self._holding = True
            self._engine.hold_ticks()
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        asyncio.get_running_loop().call_soon(self._turn)

    def pause(self) -> None:
        """Hand nothing over, whatever there is to do; guests in the middle of a message wait as well."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        if self._bus is not None and self._bus.has_work:
            self.wake()

    def close(self) -> None:
        self._closed = True
        self._rest()

    def _turn(self) -> None:
        bus = self._bus
        if bus is None or self._closed:
            return
        try:
            if not self._paused:
                bus.pump(SLICE_S)  # whoever wakes the pump within this finds it scheduled: one chain of turns is enough
        finally:
            self._scheduled = bus.has_work and not self._paused
            if self._scheduled:
                asyncio.get_running_loop().call_soon(self._turn)
            else:
                self._quiet = asyncio.get_running_loop().call_later(QUIET_S, self._rest)

    def _rest(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        if self._holding:
            self._holding = False
            self._engine.release_ticks()
