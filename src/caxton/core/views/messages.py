"""What is said of a message: that it was accepted, that it was seen."""

from __future__ import annotations

import msgspec


class Receipt(msgspec.Struct, kw_only=True):
    """Proof that a message was accepted: it is on disk."""

    message_id: str
    conversation_id: str
    status: str = "accepted"
    durability: str = "fsync"


class Sighting(msgspec.Struct, kw_only=True):
    """One message for one receiver as a listener sees it: one arrow of a sequence diagram."""

    seq: int
    """Grows in the order in which things took effect; of this run of the server."""
    event: str
    """`sent`, `dead` (it became a dead letter) or `refused` (a client's that was not accepted, or a late proposal)."""
    timestamp: int
    """Microseconds since 1970 UTC: when it was sent, died or was refused."""
    workspace: str
    sender: str
    """An agent, or `client:NAME`."""
    receiver: str
    """Who gets this copy of it; of a refused one, as it was addressed."""
    performative: str
    conversation_id: str | None
    protocol: str | None
    message_id: str
    """Empty for a refused one that has none."""
    reply_with: str | None
    in_reply_to: str | None
    attempt: int
    size_bytes: int
    """Of the content."""
    excerpt: str
    """The beginning of the content, as its sender wrote it."""
    reason: str | None
    """Why it is dead (see DeadLetterView), or the code of the error with which it was refused, or `late`."""


class Gap(msgspec.Struct, kw_only=True):
    """Messages that a listener does not get to see."""

    missed: int | None
    """How many; None when nobody knows, since the connection was away."""
