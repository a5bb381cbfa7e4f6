"""Posts whose sender gave the message an id, remembered for a while, so that a repeated post is known again.

Time here is the journal's: it runs only while a node does and never goes back, so neither a clock that is set nor a
restart shortens the window.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from caxton.core.errors.messages import InvalidMessage, MessageIdConflict
from caxton.messages.codec import MAX_ID_CHARS, encode_message

if TYPE_CHECKING:
    from caxton.bus.journal import Journal
    from caxton.core.clock import Clock
    from caxton.messages.message import AclMessage
    from caxton.storage.database import Database

WINDOW_S = 300.0
"""As long as SQS FIFO remembers: time for a client to be restarted and to try again."""

MAX_RECEIPTS = 1_000_000
"""The oldest go first when more are posted within the window; about 300 MB of memory."""

_INSERT = (
    "INSERT OR REPLACE INTO receipts (workspace, sender, message_id, digest, conversation_id, accepted_us) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_PRUNE = "DELETE FROM receipts WHERE accepted_us < ?"

Key: TypeAlias = "tuple[str, str, str]"
"""Workspace, sender (`client:NAME`) and message id."""


class Remembered(NamedTuple):
    """What became of an earlier post."""

    digest: bytes
    conversation_id: str
    accepted_us: int
    durable: bool = True
    """It was to be written; of those for memory only nothing is known after a crash, as of their messages."""


class Receipts:
    """See the module."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal, self._clock = journal, clock
        self._found: dict[Key, Remembered] = {}
        """In the order of acceptance."""
        self._base_us = 0
        self._started = clock.monotonic()
        journal.prunes.append(lambda: [(_PRUNE, [(self._oldest_us(),)])])

    def __len__(self) -> int:
        return len(self._found)

    def load(self, database: Database) -> None:
        """Take up what the journal remembers, and its time. Once, before the first message."""
        for workspace, sender, message_id, *rest in database.query(
            "SELECT workspace, sender, message_id, digest, conversation_id, accepted_us FROM receipts "
            "ORDER BY accepted_us"
        ):
            self._found[workspace, sender, message_id] = Remembered(*rest)
        self._base_us = max((found.accepted_us for found in self._found.values()), default=0)

    def find(self, key: Key, digest: bytes) -> Remembered | None:
        """The earlier post of the same message under the same id. Raises `MessageIdConflict` if it was another."""
        self._forget()
        found = self._found.get(key)
        if found is not None and found.digest != digest:
            raise MessageIdConflict(key[2], WINDOW_S)
        return found

    def remember(self, key: Key, digest: bytes, conversation_id: str, *, durable: bool) -> None:
        """A post was accepted. What may vanish in a crash must be forgotten with it: `durable` says that it may not."""
        self._found[key] = made = Remembered(digest, conversation_id, self._now_us(), durable)
        if durable:
            self._write(key, made)

    def write_down(self) -> None:
        """The node stops, and the messages that were for memory only go on with the next run: so do their receipts."""
        for key, found in self._found.items():
            if not found.durable:
                self._write(key, found)

    def _write(self, key: Key, made: Remembered) -> None:
        self._journal.insert(_INSERT, (*key, made.digest, made.conversation_id, made.accepted_us))

    def _forget(self) -> None:
        oldest_us = self._oldest_us()
        while self._found:
            key, first = next(iter(self._found.items()))
            if first.accepted_us >= oldest_us and len(self._found) <= MAX_RECEIPTS:
                return
            del self._found[key]

    def _now_us(self) -> int:
        return self._base_us + round((self._clock.monotonic() - self._started) * 1e6)

    def _oldest_us(self) -> int:
        return self._now_us() - round(WINDOW_S * 1e6)


def digest_of(message: AclMessage) -> bytes:
    """What two posts must have in common to be one: all that the sender says, byte for byte in `content`."""
    traceparent, message.traceparent = message.traceparent, None  # of the request, not of the message
    try:
        return blake2b(encode_message(message), digest_size=16).digest()
    finally:
        message.traceparent = traceparent


def check_message_id(message_id: str) -> None:
    """Raises `InvalidMessage`."""
    if len(message_id) > MAX_ID_CHARS:
        raise InvalidMessage(
            f"message_id has {len(message_id)} characters, the limit is {MAX_ID_CHARS}", field="message_id"
        )
    if not message_id.isprintable():
        raise InvalidMessage("message_id has characters that cannot be printed", field="message_id")
