"""How dead letters stand in the journal: the columns, which of them a filter means, and the statements. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.storage.checksum import message_checksum

if TYPE_CHECKING:
    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.storage.database import Row

_TRACE = b'"traceparent":"00-'

COLUMNS = (
    "seq, workspace, sender, receiver, message_id, conversation_id, attempts, reason, last_error, dead_us, "
    "body_bytes, trap, functions, trace_id, replayed_us, replayed_by, replayed_seq"
)
"""Of `LetterRow`, in its order; the body is only read where it is asked for."""

MAX_PURGE_LINES = 1000

OLDEST = "SELECT min(dead_us) FROM dead_letters"
WAITING = "SELECT count(*), coalesce(sum(body_bytes), 0) FROM dead_letters WHERE replayed_us IS NULL"
ONE = f"SELECT {COLUMNS}, checksum, body FROM dead_letters WHERE workspace = ? AND seq = ?"  # noqa: S608
PURGED = "SELECT letters, waiting, bytes FROM dead_letter_purges WHERE mark = ?"
REPLAYED = (
    "UPDATE dead_letters SET replayed_us = ?, replayed_by = ?, replayed_seq = ?, body = x'', checksum = ? "
    "WHERE seq = ? AND replayed_us IS NULL"
)
_COUNT_PURGED = (
    "INSERT INTO dead_letter_purges (mark, purged_us, purged_by, letters, waiting, bytes, last_seq) "
    "SELECT ?, ?, ?, count(*), coalesce(sum(replayed_us IS NULL), 0), "
    "coalesce(sum(CASE WHEN replayed_us IS NULL THEN body_bytes END), 0), coalesce(max(seq), 0) "
    "FROM dead_letters WHERE "
)
_FORGET_PURGES = "DELETE FROM dead_letter_purges WHERE id <= (SELECT max(id) FROM dead_letter_purges) - ?"


class LetterRow(msgspec.Struct, frozen=True):
    """One dead letter without its body."""

    seq: int
    workspace: str
    sender: str
    receiver: str
    message_id: str
    conversation_id: str | None
    attempts: int
    reason: str
    last_error: str | None
    dead_us: int
    body_bytes: int
    trap: str | None
    functions: str
    """A list as JSON."""
    trace_id: str | None
    replayed_us: int | None
    replayed_by: str | None
    replayed_seq: int | None

    def checksum(self, body: bytes) -> int:
        """What its row should say of the letter with that body."""
        return message_checksum(
            self.seq, self.workspace, self.sender, self.receiver, self.message_id, self.conversation_id, body
        )


class LetterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters are meant: those for which all that is given holds."""

    workspace: str
    seqs: list[int] | None = None
    receiver: str | None = None
    reason: str | None = None
    sender: str | None = None
    conversation_id: str | None = None
    dead_since_us: int | None = None
    replayed: bool | None = None
    """None: whether replayed or not."""
    above: int | None = None
    """Only sequences greater than this."""
    below: int | None = None
    """Only sequences less than this."""


def dead_letter_row(envelope: Envelope, reason: str, error: str | None, now_us: int, crash: Crash | None) -> Row:
    """The row for a new letter, in the order of the journal's INSERT."""
    body = envelope.body
    at = body.rfind(_TRACE)
    trace_id = None if at < 0 else body[at + len(_TRACE) : at + len(_TRACE) + 32].decode("ascii", "replace")
    checksum = message_checksum(
        envelope.seq, envelope.workspace, envelope.sender, envelope.receiver, envelope.message_id,
        envelope.conversation_id, body,
    )  # fmt: skip
    return (
        envelope.seq, envelope.workspace, envelope.sender, envelope.receiver, envelope.message_id,
        envelope.conversation_id, envelope.attempt, reason, error, now_us, body, len(body),
        None if crash is None else crash.kind, json.dumps([] if crash is None else crash.functions), trace_id, checksum,
    )  # fmt: skip


def where(wanted: LetterFilter) -> tuple[str, list[Any]]:
    """The condition in SQL, and its parameters."""
    # Without a receiver the plus keeps SQLite from its index, and so from sorting half a million letters (1 s).
    term = "+workspace = ?" if wanted.receiver is None else "workspace = ?"
    terms: list[tuple[str, Any]] = [(term, wanted.workspace)]
    for column in ("receiver", "reason", "sender", "conversation_id"):
        value = getattr(wanted, column)
        if value is not None:
            terms.append((f"{column} = ?", value))
    if wanted.seqs is not None:
        terms.append(("seq IN (SELECT value FROM json_each(?))", json.dumps(wanted.seqs)))
    for condition, value in (
        ("dead_us >= ?", wanted.dead_since_us), ("seq > ?", wanted.above), ("seq < ?", wanted.below),
    ):  # fmt: skip
        if value is not None:
            terms.append((condition, value))
    if wanted.replayed is not None:
        terms.append(("(replayed_us IS NOT NULL) = ?", wanted.replayed))
    return " AND ".join(term for term, _ in terms), [value for _, value in terms]


def select(wanted: LetterFilter, *, limit: int, oldest_first: bool = False) -> tuple[str, Row]:
    """The first `limit` letters in the order of their sequence, as a query."""
    condition, parameters = where(wanted)
    order = "ASC" if oldest_first else "DESC"
    sql = f"SELECT {COLUMNS} FROM dead_letters WHERE {condition} ORDER BY seq {order} LIMIT ?"  # noqa: S608
    return sql, (*parameters, limit)


def purge(condition: str, parameters: list[Any], *, mark: int, now_us: int, by: str) -> list[tuple[str, Row]]:
    """Statements that delete the letters for which `condition` holds, and count them in the same transaction.

    `PURGED` with `mark` gives the figures.
    """
    return [
        (_COUNT_PURGED + condition, (mark, now_us, by, *parameters)),
        (f"DELETE FROM dead_letters WHERE {condition}", tuple(parameters)),  # noqa: S608
        (_FORGET_PURGES, (MAX_PURGE_LINES,)),
    ]
