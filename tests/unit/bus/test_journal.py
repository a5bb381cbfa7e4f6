"""What is written, when, and who hears of it: counted statement by statement on a real file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from caxton.bus import retention
from caxton.bus.journal import IDLE_COMMIT_S, MAX_CHANGED_ROWS
from caxton.bus.recovery import load_kept
from caxton.bus.retention import KEEP_SETTLED_US
from caxton.core.errors.storage import StorageFailed
from caxton.testing.handlers import say

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from caxton.storage.database import Statement
    from caxton.testing.handlers import OnMessage
    from tests.unit.bus.rig import Rig


def rows(statements: list[Statement], *kinds: str) -> list[int]:
    """How many rows were written by statements that begin so."""
    return [sum(len(given) for sql, given in statements if sql.startswith(kind)) for kind in kinds]


MESSAGE_ROWS = ("INSERT OR REPLACE INTO messages", "DELETE FROM messages WHERE seq", "UPDATE messages")


def forward_to(name: str) -> OnMessage:
    def act(turn: Turn, message: AclMessage) -> int:
        return turn.send(say(name, bytes(message.content).decode()))

    return act


# --- what is written -----------------------------------------------------------------------------------------------


async def test_message_born_and_settled_between_two_commits_is_never_written(rig: Rig) -> None:
    a, d = rig.agent("a", forward_to("b")), rig.agent("d")
    rig.agent("b", forward_to("c"))
    rig.agent("c", forward_to("d"))
    turn = rig.boot_turn(a)
    for _ in range(100):
        turn.send(say("a", 1))
    rig.bus.apply(turn)
    rig.pump()
    assert len(d.contents) == 100
    assert await rig.commit() == []
    assert (rig.journal.commits, rig.journal.rows_written, rig.journal.changed_rows()) == (0, 0, 0)


async def test_message_buried_before_its_first_commit_is_a_letter_and_no_row(rig: Rig) -> None:
    rig.agent("a", lambda turn, _message: turn.send(say("b", "late")))
    b = rig.receiver("b")
    rig.post("a", 1)
    rig.pump()
    rig.bus.names.remove(b.receiver)
    await rig.commit()
    assert [content for content, *_ in rig.dead()] == ["late"]
    assert rig.rows("SELECT seq FROM messages WHERE kept = 0") == []


async def test_message_alive_at_a_commit_is_written_once_and_removed_once(rig: Rig) -> None:
    a, b = rig.agent("a"), rig.receiver("b")
    turn = rig.boot_turn(a)
    turn.send(say("b", 1))
    rig.bus.apply(turn)
    assert rows(await rig.commit(), *MESSAGE_ROWS) == [1, 0, 0]
    assert rig.pending() == [1]
    assert await rig.commit() == []
    rig.start(b)
    rig.pump()
    assert rows(await rig.commit(), *MESSAGE_ROWS) == [0, 1, 0]
    assert rig.rows("SELECT * FROM messages") == []
    assert await rig.commit() == []


async def test_message_from_outside_stays_with_the_time_of_its_settlement(rig: Rig) -> None:
    rig.agent("b")
    rig.post("b", 1)
    rig.pump()
    assert rows(await rig.commit(), *MESSAGE_ROWS) == [1, 0, 0]  # settled before it was written
    now_us = rig.clock.wall_us()
    c = rig.receiver("c")
    rig.post("c", 2)
    assert rows(await rig.commit(), *MESSAGE_ROWS) == [1, 0, 0]
    rig.start(c)
    rig.clock.advance(1)
    rig.pump()
    assert rows(await rig.commit(), *MESSAGE_ROWS) == [0, 0, 1]
    first, second = rig.rows("SELECT settled_us FROM messages WHERE kept = 1 ORDER BY seq")
    assert first[0] < now_us < second[0]
    assert rig.pending() == []


async def test_disk_holds_a_consistent_cut_at_every_commit(rig: Rig) -> None:
    """A token goes round, counted by each who has it: at no commit is it lost, doubled or counted but not passed."""

    def pass_on(turn: Turn, _message: AclMessage) -> int:
        count = int(turn.kv_get(b"n") or b"0") + 1
        turn.kv_set(b"n", b"%d" % count)
        return turn.send(say("b" if turn.receiver.name == "a" else "a", "token"))

    rig.agent("a", pass_on)
    rig.agent("b", pass_on)
    rig.post("a", "token")
    for passes in range(1, 30):
        rig.bus.pump(0.0)
        await rig.commit()
        counts = dict(rig.rows("SELECT agent, value FROM kv"))
        a, b = int(counts["a"]), int(counts.get("b", b"0"))
        assert rig.pending() == ["token"]
        assert a - b == (1 if rig.rows("SELECT receiver FROM messages WHERE settled_us IS NULL") == [("b",)] else 0)
        assert a + b >= passes


async def test_last_value_of_a_key_is_written_once(rig: Rig) -> None:
    a = rig.agent("a")
    for n in range(20):
        turn = rig.boot_turn(a)
        turn.kv_set(b"k", b"%d" % n)
        turn.kv_set(b"gone", b"x")
        turn.kv_delete(b"gone")
        rig.bus.apply(turn)
    statements = await rig.commit()
    assert rows(statements, "INSERT OR REPLACE INTO kv", "DELETE FROM kv") == [1, 1]
    assert rig.rows("SELECT key, value FROM kv") == [(b"k", b"19")]


async def test_statement_of_another_room_is_in_the_same_transaction(rig: Rig) -> None:
    a = rig.agent("a")
    rig.journal.add("INSERT INTO modules (sha256, bytes) VALUES (?, ?)", "abc", b"wasm")
    turn = rig.boot_turn(a)
    turn.kv_set(b"k", b"v")
    rig.bus.apply(turn)
    committed = asyncio.ensure_future(rig.journal.commit())
    await rig.turn_loop()
    assert len(rig.database.asked) == 1
    rig.database.let_go()
    await committed
    assert rig.rows("SELECT sha256 FROM modules") == [("abc",)]
    assert rig.rows("SELECT key FROM kv") == [(b"k",)]


async def test_failing_statement_takes_the_whole_transaction_with_it(rig: Rig) -> None:
    rig.receiver("b")
    rig.post("b", 1)
    rig.journal.add("INSERT INTO nowhere VALUES (?)", 1)
    rig.journal.after_commit(lambda: None)
    await rig.turn_loop()
    with pytest.raises(Exception, match="nowhere"):
        rig.database.let_go()
    assert rig.rows("SELECT * FROM messages") == []


# --- when ----------------------------------------------------------------------------------------------------------


async def test_all_who_wait_in_one_turn_share_one_commit(rig: Rig) -> None:
    rig.receiver("b")
    told: list[int] = []
    for n in range(50):
        rig.post("b", n)
        rig.journal.after_commit(lambda n=n: told.append(n))
    await rig.turn_loop()
    assert len(rig.database.asked) == 1
    assert told == []
    rig.database.let_go()
    await rig.turn_loop()
    assert told == list(range(50))
    assert (rig.journal.commits, rig.database.asked) == (1, [])


async def test_those_who_come_during_a_commit_share_the_next_one(rig: Rig) -> None:
    rig.receiver("b")
    told: list[int] = []
    for n in range(30):
        rig.post("b", n)
        rig.journal.after_commit(lambda n=n: told.append(n))
        await rig.turn_loop()
        assert len(rig.database.asked) == 1  # one at a time
    rig.database.let_go()
    assert rig.pending() == [0]
    await rig.turn_loop()
    assert told == [0]
    rig.database.let_go()
    await rig.turn_loop()
    assert told == list(range(30))
    assert rig.journal.commits == 2


async def test_when_nobody_waits_changes_gather_for_50_ms(rig: Rig) -> None:
    rig.receiver("b")
    rig.post("b", 1)
    rig.journal.touch()
    rig.clock.advance(IDLE_COMMIT_S * 0.9)
    await rig.turn_loop()
    assert rig.database.asked == []
    rig.post("b", 2)
    rig.journal.touch()
    rig.clock.advance(IDLE_COMMIT_S * 0.2)
    await rig.turn_loop()
    assert len(rig.database.asked) == 1
    rig.database.let_go()
    assert rig.pending() == [1, 2]


async def test_many_changes_are_committed_at_once(rig: Rig) -> None:
    rig.receiver("b")
    for n in range(MAX_CHANGED_ROWS - 1):
        rig.post("b", n)
    rig.journal.touch()
    await rig.turn_loop()
    assert rig.database.asked == []
    rig.post("b", 0)
    rig.journal.touch()
    assert len(rig.database.asked) == 1


async def test_changes_during_a_commit_are_committed_after_it_without_being_asked(rig: Rig) -> None:
    rig.receiver("b")
    rig.post("b", 1)
    rig.journal.touch()
    rig.clock.advance(IDLE_COMMIT_S)
    await rig.turn_loop()
    rig.post("b", 2)
    rig.journal.touch()
    rig.database.let_go()
    await rig.turn_loop()
    rig.clock.advance(IDLE_COMMIT_S)
    await rig.turn_loop()
    rig.database.let_go()
    assert rig.pending() == [1, 2]


async def test_commit_of_nothing_costs_nothing_and_still_waits_for_the_one_under_way(rig: Rig) -> None:
    await asyncio.wait_for(rig.journal.commit(), 5)
    assert rig.database.asked == []
    rig.receiver("b")
    rig.post("b", 1)
    first = asyncio.ensure_future(rig.journal.commit())
    await rig.turn_loop()
    second = asyncio.ensure_future(rig.journal.commit())
    await rig.turn_loop()
    assert not first.done()
    assert not second.done()
    rig.database.let_go()
    await asyncio.wait_for(asyncio.gather(first, second), 5)
    assert rig.journal.commits == 1


async def test_cancelled_waiter_changes_nothing_for_the_others(rig: Rig) -> None:
    rig.receiver("b")
    rig.post("b", 1)
    first, second = (asyncio.ensure_future(rig.journal.commit()) for _ in range(2))
    await rig.turn_loop()
    first.cancel()
    await rig.turn_loop()
    rig.database.let_go()
    await asyncio.wait_for(second, 5)
    assert rig.pending() == [1]


async def test_closing_commits_what_there_is(rig: Rig) -> None:
    rig.receiver("b")
    rig.post("b", 1)
    closing = asyncio.ensure_future(rig.journal.aclose())
    await rig.turn_loop()
    assert not closing.done()
    rig.database.let_go()
    await asyncio.wait_for(closing, 5)
    assert rig.pending() == [1]


# --- failure -------------------------------------------------------------------------------------------------------


async def test_failed_write_is_reported_once_and_nobody_is_acknowledged(rig: Rig) -> None:
    rig.receiver("b")
    told: list[str] = []
    rig.post("b", 1)
    rig.journal.after_commit(lambda: told.append("during"))
    await rig.turn_loop()
    rig.post("b", 2)
    rig.journal.after_commit(lambda: told.append("after"))
    error = OSError(5, "Input/output error")
    rig.database.fails_with = error
    rig.database.let_go()
    await rig.turn_loop()
    for n in range(MAX_CHANGED_ROWS + 1):
        rig.post("b", n)
    rig.journal.after_commit(lambda: told.append("later"))
    rig.journal.touch()
    rig.clock.advance(60)
    await rig.turn_loop()
    assert rig.storage_errors == [error]
    assert (told, rig.database.asked, rig.journal.failed) == ([], [], True)
    await asyncio.wait_for(rig.journal.aclose(), 5)  # stopping does not wait for a disk that is gone
    assert rig.pending() == []


async def test_after_a_failed_write_the_next_start_has_what_was_acknowledged(rig: Rig) -> None:
    rig.receiver("b")
    rig.post("b", "safe")
    await rig.commit()
    rig.post("b", "unknown")
    rig.journal.touch()
    rig.clock.advance(IDLE_COMMIT_S)
    await rig.turn_loop()
    rig.database.fails_with = OSError()
    rig.database.let_go()
    await rig.turn_loop()
    again, agents = rig.recover(["b"])
    again.start(agents["b"])
    again.pump()
    assert agents["b"].contents == ["safe"]
    again.close()


# --- letting go ----------------------------------------------------------------------------------------------------


async def test_settled_messages_go_after_seven_days_and_pending_ones_never(rig: Rig) -> None:
    c = rig.receiver("c")
    rig.agent("b")
    rig.post("b", "old")
    rig.post("c", "waits")
    rig.pump()
    await rig.commit()
    rig.clock.advance(KEEP_SETTLED_US / 1e6 - 1)
    rig.post("b", "new")
    rig.pump()
    await rig.commit()
    assert len(rig.rows("SELECT * FROM messages")) == 3
    rig.clock.advance(retention.BUNDLE_US / 1e6 + 1)
    rig.post("b", "newer")
    rig.pump()
    await rig.commit()
    kept = rig.rows("SELECT body FROM messages ORDER BY seq")
    assert [b"waits" in body or b"new" in body for (body,) in kept] == [True, True, True]
    assert c.receiver.messages == 1
    assert rig.pending() == ["waits"]


async def test_settled_messages_are_bounded_in_number(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "KEEP_SETTLED_ROWS", 5)
    monkeypatch.setattr(retention, "BUNDLE_ROWS", 1)
    rig.receiver("c")
    rig.agent("b")
    rig.post("c", "waits")
    for n in range(20):
        rig.post("b", n)
    rig.pump()
    for n in range(4):
        await rig.commit()
        rig.post("b", n)
        rig.pump()
    await rig.commit()
    settled = rig.rows("SELECT seq FROM messages WHERE settled_us IS NOT NULL ORDER BY seq")
    last = rig.rows("SELECT max(seq) FROM messages")[0][0]
    assert [seq for (seq,) in settled] == list(range(last - 4, last + 1))
    assert rig.pending() == ["waits"]


async def test_letting_go_of_much_holds_up_no_commit_for_long(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BUNDLE_ROWS", 5)
    rig.agent("b")
    for n in range(60):
        rig.post("b", n)
    rig.pump()
    rig.journal.after_commit(lambda: None)
    kept: list[int] = []
    for _ in range(12):
        await rig.turn_loop()
        if rig.database.asked:
            rig.database.let_go()
        kept += rig.rows("SELECT count(*) FROM messages")[0]
        monkeypatch.setattr(retention, "KEEP_SETTLED_ROWS", 10)
        rig.clock.advance(IDLE_COMMIT_S)
    assert list(dict.fromkeys(kept)) == [60, 40, 20, 10]


async def test_settled_messages_are_bounded_in_bytes_and_counted_again_after_a_restart(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "KEEP_SETTLED_BYTES", 20_000)
    monkeypatch.setattr(retention, "BUNDLE_BYTES", 1000)
    rig.agent("b")
    for _ in range(40):
        rig.post("b", "x" * 1000)
    rig.pump()
    for _ in range(10):
        rig.post("b", "x" * 1000)
        rig.pump()
        await rig.commit()
    (kept,) = rig.rows("SELECT count(*), sum(length(body)) FROM messages")
    assert 20_000 <= kept[1] < 22_000
    assert kept == (rig.journal.kept.rows, rig.journal.kept.bytes)
    again, _ = rig.recover(["b"])
    load_kept(again.database, again.journal)
    assert kept == (again.journal.kept.rows, again.journal.kept.bytes)
    again.close()


async def test_pruning_lets_go_of_all_that_is_too_old_at_once(rig: Rig) -> None:
    rig.agent("b")
    for n in range(3000):
        rig.post("b", n)
    rig.pump()
    await rig.commit()
    rig.clock.advance(KEEP_SETTLED_US / 1e6 + retention.BUNDLE_US / 1e6 + 1)
    pruned = asyncio.ensure_future(rig.journal.prune())
    while not pruned.done():
        await rig.commit()
    assert await pruned == 3000
    assert rig.rows("SELECT count(*) FROM messages") == [(0,)]


async def test_who_waits_for_a_commit_that_fails_is_told_and_so_is_everybody_after(rig: Rig) -> None:
    rig.receiver("b")
    rig.post("b", 1)
    first = asyncio.ensure_future(rig.journal.commit())
    await rig.turn_loop()
    rig.post("b", 2)
    second = asyncio.ensure_future(rig.journal.commit())
    await rig.turn_loop()
    rig.database.fails_with = OSError(5, "Input/output error")
    rig.database.let_go()
    for waiting in (first, second, asyncio.ensure_future(rig.journal.commit())):
        with pytest.raises(StorageFailed):
            await asyncio.wait_for(waiting, 5)


async def test_one_who_cannot_be_told_does_not_keep_it_from_the_others(rig: Rig) -> None:
    told: list[int] = []
    rig.receiver("b")
    rig.post("b", 1)
    rig.journal.after_commit(lambda: told.append(1))
    rig.journal.after_commit(lambda: told.append(1 // 0))
    rig.journal.after_commit(lambda: told.append(3))
    await rig.commit()
    assert told == [1, 3]


async def test_what_is_kept_is_bounded_under_load_and_while_nothing_happens(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "KEEP_SETTLED_ROWS", 500)
    monkeypatch.setattr(retention, "BUNDLE_ROWS", 50)
    rig.agent("b")
    for _ in range(10):
        for n in range(400):
            rig.post("b", n)
        rig.pump()
        rig.journal.after_commit(lambda: None)
        await rig.turn_loop()
        rig.database.let_go()
        await rig.turn_loop()
    assert rig.journal.kept.rows <= 500 + 400 + 2 * 50
    monkeypatch.setattr(retention, "KEEP_SETTLED_ROWS", 100)
    await rig.commit()
    assert rig.journal.kept.rows <= 100 + 50
    assert rig.rows("SELECT count(*) FROM messages")[0][0] == rig.journal.kept.rows
