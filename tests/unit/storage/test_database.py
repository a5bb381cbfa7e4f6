"""One SQLite file: how it is opened, migrated, written and closed. Real files, each in its own directory."""

from __future__ import annotations

import stat
import threading
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from caxton.core.errors.server import DataDirUnusable
from caxton.core.errors.storage import JournalTooNew, StorageFailed
from caxton.storage import schema
from caxton.storage.database import MIN_SQLITE, Database

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from caxton.storage.database import Statement

WAIT_S = 5.0
_PUT = "INSERT INTO kv (workspace, agent, key, value) VALUES ('default', 'a', ?, ?)"
_ALL = "SELECT key, value FROM kv ORDER BY key"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def database(path: Path) -> Generator[Database]:
    made = Database(path)
    yield made
    made.close()


def put(key: bytes, value: bytes = b"1") -> Statement:
    return (_PUT, [(key, value)])


def write(database: Database, *statements: Statement) -> Exception | None:
    """Write and wait for the outcome."""
    outcome: list[Exception | None] = []
    done = threading.Event()

    def finished(error: Exception | None) -> None:
        outcome.append(error)
        done.set()

    database.write(list(statements), finished)
    assert done.wait(WAIT_S)
    return outcome[0]


def read(database: Database, sql: str) -> Any:
    outcome: list[Any] = []
    done = threading.Event()

    def finished(rows: object) -> None:
        outcome.append(rows)
        done.set()

    database.read(sql, (), finished)
    assert done.wait(WAIT_S)
    return outcome[0]


# --- opening -------------------------------------------------------------------------------------------------------


def test_journal_of_a_later_version_is_refused_with_both_versions_and_stays_as_it_is(path: Path) -> None:
    first = Database(path)
    known = first.schema_version
    first.close()
    newer: Any = apsw.Connection(str(path))
    newer.execute("INSERT INTO kv (workspace, agent, key, value) VALUES ('default', 'a', x'01', x'02')")
    newer.pragma("user_version", known + 7)
    newer.close()

    with pytest.raises(JournalTooNew) as caught:
        Database(path)
    assert (caught.value.found, caught.value.known) == (known + 7, known)
    assert str(known + 7) in str(caught.value)

    after: Any = apsw.Connection(str(path))
    assert after.pragma("user_version") == known + 7
    assert list(after.execute("SELECT value FROM kv")) == [(b"\x02",)]
    after.close()


def test_file_that_is_no_database_is_refused_and_not_touched(path: Path) -> None:
    content = b"dear diary, " * 500
    path.write_bytes(content)
    with pytest.raises(DataDirUnusable):
        Database(path)
    assert path.read_bytes() == content


def test_path_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "directory", tmp_path / "file" / "journal.db", tmp_path / "absent" / "journal.db"):
        with pytest.raises(DataDirUnusable) as caught:
            Database(path)
        assert caught.value.path == str(path)
    assert stat.S_IMODE((tmp_path / "directory").stat().st_mode) == 0o755


def test_sqlite_with_the_wal_reset_bug_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(StorageFailed):
        Database(path)
    assert not path.exists()


def test_sqlite_here_is_new_enough() -> None:
    assert MIN_SQLITE == (3, 51, 3)
    assert tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) >= MIN_SQLITE


def test_every_commit_is_synced_to_a_write_ahead_log(database: Database) -> None:
    full = 2
    assert database.query("PRAGMA journal_mode") == [("wal",)]
    assert database.query("PRAGMA synchronous") == [(full,)]


def test_only_the_owner_may_read_the_journal_and_its_companions(path: Path) -> None:
    database = Database(path)
    database.start()
    assert write(database, put(b"k")) is None
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    database.close()
    assert modes == {"journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600}


def test_journal_that_others_could_read_is_closed_to_them(path: Path) -> None:
    path.touch(mode=0o644)
    Database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# --- migrations ----------------------------------------------------------------------------------------------------


def test_new_file_gets_every_step(database: Database) -> None:
    tables = {name for (name,) in database.query("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == {
        "modules", "agents", "messages", "dead_letters", "dead_letter_purges", "kv", "timers", "subscriptions",
        "receipts", "names", "quarantine", "conversations", "workspace_settings",
        "tool_pins", "tool_approvals", "tool_budgets",
        "mcp_exposed",
    }  # fmt: skip
    assert database.query("PRAGMA user_version") == [(database.schema_version,)]


def steps(folder: Path, monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    """Pretend that these are all the migrations there are."""
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts, start=1):
        (folder / f"{number:04}_step.sql").write_text(text, encoding="utf-8")
    (folder / "__init__.py").touch()
    monkeypatch.setattr(schema, "files", lambda _package: folder)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]


def test_later_steps_are_added_to_an_older_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = "CREATE TABLE a (x); INSERT INTO a VALUES (1);"
    steps(tmp_path / "steps", monkeypatch, first)
    Database(path).close()
    steps(tmp_path / "steps", monkeypatch, first, "CREATE TABLE b (x);", "INSERT INTO b SELECT x + 1 FROM a;")
    database = Database(path)
    assert (database.schema_version, database.query("SELECT x FROM b")) == (3, [(2,)])
    database.close()


def test_step_that_fails_halfway_has_not_happened(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, bad, good = "CREATE TABLE a (x);", "CREATE TABLE b (x); DROP TABLE a; INSERT INTO nowhere VALUES (1);", ""
    steps(tmp_path / "steps", monkeypatch, first, bad)
    with pytest.raises(DataDirUnusable):
        Database(path)
    steps(tmp_path / "steps", monkeypatch, first, good)
    database = Database(path)
    assert database.query("SELECT name FROM sqlite_schema") == [("a",)]
    database.close()


# --- writing -------------------------------------------------------------------------------------------------------


def test_transaction_that_fails_leaves_nothing_and_the_next_one_works(database: Database) -> None:
    database.start()
    twice = write(database, put(b"first"), put(b"same"), put(b"same"), put(b"last"))
    assert isinstance(twice, apsw.ConstraintError)
    wrong = write(database, put(b"first"), ("INSERT INTO nowhere VALUES (?)", [(1,)]))
    assert isinstance(wrong, apsw.SQLError)
    assert read(database, _ALL) == []
    assert write(database, put(b"later")) is None
    assert read(database, _ALL) == [(b"later", b"1")]


def test_value_that_cannot_be_stored_fails_its_transaction_alone(database: Database) -> None:
    database.start()
    assert isinstance(
        write(database, ("INSERT INTO kv (workspace, agent, key, value) VALUES (?, 'a', x'00', x'00')", [("\ud800",)])),
        Exception,
    )
    assert write(database, put(b"k")) is None


def test_question_that_fails_is_answered_with_its_error(database: Database) -> None:
    database.start()
    assert isinstance(read(database, "SELECT nothing FROM nowhere"), apsw.SQLError)
    assert read(database, "SELECT 1") == [(1,)]


def test_reads_see_all_that_was_written_before_them(database: Database) -> None:
    database.start()
    answers: list[object] = []
    done = threading.Event()
    for n in range(20):
        database.write([put(bytes([n]))], lambda _error: None)
        database.read("SELECT count(*) FROM kv", (), answers.append)
    database.read("SELECT 1", (), lambda _rows: done.set())
    assert done.wait(WAIT_S)
    assert answers == [[(n + 1,)] for n in range(20)]


def test_outcome_is_told_after_the_commit_on_the_writers_thread(path: Path, database: Database) -> None:
    database.start()
    seen: list[tuple[str, list[Any]]] = []
    done = threading.Event()

    def finished(_error: Exception | None) -> None:
        other: Any = apsw.Connection(str(path))
        seen.append((threading.current_thread().name, list(other.execute(_ALL))))
        other.close()
        done.set()

    database.write([put(b"k")], finished)
    assert done.wait(WAIT_S)
    assert seen == [("caxton-journal", [(b"k", b"1")])]


def test_closing_finishes_what_was_asked(path: Path) -> None:
    database = Database(path)
    database.start()
    outcomes: list[Exception | None] = []
    for n in range(50):
        database.write([put(bytes([n]))], outcomes.append)
    database.close()
    database.close()
    assert outcomes == [None] * 50
    again = Database(path)
    assert again.query("SELECT count(*) FROM kv") == [(50,)]
    again.close()
