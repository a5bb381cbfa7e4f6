r"""Reads a PostgreSQL, with one statement by the extended protocol in a transaction that is read-only.

Four things hold what is asked to reading. The role may not be a superuser's, nor reach one: functions of such roles
touch files of the server in any transaction. The statement is parsed alone first (`PREPARE`, which takes one statement
and executes nothing); then it runs as a subquery, which cannot be anything but a SELECT, and whose brackets it cannot
leave since it was whole alone. The transaction is begun `READ ONLY` by us, and nothing within can undo that. At the end
it is rolled back and the session is emptied, locks and settings included.

Rows come as JSON that PostgreSQL made; those over the limit of bytes are left out there, before they are sent.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.tools.builtin.postgres import Connections, psycopg_for
from caxton.tools.builtin.source import CannotCall, ToolError
from caxton.tools.builtin.sql import Rows

if TYPE_CHECKING:
    from caxton.tools.builtin.sql import Query

_IS_POWERFUL = """
SELECT EXISTS (SELECT 1 FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER') AND (rolsuper
  OR rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', 'pg_signal_backend')))
"""
_COLUMNS = "SELECT * FROM (\n{sql}\n) AS caxton_q LIMIT 0"
_ROWS = """
SELECT CASE WHEN total <= {most} THEN line END FROM (
  SELECT line, sum(octet_length(line)::bigint + 1) OVER (ROWS UNBOUNDED PRECEDING) AS total FROM (
    SELECT row_to_json(caxton_q)::text AS line FROM (
{sql}
    ) AS caxton_q LIMIT {rows}
  ) AS caxton_lines
) AS caxton_totals
"""
_REFUSED = {"25006", "42501"}
"""It would write; the role may not."""
_CANCELED = "57014"
_WRONG_PARAMETERS = "08P01"
_UNAVAILABLE = ("08", "53", "57P", "58")
"""Classes of codes that say that the server, or the way there, is ill."""


class PostgresReader:
    """See the module."""

    def __init__(self, url: str) -> None:
        """Connects when it is first asked. Raises `InvalidValue`: the URL is none, or psycopg is not installed."""
        self._psycopg = psycopg_for("postgres")
        self._connections = Connections(self._psycopg, url, self._check_role)

    async def query(self, query: Query) -> Rows:
        async with self._connections.one() as connection:
            try:
                found = await _read(connection, query)
            except self._psycopg.Error as exc:
                if exc.sqlstate is None and connection.closed:
                    raise
                await _forget(connection)
                raise _said(exc) from None
            except ToolError:
                await _forget(connection)
                raise
            await _forget(connection)
            return found

    async def close(self) -> None:
        await self._connections.close()

    async def _check_role(self, connection: Any) -> None:
        connection.cursor_factory = self._psycopg.AsyncRawCursor
        found = await connection.execute(_IS_POWERFUL)
        if (await found.fetchone())[0]:
            raise CannotCall("refused", "its role can do more than read; give it one that may only SELECT")


async def _read(connection: Any, query: Query) -> Rows:
    sql = query.sql.rstrip("; \t\r\n")
    left_ms = max(1, int((query.until - time.monotonic()) * 1000))
    await connection.execute("BEGIN READ ONLY")
    await connection.execute(f"SET LOCAL statement_timeout = {left_ms}")
    # binary=True is what makes psycopg use the extended protocol when there are no parameters
    await connection.execute(f"PREPARE caxton_statement AS {sql}", binary=True)
    columns = await _columns(connection, sql, query)
    wrapped = _ROWS.format(sql=sql, most=query.max_bytes, rows=query.max_rows + 1)
    found = await connection.execute(wrapped, list(query.parameters), binary=True)
    lines = [line for (line,) in await found.fetchall()]
    rows = [_row(line, columns) for line in lines[: query.max_rows] if line is not None]
    if lines and not rows:
        raise ToolError(f"too large: the first row alone has more than {query.max_bytes} bytes as JSON")
    return Rows(columns, rows, is_cut=len(rows) < len(lines))


async def _columns(connection: Any, sql: str, query: Query) -> list[str]:
    found = await connection.execute(_COLUMNS.format(sql=sql), list(query.parameters), binary=True)
    columns = [column.name for column in found.description]
    if len(set(columns)) < len(columns):
        raise ToolError("two columns have the same name; give them others with AS")
    return columns


def _row(line: str, columns: list[str]) -> list[Any]:
    try:
        row = msgspec.json.decode(line)
    except msgspec.DecodeError:
        raise ToolError("a row has a number that is too large; cast it to text") from None
    return [row[column] for column in columns]


async def _forget(connection: Any) -> None:
    """End the transaction, and leave nothing of it in the session: locks, settings, statements."""
    await connection.execute("ROLLBACK")
    await connection.execute("DISCARD ALL")


def _said(exc: Any) -> Exception:
    code: str = exc.sqlstate or ""
    text = exc.diag.message_primary or str(exc)
    if code == _CANCELED:
        return CannotCall("timeout", "the statement was ended: its time was over")
    if code in _REFUSED:
        return CannotCall("refused", "it may read only, and only what its role may")
    if code.startswith(_UNAVAILABLE) and code != _WRONG_PARAMETERS:
        return CannotCall("unavailable", "PostgreSQL does not answer", cause=text)
    return ToolError(text)
