"""Whether every row is what was written: looks at a whole journal, and puts away single rows that are not.

`PRAGMA integrity_check` finds pages that do not fit together; checksums find a value that is another.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import apsw

from caxton.core.errors.storage import JournalDamaged
from caxton.storage.checksum import conversation_checksum, kv_checksum, message_checksum
from caxton.storage.schema import check_schema
from caxton.storage.wal import check_header, check_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from caxton.storage.database import Database, Row

MAX_FINDINGS = 1000
"""A report longer than this says nothing more: the file is lost."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was written."""

    table: str
    row: str
    """The row's key; empty if it is not about one row."""
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, and what was found."""

    rows: dict[str, int]
    """Table → rows whose checksum was compared."""
    unchecked: int
    """Rows that have no checksum: of tables without any, and from before there were any."""
    findings: list[Finding]


def verify_file(path: Path, *, at_rest: bool = False) -> Report:
    """Look at every page and row of the journal at `path`, beside a server that may be writing to it.

    Args:
        path: the database; it is opened to read.
        at_rest: no server runs, so its write-ahead log can be looked at as well.

    Raises:
        JournalDamaged: it cannot be read as a database at all.
    """
    if at_rest:
        check_header(path.with_name(f"{path.name}-wal"))
    try:
        connection: Any = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        with closing(connection):
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.execute("PRAGMA trusted_schema = OFF").fetchall()
            connection.set_busy_timeout(5000)
            if at_rest:
                check_log(connection, path)
            check_schema(connection, path)
            return verify(connection)
    except apsw.Error as exc:
        raise JournalDamaged(str(path), str(exc)) from exc


def verify(connection: Any) -> Report:
    """As `verify_file`, on a connection of the caller's."""
    findings: list[Finding] = []
    rows: dict[str, int] = {}
    unchecked = 0
    for (problem,) in _safely(connection, f"PRAGMA integrity_check({MAX_FINDINGS})", "", findings):
        if problem != "ok":
            findings.append(Finding("", "", str(problem)))
    for check in _CHECKS:
        for row in _safely(connection, check.sql, check.table, findings):
            key, checksum = "/".join(map(_shown, row[: check.key_columns])), row[-1]
            if checksum is None:
                unchecked += 1
            else:
                rows[check.table] = rows.get(check.table, 0) + 1
            problem = check.problem(row)
            if problem and len(findings) < MAX_FINDINGS:
                findings.append(Finding(check.table, key, problem))
    for table in _UNCHECKED:
        unchecked += sum(1 for _ in _safely(connection, f"SELECT * FROM {table}", table, findings))  # noqa: S608
    for table in (*_TEXTS, *_UNCHECKED):
        findings += _of_wrong_type(connection, table)[: MAX_FINDINGS - len(findings)]
    return Report(rows, unchecked, findings)


def _of_wrong_type(connection: Any, table: str) -> list[Finding]:
    """Rows in which a number became a text, or the like: SQLite would not mind."""
    found: list[Finding] = []
    columns = list(_safely(connection, f"SELECT name, type, pk FROM pragma_table_info('{table}')", table, found))  # noqa: S608
    key = ", ".join(f"quote({name})" for name, _, place in sorted(columns, key=lambda column: column[2]) if place)
    for name, kind, _ in columns:
        sql = f"SELECT {key} FROM {table} NOT INDEXED WHERE typeof({name}) NOT IN ('{kind.lower()}', 'null')"  # noqa: S608
        rows = list(_safely(connection, sql, table, found))
        found += [Finding(table, "/".join(map(_shown, row)), f"its {name} is no {kind}") for row in rows]
    return found


def is_good_message(columns: Sequence[Any], checksum: int | None) -> bool:
    """Whether a row of `messages` or `dead_letters` is what was written, as far as a checksum can tell.

    Args:
        columns: those that the checksum is of, in the order of `message_checksum`.
        checksum: what the row says; null in those that are older than checksums.
    """
    if checksum is None:
        return True
    try:
        found = message_checksum(*columns)
    except (TypeError, ValueError):  # a text that became a number, or is no UTF-8 any more
        return False
    return found == checksum


def is_good_kv(workspace: str, agent: str, key: bytes, value: bytes, checksum: int | None) -> bool:
    """Whether a row of `kv` is what was written."""
    if checksum is None:
        return True
    try:
        return kv_checksum(workspace, agent, key, value) == checksum
    except (TypeError, ValueError):
        return False


def is_good_conversation(columns: Row, checksum: object) -> bool:
    """Whether a row of `conversations` is what was written; `columns`: all others, in the order of the table."""
    if checksum is None:
        return True
    try:
        return conversation_checksum(columns) == checksum
    except (TypeError, ValueError):
        return False


def quarantine(database: Database, table: str, where: str, key: Row, reason: str, data: object, now_us: int) -> None:
    """Move the row of `table` with this `key` to the quarantine, in one transaction; before the writer starts.

    Args:
        database: the open journal.
        table: `messages`, `dead_letters` or `kv`.
        where: SQL that finds the row, with a place for each part of `key`.
        key: as found in the row, whatever it may have become.
        reason: why, for people.
        data: what it holds: bytes are kept as they are, anything else as text.
        now_us: wall time.
    """
    kept = data if isinstance(data, bytes) else str(data).encode("utf-8", "replace")
    database.query("BEGIN IMMEDIATE")
    try:
        database.query(
            "INSERT INTO quarantine (found_us, source, row, reason, data) VALUES (?, ?, ?, ?, ?)",
            (now_us, table, "/".join(map(_shown, key)), reason, kept),
        )
        database.query(f"DELETE FROM {table} WHERE {where}", key)  # noqa: S608 - both are our own words
        database.query("COMMIT")
    except BaseException:
        database.query("ROLLBACK")
        raise


@dataclass(frozen=True, slots=True)
class _Check:
    """One table: how its rows are read (key first, checksum last), and what is wrong with one."""

    table: str
    sql: str
    key_columns: int
    problem: Callable[[Row], str]


_MISMATCH = "its checksum does not fit"
_NO_TEXT = "a text in it is no UTF-8"

_IN_MESSAGE = ("workspace", "sender", "receiver", "message_id", "conversation_id")
_TEXTS = {
    "messages": ("seq", _IN_MESSAGE, "CAST(body AS BLOB)"),
    "dead_letters": ("seq", _IN_MESSAGE, "CAST(body AS BLOB)"),
    "kv": ("CAST(workspace AS BLOB), CAST(agent AS BLOB), CAST(key AS BLOB)", ("workspace", "agent"), "value"),
    "conversations": (
        "CAST(workspace AS BLOB), CAST(id AS BLOB)",
        ("workspace", "id", "protocol", "initiator", "parent", "state", "outcome"),
        "CAST(state AS BLOB)",
    ),
    "modules": ("CAST(sha256 AS BLOB)", ("sha256",), "CAST('' AS BLOB)"),
    "agents": ("CAST(workspace AS BLOB), CAST(name AS BLOB)", ("workspace", "name", "id", "phase"), "spec"),
}
"""Table → its key, its columns of text, and what a row holds."""


def _agent_problem(row: Row) -> str:
    _, name, spec, _ = row
    try:
        said = json.loads(spec)["name"]
    except (ValueError, TypeError, KeyError):
        return "its definition cannot be read"
    return "" if said == name else "its definition is that of another name"


def _message_problem(row: Row) -> str:
    return "" if is_good_message(row[:-1], row[-1]) else _MISMATCH


def _kv_problem(row: Row) -> str:
    return "" if is_good_kv(*row) else _MISMATCH


def _conversation_problem(row: Row) -> str:
    return "" if is_good_conversation(row[:-1], row[-1]) else _MISMATCH


def _module_problem(row: Row) -> str:
    sha256, content, _ = row
    return "" if hashlib.sha256(content).hexdigest() == sha256 else "its content is not that of its SHA-256"


_MESSAGE = "seq, workspace, sender, receiver, message_id, conversation_id, body"
_SENT = "priority, expires_us, kept"
_CONVERSATION = (
    "workspace, id, protocol, initiator, parent, state, messages, started_us, last_us, wake_us, ended_us, outcome"
)
_CHECKS = (
    _Check("messages", f"SELECT {_MESSAGE}, {_SENT}, checksum FROM messages NOT INDEXED", 1, _message_problem),  # noqa: S608
    _Check("dead_letters", f"SELECT {_MESSAGE}, checksum FROM dead_letters NOT INDEXED", 1, _message_problem),  # noqa: S608
    _Check("kv", "SELECT workspace, agent, key, value, checksum FROM kv", 3, _kv_problem),
    _Check("conversations", f"SELECT {_CONVERSATION}, checksum FROM conversations", 2, _conversation_problem),  # noqa: S608
    _Check("agents", "SELECT workspace, name, spec, 0 FROM agents", 2, _agent_problem),
    _Check("modules", "SELECT sha256, bytes, 0 FROM modules", 1, _module_problem),
)

_UNCHECKED = ("timers", "subscriptions", "receipts", "names", "quarantine", "workspace_settings", "mcp_exposed")
"""Tables whose rows have no checksum: only that they can be read is seen."""


def _safely(connection: Any, sql: str, table: str, findings: list[Finding]) -> Iterator[Row]:
    """The rows of a query, up to where the file cannot be read."""
    try:
        yield from connection.execute(sql)
    except apsw.Error as exc:
        findings.append(Finding(table, "", f"it cannot be read to its end: {exc}"))
    except UnicodeDecodeError:
        if table not in _TEXTS:
            findings.append(Finding(table, "", _NO_TEXT))
            return
        for key, _ in unreadable_rows(lambda sql: connection.execute(sql), table):
            findings.append(Finding(table, "/".join(map(_shown, key)), _NO_TEXT))


def unreadable_rows(query: Callable[[str], Iterable[Row]], table: str) -> list[tuple[Row, bytes]]:
    """Key and content of each row of `table` that has a text which is no UTF-8 any more."""
    keys, texts, content = _TEXTS[table]
    sql = f"SELECT {content}, {keys}, {', '.join(f'CAST({text} AS BLOB)' for text in texts)} FROM {table} NOT INDEXED"  # noqa: S608
    found: list[tuple[Row, bytes]] = []
    for row in query(sql):
        cells = row[-len(texts) :]
        if not all(_is_text(cell) for cell in cells):
            data = row[0] if isinstance(row[0], bytes) else str(row[0]).encode()
            found.append((row[1 : -len(texts)], data))
    return found


def _is_text(cell: bytes | None) -> bool:
    try:
        (cell or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
