"""The form of log lines on disk: segments of checksummed blocks. Pure.

A segment begins with `MAGIC`, which holds the version. Each block is a head (see `_HEAD`) and then an array of records
as MessagePack. A damaged block costs its own lines: the next one is found by its mark and says how many came before.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import msgspec

from caxton.logs.line import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC = b"CXTLOG\x00\x02"
"""The last byte is the version; another one is another form."""

_MARK = b"\xc1BLK"
"""Begins a block. Its first byte is in no UTF-8, so nobody can log what looks like a block."""

_HEAD = struct.Struct("<4sIIII")
"""The mark; bytes of the array; lines of the segment before this block; lines of this block; CRC-32 of the array."""

_CHECKSUM = struct.Struct("<I")
"""Behind the head, its own CRC-32: what it says holds even if the array is damaged."""

_HEAD_BYTES = _HEAD.size + _CHECKSUM.size

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Record])


class Found(NamedTuple):
    """What a segment holds."""

    records: list[Record]
    lost: int
    """Lines of damaged blocks. A last block whose head is damaged counts as one: how many it had nobody knows."""


class _Head(NamedTuple):
    size: int
    before: int
    lines: int
    checksum: int


def encode(records: Sequence[Record], before: int) -> bytes:
    """One block, behind so many lines of its segment."""
    data = _encoder.encode(records)
    head = _HEAD.pack(_MARK, len(data), before, len(records), crc32(data))
    return head + _CHECKSUM.pack(crc32(head)) + data


def decode(segment: bytes) -> Found:
    """All that can be read of a segment, `MAGIC` left out. Linear in its size: no text can make a head that is none."""
    records: list[Record] = []
    known = at = 0  # lines that there were, as far as heads tell, and where to look next
    is_torn = False
    while 0 <= at < len(segment):
        head = _head_at(segment, at)
        is_torn = head is None
        if head is not None:
            known = max(known, head.before + head.lines)
            start = at + _HEAD_BYTES
            found = _decoded(segment[start : start + head.size], head.checksum)
            if found is not None:
                records += found
                at = start + head.size
                continue
        at = segment.find(_MARK, at + 1)
    return Found(records, max(known - len(records), 0) + is_torn)


def _head_at(segment: bytes, at: int) -> _Head | None:
    end = at + _HEAD.size
    if end + _CHECKSUM.size > len(segment) or _CHECKSUM.unpack_from(segment, end)[0] != crc32(segment[at:end]):
        return None
    mark, *numbers = _HEAD.unpack_from(segment, at)
    return _Head(*numbers) if mark == _MARK else None


def _decoded(data: bytes, checksum: int) -> list[Record] | None:
    if crc32(data) != checksum:
        return None
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError:
        return None
