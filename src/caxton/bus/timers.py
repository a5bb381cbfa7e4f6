"""Durable one-shot timers: a heap of due times and one call of the event loop for the earliest."""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.mailbox import Receiver
    from caxton.core.clock import Clock

MAX_WAIT_S = 60.0
"""Look at the clock at least so often: it may have been set meanwhile."""


class Timers:
    """Calls `fire(receiver, timer_id)` for each timer when it is due, late rather than early.

    A cancelled timer stays in the heap until it is due; whoever is called finds it gone from `receiver.timers`.
    """

    def __init__(self, clock: Clock, fire: Callable[[Receiver, int], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._heap: list[tuple[int, int, Receiver, int]] = []
        self._count = 0
        self._call: asyncio.TimerHandle | None = None
        self._due_us = 0

    def add(self, due_us: int, receiver: Receiver, timer_id: int) -> None:
        """`due_us` is wall time in µs; a time in the past is due at once."""
        self._count += 1
        heapq.heappush(self._heap, (due_us, self._count, receiver, timer_id))
        if self._call is None or due_us < self._due_us:
            self._arm()

    def close(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._heap.clear()

    def _arm(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._heap:
            self._due_us = self._heap[0][0]
            wait_s = min(max((self._due_us - self._clock.wall_us()) / 1e6, 0.0), MAX_WAIT_S)
            self._call = asyncio.get_running_loop().call_later(wait_s, self._due)

    def _due(self) -> None:
        self._call = None
        now_us = self._clock.wall_us()
        while self._heap and self._heap[0][0] <= now_us:
            _, _, receiver, timer_id = heapq.heappop(self._heap)
            self._fire(receiver, timer_id)
        self._arm()
