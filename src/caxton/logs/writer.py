"""Writes log lines down in a thread of its own, so that nobody who logs waits for a disk."""

from __future__ import annotations

import logging
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.logs.line import Record

logger = logging.getLogger(__name__)

GATHER_S = 0.1
"""Lines of so long are written together."""

MAX_UNWRITTEN = 10_000
"""Lines that may wait for the thread; more are kept in memory only."""

CLOSE_S = 5.0
"""How long a stop waits for the last lines: a disk that hangs must not keep the server."""


class Files(Protocol):
    """Where lines go (`logs.files.LogFiles`)."""

    def write(self, records: Sequence[Record]) -> None:
        """Write lines down; raises `OSError`."""
        ...


class LogWriter:
    """See the module. The thread begins with the first line."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._queue: SimpleQueue[Record | None] = SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._left_out = self._failed = 0  # counted by one thread each
        self._is_failing = False

    @property
    def unwritten(self) -> int:
        """Lines that are not on disk, because it was full, broken or too slow."""
        return self._left_out + self._failed

    def put(self, record: Record) -> None:
        """Write it down soon; leave it out if too many wait."""
        if self._queue.qsize() >= MAX_UNWRITTEN or self._closing.is_set():
            self._left_out += 1
            return
        self._queue.put(record)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="caxton-logs", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write down what waits, and end."""
        self._closing.set()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while True:
            records = [self._queue.get()]
            self._closing.wait(GATHER_S)
            while len(records) <= MAX_UNWRITTEN:
                try:
                    records.append(self._queue.get_nowait())
                except Empty:
                    break
            lines = [record for record in records if record is not None]
            if lines:
                self._write(lines)
            if len(lines) < len(records):
                return

    def _write(self, lines: list[Record]) -> None:
        try:
            self._files.write(lines)
        except Exception as exc:  # the thread's own wall: lines are not worth a server
            self._failed += len(lines)
            if not self._is_failing:
                facts = {"action": "logs.not_written", "error.type": type(exc).__name__}
                logger.error("agents' log lines are not written down: %s", exc, extra=facts)
            self._is_failing = True
            return
        if self._is_failing:
            logger.info("agents' log lines are written down again", extra={"action": "logs.written"})
        self._is_failing = False
