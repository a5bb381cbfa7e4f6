"""One conversation: its protocol, who began it, and how far each participant is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.protocols.catalogue import PROTOCOLS
from caxton.protocols.machine import LATE, START, next_to_speak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.protocols.machine import Protocol

OPEN = "open"
COMPLETED = "completed"
IDLE = "idle"
TOO_OLD = "too-old"
CANCELLED = "cancelled"
OUTCOMES = (COMPLETED, IDLE, TOO_OLD, CANCELLED)
"""How a conversation ended: by its protocol, for want of messages, for its age, by an operator."""

Row = tuple[object, ...]


class _State(msgspec.Struct, omit_defaults=True):
    """What stands in one column of a row: nobody searches in it."""

    pairs: dict[str, str]
    since: dict[str, int] = {}
    due: dict[str, int] = {}
    asked: str = ""
    cancels: dict[str, str] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_State).decode

SAVE = (
    "INSERT OR REPLACE INTO conversations (workspace, id, protocol, initiator, parent, state, messages, started_us, "
    "last_us, wake_us, ended_us, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
COLUMNS = "workspace, id, protocol, initiator, parent, state, messages, started_us, last_us, ended_us, outcome"
"""What `Conversation.load` wants, in this order."""


class Conversation:
    """Mutable, and small: there may be a million of them."""

    __slots__ = (
        "asked",
        "cancels",
        "due",
        "ended_us",
        "id",
        "initiator",
        "is_recent",
        "last_us",
        "live",
        "messages",
        "outcome",
        "pairs",
        "parent",
        "protocol",
        "since",
        "started_us",
        "taken_in",
        "workspace",
    )

    def __init__(self, workspace: str, id_: str, protocol: Protocol, initiator: str, now_us: int) -> None:
        self.workspace = workspace
        self.id = id_
        self.protocol = protocol
        self.initiator = initiator
        self.parent: str | None = None
        self.pairs: dict[str, str] = {}
        """Participant → state."""
        self.since: dict[str, int] = {}
        """Participant → when it came into that state, steady µs."""
        self.due: dict[str, int] = {}
        """Participant → when its answer must be there, steady µs; only those who have such a time."""
        self.asked = ""
        """What an answer to the initiator's last message refers to (`reply_with`)."""
        self.cancels: dict[str, str] = {}
        """The same of its `cancel`: participant → reference; only those who have not answered it."""
        self.live = 0
        """Participants with whom the exchange goes on. Who let the time for proposals pass is not waited for."""
        self.messages = 0
        self.started_us = self.last_us = now_us
        """Steady µs."""
        self.ended_us = 0
        """Steady µs; 0 while it goes on."""
        self.outcome = OPEN
        self.taken_in = 0
        """The commit that last wrote it; 0: none has."""
        self.is_recent = True
        """Something happened since somebody last looked whether it may leave memory."""

    @property
    def key(self) -> tuple[str, str]:
        return self.workspace, self.id

    def state(self, participant: str) -> str:
        return self.pairs.get(participant, START)

    def waits(self) -> Iterator[tuple[str, str]]:
        """(who waits, for whom), one for each participant with whom something is open."""
        for participant, state in self.pairs.items():
            wait = waiting(self.protocol, state, self.initiator, participant)
            if wait is not None:
                yield wait

    def wake_us(self, idle_us: int, max_age_us: int) -> int:
        """When something happens although nobody says anything, steady µs."""
        return min(self.last_us + idle_us, self.started_us + max_age_us, *self.due.values())

    def row(self, idle_us: int, max_age_us: int) -> Row:
        """For `SAVE`."""
        state = _encode(_State(self.pairs, self.since, self.due, self.asked, self.cancels)).decode()
        return (
            self.workspace, self.id, self.protocol.name, self.initiator, self.parent, state, self.messages,
            self.started_us, self.last_us, self.wake_us(idle_us, max_age_us), self.ended_us or None, self.outcome,
        )  # fmt: skip

    @classmethod
    def load(cls, row: Row) -> Conversation:
        """From a row of `COLUMNS`. Raises `ValueError` or `KeyError` when it is not one of ours."""
        workspace, id_, protocol, initiator, parent, state, messages, started_us, last_us, ended_us, outcome = row
        found = cls(str(workspace), str(id_), PROTOCOLS[str(protocol)], str(initiator), int(str(started_us)))
        said = _decode(str(state))
        found.pairs, found.since, found.due = said.pairs, said.since, said.due
        found.asked, found.cancels = said.asked, said.cancels
        found.parent = None if parent is None else str(parent)
        found.messages, found.last_us = int(str(messages)), int(str(last_us))
        found.ended_us, found.outcome = int(str(ended_us or 0)), str(outcome)
        is_end = found.protocol.is_end
        found.live = sum(state != LATE and not is_end(state) for state in found.pairs.values())
        return found


def waiting(protocol: Protocol, state: str, initiator: str, participant: str) -> tuple[str, str] | None:
    """(who waits, for whom) in `state`; None when nobody does."""
    speaker = next_to_speak(protocol, state)
    if speaker is None:
        return None
    return (initiator, participant) if speaker == "participant" else (participant, initiator)
