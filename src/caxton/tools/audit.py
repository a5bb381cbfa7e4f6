"""A record of each call, without what was said: the last ones in memory, all of them as JSON lines on disk.

They are not lines of the server's log: one of those takes longer than a call may. A thread writes what was gathered, so
that nobody who calls waits for a disk.
"""

from __future__ import annotations

import logging
import os
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

GATHER_S = 0.1
"""Records of so long are written together."""

MAX_UNWRITTEN = 50_000
"""Records that may wait for the thread; more are counted and left out."""

MAX_FILE_BYTES = 16 << 20

FILES = 4
"""The newest has no number; the oldest goes when a new one begins."""

NAME = "tool-calls.jsonl"

CLOSE_S = 5.0
"""How long a stop waits for the last records."""


class CallRecord(msgspec.Struct, rename={"at_us": "at_unix_us", "workspace": "caxton.workspace.id",
                                         "agent": "caxton.agent.id"}):  # fmt: skip
    """One call."""

    at_us: int
    """When it was asked for, since 1970 UTC."""
    workspace: str
    agent: str
    tool: str
    """`SOURCE.TOOL`."""
    key: str
    """Idempotency key."""
    outcome: str
    took_us: int
    attempts: int
    argument_bytes: int
    result_bytes: int
    detail: str = ""
    """Ours: nothing that the tool or the agent said."""
    traceparent: str = ""


class CallFiles:
    """Appends to a file in a folder, and begins a new one when it is full."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when there is something to write."""
        self._folder = folder

    def write(self, data: bytes) -> None:
        """Raises `OSError`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / NAME
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file, rest) :]
            size = os.fstat(file).st_size
        finally:
            os.close(file)
        if size >= MAX_FILE_BYTES:
            self._turn(path)

    def _turn(self, path: Path) -> None:
        numbered = [path, *(path.with_name(f"{path.stem}.{n}{path.suffix}") for n in range(1, FILES))]
        for older, newer in zip(numbered[:0:-1], numbered[-2::-1], strict=True):
            if newer.exists():
                newer.replace(older)


class CallWriter:
    """See the module. The thread begins with the first record."""

    def __init__(self, files: CallFiles) -> None:
        self._files = files
        self._queue: SimpleQueue[CallRecord | None] = SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._left_out = self._failed = 0  # counted by one thread each
        self._is_failing = False
        self._encode = msgspec.json.Encoder().encode_lines

    @property
    def unwritten(self) -> int:
        """Records that are not on disk, because it was full, broken or too slow."""
        return self._left_out + self._failed

    def put(self, record: CallRecord) -> None:
        """Write it down soon; leave it out if too many wait."""
        if self._closing.is_set() or self._queue.qsize() >= MAX_UNWRITTEN:
            self._left_out += 1
            return
        self._queue.put(record)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="caxton-calls", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what waits, then end."""
        self._closing.set()
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while (record := self._queue.get()) is not None:
            self._closing.wait(GATHER_S)
            records, is_over = [record], False
            try:
                while not is_over:
                    more = self._queue.get_nowait()
                    is_over = more is None
                    records += [more] if more is not None else []
            except Empty:
                pass
            self._write(records)
            if is_over:
                return

    def _write(self, records: list[CallRecord]) -> None:
        try:
            self._files.write(self._encode(records))
            self._is_failing = False
        except OSError as exc:
            self._failed += len(records)
            if not self._is_failing:
                facts = {"action": "tools.calls_unwritten", "records": len(records)}
                logger.error("records of tool calls cannot be written", exc_info=exc, extra=facts)
            self._is_failing = True
