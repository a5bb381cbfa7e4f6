"""Which messages are in a file, found without decoding all of it. Reads files: call it in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.replay import file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caxton.replay.record import Handling

_STEP_BYTES = 1 << 20


def matching(path: Path, *, conversation_id: str | None = None, message_id: str | None = None) -> Iterator[Handling]:
    """The handlings of a conversation, or of a message, in their order.

    Raises `RecordingTooNew`, `RecordingDamaged`, OSError.
    """
    data = path.read_bytes()
    needle = (conversation_id or message_id or "").encode()
    file.check_head(data, path.name)
    if not _holds(data, needle):
        return
    for kind, content in file.frames(data, path.name):
        if kind != file.HANDLING or needle not in bytes(content):
            continue
        handling = file.decode_handling(content, path.name)
        if conversation_id in (None, handling.conversation_id) and message_id in (None, handling.message_id):
            yield handling


def _holds(data: bytes, needle: bytes) -> bool:
    """Whether `needle` is in it, looked for in steps: others want to run meanwhile."""
    return any(
        data.find(needle, at, at + _STEP_BYTES + len(needle)) >= 0 for at in range(0, len(data) or 1, _STEP_BYTES)
    )
