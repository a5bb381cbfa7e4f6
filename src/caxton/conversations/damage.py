"""Rows of the journal that are no conversations, or none that this version can follow."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from caxton.conversations.conversation import DamagedRow, UnknownProtocol, load
from caxton.storage.verify import unreadable_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.conversations.conversation import Conversation
    from caxton.storage.database import Row, Statement

logger = logging.getLogger(__name__)

_KEEP = "INSERT INTO quarantine (found_us, source, row, reason, data) VALUES (?, 'conversations', ?, ?, ?)"
_WHERE = "workspace IN (?1, CAST(?1 AS TEXT)) AND id IN (?2, CAST(?2 AS TEXT))"
_DELETE = f"DELETE FROM conversations WHERE {_WHERE} AND checksum IS ?3"  # noqa: S608 - unless it was written anew
_CHECKSUM = f"SELECT checksum FROM conversations WHERE {_WHERE}"  # noqa: S608


class Damage:
    """Each is logged once. What is damaged is put aside with the next commit; the rest stays where it is."""

    def __init__(self) -> None:
        self._kept: list[Row] = []
        self._deleted: list[Row] = []
        self._seen: set[Row] = set()
        """All that are or will be put aside: key and checksum."""
        self._foreign: set[str] = set()
        """Protocols that this version does not know."""

    def __len__(self) -> int:
        """Rows that the next commit puts aside."""
        return len(self._deleted)

    def load(self, row: Row) -> Conversation | None:
        """From a row of `conversation.COLUMNS`; None if it is no good."""
        try:
            return load(row)
        except DamagedRow as exc:
            self._put_aside((row[0], row[1]), row[-2], str(exc), repr(row[2:-1]).encode())
        except UnknownProtocol as exc:
            self._leave_out(str(exc.args[0]))
        return None

    def take(self) -> list[Statement]:
        """See `bus.journal.Source`; before the rows that are written anew."""
        if not self._deleted:
            return []
        kept, deleted = self._kept, self._deleted
        self._kept, self._deleted = [], []
        return [(_KEEP, kept), (_DELETE, deleted)]

    def put_aside(self, query: Callable[[str, Row], list[Row]]) -> None:
        """What was found until now, at once; before the writer starts."""
        statements = self.take()
        if not statements:
            return
        query("BEGIN IMMEDIATE", ())
        try:
            for sql, rows in statements:
                for row in rows:
                    query(sql, row)
            query("COMMIT", ())
        except BaseException:
            query("ROLLBACK", ())
            raise

    def put_unreadable_aside(self, query: Callable[[str, Row], list[Row]]) -> None:
        """All rows that have a text which is none any more, at once; before the writer starts."""
        for key, data in unreadable_rows(lambda sql: query(sql, ()), "conversations"):
            for (checksum,) in query(_CHECKSUM, key):
                self._put_aside(key, checksum, "a text in it is no UTF-8", data)
        self.put_aside(query)

    def _put_aside(self, key: Row, checksum: object, reason: str, data: bytes) -> None:
        found = (*key, checksum)
        if found in self._seen:
            return
        self._seen.add(found)
        shown = "/".join(_shown(part) for part in key)
        self._kept.append((time.time_ns() // 1000, shown, reason, data))
        self._deleted.append(found)
        facts = {"action": "storage.quarantined", "table": "conversations", "row": shown}
        logger.error("a row of the journal is damaged and was put aside", extra=facts)

    def _leave_out(self, protocol: str) -> None:
        if protocol not in self._foreign:
            self._foreign.add(protocol)
            facts = {"action": "conversation.unknown_protocol", "protocol": protocol}
            logger.warning("conversations with a protocol that this version does not know are left out", extra=facts)


def _shown(part: object) -> str:
    return part.decode("utf-8", "backslashreplace") if isinstance(part, bytes) else str(part)
