"""Whether a message may be said in its conversation, by whom and to whom. Pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from caxton.conversations.conversation import is_live
from caxton.protocols.catalogue import PROTOCOLS
from caxton.protocols.machine import INITIATOR, PARTICIPANT, START, allowed, step

if TYPE_CHECKING:
    from caxton.conversations.conversation import Conversation
    from caxton.protocols.machine import Protocol, Role

MAX_PARTICIPANTS = 10_000
"""Of one conversation; its state is one row of the journal."""


class Move(NamedTuple):
    """The message is in order. The same object for the same step, since there are few of them and many messages."""

    after: str
    """State of the participant; empty if it has none, since somebody else brought it in."""
    more_live: int
    """How many more (or less) exchanges go on: -1, 0 or 1."""


class Violation(NamedTuple):
    """The message is out of place."""

    reason: str
    """In words."""
    state: str
    allowed: tuple[str, ...] = ()
    """Acts that the sender may say instead, to this receiver."""


THIRD_PARTY = Move("", 0)
NOT_NOW = "it may not be said now"


def judge(
    talk: Conversation | None, protocol: Protocol, sender: str, receiver: str, act: str, in_reply_to: str | None
) -> Move | None:
    """What a message means for its conversation; None if it is out of place, and `violation` then says why.

    Args:
        talk: the conversation that it names; None if there is none, or it is over and its initiator begins anew.
        protocol: the one that it names.
        sender: name of an agent, or `client:NAME`.
        receiver: likewise.
        act: performative as FIPA spells it.
        in_reply_to: as in the message.

    Returns:
        The move is that of the participant: of the receiver if the initiator speaks, else of the sender.
    """
    if talk is None:
        return move_of(protocol.name, START, INITIATOR, act, False)
    if talk.protocol is not protocol or (talk.ended_us and talk.live):
        return None
    if sender == talk.initiator:
        state = talk.pairs.get(receiver, START)
        if state == START and len(talk.pairs) >= MAX_PARTICIPANTS:
            return None
        move = move_of(protocol.name, state, INITIATOR, act, False)
        if move is not None or receiver != sender:  # who speaks with itself is both
            return move
    if receiver not in (talk.initiator, talk.reply_to):
        return None
    state = talk.pairs.get(sender)
    if state is None:
        return THIRD_PARTY if act in protocol.third_party and talk.live else None
    answers_cancel = in_reply_to is not None and talk.cancels is not None and talk.cancels.get(sender) == in_reply_to
    return move_of(protocol.name, state, PARTICIPANT, act, answers_cancel)


def violation(talk: Conversation | None, protocol: Protocol, sender: str, receiver: str, act: str) -> Violation:
    """Why `judge` says None, and what might be said instead."""
    if talk is None:
        return Violation("there is no such conversation, or it is over", START, protocol.openings)
    if talk.protocol is not protocol:
        return Violation(
            f"the conversation follows {talk.protocol.name}; begin another one, with this as its parent_conversation",
            talk.protocol.name,
        )
    if talk.live and talk.ended_us:  # by the node, in the middle
        return Violation(f"the conversation is over ({talk.outcome}); begin another one", talk.outcome)
    if sender == talk.initiator:
        state = talk.state(receiver)
        if state == START and len(talk.pairs) >= MAX_PARTICIPANTS:
            return Violation(f"a conversation has at most {MAX_PARTICIPANTS} participants", START)
        return Violation(NOT_NOW, state, allowed(protocol, state, INITIATOR))
    if sender not in talk.pairs and act in protocol.openings:
        return Violation(f"{talk.initiator} began a conversation under this id; the id is taken", START)
    if receiver not in (talk.initiator, talk.reply_to):
        reason = f"in this conversation one speaks with {talk.initiator}, who began it"
        return Violation(reason, talk.state(sender))
    if sender not in talk.pairs:
        return Violation(f"{sender} takes no part in this conversation", START)
    return Violation(NOT_NOW, talk.state(sender), allowed(protocol, talk.state(sender), PARTICIPANT))


@cache
def move_of(protocol: str, state: str, role: Role, act: str, answers_cancel: bool) -> Move | None:
    """`machine.step` and what follows from it; None if the act is out of place. Few arguments ever occur."""
    rules = PROTOCOLS[protocol]
    after = step(rules, state, role, act, answers_cancel=answers_cancel)
    return None if after is None else moved_to(rules, state, after)


def moved_to(protocol: Protocol, before: str, after: str) -> Move:
    """A move that nobody made, such as a deadline that passed."""
    return Move(after, is_live(protocol, after) - is_live(protocol, before))
