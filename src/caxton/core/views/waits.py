"""Who waits for whom, and why."""

from __future__ import annotations

import msgspec


class WaitView(msgspec.Struct, kw_only=True):
    """Somebody waits for somebody."""

    waiter: str
    waits_for: str
    conversation_id: str | None
    """Null for a message that belongs to none."""
    protocol: str | None
    """Null for a free message."""
    state: str
    """Of the exchange; `asked` for a free message that wants an answer."""
    since: str
    """ISO 8601, UTC."""
    waited_s: float
    deadline: str | None
    deadline_in_s: float | None
    """Less than 0 when it has passed."""


class CauseView(msgspec.Struct, kw_only=True):
    """Why somebody who is waited for does not answer."""

    agent: str
    kind: str
    """`gone`, `not-running`, `circuit-open`, `busy`, `mail-waits`, `idle`, `outside`, `cycle` or `too-deep`."""
    text: str
    """The same for people, beginning behind the agent's name."""
    status: str | None
    """Of the agent; null for somebody outside and for a name without an agent."""
    mailbox_messages: int
    busy_s: float | None
    """For how long it has had the message in hand."""
    circuit: str | None
    cycle: list[str]
    """If it is one: each waits for the next, the last for the first."""


class WaitPath(msgspec.Struct, kw_only=True):
    """Waits of which each is the reason of the one before it, down to a cause."""

    waits: list[WaitView]
    cause: CauseView


class PastWait(msgspec.Struct, kw_only=True):
    """A part of the time that a conversation took."""

    waiter: str
    waited_for: list[str]
    """Whoever spoke at last; or those for whom the node said that they did not."""
    since: str
    waited_s: float
    performative: str
    """The act that ended it."""
    message_id: str


class CriticalPath(msgspec.Struct, kw_only=True):
    """Why a conversation is not over yet, or why it took as long as it did."""

    conversation_id: str
    protocol: str | None
    """Null when its messages are free."""
    status: str
    """`open`, `cancelling` or `ended`."""
    paths: list[WaitPath]
    """What it waits for now, that which began first at the top; empty when nobody waits."""
    more: int
    """At least so many further paths were left out."""
    duration_s: float
    """From its first kept message to the last."""
    waits: list[PastWait]
    """Those that make up the duration, in the order of time."""
    by_agent: dict[str, float]
    """For whom how long was waited, in seconds; the longest first. Time waited for several counts for each."""


class DeadlockView(msgspec.Struct, kw_only=True):
    """Agents of which each waits for the next, the last for the first, and none has anything left to do."""

    cycle: list[str]
    waits: list[WaitView]
    """One for each, in the same order, but for those in conversations of which nothing was heard for long."""
    since: str | None
    """When the last of these waits began; null if none is known."""
    deadline: str | None
    """The first deadline among them: that ends it."""
