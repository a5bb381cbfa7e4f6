"""The file of one life: a head with its format, then frames, each with a checksum that goes on from the one before.

A frame is written in one piece when a handling ends, before anything of it can be acknowledged, so a process that is
killed costs at most a frame that nobody was told of. Whatever does not fit its checksum ends what is read: the rest
counts as not there. A frame that was lost, moved or taken from another file does not fit either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from caxton.core.errors import RecordingDamaged, RecordingTooNew
from caxton.replay.record import FORMAT, End, Handling, Life, State, decoder, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = Struct("<8sI")
MAGIC = b"CXLIFE\r\n"
_FRAME = Struct("<cII")  # kind, length, checksum

HEAD = _HEAD.pack(MAGIC, FORMAT)
MAX_FRAME_BYTES = 64 << 20
"""A longer one is no frame of ours: a handling records at most `agents.recording.MAX_HANDLING_BYTES`."""

LIFE, STATE, HANDLING, END = b"L", b"S", b"H", b"E"

_decode_life = decoder(Life)
_decode_state = decoder(State)
_decode_handling = decoder(Handling)
_decode_end = decoder(End)


def frame(kind: bytes, record: object, before: int) -> tuple[bytes, int]:
    """A record as it stands in the file, and its checksum, which the next frame's goes on from."""
    data = encode(record)
    checksum = _checksum(kind, data, before)
    return _FRAME.pack(kind, len(data), checksum) + data, checksum


def frames(data: bytes | memoryview, name: str) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each whole frame; a torn end is left out. Raises `RecordingTooNew`, `RecordingDamaged`."""
    check_head(data, name)
    view, at, before = memoryview(data), _HEAD.size, crc32(HEAD)
    while at + _FRAME.size <= len(view):
        kind, length, checksum = _FRAME.unpack_from(view, at)
        at += _FRAME.size
        content = view[at : at + length]
        if len(content) < length or _checksum(kind, content, before) != checksum:
            return
        yield kind, content
        at, before = at + length, checksum


def check_head(data: bytes | memoryview, name: str) -> None:
    """Raises `RecordingTooNew` for a file of another format, `RecordingDamaged` for what is none of ours."""
    if len(data) < _HEAD.size:
        raise RecordingDamaged(name, "it is too short")
    magic, found = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise RecordingDamaged(name, "it does not begin as a recording does")
    if found != FORMAT:
        raise RecordingTooNew(name, found, FORMAT)


def decode_handling(content: bytes | memoryview, name: str) -> Handling:
    """The content of a frame of kind `HANDLING`. Raises `RecordingDamaged`."""
    try:
        return _decode_handling(content)
    except msgspec.DecodeError as exc:
        raise RecordingDamaged(name, str(exc)) from exc


def read_life(data: bytes, name: str) -> Life:
    """Whose file it is, from its beginning. Raises `RecordingTooNew`, `RecordingDamaged`."""
    for kind, content in frames(data, name):
        if kind == LIFE:
            return _decoded(_decode_life, content, name)
        break
    raise RecordingDamaged(name, "its first frame is torn")


@dataclass(slots=True)
class Recording:
    """A whole file, read."""

    life: Life
    state: State
    handlings: list[Handling] = field(default_factory=list[Handling])
    end: End | None = None
    """None: it goes on, or its node was killed."""


def read(data: bytes, name: str) -> Recording:
    """Everything up to the first frame that is torn. Raises `RecordingTooNew`, `RecordingDamaged`."""
    life: Life | None = None
    found: Recording | None = None
    for kind, content in frames(data, name):
        if life is None:
            if kind != LIFE:
                break
            life = _decoded(_decode_life, content, name)
        elif found is None:
            if kind != STATE:
                break
            found = Recording(life, _decoded(_decode_state, content, name))
        elif kind == HANDLING:
            found.handlings.append(decode_handling(content, name))
        elif kind == END:
            found.end = _decoded(_decode_end, content, name)
    if found is None:
        raise RecordingDamaged(name, "its beginning is torn")
    return found


def begin(life: Life, state: State) -> tuple[bytes, int]:
    """The beginning of a file, and the checksum that its next frame goes on from."""
    first, checksum = frame(LIFE, life, crc32(HEAD))
    second, checksum = frame(STATE, state, checksum)
    return HEAD + first + second, checksum


def _checksum(kind: bytes, data: bytes | memoryview, before: int) -> int:
    return crc32(data, crc32(kind, before))


def _decoded(decode: Any, content: memoryview, name: str) -> Any:
    try:
        return decode(content)
    except msgspec.DecodeError as exc:
        raise RecordingDamaged(name, str(exc)) from exc
