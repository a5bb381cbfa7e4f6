"""A message on its way: the encoded bytes and what the bus needs to know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from caxton.messages.message import AclMessage

MAX_ATTEMPTS = 5
"""A handler that failed so often will fail again; RabbitMQ gives 20, which only makes the queue wait longer."""

DEFAULT_PRIORITY = 4
"""Of 0 (last) to 9 (first)."""

_TIMESTAMP, _DIGITS = b'"timestamp":', 16
"""Microseconds since 1970 have 16 digits from 2001 to 2286."""

CLIENT_PREFIX = "client:"
"""Begins the names of those outside: `client:admin`. No agent can be called so."""


TRACE_CHARS = len("00-") + 32 + len("-")
"""Of a `traceparent`, up to the span."""


class Envelope(msgspec.Struct, gc=False):
    """One message for one receiver. It holds no other object of ours, so the garbage collector need not look at it."""

    seq: int
    """Order of acceptance on this node; 0 for a timer, which is journalled as a timer."""
    workspace: str
    sender: str
    receiver: str
    message_id: str
    conversation_id: str | None
    body: bytes
    """The message as JSON, encoded once."""
    accepted_us: int
    attempt: int = 1
    max_attempts: int = MAX_ATTEMPTS
    kept: bool = False
    """It crosses the border of the node, so it stays in the journal after settlement, for those who ask later."""
    written: bool = False
    """It was handed to the journal's writer: its settlement must be written as well."""
    settled_us: int = 0
    priority: int = DEFAULT_PRIORITY
    expires_us: int = 0
    """Wall time after which nobody wants it handled any more; 0: never."""
    is_suspect: bool = False
    """It was in hand when the node ended otherwise than by a stop, and was not handed over since."""
    blocked: int = 0
    """How many of its attempts do not count: its handler found no room for what it sends. Of this run."""
    again_us: int = 0
    """If it failed at last: the wall time at which it is handed over again."""
    trace: str = ""
    """The beginning of its `traceparent`, up to the span; empty if it was loaded from the journal."""
    timer_id: int = -1
    """Not a message but the firing of this timer."""
    said: AclMessage | None = None
    """What the referee wants to know of it, until it takes effect; None for what no referee looks at."""


def trace_of(envelope: Envelope) -> str:
    """The beginning of its `traceparent`, up to the span; empty if it has none."""
    if envelope.trace:
        return envelope.trace
    body = envelope.body
    at = body.rfind(b'"traceparent":"00-')
    return "" if at < 0 else body[at + 15 : at + 51].decode("ascii", "replace")


def accepted_us(body: bytes, otherwise_us: int) -> int:
    """When the message with this `body` was accepted, as the host wrote into it; wall clock in µs."""
    at = body.rfind(_TIMESTAMP)
    digits = body[at + len(_TIMESTAMP) : at + len(_TIMESTAMP) + _DIGITS]
    return int(digits) if at >= 0 and len(digits) == _DIGITS and digits.isdigit() else otherwise_us


def facts(envelope: Envelope) -> dict[str, Any]:
    """Which message it is, for the server's log."""
    return {
        "message_id": envelope.message_id,
        "conversation_id": envelope.conversation_id,
        "trace_id": trace_of(envelope)[3:35] or None,
        "attempt": envelope.attempt,
    }
