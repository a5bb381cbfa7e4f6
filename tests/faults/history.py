"""What was seen from outside of a server, line by line in files that are only ever added to.

Each line is a JSON array: a time in ns (`time.monotonic_ns`, one clock for all processes of a machine), what happened,
and the fields of the class below that has this name. A line that a kill has cut off is not there.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

Place: TypeAlias = tuple[str, str]
"""An agent and the token of a message."""

FSYNC, MEMORY, REPLY, FAILED = "fsync", "memory", "reply", "failed"
"""What a client was told: accepted (how), the reply, or that the receiver failed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A client is about to post a message."""

    at: int
    client: str
    n: int
    """Counts this client's messages; it posts one only after the last was answered."""
    message_id: str
    receiver: str
    priority: int
    content: dict[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class Ack:
    """A client got its answer."""

    at: int
    message_id: str
    durability: str


@dataclass(frozen=True, slots=True)
class Send:
    """A handler asks the host to send; it may fail after that."""

    at: int
    run: int
    agent: str
    receiver: str
    token: str
    digest: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """A handler is about to get a message."""

    at: int
    run: int
    agent: str
    sender: str
    message_id: str
    seq: int
    attempt: int
    replayed: bool
    priority: int
    token: str
    digest: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A server serves."""

    at: int
    run: int


@dataclass(frozen=True, slots=True)
class Exit:
    """A server has ended."""

    at: int
    run: int
    code: int


KINDS: dict[str, tuple[type, str]] = {
    "attempt": (Attempt, "attempts"), "ack": (Ack, "acks"), "send": (Send, "sends"),
    "deliver": (Deliver, "delivers"), "ready": (Ready, "readies"), "exit": (Exit, "exits"),
}  # fmt: skip
"""Word → what it says, and where in a `History` it is."""


class Pen:
    """Writes lines of one process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, what: str, *fields: object) -> None:
        """One line, at once: what the kernel has survives the process."""
        os.write(self._file, msgspec.json.encode([time.monotonic_ns(), what, *fields]) + b"\n")

    def close(self) -> None:
        os.close(self._file)


@dataclass(slots=True)
class History:
    """All lines of a directory, each kind in the order of time."""

    agents: tuple[str, ...]
    """Who is deployed; each of them hears every topic."""
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    acks: list[Ack] = field(default_factory=list[Ack])
    sends: list[Send] = field(default_factory=list[Send])
    delivers: list[Deliver] = field(default_factory=list[Deliver])
    readies: list[Ready] = field(default_factory=list[Ready])
    exits: list[Exit] = field(default_factory=list[Exit])

    def receivers(self, name: str, sender: str | None = None) -> list[str]:
        """The agents that a message to `name` reaches."""
        return [name] if "://" not in name else [agent for agent in self.agents if agent != sender]


def read(directory: Path) -> History:
    """The history in `directory`: `agents.json` and every `*.lines`."""
    history = History(tuple(msgspec.json.decode((directory / "agents.json").read_bytes(), type=list[str])))
    found: list[tuple[str, Any]] = []
    for path in directory.glob("*.lines"):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                at, what, *fields = msgspec.json.decode(line)
                kind, where = KINDS[what]
                found.append((where, kind(at, *fields)))
    for where, entry in sorted(found, key=lambda one: one[1].at):
        getattr(history, where).append(entry)
    return history


def digest(content: bytes) -> str:
    """Tells one content from another."""
    return blake2b(content, digest_size=8).hexdigest()
