"""More conversations than memory should hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.bus.rig import WORKSPACE

if TYPE_CHECKING:
    from tests.unit.conversations.talk import Talk

pytestmark = pytest.mark.anyio


async def open_many(talk: Talk, count: int) -> None:
    talk.start("a", "b", max_messages=10 * count)
    talk.room.book.max_in_memory = 8
    for n in range(count):
        talk.says("a", "b", "request", conversation_id=f"c-{n}")
        if n % 4 == 3:
            await talk.rig.commit()
    await talk.rig.commit()


def in_memory(talk: Talk) -> int:
    return len(list(talk.room.book.in_memory()))


async def test_those_of_which_nothing_was_heard_are_in_the_journal_only(talk: Talk) -> None:
    await open_many(talk, 100)
    assert in_memory(talk) <= 8 + 4
    assert talk.room.book.open == 100
    assert len(talk.edges()) == 1


async def test_one_that_left_memory_comes_back_with_its_state(talk: Talk) -> None:
    await open_many(talk, 100)
    for n in range(100):
        talk.says("b", "a", "agree", conversation_id=f"c-{n}")
        if n % 4 == 3:
            await talk.rig.commit()
    assert talk.heard("a") == ["agree"] * 100
    for n in range(100):
        talk.says("b", "a", "inform", conversation_id=f"c-{n}")
    assert talk.heard("a")[100:] == ["inform"] * 100
    assert (talk.room.book.open, talk.edges()) == (0, set())
    await talk.rig.commit()
    assert talk.rig.rows("SELECT count(*) FROM conversations WHERE ended_us IS NULL") == [(0,)]


async def test_nothing_leaves_memory_before_it_is_on_disk(talk: Talk) -> None:
    talk.start("a", "b")
    talk.room.book.max_in_memory = 4
    for n in range(4):
        talk.says("a", "b", "request", conversation_id=f"c-{n}")
    talk.rig.journal.after_commit(lambda: None)
    await talk.rig.turn_loop()
    (_commit,) = talk.rig.database.asked
    talk.says("b", "a", "agree", conversation_id="c-0")  # not in the commit that is being written
    talk.says("a", "b", "request", conversation_id="one-more")
    assert in_memory(talk) == 5
    talk.rig.database.let_go()
    await talk.rig.turn_loop()
    talk.says("a", "b", "request", conversation_id="another")
    assert in_memory(talk) < 6
    assert (talk.state("b", "c-0"), talk.state("b", "c-1")) == ("agreed", "requested")


async def test_all_are_there_after_a_crash_though_few_are_in_memory(talk: Talk) -> None:
    await open_many(talk, 50)
    talk.crash()
    talk.room.book.max_in_memory = 8
    assert talk.room.book.open == 50
    for n in range(50):
        assert talk.room.book.find((WORKSPACE, f"c-{n}")) is not None
        talk.says("b", "a", "inform", conversation_id=f"c-{n}")
    assert talk.heard("a") == ["inform"] * 50


async def test_one_that_begins_anew_before_its_end_was_written_leaves_no_ghost(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request", reply_by=talk.at(10))
    await talk.rig.commit()
    for _ in range(2):
        talk.says("b", "a", "inform")
        talk.says("a", "b", "request", reply_by=talk.at(10))
    talk.says("b", "a", "inform")
    await talk.rig.commit()
    assert talk.rig.rows("SELECT count(*) FROM conversations WHERE ended_us IS NULL") == [(0,)]
    talk.crash()
    await talk.rig.later(60)
    assert talk.heard("a") == []


async def test_id_of_one_that_is_over_is_not_for_others_after_a_restart_either(talk: Talk) -> None:
    talk.start("a", "b", "c")
    talk.says("a", "b", "request")
    await talk.rig.commit()
    talk.says("b", "a", "inform")
    await talk.rig.commit()
    talk.crash()
    talk.says("c", "b", "request")
    assert talk.heard("b") == []
    assert "taken" in talk.last("c")[2]["reason"]


async def test_participants_count_towards_what_memory_holds(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caxton.conversations.book.MAX_PAIRS", 20)
    talk.start("a")
    for n in range(10):
        talk.says("a", [f"client:{m}" for m in range(8)], "request", conversation_id=f"c-{n}")
        await talk.rig.commit()
    assert talk.room.book.pairs == sum(len(one.pairs) for one in talk.room.book.in_memory()) <= 32
    assert talk.room.book.open == 10


async def test_ended_ones_are_forgotten_in_time_but_what_goes_on_is_not(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request", conversation_id="open")
    talk.rig.post("b", performative="request", protocol="fipa-request", conversation_id="kept")
    talk.rig.pump()
    talk.says("b", "client:admin", "refuse", conversation_id="kept")
    await talk.rig.commit()
    assert talk.rig.rows("SELECT id, outcome FROM conversations ORDER BY id") == [
        ("kept", "completed"), ("open", "open"),
    ]  # fmt: skip
    talk.clock.advance(8 * 86_400)
    for prune in talk.rig.journal.prunes:
        for sql, rows in prune():
            for row in rows:
                talk.rig.database.query(sql, row)
    assert talk.rig.rows("SELECT id FROM conversations") == [("open",)]
