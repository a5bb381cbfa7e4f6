"""What waits to be exported, for one signal: a bounded list, and a thread that takes from it.

Putting never waits. What finds no room, or cannot be delivered, is counted and forgotten.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from threading import Condition, Thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

logger = logging.getLogger(__name__)

BATCH = 512
"""Items of one request."""


class Outbox(Generic[T]):
    """See the module.

    Args:
        signal: its name.
        export: sends some items, waiting as long as it likes; False: they are lost.
        abort: makes a running `export` end soon, if it can.
        most: items that may wait.
        keeps_newest: whether the oldest go when there is no room, instead of those that come.
        on_change: told when exports begin to fail, and when they succeed again.
    """

    def __init__(
        self, signal: str, export: Callable[[list[T]], bool], abort: Callable[[], None], *, most: int,
        on_change: Callable[[str, bool], None], keeps_newest: bool = False,
    ) -> None:  # fmt: skip
        self.signal = signal
        self._export, self._abort, self._most, self._on_change = export, abort, most, on_change
        self._keeps_newest = keeps_newest
        self._waiting: deque[T] = deque()
        self._changed = Condition()
        self._overflowed = self._failed = 0
        self.exported = 0
        self._is_closing = self._is_failing = self._is_aborted = False
        self._thread = Thread(target=self._run, name=f"caxton-otlp-{signal}", daemon=True)

    @property
    def dropped(self) -> int:
        """Items that were lost: there was no room for them, or they could not be delivered."""
        return self._overflowed + self._failed

    def start(self) -> None:
        self._thread.start()

    def put(self, items: Iterable[T]) -> None:
        """Have them exported. From any thread; never waits for the collector."""
        with self._changed:
            for item in items:
                is_full = len(self._waiting) >= self._most
                self._overflowed += self._is_closing or is_full
                if is_full and self._keeps_newest and not self._is_closing:
                    self._waiting.popleft()
                    is_full = False
                if not is_full and not self._is_closing:
                    self._waiting.append(item)
            self._changed.notify()

    def miss(self, count: int) -> None:
        """So many were lost before they got here."""
        with self._changed:
            self._overflowed += count

    def begin_close(self) -> None:
        """Take nothing more; deliver what waits if that works at all."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()

    def close(self, until: float) -> None:
        """Wait for that, until the monotonic time `until` at most, and give up what is left."""
        self.begin_close()
        if self._thread.is_alive():
            self._thread.join(max(0.0, until - time.monotonic()) if not self._is_failing else 0.0)
        self._is_aborted = True
        self._abort()
        with self._changed:
            self._failed += len(self._waiting)
            self._waiting.clear()

    def wait_ended(self, timeout_s: float) -> None:
        """Until an export that was given up is over."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            is_sent = False
            try:
                is_sent = self._export(batch)
            except Exception as exc:  # the wall of this thread: without it one bad item would end the export for good
                if not self._is_aborted:  # then it is the end that we made, under its feet
                    extra = {"action": "telemetry.error", "signal": self.signal}
                    logger.error("export failed", exc_info=exc, extra=extra)
            with self._changed:
                if is_sent:
                    self.exported += len(batch)
                else:
                    self._failed += len(batch)
            if is_sent == self._is_failing and not self._is_aborted:
                self._is_failing = not is_sent
                self._on_change(self.signal, is_sent)

    def _next(self) -> list[T] | None:
        """What is exported next; None at the end."""
        with self._changed:
            while not self._waiting and not self._is_closing:
                self._changed.wait()
            if not self._waiting or (self._is_closing and self._is_failing):
                return None
            return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
