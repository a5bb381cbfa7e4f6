"""Damage of each kind is found, named by table and row, and put away."""

from __future__ import annotations

import struct
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from caxton.core.errors.storage import JournalDamaged
from caxton.storage.census import take_census
from caxton.storage.checksum import conversation_checksum, kv_checksum, message_checksum
from caxton.storage.database import Database
from caxton.storage.verify import quarantine, verify_file
from caxton.storage.wal import lost_commits

if TYPE_CHECKING:
    from pathlib import Path

BODY = b'{"performative":"inform","timestamp":1700000000000000}'
SHA = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"  # of "a"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound journal, with a row of each kind that has a checksum, and one from before there were any."""
    path = tmp_path / "journal.db"
    with closing(Database(path)) as database:
        for seq in (1, 2, 3):
            database.query(
                "INSERT INTO messages (seq, workspace, sender, receiver, message_id, conversation_id, attempt, "
                "max_attempts, kept, body, checksum) VALUES (?, 'default', 'a', 'b', ?, NULL, 1, 5, 0, ?, ?)",
                (seq, f"m-{seq}", BODY, message_checksum(seq, "default", "a", "b", f"m-{seq}", None, BODY, 4)),
            )
        database.query("UPDATE messages SET checksum = NULL WHERE seq = 3")
        database.query(
            "INSERT INTO dead_letters (seq, workspace, sender, receiver, message_id, attempts, reason, dead_us, body, "
            "checksum) VALUES (9, 'default', 'a', 'b', 'm-9', 5, 'it failed', 1700000000000000, ?, ?)",
            (BODY, message_checksum(9, "default", "a", "b", "m-9", None, BODY)),
        )
        database.query(
            "INSERT INTO kv (workspace, agent, key, value, checksum) VALUES ('default', 'a', ?, ?, ?)",
            (b"k", b"v", kv_checksum("default", "a", b"k", b"v")),
        )
        talk = ("default", "c-1", "fipa-request", "a", None, '{"pairs":{},"since":{}}', 1, 2, 3, 4, None, "open")
        database.query(
            "INSERT INTO conversations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*talk, conversation_checksum(talk)),
        )
        database.query("INSERT INTO modules (sha256, bytes) VALUES (?, ?)", (SHA, b"a"))
        database.query(
            "INSERT INTO agents (workspace, name, id, revision, spec, module_sha256, phase, deployed_us) "
            "VALUES ('default', 'a', 'i', 1, ?, ?, 'running', 1)",
            (b'{"name":"a"}', SHA),
        )
    return path


def change(path: Path, sql: str) -> None:
    connection: Any = apsw.Connection(str(path))
    with closing(connection):
        connection.execute(sql)


def test_sound_journal_has_no_findings_and_old_rows_are_counted_apart(path: Path) -> None:
    report = verify_file(path, at_rest=True)
    assert report.findings == []
    assert report.rows == {"messages": 2, "dead_letters": 1, "kv": 1, "conversations": 1, "modules": 1, "agents": 1}
    assert report.unchecked == 1


@pytest.mark.parametrize(
    ("sql", "table", "row"),
    [
        ("UPDATE messages SET body = x'7b7d' WHERE seq = 2", "messages", "2"),
        ("UPDATE messages SET receiver = 'c' WHERE seq = 1", "messages", "1"),
        ("UPDATE messages SET sender = 'c' WHERE seq = 1", "messages", "1"),
        ("UPDATE messages SET seq = 7 WHERE seq = 1", "messages", "7"),
        ("UPDATE messages SET body = CAST(body AS TEXT) WHERE seq = 1", "messages", "1"),
        ("UPDATE messages SET sender = CAST(x'ff' AS TEXT) WHERE seq = 2", "messages", "2"),
        ("UPDATE dead_letters SET message_id = 'm-8'", "dead_letters", "9"),
        ("UPDATE kv SET value = x'00'", "kv", "default/a/6b"),
        ("UPDATE kv SET agent = 'b'", "kv", "default/b/6b"),
        ("UPDATE messages SET settled_us = 'soon' WHERE seq = 3", "messages", "3"),
        ("UPDATE conversations SET state = '{}'", "conversations", "default/c-1"),
        ("UPDATE conversations SET state = CAST(x'ff' AS TEXT)", "conversations", "64656661756c74/632d31"),
        ("UPDATE conversations SET id = 'c-2'", "conversations", "default/c-2"),
        ("UPDATE conversations SET protocol = 'fipa-query'", "conversations", "default/c-1"),
        ("UPDATE conversations SET parent = ''", "conversations", "default/c-1"),
        ("UPDATE conversations SET ended_us = 5", "conversations", "default/c-1"),
        ("UPDATE conversations SET wake_us = 5", "conversations", "default/c-1"),
        ("UPDATE conversations SET outcome = 'idle'", "conversations", "default/c-1"),
        ("UPDATE conversations SET checksum = checksum + 1", "conversations", "default/c-1"),
        ("UPDATE modules SET bytes = x'00'", "modules", SHA),
        ("UPDATE agents SET name = 'b'", "agents", "default/b"),
        ("UPDATE agents SET spec = x'00'", "agents", "default/a"),
    ],
)
def test_altered_row_is_named(path: Path, sql: str, table: str, row: str) -> None:
    change(path, sql)
    findings = verify_file(path).findings
    assert {(finding.table, finding.row) for finding in findings} == {(table, row)}
    assert findings[0].problem


def test_index_that_does_not_fit_its_table_is_named(path: Path) -> None:
    change(
        path,
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = "
        "(SELECT rootpage FROM sqlite_schema WHERE name = 'receipts_by_age') WHERE name = 'messages_unsettled'",
    )
    assert any("messages_unsettled" in finding.problem for finding in verify_file(path).findings)


def test_definition_that_has_changed_is_refused(path: Path) -> None:
    change(
        path,
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'attempt ', 'attempu ') "
        "WHERE name = 'messages'",
    )
    for look in (verify_file, Database):
        with pytest.raises(JournalDamaged) as caught:
            look(path)
        assert "'messages'" in str(caught.value)
        assert caught.value.path == str(path)


def test_file_that_is_no_database_is_named(path: Path) -> None:
    path.write_bytes(b"dear diary, " * 500)
    with pytest.raises(JournalDamaged) as caught:
        verify_file(path)
    assert str(path) in str(caught.value)


def test_row_is_moved_to_the_quarantine_with_what_it_held(path: Path) -> None:
    with closing(Database(path)) as database:
        quarantine(database, "messages", "seq = ?", (2,), "it looks odd", BODY, now_us=5)
        quarantine(
            database, "kv", "workspace = ? AND agent = ? AND key = ?", ("default", "a", b"k"), "so does it", 7, 6
        )
        assert database.query("SELECT found_us, source, row, reason, data FROM quarantine ORDER BY id") == [
            (5, "messages", "2", "it looks odd", BODY),
            (6, "kv", "default/a/6b", "so does it", b"7"),
        ]
        assert database.query("SELECT seq FROM messages") == [(1,), (3,)]
        assert database.query("SELECT count(*) FROM kv") == [(0,)]


def test_row_stays_if_it_cannot_be_put_away(path: Path) -> None:
    with closing(Database(path)) as database:
        with pytest.raises(apsw.SQLError):
            quarantine(database, "messages", "no_such_column = ?", (2,), "odd", BODY, now_us=5)
        assert database.query("SELECT count(*) FROM quarantine") == [(0,)]
        quarantine(database, "messages", "seq = ?", (2,), "odd", BODY, now_us=5)


def test_census_counts_rows_by_kind_and_tells_the_oldest(path: Path) -> None:
    census = take_census(path)
    assert census.rows["pending"] == 3
    assert census.rows["conversations"] == 1
    assert (census.rows["kept"], census.rows["dead_letters"], census.rows["state"]) == (0, 1, 1)
    assert census.oldest == {
        "pending": "2023-11-14T22:13:20.000+00:00",
        "dead_letters": "2023-11-14T22:13:20.000+00:00",
    }


# --- the write-ahead log -------------------------------------------------------------------------------------------


def crashed_with_commits_in_the_log(path: Path, commits: int) -> Path:
    """A copy of a journal as a crash leaves it; returns its log."""
    with closing(Database(path)) as database:
        for n in range(commits):
            database.query(
                "INSERT INTO kv (workspace, agent, key, value) VALUES ('default', 'z', ?, ?)", (b"%d" % n, b"")
            )
        copy = path.with_name("copy.db")
        for suffix in ("", "-wal"):
            copy.with_name(f"copy.db{suffix}").write_bytes(path.with_name(f"{path.name}{suffix}").read_bytes())
    return copy.with_name("copy.db-wal")


def spoil(log: Path, at: int) -> None:
    data = bytearray(log.read_bytes())
    data[at] ^= 1
    log.write_bytes(data)


def test_log_that_is_unreadable_in_its_middle_is_refused_and_not_silently_cut(path: Path) -> None:
    log = crashed_with_commits_in_the_log(path, 6)
    spoil(log, 32 + 24 + 100)
    spoiled = log.read_bytes()
    for look in (Database, partial(verify_file, at_rest=True)):
        with pytest.raises(JournalDamaged) as caught:
            look(log.with_name("copy.db"))
        assert caught.value.path == str(log)
        assert "transactions that were committed" in str(caught.value)
    assert log.read_bytes() == spoiled, "it stays as it is, for whoever repairs it"


def test_log_whose_header_is_damaged_is_refused(path: Path) -> None:
    log = crashed_with_commits_in_the_log(path, 2)
    spoil(log, 17)
    with pytest.raises(JournalDamaged) as caught:
        Database(log.with_name("copy.db"))
    assert caught.value.path == str(log)


def test_log_whose_last_transaction_is_incomplete_is_as_after_a_power_cut(path: Path) -> None:
    log = crashed_with_commits_in_the_log(path, 3)
    log.write_bytes(log.read_bytes()[:-100])
    with closing(Database(log.with_name("copy.db"))) as database:
        assert database.query("SELECT count(*) FROM kv WHERE agent = 'z'") == [(2,)]


def test_interrupted_frames_that_look_like_the_end_of_transactions_are_none(path: Path) -> None:
    """The salts of an interrupted write and, before them, what a frame of an older log had there."""
    log = crashed_with_commits_in_the_log(path, 3)
    good = log.read_bytes()
    torn = struct.pack(">2I", 2, 9) + good[16:24] + bytes(8) + bytes(4096)
    log.write_bytes(good + 3 * torn)
    with closing(Database(log.with_name("copy.db"))) as database:
        assert database.query("SELECT count(*) FROM kv WHERE agent = 'z'") == [(3,)]


def test_log_that_is_short_or_absent_has_lost_nothing(tmp_path: Path) -> None:
    assert lost_commits(tmp_path / "absent", 0) == 0
    (tmp_path / "short").write_bytes(b"7")
    assert lost_commits(tmp_path / "short", 0) == 0
