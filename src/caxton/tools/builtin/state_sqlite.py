"""State in an SQLite file, written by a thread of its own.

What is asked while a transaction is being written is done together in the next one, so that many callers share an
fsync. Who asked hears of it when it is on the disk.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from caxton.tools.builtin.source import CannotCall
from caxton.tools.builtin.state import StoreFull

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caxton.tools.builtin.state import Room

T = TypeVar("T")

VERSION = 1
MAX_TOGETHER = 256
"""Calls in one transaction: the first of them waits for the last."""
CLOSE_S = 5.0
"""How long the end waits for a disk that hangs."""

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS entries (
    space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, call TEXT NOT NULL,
    PRIMARY KEY (space, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spaces (
    space TEXT PRIMARY KEY, entries INTEGER NOT NULL, size INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # who was told that it is kept finds it after a power cut
    "busy_timeout = 5000",
    "trusted_schema = OFF",
    "journal_size_limit = 4194304",
)
_COUNT = (
    "INSERT INTO spaces VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
    "entries = entries + excluded.entries, size = size + excluded.size"
)


class SqliteStore:
    """See the module. Used from one event loop."""

    def __init__(self, path: Path) -> None:
        """The file is opened, or made, when it is first used."""
        self._path = path
        self._connection: Any = None
        self._work: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def get(self, space: str, key: bytes) -> bytes | None:
        return await self._run(lambda connection: _get(connection, space, key)[0])

    async def set(self, space: str, key: bytes, value: bytes, room: Room) -> None:
        await self._run(lambda connection: _set(connection, space, key, value, "", room))

    async def delete(self, space: str, key: bytes) -> bool:
        return await self._run(lambda connection: _delete(connection, space, key))

    async def keys(self, space: str, prefix: bytes, after: bytes, limit: int) -> list[bytes]:
        return await self._run(lambda connection: _keys(connection, space, prefix, after, limit))

    async def compare_and_set(
        self, space: str, key: bytes, expected: bytes | None, value: bytes, call: str, room: Room
    ) -> bool:
        def work(connection: Any) -> bool:
            found, last = _get(connection, space, key)
            if call and last == call:
                return True
            if found != expected:
                return False
            _set(connection, space, key, value, call, room)
            return True

        return await self._run(work)

    async def close(self) -> None:
        if self._thread is None:
            return
        self._work.put(None)
        await asyncio.to_thread(self._thread.join, CLOSE_S)
        self._thread = None

    async def _run(self, work: Callable[[Any], T]) -> T:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=f"tool-{self._path.stem}", daemon=True)
            self._thread.start()
        job = _Job(work)
        self._work.put(job)
        return await job.done

    def _serve(self) -> None:
        is_open = True
        while is_open:
            jobs: list[_Job | None] = [self._work.get()]
            with suppress(queue.Empty):
                while len(jobs) < MAX_TOGETHER:
                    jobs.append(self._work.get_nowait())
            is_open = None not in jobs
            self._transaction([job for job in jobs if job is not None])
        self._let_go()

    def _let_go(self) -> None:
        """After an error too: what a disk that failed has of a connection's pages is not known."""
        if self._connection is not None:
            with suppress(apsw.Error):
                self._connection.close()
            self._connection = None

    def _transaction(self, jobs: list[_Job]) -> None:
        try:
            if self._connection is None:
                self._connection = _open(self._path)
            with self._connection:
                for job in jobs:
                    job.work_in(self._connection)
        except Exception as exc:  # a wall: the thread goes on, and who waits is told
            self._let_go()
            for job in jobs:
                job.tell(_unavailable(exc) if isinstance(exc, apsw.Error | OSError) else exc)
            return
        for job in jobs:
            job.tell(None)


class _Job:
    """Something to do in the next transaction."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Any] = self._loop.create_future()
        self._result: object = None

    def work_in(self, connection: Any) -> None:
        """Raises what concerns all in the transaction."""
        if self.done.cancelled():
            return
        try:
            with connection:  # a savepoint: what fails in the middle leaves nothing behind
                self._result = self._work(connection)
        except StoreFull as exc:
            self._result = exc

    def tell(self, failed: Exception | None) -> None:
        """Let whoever waits go on, now that it is on the disk, or has failed."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(partial(self._arrive, failed or self._result))

    def _arrive(self, result: object) -> None:
        if self.done.done():
            return
        if isinstance(result, Exception):
            self.done.set_exception(result)
        else:
            self.done.set_result(result)


def _open(path: Path) -> Any:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection: Any = apsw.Connection(str(path))
    try:
        path.chmod(0o600)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        ((version,),) = connection.execute("PRAGMA user_version")
        if version not in (0, VERSION):
            raise apsw.NotADBError(f"it is of version {version}")
        connection.execute(_SCHEMA).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _unavailable(exc: Exception) -> CannotCall:
    detail = "its disk is full" if isinstance(exc, apsw.FullError) else "its file cannot be used"
    return CannotCall("unavailable", detail, cause=f"{type(exc).__name__}: {exc}")


def _get(connection: Any, space: str, key: bytes) -> tuple[bytes | None, str]:
    """The value and the call that set it."""
    for value, call in connection.execute("SELECT value, call FROM entries WHERE space = ? AND key = ?", (space, key)):
        return value, call
    return None, ""


def _set(connection: Any, space: str, key: bytes, value: bytes, call: str, room: Room) -> None:
    old = _get(connection, space, key)[0]
    entries, size = (1, len(key) + len(value)) if old is None else (0, len(value) - len(old))
    for has_entries, has_size in connection.execute("SELECT entries, size FROM spaces WHERE space = ?", (space,)):
        if (entries and has_entries >= room.entries) or (size > 0 and has_size + size > room.size):
            raise StoreFull
        break
    else:
        if size > room.size:
            raise StoreFull
    connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", (space, key, value, call))
    connection.execute(_COUNT, (space, entries, size))


def _delete(connection: Any, space: str, key: bytes) -> bool:
    old = _get(connection, space, key)[0]
    if old is None:
        return False
    connection.execute("DELETE FROM entries WHERE space = ? AND key = ?", (space, key))
    connection.execute(_COUNT, (space, -1, -len(key) - len(old)))
    return True


def _keys(connection: Any, space: str, prefix: bytes, after: bytes, limit: int) -> list[bytes]:
    found = connection.execute(
        "SELECT key FROM entries WHERE space = ? AND key >= ? AND key > ? AND (? IS NULL OR key < ?) "
        "ORDER BY key LIMIT ?",
        (space, prefix, after, *(above(prefix),) * 2, limit),
    )
    return [key for (key,) in found]


def above(prefix: bytes) -> bytes | None:
    """The least bytes that are greater than all that begin with `prefix`, which is UTF-8; None: there is no end."""
    return prefix[:-1] + bytes((prefix[-1] + 1,)) if prefix else None
