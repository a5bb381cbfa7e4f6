"""Reads an SQLite file: opened read-only, with an authorizer that lets nothing but reading through.

Each statement has a connection of its own, so that none leaves anything to the next. A progress handler ends it when
its time is over, when nobody waits for it, or when it takes too much memory.
"""

from __future__ import annotations

import base64
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from caxton.tools.builtin.source import CannotCall, ToolError
from caxton.tools.builtin.sql import MAX_SQL_CHARS, Rows
from caxton.tools.builtin.threads import Threads

if TYPE_CHECKING:
    from caxton.tools.builtin.sql import Query
    from caxton.tools.builtin.threads import Stop

MAX_THREADS = 2
"""Of one source: statements that run at the same time."""
MAX_STRING_BYTES = 1 << 20
"""Of one string, BLOB or row, also in the middle of a statement."""
MAX_MEMORY_BYTES = 128 << 20
"""Of what is sorted or grouped; a statement that needs more is ended."""
STEPS = 10_000
"""Of SQLite's machine between two looks at the clock; about a tenth of a millisecond."""
BUSY_MS = 1000
"""How long a statement waits for somebody who writes, in a file without a write-ahead log."""

_ALLOWED = {apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE}
_FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer"}
_LIMITS = {
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    apsw.SQLITE_LIMIT_LENGTH: MAX_STRING_BYTES,
    apsw.SQLITE_LIMIT_SQL_LENGTH: 4 * MAX_SQL_CHARS,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 200,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    apsw.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_UNAVAILABLE = (apsw.CantOpenError, apsw.NotADBError, apsw.CorruptError, apsw.IOError, apsw.BusyError, apsw.LockedError)
_READS_ONLY = "it may read only, and run one statement"


class SqliteReader:
    """See the module."""

    def __init__(self, name: str, path: str) -> None:
        """`name` is the source's, for its threads."""
        self._path = path
        self._threads = Threads(name, MAX_THREADS)

    async def query(self, query: Query) -> Rows:
        return await self._threads.run(partial(_read, self._path, query), query.until)

    async def close(self) -> None:
        self._threads.close()


def _read(path: str, query: Query, stop: Stop) -> Rows:
    connection: Any = None
    try:
        connection = _open(path)
        stop.on_set = connection.interrupt
        return _rows(connection, query, stop)
    except (apsw.AuthError, apsw.ReadOnlyError, apsw.ExecTraceAbort):
        raise CannotCall("refused", _READS_ONLY) from None
    except apsw.InterruptError:
        stop.check()
        raise ToolError("too large: the statement needs too much memory") from None
    except (apsw.TooBigError, apsw.NoMemError):
        raise ToolError(f"too large: a value in the statement has over {MAX_STRING_BYTES} bytes") from None
    except _UNAVAILABLE as exc:
        raise CannotCall("unavailable", "its file cannot be read", cause=f"{type(exc).__name__}: {exc}") from None
    except (apsw.Error, OverflowError, UnicodeError) as exc:
        raise ToolError(str(exc)) from None
    finally:
        stop.on_set = None
        if connection is not None:
            connection.close()


def _open(path: str) -> Any:
    connection: Any = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(BUSY_MS)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0)
    connection.execute("PRAGMA temp_store = MEMORY").fetchall()  # where its size is seen; a disk it could fill
    for limit, value in _LIMITS.items():
        connection.limit(limit, value)
    connection.authorizer = _authorize
    return connection


def _authorize(operation: int, _first: str | None, second: str | None, *_: str | None) -> int:
    is_allowed = operation in _ALLOWED and not (
        operation == apsw.SQLITE_FUNCTION and (second or "").lower() in _FORBIDDEN_FUNCTIONS
    )
    return apsw.SQLITE_OK if is_allowed else apsw.SQLITE_DENY


def _rows(connection: Any, query: Query, stop: Stop) -> Rows:
    before = apsw.memory_used()

    def is_over() -> bool:
        return stop.is_due() or apsw.memory_used() - before > MAX_MEMORY_BYTES

    columns: list[str] = []

    def begin(cursor: Any, statement: str, _: object) -> bool:
        if query.sql[len(statement) :].strip("; \t\r\n"):
            return False  # something stands behind it
        columns.extend(name for name, *_ in cursor.get_description())
        return bool(columns)  # what has none is no SELECT

    connection.set_progress_handler(is_over, STEPS)
    connection.exec_trace = begin
    rows: list[list[Any]] = []
    size = 0
    for row in connection.execute(query.sql, tuple(query.parameters)):
        values = [_json(value) for value in row]
        size += len(msgspec.json.encode(values)) + 1
        if size > query.max_bytes or len(rows) == query.max_rows:
            if not rows:
                raise ToolError(f"too large: the first row alone has more than {query.max_bytes} bytes as JSON")
            return Rows(columns, rows, is_cut=True)
        rows.append(values)
    if not columns:
        raise ToolError("there is no statement in it")
    return Rows(columns, rows, is_cut=False)


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
