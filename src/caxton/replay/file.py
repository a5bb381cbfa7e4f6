"""The file of one life: a head with its format, then frames, each with a checksum that goes on from the one before.

A frame is written in one piece when a handling ends, before anything of it can be acknowledged, so a process that is
killed costs at most a frame that nobody was told of: the last one, cut off, in a life that has no end. It is left out.
Whatever else does not fit is damage: what is before it is read, and the rest is told of, never run. A frame that was
lost, moved or taken from another file does not fit its checksum either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from caxton.core.errors.recordings import RecordingDamaged, RecordingTooNew
from caxton.replay.record import FORMAT, End, Handling, Life, State, decoder, encode, encode_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HEAD = Struct("<8sI")
MAGIC = b"CXLIFE\r\n"
_FRAME = Struct("<cII")  # kind, length, checksum

HEAD = _HEAD.pack(MAGIC, FORMAT)
MAX_FRAME_BYTES = 64 << 20
"""A longer one is no frame of ours: a handling records at most `agents.recording.MAX_HANDLING_BYTES`, and a state has
at most `bus.turn.MAX_KV_BYTES`."""

LIFE, STATE, HANDLING, END = _KINDS = b"L", b"S", b"H", b"E"

_decode_life = decoder(Life)
_decode_state = decoder(State)
_decode_handling = decoder(Handling)
_decode_end = decoder(End)
_decode_any = decoder(Any)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


def frame(kind: bytes, record: object, before: int) -> tuple[bytes, int]:
    """A record as it stands in the file, and its checksum, which the next frame's goes on from."""
    data = encode(record)
    checksum = _checksum(kind, data, before)
    return _FRAME.pack(kind, len(data), checksum) + data, checksum


def frames(data: bytes | memoryview, name: str) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each whole frame; one that a kill cut off is left out.

    Raises `RecordingTooNew`; `RecordingDamaged`, with where it begins, once all before the damage was given.
    """
    check_head(data, name)
    view, at, before, kind = memoryview(data), _HEAD.size, crc32(HEAD), b""
    while at < len(view):
        if kind == END:
            raise RecordingDamaged(name, "something stands behind its end", at)
        content = _content(view, at, name)
        if content is None:
            return
        kind, _, checksum = _FRAME.unpack_from(view, at)
        if _checksum(kind, content, before) != checksum:
            raise RecordingDamaged(name, f"what begins at byte {at} does not fit its checksum", at)
        yield kind, content
        at, before = at + _FRAME.size + len(content), checksum


def _content(view: memoryview, at: int, name: str) -> memoryview | None:
    """What the frame at `at` holds, unchecked; None if a kill cut it off. Raises `RecordingDamaged`."""
    if at + _FRAME.size > len(view):
        return None
    kind, length, _ = _FRAME.unpack_from(view, at)
    content = view[at + _FRAME.size : at + _FRAME.size + length]
    if kind not in _KINDS or length > MAX_FRAME_BYTES:
        raise RecordingDamaged(name, f"no frame begins at byte {at}", at)
    if len(content) == length:
        return content
    if _is_cut_off(content):
        return None
    raise RecordingDamaged(name, f"what begins at byte {at} has another length than it says", at)


def _is_cut_off(content: memoryview) -> bool:
    """Whether it is the beginning of a record; otherwise it was the length that is wrong."""
    try:
        _decode_any(content)
    except _UNREADABLE as exc:
        return "truncated" in str(exc)
    return False


@dataclass(frozen=True, slots=True)
class Damage:
    """What of a file cannot be run."""

    at: int
    """Where it begins, in bytes from the file's start."""
    of: int
    """How long the file is."""
    reason: str
    lost: list[Handling]
    """Those behind it that can still be told, and the damaged one if it can. Never run them."""
    is_all: bool
    """There are no others."""


def damage_of(data: bytes, error: RecordingDamaged) -> Damage:
    """What the damage at `error.at` costs: frames behind one whose length holds are found by their checksums."""
    view, at = memoryview(data), error.at
    lost: list[Handling] = []
    is_all, expected = True, set[int]()
    while at < len(view):
        found = _told(view, at, error.name)
        if found is None:
            is_all = False
            break
        kind, content, checksum = found
        if at == error.at:  # the next one goes on from what was written, unless that is the damage
            expected = {checksum, _checksum(kind, content, _checksum_before(view, at))}
        elif not any(_checksum(kind, content, before) == checksum for before in expected):
            is_all = False
            break
        else:
            expected = {checksum}
        if kind == HANDLING:
            try:
                lost.append(decode_handling(content, error.name))
            except RecordingDamaged:
                is_all = False
        at += _FRAME.size + len(content)
    return Damage(error.at, len(data), error.reason, lost, is_all)


def _told(view: memoryview, at: int, name: str) -> tuple[bytes, memoryview, int] | None:
    """Kind, content and checksum of what stands there, if it has the form of a whole frame."""
    try:
        content = _content(view, at, name)
    except RecordingDamaged:
        return None
    if content is None:
        return None
    kind, _, checksum = _FRAME.unpack_from(view, at)
    return kind, content, checksum


def _checksum_before(view: memoryview, end: int) -> int:
    """The checksum that the frame at `end` goes on from; what is before it is whole."""
    at, before = _HEAD.size, crc32(HEAD)
    while at < end:
        _, length, before = _FRAME.unpack_from(view, at)
        at += _FRAME.size + length
    return before


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
    except _UNREADABLE as exc:
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
    """None: it goes on, its node was killed, or it is damaged."""
    damage: Damage | None = None
    """From there on nothing is read."""


def read(data: bytes, name: str) -> Recording:
    """Everything up to where a kill cut it off, or damage begins.

    Raises `RecordingTooNew`, and `RecordingDamaged` if it is the beginning that is damaged.
    """
    whole = frames(data, name)
    life = _decoded(_decode_life, _first(whole, LIFE, name), name)
    found = Recording(life, _decoded(_decode_state, _first(whole, STATE, name), name))
    try:
        for kind, content in whole:
            if kind == HANDLING:
                found.handlings.append(decode_handling(content, name))
            elif kind == END:
                found.end = _decoded(_decode_end, content, name)
    except RecordingDamaged as exc:
        found.damage, found.end = damage_of(data, exc), None
    return found


def _first(whole: Iterator[tuple[bytes, memoryview]], wanted: bytes, name: str) -> memoryview:
    kind, content = next(whole, (b"", memoryview(b"")))
    if kind != wanted:
        raise RecordingDamaged(name, "its beginning is torn")
    return content


def begin(life: Life, kv: Mapping[bytes, bytes], next_timer_id: int) -> tuple[list[bytes | bytearray], int]:
    """The beginning of a file in parts, and the checksum that its next frame goes on from.

    The state may be large. It is neither encoded nor copied in one go, so that in a thread it holds up nobody.
    """
    first, before = frame(LIFE, life, crc32(HEAD))
    state = encode_state(kv, next_timer_id)
    checksum = _checksum(STATE, state, before)
    return [HEAD, first, _FRAME.pack(STATE, len(state), checksum), state], checksum


def _checksum(kind: bytes, data: bytes | bytearray | memoryview, before: int) -> int:
    return crc32(data, crc32(kind, before))


def _decoded(decode: Any, content: memoryview, name: str) -> Any:
    try:
        return decode(content)
    except _UNREADABLE as exc:
        raise RecordingDamaged(name, str(exc)) from exc
