"""The tables of a journal: brought up to date by numbered steps, and compared with what those make."""

from __future__ import annotations

from contextlib import closing
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import apsw

from caxton.core.crash import crash_point
from caxton.core.errors.storage import JournalDamaged, JournalTooNew

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"


def migrate(connection: Any) -> int:
    """Bring the schema up to date, each step a transaction of its own; returns the version. Raises `JournalTooNew`."""
    steps = _steps()
    version = int(connection.pragma("user_version"))
    if version > len(steps):
        raise JournalTooNew(version, len(steps))
    for number, step in enumerate(steps[version:], start=version + 1):
        crash_point("migration.before")
        with connection:
            connection.execute(step)
            crash_point("migration.between")
            connection.pragma("user_version", number)
        crash_point("migration.after")
    return len(steps)


def check_schema(connection: Any, path: Path) -> None:
    """Raises `JournalTooNew`; and `JournalDamaged` if a table or index at `path` is not what the steps it has had make.

    A bit that flips in the text of a table's definition would give its columns another meaning.
    """
    try:
        found = set(connection.execute(_SCHEMA))
    except UnicodeDecodeError as exc:
        raise JournalDamaged(str(path), "a definition of its tables is no text any more") from exc
    steps, version = _steps(), int(connection.pragma("user_version"))
    if version > len(steps):
        raise JournalTooNew(version, len(steps))
    for kind, name, sql in _made_by(steps[:version]):
        if (kind, name, sql) not in found:
            raise JournalDamaged(str(path), f"the definition of {kind} {name!r} is not what it was")


def _steps() -> tuple[str, ...]:
    found = [item for item in files("caxton.storage.migrations").iterdir() if item.name.endswith(".sql")]
    return tuple(item.read_text(encoding="utf-8") for item in sorted(found, key=lambda item: item.name))


@cache
def _made_by(steps: tuple[str, ...]) -> frozenset[tuple[str, str, str]]:
    """What a new file has after these steps."""
    connection: Any = apsw.Connection(":memory:")
    with closing(connection):
        for step in steps:
            connection.execute(step).fetchall()
        return frozenset(connection.execute(_SCHEMA))
