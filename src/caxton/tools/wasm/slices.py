"""Whose turn it is: sandboxed tools run a slice at a time, one in each round of the event loop.

So the loop's other work, agents included, waits for one slice at most, however many tools compute. A tool never runs
within the call that asked for it: that may stand on an agent's own fiber.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from caxton.sandbox.engine import Engine


class Runs(Protocol):
    """Something that computes in slices."""

    def run_slice(self) -> bool:
        """Compute for a slice; whether there is more to do."""
        ...


class Slices:
    """The line of those that have something to compute."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._line: deque[Runs] = deque()
        self._waiting: set[int] = set()

    def add(self, runs: Runs) -> None:
        """It has something to do; nothing happens if it stands in line already."""
        if id(runs) in self._waiting:
            return
        self._waiting.add(id(runs))
        self._line.append(runs)
        if len(self._line) == 1:
            self.engine.hold_ticks()
            asyncio.get_running_loop().call_soon(self._round)

    def _round(self) -> None:
        runs = self._line[0]
        before, more = self.engine.current, False
        try:
            more = runs.run_slice()
        finally:
            self.engine.current = before
            self._line.popleft()
            self._waiting.discard(id(runs))
            if more:
                self._waiting.add(id(runs))
                self._line.append(runs)
            if self._line:
                asyncio.get_running_loop().call_soon(self._round)
            else:
                self.engine.release_ticks()
