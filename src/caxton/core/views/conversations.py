"""Conversations that have a protocol."""

from __future__ import annotations

import msgspec


class ConversationFilter(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Which conversations are meant; what is left out does not narrow it."""

    status: str | None = None
    """`open`, `cancelling` or `ended`."""
    agent: str | None = None
    """Its initiator, or one of its participants."""
    protocol: str | None = None


class ConversationView(msgspec.Struct, kw_only=True):
    """A conversation that follows a protocol, without its participants."""

    id: str
    workspace: str
    protocol: str
    initiator: str
    """Name of the agent, or `client:NAME`, that began it."""
    status: str
    """`open`, `cancelling` (its initiator wants to end it, not all have answered that), or `ended`."""
    participants: int
    waiting: int
    """Exchanges in which somebody has to speak next."""
    begun_at: str
    """ISO 8601, UTC."""
    changed_at: str
    """When the last message moved it."""
    deadline: str | None
    """The next time at which somebody who has not spoken is too late."""
    parent: str | None
    """The conversation within which it was begun."""


class ParticipantView(msgspec.Struct, kw_only=True):
    """One participant of a conversation and how its exchange with the initiator stands."""

    name: str
    state: str
    """As the page of the protocol has it."""
    waiter: str | None
    """Who waits in this exchange; null when nobody has to speak, or all was said."""
    waits_for: str | None
    """Who has to speak."""
    since: str
    """When it came into this state; ISO 8601, UTC."""
    waited_s: float | None
    """For how long the waiter has waited."""
    deadline: str | None
    """When it is too late to speak."""


class ConversationDetail(ConversationView, kw_only=True):
    """A conversation with its participants."""

    exchanges: list[ParticipantView]
    """By the participants' names."""
    children: list[str]
    """Conversations that were begun within it."""


class ConversationPage(msgspec.Struct, kw_only=True):
    """Some conversations, those begun last first."""

    conversations: list[ConversationView]
    next: str | None
    """The `after` with which the list goes on; null at its end."""


class CancelReceipt(msgspec.Struct, kw_only=True):
    """What cancelling a conversation did."""

    conversation_id: str
    told: list[str]
    """Participants to whom the initiator's `cancel` goes now."""
    cancelling: list[str]
    """Those who had been told before and have not answered yet."""
    durability: str = "fsync"
