"""Many notices of change as few: the first is told at once, those that follow together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S = 1.0
"""A server that floods notices makes its tools be listed once in this time."""


class Changes:
    """Calls everybody who wants to know. On one event loop."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._tell: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._has_more = False

    def when_told(self, tell: Callable[[], None]) -> None:
        """Call `tell` for changes from now on."""
        self._tell.append(tell)

    def noticed(self) -> None:
        """Something may have changed."""
        if self._timer is not None:
            self._has_more = True
            return
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._rested)
        for tell in self._tell:
            tell()

    def close(self) -> None:
        """Tell nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._tell.clear()

    def _rested(self) -> None:
        self._timer = None
        if self._has_more:
            self._has_more = False
            self.noticed()
