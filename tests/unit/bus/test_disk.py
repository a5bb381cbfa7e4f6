"""The guard of the journal's own limits; full disks are in tests/integration/test_disk_full.py."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from caxton.bus.disk import LOG, POLL_S, DiskGuard
from caxton.core.errors.storage import JournalFull
from caxton.storage import database as storage
from caxton.storage.ballast import Ballast
from caxton.storage.database import Database, Usage
from tests.unit.bus.rig import Rig, StepDatabase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caxton.storage.database import Statement
    from caxton.testing.clock import ManualClock

LIMIT = 1_000_000


class SizedDatabase(StepDatabase):
    """As large as the test says."""

    size = 0

    def tidy(self, done: Callable[[Exception | None], None], *, empty_log: bool = False) -> None:
        self.usage = Usage(self.size, self.size, 0)
        done(None)

    def let_go(self) -> list[Statement]:
        statements = super().let_go()
        self.usage = Usage(self.size, self.size, 0)
        return statements


def guarded(tmp_path: Path, clock: ManualClock) -> tuple[Rig, SizedDatabase, DiskGuard]:
    database = SizedDatabase(tmp_path / "journal.db")
    rig = Rig(tmp_path / "journal.db", clock, database=database)
    guard = DiskGuard(
        intake=rig.bus.intake, journal=rig.journal, database=database,
        ballast=Ballast(tmp_path, size_bytes=4096), pause=lambda: None, resume=lambda: None, max_journal_bytes=LIMIT,
    )  # fmt: skip
    return rig, database, guard


async def test_full_journal_takes_nothing_new_until_it_is_well_below_its_limit(
    tmp_path: Path, clock: ManualClock
) -> None:
    rig, database, guard = guarded(tmp_path, clock)
    guard.start()
    rig.receiver("b")
    rig.post("b", 1)
    database.size = LIMIT
    clock.advance(1.0)
    await rig.commit()
    with pytest.raises(JournalFull) as refused:
        rig.post("b", 2)
    error = refused.value
    assert (error.path, error.size_bytes, error.limit_bytes) == (str(tmp_path / "journal.db"), LIMIT, LIMIT)
    assert "caxton storage compact" in str(error)
    for size, is_open in ((LIMIT - 1, False), (LIMIT * 9 // 10, False), (LIMIT * 9 // 10 - 1, True), (LIMIT - 1, True)):
        database.size = size
        clock.advance(POLL_S)  # nobody commits
        await rig.turn_loop()
        assert rig.bus.intake.is_open == is_open, size
    assert not guard.is_read_only
    guard.close()
    rig.close()


async def test_log_that_a_reader_holds_up_is_bounded_and_begins_anew_once_the_reader_is_gone(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caxton.bus.disk.MAX_LOG_BYTES", 400_000)
    monkeypatch.setattr(storage, "CHECKPOINT_PAGES", 10)
    monkeypatch.setattr(storage, "RESTART_PAGES", 30)
    monkeypatch.setattr(storage, "MEASURE_EVERY_S", 0.0)

    class Immediate(StepDatabase):
        def run(self, work: Callable[[Any], Any], done: Callable[[Any], None]) -> None:
            done(work(self._connection))

    database = Immediate(tmp_path / "journal.db")
    rig = Rig(tmp_path / "journal.db", clock, database=database)
    guard = DiskGuard(
        intake=rig.bus.intake, journal=rig.journal, database=database, ballast=Ballast(tmp_path, size_bytes=4096),
        pause=lambda: None, resume=lambda: None,
    )  # fmt: skip
    guard.start()
    rig.receiver("b")
    reader: Any = apsw.Connection(str(tmp_path / "journal.db"))
    reader.execute("BEGIN; SELECT * FROM messages").fetchall()
    for _ in range(200):
        if not rig.bus.intake.is_open:
            break
        rig.post("b", "x" * 8000)
        clock.advance(0.2)
        await rig.commit()
    assert rig.bus.intake.causes == (LOG,)
    assert 400_000 <= database.usage.wal_bytes < 450_000
    with pytest.raises(JournalFull, match=r"journal\.db-wal.*a program that reads"):
        rig.post("b", 1)
    clock.advance(POLL_S)
    await rig.turn_loop()
    assert not rig.bus.intake.is_open
    reader.close()
    clock.advance(POLL_S)
    await rig.turn_loop()
    assert rig.bus.intake.is_open
    assert database.usage.wal_bytes == 0
    guard.close()
    rig.close()


# --- damaged rows at a start ---------------------------------------------------------------------------------------


async def test_damaged_message_is_put_aside_and_the_others_are_delivered(rig: Rig) -> None:
    for name in ("a", "b"):
        rig.receiver(name)
    for n in range(4):
        rig.post(["a", "b"][n % 2], n)
    await rig.commit()
    rig.database.query("UPDATE messages SET receiver = 'b' WHERE seq = (SELECT min(seq) FROM messages)")
    rig.database.query("UPDATE messages SET sender = CAST(x'ff' AS TEXT) WHERE seq = (SELECT max(seq) FROM messages)")
    again, agents = rig.recover(["a", "b"])
    for agent in agents.values():
        again.start(agent)
    again.pump()
    assert {name: agent.contents for name, agent in agents.items()} == {"a": [2], "b": [1]}
    rows = again.rows("SELECT source, reason FROM quarantine ORDER BY id")
    assert [source for source, _ in rows] == ["messages", "messages"]
    assert again.rows("SELECT count(*) FROM messages WHERE settled_us IS NULL") == [(2,)]
    third, _ = again.recover(["a", "b"])
    assert third.rows("SELECT count(*) FROM quarantine") == [(2,)]
    third.close()


@pytest.mark.parametrize("column", ["priority", "expires_us", "kept"])
async def test_message_whose_terms_were_altered_is_put_aside(rig: Rig, column: str) -> None:
    rig.receiver("a")
    for n in range(3):
        rig.post("a", n)
    await rig.commit()
    rig.database.query(f"UPDATE messages SET {column} = {column} + 1 WHERE seq = (SELECT max(seq) FROM messages)")  # noqa: S608
    again, agents = rig.recover(["a"])
    again.start(agents["a"])
    again.pump()
    assert agents["a"].contents == [0, 1]
    assert again.rows("SELECT source FROM quarantine") == [("messages",)]


@pytest.mark.parametrize("settled_us", [0, 1])
async def test_message_that_one_flipped_bit_calls_settled_is_delivered(rig: Rig, settled_us: int) -> None:
    """The type of a NULL is one bit away from that of a 0, which takes no more room."""
    rig.receiver("a")
    rig.post("a", 1)
    await rig.commit()
    rig.database.query("UPDATE messages SET settled_us = ?", (settled_us,))
    again, agents = rig.recover(["a"])
    again.start(agents["a"])
    again.pump()
    assert agents["a"].contents == [1]


async def test_damaged_entry_of_an_agents_state_is_put_aside(rig: Rig) -> None:
    a = rig.agent("a", lambda turn, message: turn.kv_set(b"k" + bytes(message.content), b"v"))
    for n in range(3):
        rig.post("a", n)
    rig.pump()
    await rig.commit()
    assert len(a.receiver.kv) == 3
    rig.database.query("UPDATE kv SET value = x'00' WHERE key = ?", (b"k1",))
    again, agents = rig.recover(["a"])
    assert agents["a"].receiver.kv == {b"k0": b"v", b"k2": b"v"}
    assert again.rows("SELECT source, row FROM quarantine") == [("kv", "default/a/6b31")]
    again.close()


# --- two at one file -----------------------------------------------------------------------------------------------


async def test_second_connection_to_the_file_waits_for_its_turn_and_breaks_nothing(rig: Rig) -> None:
    """The lock of the data directory keeps a second server out; this is for whoever gets around it."""
    rig.receiver("b")
    rig.post("b", 1)
    await rig.commit()
    with closing(Database(rig.path)) as second:
        second.query("INSERT INTO names (workspace, name) VALUES ('default', 'theirs')")
        rig.post("b", 2)
        await rig.commit()
        assert second.query("SELECT count(*) FROM messages") == [(2,)]
    rig.post("b", 3)
    await rig.commit()
    assert rig.storage_errors == []
    assert rig.pending() == [1, 2, 3]
    assert rig.rows("PRAGMA integrity_check") == [("ok",)]
