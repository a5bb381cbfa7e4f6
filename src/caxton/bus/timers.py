"""Due times of anything: a heap, and one call of the event loop for the earliest."""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.core.clock import Clock

T = TypeVar("T")

MAX_WAIT_S = 60.0
"""Look at the clock at least so often, however far away the next due time is."""

MAX_AT_ONCE = 256
"""Then others have their turn: many things can be due at the same moment."""

LEAST_SWEPT = 1024
"""Below so many entries it does not matter whether some of them are over."""


class Timers(Generic[T]):
    """Calls `fire(item)` for each item when it is due, late rather than early."""

    def __init__(self, clock: Clock, fire: Callable[[T], None], is_over: Callable[[T], bool]) -> None:
        """`is_over` tells which items need not fire any more; they are dropped whenever the heap has doubled."""
        self._clock, self._fire, self._is_over = clock, fire, is_over
        self._heap: list[tuple[int, int, T]] = []
        self._count = 0
        self._sweep_at = LEAST_SWEPT
        self._call: asyncio.TimerHandle | None = None
        self._due_us = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, due_us: int, item: T) -> None:
        """`due_us` is steady time in µs; a time in the past is due at once."""
        self._count += 1
        heapq.heappush(self._heap, (due_us, self._count, item))
        if len(self._heap) > self._sweep_at:
            self._sweep()
        if self._heap and (self._call is None or due_us < self._due_us):
            self._arm()

    def close(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._heap.clear()

    def _sweep(self) -> None:
        self._heap = [entry for entry in self._heap if not self._is_over(entry[2])]
        heapq.heapify(self._heap)
        self._sweep_at = max(LEAST_SWEPT, 2 * len(self._heap))

    def _arm(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._heap:
            self._due_us = self._heap[0][0]
            wait_s = min(max((self._due_us - self._clock.steady_us()) / 1e6, 0.0), MAX_WAIT_S)
            self._call = asyncio.get_running_loop().call_later(wait_s, self._due)

    def _due(self) -> None:
        self._call = None
        now_us = self._clock.steady_us()
        for _ in range(MAX_AT_ONCE):
            if not self._heap or self._heap[0][0] > now_us:
                break
            _, _, item = heapq.heappop(self._heap)
            self._fire(item)
        self._arm()
