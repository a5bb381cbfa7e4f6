"""What is known of conversations and agents, as plain records, and how the doors show it. Pure.

Whoever keeps conversations makes these records of them; `path` and the doors need no more.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from caxton.core.views.conversations import ConversationDetail, ConversationView, ParticipantView
from caxton.protocols.machine import CANCELLING, INITIATOR, Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.conversations.waits import Ask
    from caxton.messages.message import AclMessage

OPEN = "open"
BEING_CANCELLED = "cancelling"
ENDED = "ended"
STATUSES = (OPEN, BEING_CANCELLED, ENDED)
"""Of a conversation."""

NODE = "ams"
"""Who speaks for the node."""

ASKED = "asked"
"""State of a free message that wants an answer."""


class Exchange(msgspec.Struct, kw_only=True, frozen=True):
    """One participant of a conversation."""

    participant: str
    state: str
    turn: Role | None
    """Who has to speak, so that the other waits."""
    is_over: bool
    since_us: int
    """When it came into this state."""
    deadline_us: int | None = None


class ConversationFacts(msgspec.Struct, kw_only=True, frozen=True):
    """One conversation that follows a protocol."""

    id: str
    workspace: str
    protocol: str
    initiator: str
    exchanges: tuple[Exchange, ...]
    begun_us: int
    changed_us: int
    parent: str | None = None
    children: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """One of `STATUSES`."""
        going_on = [exchange for exchange in self.exchanges if not exchange.is_over]
        if not going_on:
            return ENDED
        return BEING_CANCELLED if any(one.state.startswith(CANCELLING) for one in going_on) else OPEN


class AgentFacts(msgspec.Struct, kw_only=True, frozen=True):
    """What an agent is doing."""

    status: str | None
    """As in `AgentView`; None if no agent has the name."""
    mailbox_messages: int = 0
    busy_since_us: int | None = None
    """Since when it has had a message in hand."""
    circuit: str | None = None
    """As in `CircuitBreakerView.state`."""


class MessageFacts(msgspec.Struct, kw_only=True, frozen=True):
    """One message of a conversation."""

    message_id: str
    sender: str
    receivers: tuple[str, ...]
    performative: str
    at_us: int
    """When it was accepted."""
    silent: tuple[str, ...] = ()
    """Participants for whom the node says that they did not answer in time."""


class Wait(msgspec.Struct, kw_only=True, frozen=True):
    """Somebody waits for somebody, and where."""

    waiter: str
    waited: str
    conversation_id: str | None
    protocol: str | None
    state: str
    since_us: int
    deadline_us: int | None = None


def waits_in(facts: ConversationFacts) -> Iterator[Wait]:
    """Who waits for whom in a conversation."""
    for exchange in facts.exchanges:
        waiter, waited = _sides(facts, exchange)
        if waiter is not None and waited is not None:
            yield Wait(
                waiter=waiter, waited=waited, conversation_id=facts.id, protocol=facts.protocol, state=exchange.state,
                since_us=exchange.since_us, deadline_us=exchange.deadline_us,
            )  # fmt: skip


def waits_for_answers(ask: Ask) -> Iterator[Wait]:
    """Who waits for whom because of a free message."""
    for waited in sorted(ask.waited):
        yield Wait(
            waiter=ask.waiter, waited=waited, conversation_id=ask.conversation_id, protocol=None, state=ASKED,
            since_us=ask.since_us, deadline_us=ask.reply_by_us,
        )  # fmt: skip


def message_facts(message: AclMessage) -> MessageFacts:
    """What counts of a message. One in which the node says that a deadline passed names those who were silent."""
    receivers = message.receiver if isinstance(message.receiver, list) else [message.receiver]
    silent: list[str] = []
    if message.sender == NODE and message.performative == "failure":
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            silent = msgspec.json.decode(message.content, type=_DeadlinePassed).silent
    return MessageFacts(
        message_id=message.message_id, sender=message.sender, receivers=tuple(one for one in receivers if one),
        performative=message.performative, at_us=message.timestamp, silent=tuple(silent),
    )  # fmt: skip


class _DeadlinePassed(msgspec.Struct):
    silent: list[str] = []


# --- as the doors show it ----------------------------------------------------------------------------------------


def iso(at_us: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")


def iso_or_none(at_us: int | None) -> str | None:
    """The same for a time that may not be set."""
    return None if at_us is None else iso(at_us)


def seconds(us: int) -> float:
    """Microseconds as seconds, to the millisecond."""
    return round(us / 1e6, 3)


def summary(facts: ConversationFacts) -> ConversationView:
    """A conversation without its participants."""
    speaking = [exchange for exchange in facts.exchanges if exchange.turn is not None and not exchange.is_over]
    deadlines = [exchange.deadline_us for exchange in speaking if exchange.deadline_us is not None]
    return ConversationView(
        id=facts.id, workspace=facts.workspace, protocol=facts.protocol, initiator=facts.initiator,
        status=facts.status, participants=len(facts.exchanges), waiting=len(speaking), begun_at=iso(facts.begun_us),
        changed_at=iso(facts.changed_us), deadline=iso_or_none(min(deadlines, default=None)), parent=facts.parent,
    )  # fmt: skip


def detail(facts: ConversationFacts, now_us: int) -> ConversationDetail:
    """A conversation with its participants."""
    above = msgspec.structs.asdict(summary(facts))
    exchanges = sorted(facts.exchanges, key=lambda exchange: exchange.participant)
    shown = [_participant(facts, exchange, now_us) for exchange in exchanges]
    return ConversationDetail(**above, exchanges=shown, children=list(facts.children))


def _participant(facts: ConversationFacts, exchange: Exchange, now_us: int) -> ParticipantView:
    waiter, waited = _sides(facts, exchange)
    return ParticipantView(
        name=exchange.participant, state=exchange.state, waiter=waiter, waits_for=waited, since=iso(exchange.since_us),
        waited_s=None if waiter is None else max(seconds(now_us - exchange.since_us), 0.0),
        deadline=None if waiter is None else iso_or_none(exchange.deadline_us),
    )  # fmt: skip


def _sides(facts: ConversationFacts, exchange: Exchange) -> tuple[str | None, str | None]:
    """Who waits, and for whom."""
    if exchange.turn is None or exchange.is_over:
        return None, None
    sides = exchange.participant, facts.initiator
    return sides if exchange.turn == INITIATOR else (sides[1], sides[0])
