"""The tool `sql`: one statement that reads, in one database that is granted, with everything capped.

What may be read is up to the grant: the file, or the role in PostgreSQL. That nothing else is done is up to the reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from caxton.core.errors.values import InvalidValue
from caxton.tools.builtin.options import Options
from caxton.tools.builtin.source import BuiltinSource, BuiltinTool, ToolError, answer, arguments_schema
from caxton.tools.source import ToolInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caxton.tools.source import Call, Result

MAX_SQL_CHARS = 64 << 10
MAX_PARAMETERS = 100
MAX_ROWS = 10_000
DEFAULT_ROWS = 1000
MAX_RESULT_BYTES = 320 << 10
"""Of all rows as JSON. An answer has them twice, and has to be within the cap of results."""
DEFAULT_RESULT_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, and how much may come of it."""

    sql: str
    parameters: Sequence[str | float | bool | None]
    max_rows: int
    max_bytes: int
    """Of the rows as JSON."""
    until: float
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What was found: JSON values only."""

    columns: list[str]
    rows: list[list[Any]]
    is_cut: bool
    """There are more rows, but they are more than wanted."""


class Reader(Protocol):
    """One database. Implementations pass tests/contract/test_sql_reader.py."""

    async def query(self, query: Query) -> Rows:
        """Run it; cancelled, or at `until`, it ends in the database too.

        Raises `ToolError`: the statement is wrong, or its first row is too large. Raises `CannotCall`: it would do more
        than read, there is no time left, or the database cannot be reached.
        """
        ...

    async def close(self) -> None:
        """May be called without ever having been used."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSettings:
    """Options of the tool: either a file or a URL."""

    sqlite: str = ""
    """Path of an SQLite file."""
    postgres: str = ""
    """URL of a PostgreSQL; may have a password, so it is never shown."""
    max_rows: int = DEFAULT_ROWS
    max_result: int = DEFAULT_RESULT_BYTES
    """Bytes of all rows as JSON."""

    @staticmethod
    def parse(given: Mapping[str, Any]) -> SqlSettings:
        """Raises `InvalidValue`."""
        options = Options(given)
        settings = SqlSettings(
            sqlite=options.text("sqlite", ""),
            postgres=options.text("postgres", "", is_secret=True),
            max_rows=options.count("max_rows", DEFAULT_ROWS, MAX_ROWS),
            max_result=options.size("max_result", DEFAULT_RESULT_BYTES, MAX_RESULT_BYTES),
        )
        options.done()
        if bool(settings.sqlite) == bool(settings.postgres):
            raise InvalidValue("options", "sqlite, postgres", "give one of the two")
        return settings


_QUERY = ToolInfo(
    name="query",
    description="Run one SELECT. Parameters stand in it as ? (SQLite) or $1, $2, … (PostgreSQL).",
    input_schema=arguments_schema(
        ("sql",),
        sql={"type": "string", "minLength": 1, "maxLength": MAX_SQL_CHARS},
        parameters={
            "type": "array", "maxItems": MAX_PARAMETERS,
            "items": {"type": ["string", "number", "boolean", "null"]},
        },
        max_rows={"type": "integer", "minimum": 1, "maximum": MAX_ROWS},
    ),
    output_schema=arguments_schema(
        ("columns", "rows", "more"),
        columns={"type": "array", "items": {"type": "string"}},
        rows={"type": "array", "items": {"type": "array"}},
        more={"type": "boolean", "description": "There are rows that are not here: more than the limits let through"},
    ),
    is_idempotent=True, is_read_only=True,
)  # fmt: skip


def sql_source(name: str, settings: SqlSettings) -> BuiltinSource:
    """The tool over the database that is granted. Raises `InvalidValue`: the URL is none."""
    return sql_over(name, open_reader(name, settings), settings)


def open_reader(name: str, settings: SqlSettings) -> Reader:
    """The reader that is configured; the database is reached when it is first asked. Raises `InvalidValue`."""
    # Whoever does not use PostgreSQL need not have its library.
    if settings.postgres:
        from caxton.tools.builtin.sql_postgres import PostgresReader

        return PostgresReader(settings.postgres)
    from caxton.tools.builtin.sql_sqlite import SqliteReader

    return SqliteReader(name, settings.sqlite)


def sql_over(name: str, reader: Reader, settings: SqlSettings) -> BuiltinSource:
    """The tool over a reader, which it closes."""

    async def query(call: Call) -> Result:
        given = call.arguments
        if "\0" in given["sql"]:
            raise ToolError("the statement has a NUL character in it")
        found = await reader.query(
            Query(
                given["sql"],
                given.get("parameters", ()),
                min(given.get("max_rows", MAX_ROWS), settings.max_rows),
                settings.max_result,
                call.until,
            )
        )
        return answer({"columns": found.columns, "rows": found.rows, "more": found.is_cut})

    return BuiltinSource(name, [BuiltinTool(_QUERY, query)], kind="sql", close=reader.close)
