"""A file of bodies by conversation, beside the journal: what it loses is missed by nobody but whoever looks back.

Written by a thread of its own, in the order asked, and not synced: it survives the end of the process, and after a
power failure it may have to begin anew. What is put within `GATHER_S` is one transaction.
"""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import apsw

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caxton.storage.database import Row

logger = logging.getLogger(__name__)

VERSION = 1
MAX_WAITING = 1000
"""Batches that the thread is behind before it takes no more."""
GATHER_S = 0.05
"""A transaction costs more than a row, and each time that the thread wakes is one at which the bus waits for it."""
ROWS_AT_ONCE = 64
"""Of one statement: the interpreter is given up, and waited for, once for all of them."""
READ_WAIT_S = 2.0
"""How long a reader waits for what was put before."""

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS bodies (
    workspace TEXT NOT NULL, conversation TEXT NOT NULL, seq INTEGER NOT NULL, attempt INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (workspace, conversation, seq, attempt)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (
    workspace TEXT NOT NULL, conversation TEXT NOT NULL, notable INTEGER NOT NULL,
    PRIMARY KEY (workspace, conversation)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""
_PRAGMAS = ("journal_mode = WAL", "synchronous = OFF", "busy_timeout = 2000", "journal_size_limit = 4194304")
ROW_BYTES = 80
"""What a body costs beside itself and its conversation's id."""

_INDEX = (
    f"SELECT k.workspace, k.conversation, coalesce(sum(length(b.body) + length(CAST(b.conversation AS BLOB)) + "  # noqa: S608 - a number of our own
    f"{ROW_BYTES}), 0), k.notable FROM kept k LEFT JOIN bodies b USING (workspace, conversation) "
    "GROUP BY 1, 2 ORDER BY max(b.seq)"
)
_FORGET = "DELETE FROM bodies WHERE (workspace, conversation) NOT IN (SELECT workspace, conversation FROM kept)"
"""What nobody would ever drop: it is there only if a transaction failed."""
_ADD = "INSERT OR REPLACE INTO bodies VALUES (?, ?, ?, ?, ?)"
_ADD_MANY = _ADD + ", (?, ?, ?, ?, ?)" * (ROWS_AT_ONCE - 1)
_MARK = "INSERT OR REPLACE INTO kept VALUES (?, ?, ?)"
_DROP = (
    "DELETE FROM bodies WHERE workspace = ? AND conversation = ?",
    "DELETE FROM kept WHERE workspace = ? AND conversation = ?",
)


@dataclass(slots=True)
class Batch:
    """What happens in one transaction, in this order."""

    drop: list[tuple[str, str]]
    """Workspace and conversation."""
    mark: list[tuple[str, str, int]]
    """The same, and whether it is notable: what is new to the file, or was not notable before."""
    add: list[Row]
    """Workspace, conversation, number of the message, attempt, body."""


class Shelf:
    """See the module. `put` is called on one thread, `bodies` on any."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; one that cannot be read is put aside. Raises OSError: it cannot be made."""
        self.path = path
        self.kept: list[tuple[str, str, int, int]]
        """What an earlier run left: workspace, conversation, what it costs, whether it is notable; oldest first."""
        try:
            self._connection, self.kept = _open(path)
        except apsw.Error as exc:
            aside = path.with_suffix(".old")
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            if path.exists():
                path.replace(aside)
            logger.warning(
                "the file of bodies could not be read and was put aside",
                extra={"action": "shelf.put_aside", "file": str(aside), "error": str(exc)},
            )
            try:
                self._connection, self.kept = _open(path)
            except apsw.Error as again:
                raise OSError(str(again)) from again
        self._work: queue.SimpleQueue[Batch | Callable[[], None] | None] = queue.SimpleQueue()
        self.failed = 0
        """Batches that could not be written."""
        self._in_a_hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shelf", daemon=True)
        self._thread.start()

    @property
    def is_behind(self) -> bool:
        """Whether what is put now would wait too long."""
        return self._work.qsize() > MAX_WAITING

    def put(self, batch: Batch) -> None:
        """Write it soon."""
        self._work.put(batch)

    def when_written(self, done: Callable[[], None]) -> None:
        """Call `done`, on the thread, when all that was put until now is written; that is now done at once."""
        self._work.put(done)
        self._in_a_hurry.set()

    def bodies(self, workspace: str, conversation: str) -> dict[tuple[int, int], bytes]:
        """Number of the message and attempt → body, of all that was put until now. Raises OSError."""
        if self._thread.is_alive():
            written = threading.Event()
            self.when_written(written.set)
            written.wait(READ_WAIT_S)
        try:
            connection: Any = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                rows = list(
                    connection.execute(
                        "SELECT seq, attempt, body FROM bodies WHERE workspace = ? AND conversation = ?",
                        (workspace, conversation),
                    )
                )
            finally:
                connection.close()
        except apsw.Error as exc:
            raise OSError(str(exc)) from exc
        return {(seq, attempt): body for seq, attempt, body in rows}

    def close(self) -> None:
        """Write what was put, and end."""
        self._work.put(None)
        self._in_a_hurry.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        is_open = True
        while is_open:
            gathered = [self._work.get()]
            self._in_a_hurry.wait(GATHER_S)
            self._in_a_hurry.clear()
            with suppress(queue.Empty):
                while True:
                    gathered.append(self._work.get_nowait())
            self._write([work for work in gathered if isinstance(work, Batch)])
            for work in gathered:
                if callable(work):
                    work()
            is_open = None not in gathered

    def _write(self, batches: list[Batch]) -> None:
        try:
            with self._connection:
                for batch in _joined(batches):
                    self._write_one(batch)
        except apsw.Error as exc:
            if not self.failed:
                logger.warning("bodies could not be written", extra={"action": "shelf.failed", "error": str(exc)})
            self.failed += len(batches)

    def _write_one(self, batch: Batch) -> None:
        for sql in _DROP:
            self._connection.executemany(sql, batch.drop)
        self._connection.executemany(_MARK, batch.mark)
        whole = len(batch.add) - len(batch.add) % ROWS_AT_ONCE
        for begin in range(0, whole, ROWS_AT_ONCE):
            self._connection.execute(_ADD_MANY, list(chain.from_iterable(batch.add[begin : begin + ROWS_AT_ONCE])))
        self._connection.executemany(_ADD, batch.add[whole:])


def _joined(batches: list[Batch]) -> list[Batch]:
    """The same in as few as can be: what is dropped is dropped after what was added before it."""
    joined: list[Batch] = []
    for batch in batches:
        if batch.drop or not joined:
            joined.append(batch)
        else:
            joined[-1].mark += batch.mark
            joined[-1].add += batch.add
    return joined


def _open(path: Path) -> tuple[Any, list[tuple[str, str, int, int]]]:
    """The connection, and what is kept: workspace, conversation, what it costs, whether it is notable; oldest first."""
    connection: Any = apsw.Connection(str(path))
    try:
        path.chmod(0o600)
        for pragma in _PRAGMAS:
            list(connection.execute(f"PRAGMA {pragma}"))
        ((version,),) = connection.execute("PRAGMA user_version")
        if version not in (0, VERSION):
            raise apsw.NotADBError(f"it is of version {version}")
        list(connection.execute(_SCHEMA))
        list(connection.execute(_FORGET))
        kept = list(connection.execute(_INDEX))  # reads every row, so damage is found now
    except BaseException:
        connection.close()
        raise
    return connection, kept
