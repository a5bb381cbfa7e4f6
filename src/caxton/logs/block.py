"""The form of log lines on disk: segments of checksummed blocks. Pure.

A segment begins with `MAGIC`, which holds the version. Each block is its length and CRC-32 (8 bytes, little endian) and
then an array of records as MessagePack. A segment that ends within a block, as after a power cut, is good up to there.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from caxton.logs.line import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAGIC = b"CXTLOG\x00\x01"
"""The last byte is the version; another one is another form."""

MAX_BLOCK_BYTES = 16 << 20
"""A larger length is damage."""

_HEAD = struct.Struct("<II")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Record])


class Damaged(Exception):
    """A block cannot be read; what stands before it can."""


def encode(records: Sequence[Record]) -> bytes:
    """One block."""
    data = _encoder.encode(records)
    return _HEAD.pack(len(data), crc32(data)) + data


def decode(segment: bytes) -> Iterator[list[Record]]:
    """The blocks of a segment, `MAGIC` left out. Raises `Damaged` where one is not whole."""
    at = 0
    while at < len(segment):
        if at + _HEAD.size > len(segment):
            raise Damaged
        length, checksum = _HEAD.unpack_from(segment, at)
        data = segment[at + _HEAD.size : at + _HEAD.size + length]
        if length > MAX_BLOCK_BYTES or len(data) < length or crc32(data) != checksum:
            raise Damaged
        try:
            yield _decoder.decode(data)
        except msgspec.MsgspecError as exc:
            raise Damaged from exc
        at += _HEAD.size + length
