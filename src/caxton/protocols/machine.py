"""What an interaction protocol is: its states, who may say what in each, and what follows.

A protocol has two sides, the initiator and a participant. A conversation has one state for each participant, so a
call for proposals to a thousand bidders is a thousand pairs. The state of a pair is a text; `cancelling:` before it
says that the initiator wants to end the exchange and the participant has not answered that yet.

Two things hold in every protocol and so are in no table: `not-understood`, which either side may say at any time and
which ends the exchange of the pair, and the cancel meta-protocol, which every one of FIPA's documents has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["initiator", "participant"]
INITIATOR: Role = "initiator"
PARTICIPANT: Role = "participant"

START = "start"
"""Nothing was said yet."""

CANCELLED = "cancelled"
NOT_UNDERSTOOD = "not-understood"
EXPIRED = "expired"
"""The answer did not come in time; what comes now is out of place."""

LATE = "late"
"""The time for proposals is over, and this participant made none."""

REJECTED_LATE = "rejected-late"
"""A proposal came after its time; the node rejects it for the initiator, who does not hear of it."""

CANCELLING = "cancelling:"

_ALWAYS_ENDS = frozenset({CANCELLED, NOT_UNDERSTOOD, EXPIRED, REJECTED_LATE})
_CANCEL_ANSWERS = frozenset({"inform", "failure", NOT_UNDERSTOOD})
_TOO_LATE = frozenset({CANCELLED, EXPIRED})
"""Ends after which an answer to a cancel is out of place: it was given already, or did not come in time."""

Moves = dict[str, dict[str, str]]
"""State → act → next state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One interaction protocol as a table."""

    name: str
    """As in the message parameter `protocol`."""
    source: str
    """FIPA's number of the document, and the section if it matters."""
    initiator: Moves
    """What the initiator may say; the acts of `START` begin a conversation."""
    participant: Moves
    ends: frozenset[str]
    """States after which nothing is said any more, beside those that every protocol has."""
    turn: Mapping[str, Role | None]
    """State → who has to speak next, so that the other waits; None where nobody has to. Every state but the ends."""
    expires: Mapping[str, str] = field(default_factory=dict[str, str])
    """State → what it becomes when the `reply_by` of the initiator's last message to this participant passes without an
    answer: those where the participant owes one. A message without `reply_by` has no deadline, whatever was said before
    it: the deadline of a call is not that of the work.
    """
    third_party: frozenset[str] = frozenset()
    """Acts that agents whom the initiator never addressed (those who were recruited) may say to it while the exchange
    with a participant is not over; they change no state.
    """

    @property
    def openings(self) -> tuple[str, ...]:
        """Acts that begin a conversation."""
        return tuple(self.initiator[START])

    def is_end(self, state: str) -> bool:
        """Whether the exchange with this participant is over."""
        return state in self.ends or state in _ALWAYS_ENDS


def step(protocol: Protocol, state: str, role: Role, act: str, *, answers_cancel: bool = False) -> str | None:
    """The state after `role` said `act`; None when it may not say that now.

    Args:
        protocol: whose rules hold.
        state: of the pair.
        role: who speaks.
        act: a performative as FIPA spells it.
        answers_cancel: the message is the first that refers to the initiator's `cancel` (`in_reply_to`), so that an
            `inform` that crossed with the cancel can be told from the answer to it.
    """
    if state.startswith(CANCELLING):
        return _step_cancelling(protocol, state, role, act, answers_cancel=answers_cancel)
    after = (protocol.initiator if role == INITIATOR else protocol.participant).get(state, {}).get(act)
    if after is not None or state == START:
        return after
    if protocol.is_end(state):
        # the end crossed with a cancel, which its receiver then answers as it should
        crossed = answers_cancel and role == PARTICIPANT and act in _CANCEL_ANSWERS and state not in _TOO_LATE
        return state if crossed else None
    if act == NOT_UNDERSTOOD:
        return NOT_UNDERSTOOD
    return CANCELLING + state if act == "cancel" and role == INITIATOR else None


def _step_cancelling(protocol: Protocol, state: str, role: Role, act: str, *, answers_cancel: bool) -> str | None:
    if role == INITIATOR:
        return NOT_UNDERSTOOD if act == NOT_UNDERSTOOD else None
    inner = state.removeprefix(CANCELLING)
    crossing = None if answers_cancel else protocol.participant.get(inner, {}).get(act)
    if crossing is not None:
        return crossing if protocol.is_end(crossing) else CANCELLING + crossing
    if act == "inform":
        return CANCELLED
    if act == "failure":  # it could not be cancelled
        return inner
    if act == NOT_UNDERSTOOD:  # of the cancel: the exchange goes on; else it is over
        return inner if answers_cancel else NOT_UNDERSTOOD
    return None


def allowed(protocol: Protocol, state: str, role: Role) -> tuple[str, ...]:
    """The acts that `role` may say in `state`, in order of the alphabet."""
    inner = state.removeprefix(CANCELLING)
    if protocol.is_end(inner):
        return ()
    if state.startswith(CANCELLING):
        acts = {"inform", "failure", NOT_UNDERSTOOD, *protocol.participant.get(inner, {})}
        return tuple(sorted(acts)) if role == PARTICIPANT else (NOT_UNDERSTOOD,)
    acts = {*(protocol.initiator if role == INITIATOR else protocol.participant).get(state, {})}
    if state != START:
        acts |= {NOT_UNDERSTOOD, "cancel"} if role == INITIATOR else {NOT_UNDERSTOOD}
    return tuple(sorted(acts))


def next_to_speak(protocol: Protocol, state: str) -> Role | None:
    """Who has to speak, so that the other side waits; None when the exchange is over or nobody has to."""
    if state.startswith(CANCELLING):
        return PARTICIPANT
    return protocol.turn.get(state)


def after_deadline(protocol: Protocol, state: str) -> str | None:
    """The state once the time for an answer is over; None when no answer was due."""
    if state.startswith(CANCELLING):
        return CANCELLED
    return protocol.expires.get(state)
