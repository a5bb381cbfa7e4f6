"""How long a message is worth handling: `ttl_ms` and `reply_by`. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from caxton.core.errors.error import quoted
from caxton.core.errors.messages import InvalidMessage, MessageExpired

if TYPE_CHECKING:
    from caxton.messages.message import AclMessage

MAX_PRIORITY = 9
MAX_TTL_MS = 366 * 86_400_000
"""As long as the longest timer; whoever means for ever leaves it out."""

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def check_priority_and_ttl(message: AclMessage) -> None:
    """Raises `InvalidMessage` with the field, its value and its limits."""
    priority, ttl_ms = message.priority, message.ttl_ms
    if priority is not None and not 0 <= priority <= MAX_PRIORITY:
        raise InvalidMessage(f"priority is {priority}, it must be from 0 (last) to {MAX_PRIORITY}", field="priority")
    if ttl_ms is not None and not 0 < ttl_ms <= MAX_TTL_MS:
        raise InvalidMessage(f"ttl_ms is {ttl_ms}, it must be from 1 to {MAX_TTL_MS} milliseconds", field="ttl_ms")


def parse_reply_by(text: str) -> int:
    """Microseconds since 1970 UTC. Raises `InvalidMessage`."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidMessage(
            f"reply_by is {quoted(text)}, it must be a time with its offset, like 2031-05-17T09:30:00Z",
            field="reply_by",
        )
    return (at - _EPOCH) // _MICROSECOND


def expires_us(message: AclMessage, wall_us: int, steady_us: int) -> int:
    """When nobody wants `message` handled any more, as time of the steady clock; 0 for never.

    Args:
        message: accepted now.
        wall_us: the time of day, which `reply_by` speaks of.
        steady_us: the same moment on the clock that does not jump.

    Raises:
        InvalidMessage: `reply_by` is no time.
        MessageExpired: that moment has passed already.
    """
    ends: list[int] = []
    if message.ttl_ms is not None:
        ends.append(steady_us + message.ttl_ms * 1000)
    if message.reply_by is not None:
        late_us = wall_us - parse_reply_by(message.reply_by)
        if late_us >= 0:
            raise MessageExpired(message.reply_by, late_us / 1e6)
        ends.append(steady_us - late_us)
    return min(ends, default=0)
