"""What every reader of the tool `sql` does, SQLite and PostgreSQL: it reads, and nothing else comes of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import apsw
import psycopg
import pytest

from caxton.tools.builtin.source import CannotCall, ToolError
from caxton.tools.builtin.sql import Query, Reader
from caxton.tools.builtin.sql_postgres import PostgresReader
from caxton.tools.builtin.sql_sqlite import SqliteReader
from tests.databases import FETCH_S, postgres_url
from tests.patience import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

pytestmark = pytest.mark.timeout(FETCH_S + 60)

_TABLE = "CREATE TABLE notes (id integer PRIMARY KEY, text text, score float)"
_ROWS = "INSERT INTO notes VALUES (1, 'one', 1.5), (2, 'zwölf', NULL), (3, NULL, -2)"
ENDLESS = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT count(*) AS n FROM r"


@pytest.fixture(scope="module")
def database() -> Generator[str]:
    """A PostgreSQL with the table, and a role that may read it; yields the superuser's URL."""
    with postgres_url() as url, psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            _TABLE,
            _ROWS,
            "CREATE ROLE reader LOGIN",
            "GRANT SELECT ON notes TO reader",
            "CREATE TABLE secrets (x text)",
            "CREATE ROLE writer LOGIN",
            "GRANT ALL ON notes TO writer",
            "CREATE ROLE climber LOGIN NOINHERIT IN ROLE caxton",
        ):
            connection.execute(statement.encode())
        yield url


def as_role(url: str, role: str) -> str:
    return url.replace("user=caxton", f"user={role}")


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def reader(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Reader]:
    """One that may write as far as the file or the role goes: what keeps it from that is the reader."""
    found: Reader
    if kind == "sqlite":
        path = tmp_path / "notes.db"
        connection: Any = apsw.Connection(str(path))
        connection.execute(f"{_TABLE}; {_ROWS}").fetchall()
        connection.close()
        found = SqliteReader("sql", str(path))
    else:
        found = PostgresReader(as_role(request.getfixturevalue("database"), "writer"))
    yield found
    await found.close()


def a_query(
    sql: str,
    *parameters: str | float | bool | None,
    max_rows: int = 100,
    max_bytes: int = 10_000,
    timeout_s: float = 20,
) -> Query:
    return Query(sql, parameters, max_rows, max_bytes, time.monotonic() + timeout_s)


async def refused(reader: Reader, sql: str) -> str:
    """What it says to a statement that it will not run; all is as it was."""
    with pytest.raises((CannotCall, ToolError)) as caught:
        await reader.query(a_query(sql))
    assert (await reader.query(a_query("SELECT count(*) AS n, sum(id) AS s FROM notes"))).rows == [[3, 6]]
    return caught.value.trouble if isinstance(caught.value, CannotCall) else "error"


async def test_rows_come_with_the_names_of_their_columns(reader: Reader) -> None:
    found = await reader.query(a_query("SELECT id, text, score FROM notes ORDER BY id DESC;\n"))
    assert found.columns == ["id", "text", "score"]
    assert found.rows == [[3, None, -2], [2, "zwölf", None], [1, "one", 1.5]]
    assert not found.is_cut


async def test_nothing_found_has_columns_too(reader: Reader) -> None:
    found = await reader.query(a_query("SELECT id, text FROM notes WHERE id = 9"))
    assert (found.columns, found.rows, found.is_cut) == (["id", "text"], [], False)


async def test_parameters_are_values_and_never_sql(reader: Reader, kind: str) -> None:
    mark = "?" if kind == "sqlite" else "$1"
    found = await reader.query(a_query(f"SELECT id FROM notes WHERE text = {mark}", "one' OR '1'='1"))  # noqa: S608
    assert found.rows == []
    found = await reader.query(a_query(f"SELECT id FROM notes WHERE text = {mark}", "one"))  # noqa: S608
    assert found.rows == [[1]]
    found = await reader.query(a_query(f"SELECT id FROM notes WHERE id >= {mark} ORDER BY id -- %s", 2))  # noqa: S608
    assert found.rows == [[2], [3]]


async def test_parameter_that_is_missing_is_an_error(reader: Reader, kind: str) -> None:
    with pytest.raises(ToolError):
        await reader.query(a_query(f"SELECT id FROM notes WHERE id = {'?' if kind == 'sqlite' else '$1'}"))  # noqa: S608


async def test_no_more_rows_than_wanted(reader: Reader) -> None:
    found = await reader.query(a_query("SELECT id FROM notes ORDER BY id", max_rows=2))
    assert (found.rows, found.is_cut) == ([[1], [2]], True)
    found = await reader.query(a_query("SELECT id FROM notes ORDER BY id", max_rows=3))
    assert (found.rows, found.is_cut) == ([[1], [2], [3]], False)


async def test_no_more_bytes_than_wanted(reader: Reader, kind: str) -> None:
    long = "printf('%.*c', 100, 'x')" if kind == "sqlite" else "repeat('x', 100)"
    found = await reader.query(a_query(f"SELECT id, {long} AS x FROM notes ORDER BY id", max_bytes=300))  # noqa: S608
    assert ([row[0] for row in found.rows], found.is_cut) == ([1, 2], True)


async def test_first_row_that_is_too_large_is_an_error(reader: Reader, kind: str) -> None:
    long = "printf('%.*c', 500000, 'x')" if kind == "sqlite" else "repeat('x', 20000000)"
    with pytest.raises(ToolError, match="too large"):
        await reader.query(a_query(f"SELECT {long} AS x FROM notes"))  # noqa: S608


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO notes VALUES (4, 'x', 0)",
        "UPDATE notes SET id = 7 WHERE id = 1",
        "DELETE FROM notes",
        "DROP TABLE notes",
        "CREATE TABLE more (x int)",
        "CREATE TEMP TABLE more (x int)",
        "ALTER TABLE notes ADD COLUMN y int",
        "VACUUM",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "ANALYZE",
        "REINDEX notes",
        "INSERT INTO notes VALUES (4, 'x', 0) RETURNING id",
        "SELECT 1 AS x; DELETE FROM notes",
        "SELECT 1 AS x; SELECT 2 AS x",
        "DELETE FROM notes; SELECT 1 AS x",
        "SELECT load_extension('x')",
    ],
)
async def test_nothing_is_changed(reader: Reader, sql: str) -> None:
    await refused(reader, sql)


async def test_statement_that_is_wrong_is_an_error(reader: Reader) -> None:
    assert await refused(reader, "SELEC 1") == "error"
    assert await refused(reader, "SELECT * FROM nothing") == "error"
    await refused(reader, "")
    await refused(reader, "-- nothing")


async def test_endless_statement_ends_at_its_time(reader: Reader) -> None:
    with pytest.raises(CannotCall) as caught:
        await reader.query(a_query(ENDLESS, timeout_s=0.3))
    assert caught.value.trouble == "timeout"
    assert (await reader.query(a_query("SELECT 1 AS x"))).rows == [[1]]


async def test_statement_that_nobody_waits_for_ends_and_others_go_on(reader: Reader) -> None:
    tasks = [asyncio.ensure_future(reader.query(a_query(ENDLESS, timeout_s=1000))) for _ in range(8)]
    await asyncio.wait(tasks, timeout=0.2)  # some run, some wait for their turn
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await reader.query(a_query("SELECT 1 AS x"))).rows == [[1]]


async def test_one_that_waits_for_its_turn_too_long_is_ended(reader: Reader) -> None:
    tasks = [asyncio.ensure_future(reader.query(a_query(ENDLESS, timeout_s=0.3))) for _ in range(9)]
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert {exc.trouble for exc in found if isinstance(exc, CannotCall)} == {"timeout"}
    assert len(found) == 9


# --- SQLite alone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH ':memory:' AS more",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA table_info(notes)",
        "SELECT * FROM pragma_table_info('notes')",
        "VACUUM INTO '/tmp/stolen.db'",
        "CREATE VIRTUAL TABLE v USING fts5(x)",
    ],
)
async def test_what_leads_out_of_the_file_is_refused(reader: Reader, sql: str) -> None:
    assert await refused(reader, sql) == "refused"


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_what_needs_too_much_memory_is_ended(reader: Reader) -> None:
    for sql in (
        "SELECT length(zeroblob(100000000)) AS n",
        """WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r LIMIT 100000000)
        SELECT i, printf('%.*c', 1000, i) AS x FROM r ORDER BY x""",
    ):
        with pytest.raises(ToolError, match="too large"):
            await reader.query(a_query(sql))


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_every_kind_of_value_becomes_json(reader: Reader) -> None:
    found = await reader.query(a_query("SELECT x'00ff' AS a, 9e999 AS b, 9223372036854775807 AS c, ? AS d", True))
    assert found.rows == [["AP8=", "inf", 9223372036854775807, 1]]


async def test_file_that_is_not_there_or_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database" * 100)
    for name in ("absent.db", "x.db"):
        reader = SqliteReader("sql", str(tmp_path / name))
        with pytest.raises(CannotCall) as caught:
            await reader.query(a_query("SELECT * FROM notes"))
        assert caught.value.trouble == "unavailable"
        assert str(tmp_path) not in caught.value.detail
        await reader.close()
    assert not (tmp_path / "absent.db").exists()


# --- PostgreSQL alone ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1) AS x, (SELECT 2",
        "SELECT 1 AS x) AS q; DROP TABLE notes; --",
        "SELECT 1 AS x) AS caxton_q LIMIT 5) AS a) AS b; --",
        "SELECT 1 AS x /*",
        "EXPLAIN ANALYZE DELETE FROM notes",
        "ANALYZE DELETE FROM notes",
        "COPY notes TO PROGRAM 'id'",
        "COPY notes TO STDOUT",
        "SET TRANSACTION READ WRITE",
        "SET statement_timeout = 0",
        "SHOW all",
        "LOCK TABLE notes",
        "LISTEN x",
        "NOTIFY x",
        "WITH gone AS (DELETE FROM notes RETURNING *) SELECT * FROM gone",
        "SELECT * INTO more FROM notes",
        "SELECT * FROM notes FOR UPDATE",
        "SELECT set_config('transaction_read_only', 'off', true) AS x",
        "SELECT pg_read_file('/etc/passwd') AS x",
        "SELECT lo_import('/etc/passwd') AS x",
        "SELECT lo_export(1, '/tmp/x') AS x",
        "SELECT * FROM secrets",
        "SELECT 1 AS x, 2 AS x",
        "DO $$ BEGIN DELETE FROM notes; END $$",
        "CALL x()",
    ],
)
async def test_what_would_do_more_than_read_is_refused(reader: Reader, sql: str) -> None:
    await refused(reader, sql)


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
async def test_statement_leaves_nothing_in_its_session(reader: Reader) -> None:
    await reader.query(
        a_query("SELECT set_config('application_name', 'mine', false) AS a, pg_advisory_lock(1)::text AS b")
    )
    found = await reader.query(
        a_query(
            "SELECT current_setting('application_name') AS a, "
            "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') AS b, "
            "(SELECT count(*) FROM pg_prepared_statements) AS c"
        )
    )
    assert found.rows == [["caxton", 0, 1]]  # the one prepared is this


@pytest.mark.parametrize("role", ["caxton", "climber"])
async def test_role_that_can_do_more_than_read_is_refused(database: str, role: str) -> None:
    reader = PostgresReader(as_role(database, role))
    with pytest.raises(CannotCall) as caught:
        await reader.query(a_query("SELECT 1 AS x"))
    assert caught.value.trouble == "refused"
    await reader.close()


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
async def test_query_that_nobody_waits_for_ends_in_the_server(reader: Reader, database: str) -> None:
    def is_running() -> bool:
        with psycopg.connect(database) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE usename = 'writer' AND state = 'active' AND query ~ 'pg_sleep'"
            )
            return found.fetchone() is not None

    task = asyncio.ensure_future(reader.query(a_query("SELECT 1 AS x FROM pg_sleep(100)", timeout_s=1000)))
    await asyncio.to_thread(until, is_running)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(until, lambda: not is_running())
    assert (await reader.query(a_query("SELECT 1 AS x"))).rows == [[1]]


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
async def test_after_its_connection_was_ended_the_next_query_has_another(reader: Reader, database: str) -> None:
    await reader.query(a_query("SELECT 1 AS x"))
    with psycopg.connect(database) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'writer'")
    with pytest.raises(CannotCall) as caught:
        await reader.query(a_query("SELECT 1 AS x"))
    assert caught.value.trouble == "unavailable"
    assert (await reader.query(a_query("SELECT 1 AS x"))).rows == [[1]]


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
async def test_every_type_becomes_json(reader: Reader) -> None:
    found = await reader.query(
        a_query(
            "SELECT 1.50::numeric AS a, 'NaN'::float8 AS b, '2026-01-02 03:04:05'::timestamp AS c, "
            "ARRAY[1, NULL] AS d, '{\"x\": [1]}'::jsonb AS e, '\\x00ff'::bytea AS f, true AS g"
        )
    )
    assert found.rows == [[1.5, "NaN", "2026-01-02T03:04:05", [1, None], {"x": [1]}, "\\x00ff", True]]
