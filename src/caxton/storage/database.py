"""One SQLite file behind one writer thread.

Transactions are handed over as lists of statements and run in the order asked; the caller hears of each when it is on
disk (`synchronous=FULL`, so after fsync) or has failed. Reads may be asked of the same thread.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import apsw

from caxton.core.crash import crash_point
from caxton.core.errors.server import DataDirUnusable
from caxton.core.errors.storage import JournalDamaged, StorageFailed
from caxton.observe.metrics import DURATION_BUCKETS, Histogram
from caxton.storage.schema import check_schema, migrate
from caxton.storage.wal import check_header, check_log
from caxton.storage.wide import in_few_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

Row: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = "tuple[str, Sequence[Row]]"
"""SQL and the rows to run it with, once each."""

MIN_SQLITE = (3, 51, 3)
"""Before it, two connections that checkpoint at once could corrupt a WAL database (found in March 2026)."""

CHECKPOINT_PAGES = 1000
"""Pages in the write-ahead log from which on each commit is followed by a checkpoint."""

RESTART_PAGES = 16_000
"""From here on (64 MiB) the checkpoint insists on a log that begins anew, as far as readers let it."""

BUSY_TIMEOUT_MS = 5000
"""Somebody may look into the file with the sqlite3 shell."""

MEASURE_EVERY_S = 0.1

SYNCS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds for an fsync, seconds: from a good disk to one that is dying."""

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an acknowledged message survives a power cut, not only a crash of ours
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA wal_autocheckpoint = 0",  # SQLite's own swallows errors: see `_checkpoint`
)


class DiskFull(StorageFailed):
    """A transaction found no room on the disk. It was rolled back and can be tried again."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How large the journal was when it was last measured."""

    live_bytes: int = 0
    """Pages in use; the file has free ones as well."""
    file_bytes: int = 0
    wal_bytes: int = 0
    """Of the write-ahead log, as much as counts: a log that was begun anew keeps its file."""


class Database:
    """Opens, migrates and writes one file. Use `query` before `start`, `write` and `read` after it."""

    def __init__(self, path: Path, *, vfs: str | None = None) -> None:
        """Raises `DataDirUnusable`, `JournalDamaged`, `JournalTooNew`, `StorageFailed`.

        Args:
            path: the file, made if absent.
            vfs: name of a registered SQLite VFS to reach it through, instead of the system's.
        """
        _check_sqlite()
        self.path, self._wal_path = path, path.with_name(f"{path.name}-wal")
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its companion files the same mode
            path.chmod(0o600)
            check_header(self._wal_path)
            self._connection: Any = apsw.Connection(str(path), vfs=vfs)
        except (OSError, apsw.Error) as exc:
            raise DataDirUnusable(str(path), str(exc)) from exc
        try:
            self._open()
        except BaseException as exc:
            self._connection.close()
            if isinstance(exc, apsw.CorruptError):
                raise JournalDamaged(str(path), str(exc)) from exc
            if isinstance(exc, apsw.Error | OSError):
                raise DataDirUnusable(str(path), str(exc)) from exc
            raise
        self._identity = _identity(path)
        self._wal_identity: tuple[int, int] | None = None
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._measured_at = 0.0
        self._pages_in_wal = 0
        self._broken: Exception | None = None
        self.usage = Usage()
        """Measured after commits, not more often than `MEASURE_EVERY_S`."""
        self.commit_us = [0] * DURATION_BUCKETS
        """How long transactions took, as `observe.metrics.powers` reads it."""
        self.syncs = Histogram(SYNCS)
        """How long the last step of each took: its pages are written to the log, and that is synced."""
        self.failures = {"full": 0, "io": 0, "other": 0}
        """Transactions and checkpoints that failed: no room, the disk (fsync included), anything else."""
        self._connection.set_wal_hook(self._committed_to_wal)
        self._measure()

    def _open(self) -> None:
        connection = self._connection
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # a log that is damaged stays as it is
        if connection.pragma("page_count") == 0:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL").fetchall()  # pages can be given back bit by bit
        for pragma in _PRAGMAS:
            connection.execute(pragma).fetchall()
        check_log(connection, self.path)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        self.schema_version = migrate(connection)
        check_schema(connection, self.path)

    def query(self, sql: str, parameters: Row = ()) -> list[Row]:
        """All rows; only while no writer thread runs."""
        assert self._thread is None  # noqa: S101 - two threads on one connection would be our own bug
        return list(self._connection.execute(sql, parameters))

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="caxton-journal", daemon=True)
        self._thread.start()

    def write(self, statements: list[Statement], done: Callable[[Exception | None], None]) -> None:
        """Run `statements` as one transaction; `done` is called on the writer thread, with the error if any.

        `DiskFull` says that nothing of it happened for want of room, so that it may be tried again. After any other
        error nobody may be told that anything is safe.
        """

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
        self.run(lambda connection: list(connection.execute(sql, parameters)), done)

    def run(self, work: Callable[[Any], Any], done: Callable[[Any], None]) -> None:
        """Let the writer thread do something with the connection between two transactions.

        `done` is called on that thread with what `work` returned, or with the exception. After an I/O error no
        transaction is committed any more.
        """

        def job() -> None:
            try:
                result = work(self._connection)
            except Exception as exc:
                result = self._judge(exc)
            done(result)

        self._work.put(job)

    def tidy(self, done: Callable[[Exception | None], None], *, empty_log: bool = False) -> None:
        """Checkpoint and measure, as after a commit; `done` is called on the writer thread, with the error if any.

        Args:
            done: called when it is done.
            empty_log: carry over and empty the write-ahead log however small it is, unless somebody reads.
        """

        def work(_: object) -> None:
            if empty_log:
                self._checkpoint(empty_log=True)
            self._measured_at = 0.0
            self._after_commit()

        self.run(work, done)

    def close(self) -> None:
        """Finish what was asked, then close the file. Closing twice is allowed."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._thread = None
        try:
            self._connection.close()
        except apsw.Error as exc:  # of its last checkpoint; what was committed is in the log, which stays
            logger.warning("closing the journal", exc_info=exc, extra={"action": "storage.close_failed"})

    def _transaction(self, statements: list[Statement]) -> None:
        """Raises `DiskFull`, `StorageFailed`, `apsw.Error`, … It returns only if everything is safe."""
        if self._broken is not None:
            raise StorageFailed(f"{self.path}: {self._broken}")
        began = time.perf_counter()
        try:
            self._commit(statements)
            self._check_files()
            self._after_commit()
        except Exception as exc:
            raise self._judge(exc) from exc
        took_us = int((time.perf_counter() - began) * 1e6)
        self.commit_us[took_us.bit_length()] += 1

    def _judge(self, error: Exception) -> Exception:
        """Count what went wrong, and remember it if nothing may be believed to be safe after it."""
        if _means_full(error):
            error = DiskFull(f"{self.path}: {error}")
        if isinstance(error, DiskFull):
            self.failures["full"] += 1
        elif isinstance(error, apsw.IOError | StorageFailed):
            self.failures["io"] += 1
            self._broken = error
        else:
            self.failures["other"] += 1
        return error

    def _commit(self, statements: list[Statement]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            crash_point("commit.begin")
            for n, asked in enumerate(statements):
                if n == (len(statements) + 1) // 2:
                    crash_point("commit.half")
                for sql, rows in in_few_steps(asked):
                    connection.executemany(sql, rows)
            crash_point("commit.before")
            began = time.perf_counter()
            connection.execute("COMMIT")
            self.syncs.add(time.perf_counter() - began)
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        crash_point("commit.after")

    def _check_files(self) -> None:
        """Whether what was written is where a restart will look for it."""
        if _identity(self.path) != self._identity:
            raise StorageFailed(f"{self.path} was removed or replaced while the server ran")
        wal = _identity(self._wal_path)
        if wal is None or wal != (self._wal_identity or wal):
            raise StorageFailed(f"{self._wal_path} was removed or replaced while the server ran")
        self._wal_identity = wal

    def _committed_to_wal(self, _connection: object, _name: str, pages: int) -> int:
        self._pages_in_wal = pages
        return int(apsw.SQLITE_OK)

    def _after_commit(self) -> None:
        if self._pages_in_wal >= CHECKPOINT_PAGES:
            self._checkpoint()
        if time.monotonic() - self._measured_at >= MEASURE_EVERY_S:
            self._measure()

    def _checkpoint(self, *, empty_log: bool = False) -> None:
        """Carry the write-ahead log into the file.

        SQLite would do so by itself, but not tell of a failed fsync, whose pages the system may have dropped: the next
        attempt would succeed, and forget the log that has the only copy. Raises `apsw.IOError` for that.
        """
        crash_point("checkpoint.before")
        connection = self._connection
        mode = apsw.SQLITE_CHECKPOINT_PASSIVE
        if empty_log or self._pages_in_wal >= RESTART_PAGES:  # readers kept it from beginning anew
            mode = apsw.SQLITE_CHECKPOINT_TRUNCATE
            connection.set_busy_timeout(0)
        try:
            in_wal, done = connection.wal_checkpoint(mode=mode)
        except apsw.BusyError:  # somebody reads, or checkpoints
            return
        except apsw.Error as exc:
            if not _means_full(exc):
                raise
            self.failures["full"] += 1  # the log is good for as long: what was committed is safe there
            return
        finally:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        self._pages_in_wal = in_wal if done < in_wal else 0  # all done: the next commit begins the log anew
        crash_point("checkpoint.after")

    def _measure(self) -> None:
        self._measured_at = time.monotonic()
        pragma = self._connection.pragma
        pages, free, size = (int(pragma(name)) for name in ("page_count", "freelist_count", "page_size"))
        self.usage = Usage((pages - free) * size, pages * size, self._pages_in_wal * (size + _FRAME_BYTES))

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


_FRAME_BYTES = 24


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _means_full(error: BaseException) -> bool:
    """Whether a transaction failed for want of room. For its shared memory SQLite has a code of its own."""
    return isinstance(error, apsw.FullError) or (
        isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE
    )


def _check_sqlite() -> None:
    found = apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")[:3]) < MIN_SQLITE:
        needed = ".".join(map(str, MIN_SQLITE))
        raise StorageFailed(
            f"this Python has SQLite {found} and {needed} is needed, which the locked apsw brings along"
        )
