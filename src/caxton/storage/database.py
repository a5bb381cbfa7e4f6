"""One SQLite file behind one writer thread.

Transactions are handed over as lists of statements and run in the order asked; the caller hears of each when it is on
disk (`synchronous=FULL`, so after fsync) or has failed. Reads may be asked of the same thread.
"""

from __future__ import annotations

import os
import queue
import threading
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias

import apsw

from caxton.core.errors import DataDirUnusable, JournalTooNew, StorageFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Row: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = "tuple[str, Sequence[Row]]"
"""SQL and the rows to run it with, once each."""

MIN_SQLITE = (3, 51, 3)
"""Before it, two connections that checkpoint at once could corrupt a WAL database (found in March 2026)."""

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an acknowledged message survives a power cut, not only a crash of ours
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA busy_timeout = 5000",  # somebody may look into the file with the sqlite3 shell
    "PRAGMA journal_size_limit = 67108864",
)


class Database:
    """Opens, migrates and writes one file. Use `query` before `start`, `write` and `read` after it."""

    def __init__(self, path: Path) -> None:
        """Raises `DataDirUnusable`, `JournalTooNew`, `StorageFailed`."""
        _check_sqlite()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its companion files the same mode
            path.chmod(0o600)
            self._connection: Any = apsw.Connection(str(path))
        except (OSError, apsw.Error) as exc:
            raise DataDirUnusable(str(path), str(exc)) from exc
        try:
            for pragma in _PRAGMAS:
                self._connection.execute(pragma).fetchall()
            self.schema_version = migrate(self._connection)
        except BaseException as exc:
            self._connection.close()
            if isinstance(exc, apsw.Error):
                raise DataDirUnusable(str(path), str(exc)) from exc
            raise
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def query(self, sql: str, parameters: Row = ()) -> list[Row]:
        """All rows; only while no writer thread runs."""
        assert self._thread is None  # noqa: S101 - two threads on one connection would be our own bug
        return list(self._connection.execute(sql, parameters))

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="caxton-journal", daemon=True)
        self._thread.start()

    def write(self, statements: list[Statement], done: Callable[[Exception | None], None]) -> None:
        """Run `statements` as one transaction; `done` is called on the writer thread, with the error if any."""

        def work() -> None:
            try:
                self._transaction(statements)
            except Exception as exc:  # handed to the caller, who decides what it means
                done(exc)
            else:
                done(None)

        self._work.put(work)

    def read(self, sql: str, parameters: Row, done: Callable[[list[Row] | Exception], None]) -> None:
        """Run one query behind all writes asked before it; `done` is called on the writer thread."""

        def work() -> None:
            try:
                rows: list[Row] | Exception = list(self._connection.execute(sql, parameters))
            except Exception as exc:
                rows = exc
            done(rows)

        self._work.put(work)

    def close(self) -> None:
        """Finish what was asked, then close the file. Closing twice is allowed."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._thread = None
        self._connection.close()

    def _transaction(self, statements: list[Statement]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for sql, rows in statements:
                connection.executemany(sql, rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


def _check_sqlite() -> None:
    found = apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")[:3]) < MIN_SQLITE:
        needed = ".".join(map(str, MIN_SQLITE))
        raise StorageFailed(
            f"this Python has SQLite {found} and {needed} is needed, which the locked apsw brings along"
        )


def migrate(connection: Any) -> int:
    """Bring the schema up to date, each step a transaction of its own; returns the version. Raises `JournalTooNew`."""
    found = [item for item in files("caxton.storage.migrations").iterdir() if item.name.endswith(".sql")]
    steps = sorted(found, key=lambda item: item.name)
    version = int(connection.pragma("user_version"))
    if version > len(steps):
        raise JournalTooNew(version, len(steps))
    for number, step in enumerate(steps[version:], start=version + 1):
        with connection:
            connection.execute(step.read_text(encoding="utf-8"))
            connection.pragma("user_version", number)
    return len(steps)
