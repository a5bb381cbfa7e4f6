"""Whether a message may be said in its conversation, by whom and to whom. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from caxton.protocols.machine import INITIATOR, PARTICIPANT, START, allowed, step

if TYPE_CHECKING:
    from caxton.conversations.conversation import Conversation
    from caxton.protocols.machine import Protocol, Role

MAX_PARTICIPANTS = 10_000
"""Of one conversation; its state is one row of the journal."""


class Move(NamedTuple):
    """The message is in order."""

    participant: str
    """Whose state changes; empty for a message from somebody who was brought in and has no state."""
    before: str
    after: str


class Violation(NamedTuple):
    """The message is out of place."""

    reason: str
    """In words."""
    state: str
    allowed: tuple[str, ...] = ()
    """Acts that the sender may say instead, to this receiver."""


def judge(
    talk: Conversation | None, protocol: Protocol, sender: str, receiver: str, act: str, *, in_reply_to: str | None
) -> Move | Violation:
    """What a message means for its conversation.

    Args:
        talk: the conversation that it names; None if there is none, or it is over and its initiator begins anew.
        protocol: the one that it names.
        sender: name of an agent, or `client:NAME`.
        receiver: likewise.
        act: performative as FIPA spells it.
        in_reply_to: as in the message.
    """
    if talk is None:
        return _opening(protocol, receiver, act)
    if talk.protocol is not protocol:
        return Violation(
            f"the conversation follows {talk.protocol.name}; begin another one, with this as its parent_conversation",
            talk.protocol.name,
        )
    if sender == talk.initiator and (receiver != sender or talk.state(receiver) == START):
        return _of_initiator(talk, receiver, act)
    if sender not in talk.pairs and act in protocol.openings:
        return Violation(f"{talk.initiator} began a conversation under this id; the id is taken", START)
    if receiver != talk.initiator:
        return Violation(f"in this conversation one speaks with {talk.initiator}, who began it", _state(talk, sender))
    state = talk.pairs.get(sender)
    if state is None:
        if act in protocol.third_party:
            return Move("", "", "")
        return Violation(f"{sender} takes no part in this conversation", START)
    answers_cancel = in_reply_to is not None and in_reply_to == talk.cancels.get(sender)
    return _step(talk, sender, state, PARTICIPANT, act, answers_cancel=answers_cancel)


def _opening(protocol: Protocol, receiver: str, act: str) -> Move | Violation:
    after = step(protocol, START, INITIATOR, act)
    if after is None:
        return Violation("there is no such conversation, or it is over", START, protocol.openings)
    return Move(receiver, START, after)


def _of_initiator(talk: Conversation, receiver: str, act: str) -> Move | Violation:
    state = talk.state(receiver)
    if state == START and len(talk.pairs) >= MAX_PARTICIPANTS:
        return Violation(f"a conversation has at most {MAX_PARTICIPANTS} participants", START)
    return _step(talk, receiver, state, INITIATOR, act)


def _step(
    talk: Conversation, participant: str, state: str, role: Role, act: str, *, answers_cancel: bool = False
) -> Move | Violation:
    after = step(talk.protocol, state, role, act, answers_cancel=answers_cancel)
    if after is None:
        return Violation("it may not be said now", state, allowed(talk.protocol, state, role))
    return Move(participant, state, after)


def _state(talk: Conversation, name: str) -> str:
    return talk.pairs.get(name, START)
