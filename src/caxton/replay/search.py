"""Finds the handlings of a conversation or a message in a file without decoding all of it.

Reads files: call it in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from caxton.core.errors.recordings import RecordingDamaged
from caxton.replay import file

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.replay.file import Damage
    from caxton.replay.record import Handling

_STEP_BYTES = 1 << 20

_HEAD_BYTES = 4096
"""Names stand within them."""


@dataclass(slots=True)
class Found:
    """What of a conversation or a message is in a file."""

    handlings: list[Handling] = field(default_factory=list["Handling"])
    """In their order."""
    damage: Damage | None = None
    """Of the file, which may have held more."""


def matching(path: Path, *, conversation_id: str | None = None, message_id: str | None = None) -> Found:
    """The handlings of a conversation, or of a message. A file in which its id does not occur is read no further.

    Raises `RecordingTooNew`, `RecordingDamaged` if its beginning cannot be read, OSError.
    """
    data = path.read_bytes()
    needle = (conversation_id or message_id or "").encode()
    file.check_head(data, path.name)
    found = Found()
    if not _holds(data, needle):
        return found
    try:
        for kind, content in file.frames(data, path.name):
            if kind != file.HANDLING or needle not in bytes(content):
                continue
            handling = file.decode_handling(content, path.name)
            if conversation_id in (None, handling.conversation_id) and message_id in (None, handling.message_id):
                found.handlings.append(handling)
    except RecordingDamaged as exc:
        found.damage = file.damage_of(data, exc)
    return found


def damage_in(path: Path) -> Damage | None:
    """What of the file cannot be read, if there is such. Raises `RecordingTooNew`, `RecordingDamaged`, OSError."""
    data = path.read_bytes()
    try:
        for _ in file.frames(data, path.name):
            pass
    except RecordingDamaged as exc:
        if exc.at == 0:
            raise
        return file.damage_of(data, exc)
    return None


def mentions(path: Path, *, agent: str | None, conversation_id: str | None, message_id: str | None) -> bool:
    """Whether a file that cannot be read may be of what is asked for: all the ids occur in it. Raises OSError."""
    data = path.read_bytes()
    ids = [one.encode() for one in (conversation_id, message_id) if one is not None]
    names = [] if agent is None else [_packed(agent)]
    return all(_holds(data, one) for one in ids) and all(one in data[:_HEAD_BYTES] for one in names)


def _packed(name: str) -> bytes:
    """A short text as it stands in a record, which another that it is a part of does not hold."""
    text = name.encode()
    return (bytes((0xA0 | len(text),)) if len(text) < 32 else bytes((0xD9, len(text)))) + text


def _holds(data: bytes, needle: bytes) -> bool:
    """Whether `needle` is in it, looked for in steps: others want to run meanwhile."""
    return any(
        data.find(needle, at, at + _STEP_BYTES + len(needle)) >= 0 for at in range(0, len(data) or 1, _STEP_BYTES)
    )
