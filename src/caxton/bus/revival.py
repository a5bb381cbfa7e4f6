"""A dead letter's message as it is handed over again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.core.errors.messages import InvalidMessage
from caxton.messages.codec import ANY_SIZE, decode_message
from caxton.messages.lifetime import parse_reply_by

if TYPE_CHECKING:
    from caxton.messages.message import AclMessage


def revived(body: bytes, wall_us: int, steady_us: int) -> tuple[AclMessage, int]:
    """The message, and when it expires by the steady clock (0: never).

    What is left of its lifetime stays, what is over is taken off.
    """
    message = decode_message(body, max_bytes=ANY_SIZE)
    message.attempt = 1
    message.replayed = True
    left_us: list[int] = []
    if message.ttl_ms is not None:
        left_us.append(message.timestamp + message.ttl_ms * 1000 - wall_us)
        if left_us[-1] <= 0:
            message.ttl_ms = None
    if message.reply_by is not None:
        left_us.append(_reply_by_us(message.reply_by) - wall_us)
        if left_us[-1] <= 0:
            message.reply_by = None
    left = min((us for us in left_us if us > 0), default=0)
    return message, left and steady_us + left


def _reply_by_us(text: str) -> int:
    """Microseconds since 1970 UTC; 0 for what an older version took for a time."""
    try:
        return parse_reply_by(text)
    except InvalidMessage:
        return 0
