"""Blocking work on threads of its own, so that what hangs holds up its own source and nothing else.

The threads are daemons: one that hangs in the system keeps neither the loop nor the end of the process waiting.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from caxton.tools.builtin.source import CannotCall

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Stop:
    """Tells work on a thread that nobody waits for it any more."""

    def __init__(self, until: float) -> None:
        self.until = until
        self._is_set = False
        self.on_set: Callable[[], None] | None = None
        """Called once when it is set, on the event loop's thread: to interrupt what cannot look at `is_due`."""

    def is_due(self) -> bool:
        return self._is_set or time.monotonic() >= self.until

    def check(self) -> None:
        """Raises `CannotCall` if it is due."""
        if self.is_due():
            raise CannotCall("timeout", "there was no time left for it")

    def set(self) -> None:
        self._is_set = True
        if (interrupt := self.on_set) is not None:
            interrupt()


class Threads:
    """At most `most` threads, begun when there is work for them. Used from one event loop."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0

    async def run(self, work: Callable[[Stop], T], until: float) -> T:
        """What `work` returns or raises. Cancelled: `Stop` is set, and nobody waits for the thread."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        stop = Stop(until)

        def job() -> None:
            try:
                stop.check()
                result, exc = work(stop), None
            except Exception as raised:
                result, exc = None, raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._tell, done, result, exc)

        self._work.put(job)
        self._busy += 1
        if self._busy > len(self._threads) < self._most:
            thread = threading.Thread(target=self._run, name=f"tool-{self._name}", daemon=True)
            self._threads.append(thread)
            thread.start()
        try:
            return await done
        except asyncio.CancelledError:
            stop.set()
            raise

    def close(self) -> None:
        """The threads end when they have done what they are at."""
        for _ in self._threads:
            self._work.put(None)
        self._threads.clear()

    def _tell(self, done: asyncio.Future[Any], result: object, exc: Exception | None) -> None:
        self._busy -= 1
        if done.done():
            return
        if exc is None:
            done.set_result(result)
        else:
            done.set_exception(exc)

    def _run(self) -> None:
        while (job := self._work.get()) is not None:
            job()
            del job  # it holds what it was given
