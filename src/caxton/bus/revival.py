"""A dead letter's message as it is handed over again. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from caxton.messages.codec import decode_message

if TYPE_CHECKING:
    from caxton.messages.message import AclMessage

ANY_SIZE = 1 << 30
"""Its size was checked when it came."""


def revived(body: bytes, now_us: int) -> tuple[AclMessage, int]:
    """The message, and when it expires (0: never). What is left of its lifetime stays, what is over is taken off."""
    message = decode_message(body, max_bytes=ANY_SIZE)
    message.attempt = 1
    message.replayed = True
    ends: list[int] = []
    if message.ttl_ms is not None:
        ends.append(message.timestamp + message.ttl_ms * 1000)
        if ends[-1] <= now_us:
            message.ttl_ms = None
    if message.reply_by is not None:
        ends.append(_time_us(message.reply_by))
        if ends[-1] <= now_us:
            message.reply_by = None
    return message, min((end for end in ends if end > now_us), default=0)


def _time_us(text: str) -> int:
    """Microseconds since 1970 UTC; 0 for what is no time with an offset."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return 0 if at.tzinfo is None else round(at.timestamp() * 1e6)
