"""A ring of blocks in one mapped file.

What was appended is in the page cache at once, so it survives the end of the process, however that comes; a block that
was being written then has a checksum that does not fit, and is not read. It need not survive the machine: nothing is
synced.

The file is divided into segments of 1 MiB, which are overwritten one after the other. Each has a number, one higher
than that of the segment before; the checksum of a block is begun with it, so that what an older round left behind is
recognized. Disk is taken segment by segment: on a full disk the ring is as long as what it has.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEGMENT_BYTES = 1 << 20
_FILE = Struct("<8sIIQ")
_MAGIC = b"CXRING\r\n"
_HEADER_BYTES = 4096
_SEGMENT = Struct("<QI")  # number, its checksum
_BLOCK = Struct("<IIQ")  # length, checksum, time of the last record in µs
MAX_BLOCK_BYTES = SEGMENT_BYTES - _SEGMENT.size - _BLOCK.size
MIN_SEGMENTS = 2


class OtherFormat(Exception):
    """The file is no ring, or one of another version or size; what to do with it is for the caller to say."""


@dataclass(slots=True)
class _Place:
    """Where one segment lies and how far it is filled."""

    index: int
    number: int
    end: int
    """Offset in the file after its last block."""
    last_us: int
    """Time of its last block; 0 if it has none."""


class Ring:
    """Appends on one thread; reading is allowed on others, which see each block whole or not at all."""

    def __init__(self, path: Path, size_bytes: int, *, version: int) -> None:
        """Open the ring at `path`, or make it.

        Args:
            path: its file.
            size_bytes: rounded down to whole MiB, at least 2.
            version: of what is in the blocks.

        Raises: OtherFormat, OSError.
        """
        self.segments = max(size_bytes // SEGMENT_BYTES, MIN_SEGMENTS)
        total = _HEADER_BYTES + self.segments * SEGMENT_BYTES
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            header = _FILE.pack(_MAGIC, version, SEGMENT_BYTES, self.segments)
            found = os.pread(self._fd, _FILE.size, 0)
            if found and found != header:
                raise OtherFormat(str(path))
            if not found:
                os.posix_fallocate(self._fd, 0, _HEADER_BYTES)
                os.pwrite(self._fd, header, 0)
            if os.fstat(self._fd).st_size < total:
                os.ftruncate(self._fd, total)
            self._map = mmap.mmap(self._fd, total)
        except BaseException:
            os.close(self._fd)
            raise
        self._places = {place.index: place for n in range(self.segments) if (place := self._look(n)) is not None}
        self._now = max(self._places.values(), key=lambda place: place.number, default=None)
        self._usable = self.segments
        self.turned = 0
        """Segments begun in this run."""

    def close(self) -> None:
        """Nothing can be appended or read any more."""
        self._map.close()
        os.close(self._fd)

    # --- writing ---------------------------------------------------------------------------------------------

    def append(self, block: bytes, last_us: int) -> None:
        """Add one block of at most `MAX_BLOCK_BYTES`; its last record is of `last_us`. Raises OSError: no disk."""
        if len(block) > MAX_BLOCK_BYTES:
            raise ValueError(f"a block of {len(block)} bytes; the limit is {MAX_BLOCK_BYTES}")
        place = self._now
        if place is None or place.end + _BLOCK.size + len(block) > _offset(place.index) + SEGMENT_BYTES:
            place = self._turn()
        at = place.end
        begin = at + _BLOCK.size
        self._map[begin : begin + len(block)] = block
        _BLOCK.pack_into(self._map, at, len(block), _checksum(place.number, last_us, block), last_us)
        place.end = begin + len(block)
        place.last_us = last_us

    def _turn(self) -> _Place:
        """Begin the next segment; what it held is gone."""
        index, number = (0, 1) if self._now is None else (self._now.index + 1, self._now.number + 1)
        if index >= self._usable:
            index = 0
        try:
            os.posix_fallocate(self._fd, _offset(index), SEGMENT_BYTES)  # a hole in a mapped file is a SIGBUS
        except OSError:
            if index == 0:
                raise
            self._usable, index = index, 0
        start = _offset(index)
        _SEGMENT.pack_into(self._map, start, number, crc32(number.to_bytes(8, "little")))
        self._now = self._places[index] = _Place(index, number, start + _SEGMENT.size, 0)
        self.turned += 1
        return self._now

    # --- reading ---------------------------------------------------------------------------------------------

    @property
    def used_bytes(self) -> int:
        """What the records take."""
        return sum(place.end - _offset(place.index) for place in tuple(self._places.values()))

    @property
    def has_turned_over(self) -> bool:
        """Whether anything was overwritten, in this run or an earlier one."""
        return min((place.number for place in tuple(self._places.values())), default=1) > 1

    def blocks(self, *, since_us: int = 0, needle: bytes = b"") -> Iterator[bytes]:
        """The blocks from the newest to the oldest.

        Args:
            since_us: none of which all records are older.
            needle: only those in which these bytes stand somewhere.
        """
        for place in sorted(self._places.values(), key=lambda place: -place.number):
            if place.last_us < since_us:
                continue
            start, end, number = _offset(place.index), place.end, place.number
            if needle and self._map.find(needle, start, end) < 0:
                continue
            for begin, length, checksum, last_us in reversed(list(self._headers(start, end))):
                if last_us < since_us or (needle and self._map.find(needle, begin, begin + length) < 0):
                    continue
                block = self._map[begin : begin + length]
                if _checksum(number, last_us, block) == checksum:  # else it was overwritten meanwhile
                    yield block

    def oldest(self) -> bytes | None:
        """The block from which on there are all."""
        for place in sorted(self._places.values(), key=lambda place: place.number):
            for begin, length, checksum, last_us in self._headers(_offset(place.index), place.end):
                block = self._map[begin : begin + length]
                if _checksum(place.number, last_us, block) == checksum:
                    return block
        return None

    def _headers(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Begin, length, checksum and time of each block."""
        at = start + _SEGMENT.size
        while at + _BLOCK.size < end:
            length, checksum, last_us = _BLOCK.unpack_from(self._map, at)
            at += _BLOCK.size
            if length == 0 or at + length > end:
                return
            yield at, length, checksum, last_us
            at += length

    def _look(self, index: int) -> _Place | None:
        """What an earlier run left in a segment; everything from the first torn block on counts as not there."""
        start = _offset(index)
        number, checksum = _SEGMENT.unpack_from(self._map, start)
        if number == 0 or checksum != crc32(number.to_bytes(8, "little")):
            return None
        place = _Place(index, number, start + _SEGMENT.size, 0)
        for begin, length, found, last_us in self._headers(start, start + SEGMENT_BYTES):
            if _checksum(number, last_us, self._map[begin : begin + length]) != found:
                break
            place.end, place.last_us = begin + length, last_us
        return place


class Head(NamedTuple):
    """What a ring says of itself."""

    version: int
    """Of what is in its blocks."""
    size_bytes: int
    """What they may take."""


def head_of(path: Path) -> Head:
    """That of the ring at `path`, which is only looked at. Raises OtherFormat, OSError."""
    with path.open("rb") as file:
        head = file.read(_FILE.size)
    if len(head) < _FILE.size or not head.startswith(_MAGIC):
        raise OtherFormat(str(path))
    _, version, segment_bytes, segments = _FILE.unpack(head)
    return Head(version, segment_bytes * segments)


def _offset(index: int) -> int:
    return _HEADER_BYTES + index * SEGMENT_BYTES


def _checksum(number: int, last_us: int, block: bytes) -> int:
    return crc32(block, crc32(last_us.to_bytes(8, "little"), number & 0xFFFFFFFF))
