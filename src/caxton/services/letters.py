"""Dead letters as they are read from the journal and shown."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from caxton.bus import letter_rows
from caxton.bus.dead_letters import REASONS
from caxton.bus.letter_rows import LetterFilter, LetterRow
from caxton.core.errors.dead_letters import DeadLetterDamaged, DeadLetterNotFound
from caxton.core.errors.requests import InvalidRequest
from caxton.core.ids import parse_agent_name
from caxton.core.units import parse_duration
from caxton.core.views.dead_letters import DeadLetterView, ReplayReceipt
from caxton.storage.answer import answer_of

if TYPE_CHECKING:
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.dead_letters import DeadLetterFilter
    from caxton.storage.database import Database, Row

logger = logging.getLogger(__name__)

_ID_DIGITS = 18


class LetterReader:
    """Reads from the journal what was committed before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self, sql: str, *parameters: object) -> list[Row]:
        """All rows of one query."""
        return await answer_of(lambda done: self._database.read(sql, parameters, done))

    async def letters(self, wanted: LetterFilter, *, limit: int, oldest_first: bool = False) -> list[LetterRow]:
        """The first `limit` letters that are meant, in the order of their sequence."""
        sql, parameters = letter_rows.select(wanted, limit=limit, oldest_first=oldest_first)
        return [LetterRow(*row) for row in await self.rows(sql, *parameters)]

    async def letter(self, workspace: WorkspaceName, letter_id: str) -> tuple[LetterRow, bytes]:
        """One letter and its body. Raises `DeadLetterNotFound`, `DeadLetterDamaged`."""
        seq = letter_seq(letter_id)
        rows = [] if seq is None else await self.rows(letter_rows.ONE, workspace, seq)
        if not rows:
            raise DeadLetterNotFound(letter_id)
        *columns, checksum, body = rows[0]
        row = LetterRow(*columns)
        if checksum is not None and checksum != row.checksum(body):
            logger.error("dead letter is damaged", extra={"action": "dlq.damaged", "id": letter_id})
            raise DeadLetterDamaged(letter_id)
        return row, body


def letter_seq(letter_id: str) -> int | None:
    """The number in an id; None for what can be no letter's."""
    is_one = letter_id.isascii() and letter_id.isdecimal() and len(letter_id) <= _ID_DIGITS and letter_id[0] != "0"
    return int(letter_id) if is_one else None


def known_seq(letter_id: str, field: str) -> int:
    """As `letter_seq`; raises `InvalidRequest`."""
    seq = letter_seq(letter_id)
    if seq is None:
        raise InvalidRequest("the id of a dead letter is a whole number above 0", field=field)
    return seq


def condition(
    workspace: WorkspaceName, wanted: DeadLetterFilter, *, replayed: bool | None, now_us: int
) -> LetterFilter:
    """What a person asked for, checked. Raises `InvalidRequest`, `InvalidName`, `InvalidValue`."""
    if wanted.reason is not None and wanted.reason not in REASONS:
        raise InvalidRequest(f"it must be one of {', '.join(REASONS)}", field="reason")
    since_us = None
    if wanted.since is not None:
        since_us = now_us - round(parse_duration(wanted.since, what="since") * 1e6)
    return LetterFilter(
        workspace=workspace, receiver=None if wanted.agent is None else parse_agent_name(wanted.agent),
        reason=wanted.reason, sender=wanted.sender, conversation_id=wanted.conversation_id, dead_since_us=since_us,
        replayed=replayed,
    )  # fmt: skip


def letter_view(row: LetterRow) -> DeadLetterView:
    """A letter as it is shown."""
    return DeadLetterView(
        id=str(row.seq), workspace=row.workspace, agent=row.receiver, sender=row.sender, message_id=row.message_id,
        conversation_id=row.conversation_id, reason=row.reason, explanation=REASONS.get(row.reason, row.reason),
        attempts=row.attempts, error=row.last_error, trap=row.trap, functions=msgspec.json.decode(row.functions),
        died_at=_time(row.dead_us), size_bytes=row.body_bytes, trace_id=row.trace_id,
        replayed_at=None if row.replayed_us is None else _time(row.replayed_us), replayed_by=row.replayed_by,
        replayed_as=None if row.replayed_seq is None else str(row.replayed_seq),
    )  # fmt: skip


def replay_receipt(row: LetterRow, at_us: int, by: str, seq: int, status: str) -> ReplayReceipt:
    """What is told of a replay: the same each time, but for `status`."""
    return ReplayReceipt(
        id=str(row.seq), agent=row.receiver, message_id=row.message_id, conversation_id=row.conversation_id,
        replayed_at=_time(at_us), replayed_by=by, replayed_as=str(seq), status=status,
    )  # fmt: skip


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")
