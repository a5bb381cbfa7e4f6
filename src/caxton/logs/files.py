"""The agents' log lines on disk: numbered segments in one directory, the oldest cleaned when there are too many bytes.

Cleaning moves what memory still keeps of the oldest segment to the newest, so that an agent that shouts does not wipe
out those that speak once a day. Nothing is synced: lines are worth less than the time that costs. A killed process
loses what was not handed to the kernel, about a tenth of a second; a power cut may lose more.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from caxton.logs.block import MAGIC, Damaged, decode, encode
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
        self._sizes: dict[int, int] = {}
        """Bytes of each segment by number, the oldest first."""
        self._next = 1
        self._open: int | None = None
        """The segment that is written to: one of this run, whatever an earlier one left."""

    @property
    def bytes(self) -> int:
        """Of all segments."""
        return sum(self._sizes.values())

    def load(self) -> list[Record]:
        """All lines that can be read, in order of writing; those of removed agents are left out.

        What cannot be read is left alone and told in the server's log.
        """
        found: dict[int, Record] = {}
        for number in self._numbers():
            self._next = number + 1
            for record in self._read(number):
                found[record[0]] = record  # cleaning may have been cut off with a line in two segments
        forgotten = {(r[2], r[3]): seq for seq, r in sorted(found.items()) if r[5] == FORGOTTEN}
        return [r for seq, r in sorted(found.items()) if seq > forgotten.get((r[2], r[3]), -1)]

    def write(self, records: Sequence[Record]) -> None:
        """Append a block, and clean up if that makes too much. Raises `OSError`: it may not be there then."""
        if self._free_bytes() < MIN_FREE_BYTES:
            raise OSError(f"less than {MIN_FREE_BYTES >> 20} MiB of the disk are free")
        for block in _blocks(records):
            self._append(block)
        while self.bytes > self._max_bytes and len(self._sizes) > 1:
            self._clean(next(iter(self._sizes)))

    def _append(self, block: bytes) -> None:
        number = self._open
        if number is None or self._sizes[number] + len(block) > self._segment_bytes:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            number, self._next = self._next, self._next + 1
            block = MAGIC + block
        handle = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._sizes.setdefault(number, 0)
            self._open = number
            view = memoryview(block)
            while view:
                written = os.write(handle, view)
                self._sizes[number] += written
                view = view[written:]
        except OSError:
            self._open = None  # what follows half a block could not be read
            raise
        finally:
            os.close(handle)

    def _clean(self, number: int) -> None:
        """Let go of the oldest segment; what is still kept moves on unless it is most of it, which would not end."""
        kept = [r for r in self._read(number) if r[5] != FORGOTTEN and self._keeps(r[2], r[3], r[0])]
        size = self._sizes.pop(number)
        self._path(number).unlink(missing_ok=True)
        blocks = _blocks(kept)
        if sum(map(len, blocks)) <= size // 2:
            for block in blocks:
                self._append(block)

    def _numbers(self) -> list[int]:
        try:
            names = [entry.name for entry in self._directory.iterdir()]
        except OSError:
            return []
        return sorted(int(name[: -len(_SUFFIX)]) for name in names if _is_segment(name))

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012}{_SUFFIX}"

    def _read(self, number: int) -> list[Record]:
        """What can be read of a segment. One of another form is not ours to clean."""
        path = self._path(number)
        records: list[Record] = []
        facts = {"action": "logs.damaged", "path": str(path)}
        try:
            data = path.read_bytes()
            if data[: len(MAGIC)] != MAGIC:
                logger.warning("agents' log lines are in a form that this version does not know", extra=facts)
                return []
            self._sizes[number] = len(data)
            for block in decode(data[len(MAGIC) :]):
                records += block
        except Damaged:
            logger.warning("agents' log lines cannot be read to their end", extra={**facts, "lines": len(records)})
        except OSError as exc:
            logger.warning("agents' log lines cannot be read", extra={**facts, "error.type": type(exc).__name__})
        return records


def _blocks(records: Sequence[Record]) -> list[bytes]:
    return [encode(records[at : at + RECORDS_PER_BLOCK]) for at in range(0, len(records), RECORDS_PER_BLOCK)]


def _is_segment(name: str) -> bool:
    stem = name.removesuffix(_SUFFIX)
    return stem != name and len(stem) == 12 and stem.isascii() and stem.isdigit()
