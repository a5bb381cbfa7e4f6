"""The ACL message as it travels: FIPA's parameters (SC00061G) and Caxton's own few."""

from __future__ import annotations

import msgspec


class AclMessage(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """One message. Keys not listed here are ignored when a message is read.

    `content` stays the raw JSON bytes that its sender wrote: it is parsed by the receiver alone.
    """

    performative: str
    """The communicative act, spelled as in FIPA SC00037J."""
    sender: str = ""
    """Name of the agent, or `client:NAME` for somebody outside. Set by the host, whatever was sent."""
    receiver: str | list[str] = ""
    """Agent name, list of names, `topic://NAME`, or `client:NAME` for a reply to somebody outside."""
    capability: str | None = None
    """Instead of a receiver: agents that offer this capability, chosen by `routing_strategy`."""
    routing_strategy: str | None = None
    """`best`, `broadcast`, `round-robin` or `least-loaded`."""
    content: msgspec.Raw = msgspec.Raw(b"")
    """Any JSON value."""
    reply_to: str | list[str] | None = None
    language: str | None = None
    encoding: str | None = None
    ontology: str | None = None
    protocol: str | None = None
    conversation_id: str | None = None
    parent_conversation: str | None = None
    """The conversation within which this one was begun."""
    reply_with: str | None = None
    in_reply_to: str | None = None
    reply_by: str | None = None
    """ISO 8601 time after which the answer is of no use, and so the message need not be handled any more."""
    message_id: str = ""
    """Unique; set by the host."""
    timestamp: int = 0
    """Microseconds since 1970 UTC; set by the host when the message was accepted."""
    priority: int | None = None
    """0 (last) to 9 (first) among what waits for the same receiver; 4 if there is none."""
    ttl_ms: int | None = None
    """How long after its acceptance it is worth handling."""
    traceparent: str | None = None
    """W3C trace context; set by the host."""
    attempt: int = 1
    """Counts from 1; more than 1 says that this message was handed over before."""
    replayed: bool = False
    """It was a dead letter that somebody had handed over again; set by the host alone."""
