"""One conversation: its protocol, who began it, and how far each participant is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from caxton.protocols.catalogue import PROTOCOLS
from caxton.protocols.machine import LATE, PARTICIPANT, START, Protocol, next_to_speak

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN = "open"
COMPLETED = "completed"
IDLE = "idle"
TOO_OLD = "too-old"
CANCELLED = "cancelled"
UNWATCHED = "unwatched"
OUTCOMES = (COMPLETED, IDLE, TOO_OLD, CANCELLED, UNWATCHED)
"""How a conversation ended: by its protocol, for want of messages, for its age, by a cancel, by the mode `off`."""

Row = tuple[object, ...]
Key: TypeAlias = tuple[str, str]
"""Workspace and id."""

SAVE = (
    "INSERT OR REPLACE INTO conversations (workspace, id, protocol, initiator, parent, state, messages, started_us, "
    "last_us, wake_us, ended_us, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
COLUMNS = "workspace, id, protocol, initiator, parent, state, messages, started_us, last_us, ended_us, outcome"
"""What `load` wants, in this order."""


class Conversation(msgspec.Struct, gc=False, eq=False):
    """Mutable, and small: there may be a million of them. Times are those of the steady clock, in µs."""

    key: Key
    protocol: Protocol
    initiator: str
    started_us: int
    last_us: int
    parent: str | None = None
    pairs: dict[str, str] = {}
    """Participant → state."""
    since: dict[str, int] = {}
    """Participant → when it came into that state."""
    due: dict[str, int] | None = None
    """Participant → when its answer must be there; only those who have such a time."""
    cancels: dict[str, str] | None = None
    """Participant → what its answer to the initiator's `cancel` refers to; only those who have not answered it."""
    reply_to: str = ""
    """Who shall get the answers instead of the initiator, as its last message says; empty: itself."""
    asked: str = ""
    """What an answer to the initiator's last message refers to (`reply_with`)."""
    live: int = 0
    """Participants with whom the exchange goes on. Who let the time for proposals pass is not waited for."""
    messages: int = 0
    ended_us: int = 0
    """0 while it goes on."""
    outcome: str = OPEN
    taken_in: int = 0
    """The commit that last wrote it; 0: none has."""
    is_recent: bool = True
    """Something happened since somebody last looked whether it may leave memory."""
    edges: tuple[tuple[str, str], ...] = ()
    """(who waits, for whom), as they stand in the graph."""

    @property
    def workspace(self) -> str:
        return self.key[0]

    @property
    def id(self) -> str:
        return self.key[1]

    def state(self, participant: str) -> str:
        return self.pairs.get(participant, START)

    def waits(self) -> Iterator[tuple[str, str]]:
        """(who waits, for whom), one for each participant with whom something is open."""
        if self.ended_us:
            return
        for participant, state in self.pairs.items():
            speaker = next_to_speak(self.protocol, state)
            if speaker is not None:
                yield (self.initiator, participant) if speaker == PARTICIPANT else (participant, self.initiator)

    def set_due(self, participant: str, due_us: int) -> None:
        """Its answer must be there until then."""
        if self.due is None:
            self.due = {}
        self.due[participant] = due_us

    def expect_cancel(self, participant: str, reference: str) -> None:
        """It has to answer a `cancel` that says `reference`."""
        if self.cancels is None:
            self.cancels = {}
        self.cancels[participant] = reference

    def wake_us(self, idle_us: int, max_age_us: int) -> int:
        """When something happens although nobody says anything."""
        return min(self.last_us + idle_us, self.started_us + max_age_us, *(self.due or {}).values())


class _State(msgspec.Struct, omit_defaults=True):
    """What stands in one column of a row: nobody searches in it."""

    pairs: dict[str, str]
    since: dict[str, int]
    due: dict[str, int] | None = None
    cancels: dict[str, str] | None = None
    asked: str = ""
    reply_to: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_State).decode


def row_of(talk: Conversation, idle_us: int, max_age_us: int) -> Row:
    """For `SAVE`."""
    state = _encode(
        _State(talk.pairs, talk.since, talk.due or None, talk.cancels or None, talk.asked, talk.reply_to)
    ).decode()
    return (
        *talk.key, talk.protocol.name, talk.initiator, talk.parent, state, talk.messages, talk.started_us,
        talk.last_us, talk.wake_us(idle_us, max_age_us), talk.ended_us or None, talk.outcome,
    )  # fmt: skip


def load(row: Row) -> Conversation:
    """From a row of `COLUMNS`. Raises `ValueError` or `KeyError` when it is not one of ours."""
    workspace, id_, protocol, initiator, parent, state, messages, started_us, last_us, ended_us, outcome = row
    said, rules = _decode(str(state)), PROTOCOLS[str(protocol)]
    return Conversation(
        (str(workspace), str(id_)), rules, str(initiator), int(str(started_us)), int(str(last_us)),
        None if parent is None else str(parent), said.pairs, said.since, said.due, said.cancels,
        said.reply_to, said.asked,
        live=sum(is_live(rules, one) for one in said.pairs.values()), messages=int(str(messages)),
        ended_us=int(str(ended_us or 0)), outcome=str(outcome),
    )  # fmt: skip


def is_live(protocol: Protocol, state: str) -> bool:
    """Whether the exchange with a participant in `state` goes on."""
    return state not in (LATE, START) and not protocol.is_end(state)
