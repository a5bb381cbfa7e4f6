"""How many rows of each kind a journal holds, and how old the oldest are; on a connection of its own."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import apsw

from caxton.core.errors.storage import JournalDamaged

if TYPE_CHECKING:
    from pathlib import Path

_COUNTS = {
    "pending": "SELECT count(*) FROM messages WHERE settled_us IS NULL",
    "kept": "SELECT count(*) FROM messages WHERE settled_us IS NOT NULL",
    "dead_letters": "SELECT count(*) FROM dead_letters",
    "quarantined": "SELECT count(*) FROM quarantine",
    "receipts": "SELECT count(*) FROM receipts",
    "agents": "SELECT count(*) FROM agents",
    "state": "SELECT count(*) FROM kv",
    "conversations": "SELECT count(*) FROM conversations",
    "timers": "SELECT count(*) FROM timers",
}

_OLDEST = {
    "pending": "SELECT body FROM messages WHERE settled_us IS NULL ORDER BY seq LIMIT 1",
    "kept": "SELECT min(settled_us) FROM messages WHERE settled_us IS NOT NULL",
    "dead_letters": "SELECT min(dead_us) FROM dead_letters",
}


@dataclass(frozen=True, slots=True)
class Census:
    """Rows by kind, and the time of the oldest (ISO 8601, UTC) where there is one."""

    rows: dict[str, int]
    oldest: dict[str, str]


def take_census(path: Path) -> Census:
    """Count what is in the journal at `path`. Raises `JournalDamaged` if it cannot be read."""
    try:
        connection: Any = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        with closing(connection):
            connection.set_busy_timeout(5000)
            rows = {kind: _value(connection, sql) for kind, sql in _COUNTS.items()}
            times = {kind: _time_us(_value(connection, sql)) for kind, sql in _OLDEST.items()}
    except apsw.Error as exc:
        raise JournalDamaged(str(path), str(exc)) from exc
    return Census(rows, {kind: _iso(at_us) for kind, at_us in times.items() if at_us is not None})


def _value(connection: Any, sql: str) -> Any:
    for (value,) in connection.execute(sql):
        return value
    return None


def _time_us(value: Any) -> int | None:
    """Of a settlement, or in a message."""
    if not isinstance(value, bytes):
        return value
    try:
        return int(json.loads(value)["timestamp"])
    except (ValueError, TypeError, KeyError):
        return None


def _iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")
