"""The agents' log lines on disk: numbered segments in one directory, the oldest cleaned when there are too many bytes.

Cleaning moves what memory still keeps of the oldest segment to the newest, so that an agent that shouts does not wipe
out those that speak once a day. Nothing is synced: lines are worth less than the time that costs. A killed process
loses what was not handed to the kernel, about a tenth of a second; a power cut may lose more.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from caxton.logs.block import MAGIC, decode, encode
from caxton.logs.line import FORGOTTEN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from caxton.logs.line import Record

logger = logging.getLogger(__name__)

SEGMENTS = 16
"""The bytes that there may be are dealt out to so many files."""

RECORDS_PER_BLOCK = 100
"""A damaged block costs so many lines."""

MIN_FREE_BYTES = 64 << 20
"""With less room on the disk no line is written: what is left is the journal's."""

_SUFFIX = ".log"


class LogFiles:
    """One directory. Everything but `load` is called by one thread at a time.

    Args:
        directory: made when the first line is written.
        max_bytes: of all segments together.
        free_bytes: room on the disk.
        keeps: whether memory still has a line: workspace, agent, number.
    """

    def __init__(
        self, directory: Path, max_bytes: int, free_bytes: Callable[[], int], keeps: Callable[[str, str, int], bool]
    ) -> None:
        self._directory, self._max_bytes = directory, max_bytes
        self._segment_bytes = max_bytes // SEGMENTS
        self._free_bytes, self._keeps = free_bytes, keeps
        self.bytes = 0
        """Of all segments, those that cannot be read included. May be read in another thread."""
        self._sizes: dict[int, int] = {}
        """The same of each by number, the oldest first."""
        self._unreadable: dict[int, str] = {}
        """Segments of which no line can be read, and why."""
        self._next = 1
        self._open: int | None = None
        """The segment that is written to: one of this run, whatever an earlier one left."""
        self._lines = 0
        """Lines in it."""

    def load(self) -> list[Record]:
        """All lines that can be read, in order of writing; those of removed agents are left out.

        What cannot be read is told in the server's log, and stays until there is too much.
        """
        found: dict[int, Record] = {}
        for number in self._numbers():
            self._next = number + 1
            with suppress(OSError):
                self._count(number, self._path(number).stat().st_size)
            for record in self._read(number):
                found[record[0]] = record  # cleaning may have been cut off with a line in two segments
        forgotten = {(r[2], r[3]): seq for seq, r in sorted(found.items()) if r[5] == FORGOTTEN}
        return [r for seq, r in sorted(found.items()) if seq > forgotten.get((r[2], r[3]), -1)]

    def write(self, records: Sequence[Record]) -> None:
        """Append a block, and clean up if that makes too much. Raises `OSError`: it may not be there then."""
        if self._free_bytes() < MIN_FREE_BYTES:
            raise OSError(f"less than {MIN_FREE_BYTES >> 20} MiB of the disk are free")
        for part in _parts(records):
            self._append(part)
        while self.bytes > self._max_bytes and len(self._sizes) > 1:
            self._clean(next(iter(self._sizes)))

    def _append(self, records: Sequence[Record]) -> None:
        """Write one block."""
        block, number = encode(records, self._lines), self._open
        if number is None or self._sizes[number] + len(block) > self._segment_bytes:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            number, self._next, self._lines = self._next, self._next + 1, 0
            block = MAGIC + encode(records, 0)
        handle = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._count(number, 0)
            self._open = number
            view = memoryview(block)
            while view:
                written = os.write(handle, view)
                self._count(number, written)
                view = view[written:]
            self._lines += len(records)
        except OSError:
            self._open = None  # half a block is a damaged one, and the next one would be told of it
            raise
        finally:
            os.close(handle)

    def _clean(self, number: int) -> None:
        """Let go of the oldest segment; what is still kept moves on unless it is most of it, which would not end."""
        known = self._unreadable.pop(number, None)
        records = self._read(number) if known is None else []
        kept = [r for r in records if r[5] != FORGOTTEN and self._keeps(r[2], r[3], r[0])]
        size = self._sizes.pop(number)
        self.bytes -= size
        self._path(number).unlink(missing_ok=True)
        if known is not None:
            facts = {"action": "logs.let_go", "path": str(self._path(number)), "bytes": size, "reason": known}
            logger.warning("agents' log lines that cannot be read were let go of to make room", extra=facts)
        parts = _parts(kept)
        if sum(len(encode(part, 0)) for part in parts) <= size // 2:
            for part in parts:
                self._append(part)

    def _count(self, number: int, size: int) -> None:
        self._sizes[number] = self._sizes.get(number, 0) + size
        self.bytes += size

    def _numbers(self) -> list[int]:
        try:
            with os.scandir(self._directory) as entries:
                names = [entry.name for entry in entries if entry.is_file()]
        except OSError:
            return []
        return sorted(int(name[: -len(_SUFFIX)]) for name in names if _is_segment(name))

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012}{_SUFFIX}"

    def _read(self, number: int) -> list[Record]:
        """What can be read of a segment."""
        path = self._path(number)
        facts = {"action": "logs.damaged", "path": str(path)}
        try:
            with path.open("rb") as opened:
                begin = opened.read(len(MAGIC))
                data = opened.read() if begin == MAGIC else b""
        except OSError as exc:
            self._unreadable[number] = f"reading it fails: {exc.strerror or exc}"
        else:
            if begin == MAGIC:
                found = decode(data)
                if found.lost:
                    counts = {"lines": len(found.records), "lost": found.lost}
                    logger.warning("some of the agents' log lines are damaged", extra={**facts, **counts})
                return found.records
            self._unreadable[number] = _why(begin)
        reason = self._unreadable[number]
        logger.warning("agents' log lines cannot be read", extra={**facts, "reason": reason})
        return []


def _parts(records: Sequence[Record]) -> list[Sequence[Record]]:
    return [records[at : at + RECORDS_PER_BLOCK] for at in range(0, len(records), RECORDS_PER_BLOCK)]


def _why(begin: bytes) -> str:
    """What is wrong with the beginning of a segment that is not `MAGIC`."""
    if len(begin) == len(MAGIC) and begin[:-1] == MAGIC[:-1]:
        return f"it is of version {begin[-1]}, and this server reads version {MAGIC[-1]}"
    return "it does not begin as a file of agents' logs does"


def _is_segment(name: str) -> bool:
    stem = name.removesuffix(_SUFFIX)
    return stem != name and len(stem) == 12 and stem.isascii() and stem.isdigit()
