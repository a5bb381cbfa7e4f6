"""What happened in a conversation, or because of a message: who got what, when, and what became of it.

Times are wall clock in microseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import Any

import msgspec


class TraceEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that happened, as a line for people."""

    at: int
    agent: str
    """Whom it happened to: an agent, or `client:NAME`."""
    span: str
    """The span that it belongs to."""
    message: str | None = None
    """The act of the message."""
    status: str | None = None
    """`sent`, `received`, `handled`, `failed`, `crashed`, `lost`, `dead`, `refused`, `replied`, `kept`, `waiting` or
    `in hand`; null for a call of a tool."""
    attempt: int = 1
    took_us: int | None = None
    """Of a handling or a call of a tool that is over, or that goes on."""
    error: str | None = None
    tool: str | None = None
    note: str | None = None
    """What is to be said of a message that is not over, or was received once more."""


class TraceTry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One time that a message was handed over."""

    attempt: int
    began: int
    ended: int | None = None
    """Null while it is in hand."""
    outcome: str = "handled"
    """`handled`, `failed`, `crashed` or `in hand`."""
    error: str | None = None
    note: str | None = None
    """That it was handed over again since the server ended before what it did was on disk."""


class TraceTool(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One call of a tool."""

    tool: str
    began: int
    ended: int
    error: str | None = None


class TraceSpan(msgspec.Struct, kw_only=True):
    """One message for one receiver, from its sending to its end."""

    id: str
    """16 hex digits: the number of the message on its node, and in the first four how many had that number before.

    Those that were never on disk give theirs back at a restart.
    """
    parent: str | None
    """The span of the message in whose handling this one was sent, as far as that is in the answer."""
    depth: int
    """So many spans lead to it."""
    trace_id: str
    """32 hex digits, or empty."""
    message_id: str
    conversation_id: str | None
    sender: str
    receiver: str
    performative: str
    attempt: int
    sent: int
    ended: int | None
    """Null while it is not over."""
    status: str
    """`handled`, `replied`, `dead`, `refused`, `failed`, `crashed` or `lost` (and nothing more is known), `kept` (that
    it was sent is all that is known); `waiting` or `in hand`, if it is not over."""
    size_bytes: int
    tries: list[TraceTry]
    """When its handler had it, in the order of time."""
    tools: list[TraceTool]
    """What was called meanwhile, in the order of time."""
    error: str | None = None
    """Of its end, or of its last attempt."""
    note: str | None = None
    """What it waits for, if it is not over, for people."""
    before: int | None = None
    """Messages that wait before it."""
    again_at: int | None = None
    """When it is handed over again."""
    content: Any = None
    """What it said, if that was asked for and its conversation is kept."""


class TraceView(msgspec.Struct, kw_only=True):
    """What happened. Spans are in the order of a tree: causes before effects, below them what they caused."""

    conversation_id: str | None
    message_id: str | None
    now: int
    since: int | None
    """Nothing that ended before is in it; null: as far back as anything is known."""
    recorded_since: int | None
    """How far back the flight recorder goes; null if it is off or empty."""
    last_us: int | None
    """If nothing happened since `since`: when something did."""
    total: int
    """How many messages match, of those that were looked at."""
    at_least: bool = False
    """Whether not all were looked at, and so more may match."""
    cut: bool
    """Whether earlier ones were left out."""
    spans: list[TraceSpan]
    events: list[TraceEvent]
    """In the order of time."""
    said: str | None = None
    """Null unless what was said is asked for; `whole`, `partly` (of some conversations), or `none` is kept."""


MAX_LAST_S = 366 * 86_400.0
"""How far back `last` may reach: longer than anything is recorded."""


class TraceFilter(msgspec.Struct, kw_only=True, frozen=True):
    """What is wanted of a trace; exactly one of the ids."""

    conversation_id: str | None = None
    message_id: str | None = None
    last_s: float | None = None
    agent: str | None = None
    errors: bool = False
    bodies: bool = False
    """Also what was said."""
