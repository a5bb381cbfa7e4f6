"""How late the event loop is: what waits in it, a request or a message, waits that much longer."""

from __future__ import annotations

import asyncio

from caxton.observe.metrics import Histogram

EVERY_S = 0.5
"""Twice a second wakes nothing up that matters, and makes 120 samples a minute."""


class LoopLag:
    """Asks to be called at a certain time, again and again, and notes how much later it was."""

    def __init__(self) -> None:
        self.seen = Histogram()
        self._next: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def start(self) -> None:
        """Begin, on the running loop."""
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + EVERY_S
        self._next = loop.call_at(self._due_s, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _look(self) -> None:
        self.seen.add(max(asyncio.get_running_loop().time() - self._due_s, 0.0))
        self.start()
