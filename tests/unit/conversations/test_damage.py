"""Rows of conversations that are not what was written: the node goes on without them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from caxton.conversations.conversation import COLUMNS
from caxton.storage.checksum import conversation_checksum
from tests.unit.bus.rig import WORKSPACE

if TYPE_CHECKING:
    from tests.unit.conversations.talk import Talk

pytestmark = pytest.mark.anyio

DAMAGE = [
    "state = '{'",
    "state = 'x' || state",
    "state = CAST(x'ff' AS TEXT)",
    "initiator = 'c'",
    "protocol = 'fipa-requesu'",
    "started_us = 'soon'",
    "id = CAST(id AS BLOB)",
    "id = CAST(x'ff' AS TEXT)",
    "checksum = checksum + 1",
]


async def begin(talk: Talk, *ids: str) -> None:
    if not talk.agents:
        talk.start("a", "b")
    for one in ids:
        talk.says("a", "b", "request", conversation_id=one)
    await talk.rig.commit()


def spoil(talk: Talk, damage: str, conversation: str = "bad") -> None:
    talk.rig.database.query(f"UPDATE conversations SET {damage} WHERE id = ?", (conversation,))  # noqa: S608


def make_foreign(talk: Talk, conversation: str = "bad") -> None:
    """As a later version would have written it."""
    (row,) = talk.rig.rows(f"SELECT * FROM conversations WHERE id = '{conversation}'")  # noqa: S608
    columns = (*row[:2], "fipa-to-come", *row[3:-1])
    talk.rig.database.query(
        "UPDATE conversations SET protocol = ?, checksum = ? WHERE id = ?",
        (columns[2], conversation_checksum(columns), conversation),
    )


def put_aside(talk: Talk) -> int:
    ((found,),) = talk.rig.rows("SELECT count(*) FROM quarantine WHERE source = 'conversations'")
    return found


def left(talk: Talk) -> list[str]:
    return [one for (one,) in talk.rig.rows("SELECT id FROM conversations WHERE ended_us IS NULL ORDER BY id")]


async def send_to_sleep(talk: Talk) -> None:
    """All that go on leave memory for others that come and end."""
    book = talk.room.book
    talk.start("c", "d")
    book.max_in_memory = 0
    for n in range(3):
        for sender, receiver, act in (("c", "d", "request"), ("d", "c", "refuse")):
            talk.says(sender, receiver, act, conversation_id=f"other-{n}")
            await talk.rig.commit()
    assert not list(book.in_memory())


@pytest.mark.parametrize("damage", DAMAGE)
async def test_damaged_conversation_is_put_aside_at_a_start_and_the_others_go_on(talk: Talk, damage: str) -> None:
    await begin(talk, "bad", "good")
    spoil(talk, damage)
    talk.crash()
    assert talk.find("bad") is None
    assert (talk.room.book.open, put_aside(talk), left(talk)) == (1, 1, ["good"])
    talk.says("b", "a", "agree", conversation_id="good")
    assert talk.state("b", "good") == "agreed"


async def test_start_names_each_damaged_conversation_once(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    await begin(talk, "bad", "good")
    spoil(talk, "state = '{'")
    with caplog.at_level(logging.ERROR):
        talk.crash()
    (found,) = [one for one in caplog.records if getattr(one, "action", "") == "storage.quarantined"]
    assert (found.__dict__["table"], found.__dict__["row"]) == ("conversations", f"{WORKSPACE}/bad")


@pytest.mark.parametrize("damage", [one for one in DAMAGE if not one.startswith("id")])
async def test_conversation_damaged_while_it_sleeps_is_not_there_and_put_aside_with_the_next_commit(
    talk: Talk, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    await begin(talk, "bad", "good")
    await send_to_sleep(talk)
    assert talk.edges() == {("a", "b")}
    spoil(talk, damage)
    with caplog.at_level(logging.ERROR):
        assert talk.find("bad") is None
        assert talk.find("bad") is None
        assert list(talk.room.book.sound(talk.rig.rows(f"SELECT {COLUMNS} FROM conversations WHERE id = 'bad'"))) == []  # noqa: S608
    assert [getattr(one, "action", "") for one in caplog.records] == ["storage.quarantined"]
    assert put_aside(talk) == 0
    await talk.rig.commit()
    assert (put_aside(talk), left(talk)) == (1, ["good"])


async def test_nobody_waits_in_a_conversation_that_was_put_aside(talk: Talk) -> None:
    await begin(talk, "bad")
    assert talk.edges() == {("a", "b")}
    await send_to_sleep(talk)
    spoil(talk, "state = '{'")
    assert talk.find("bad") is None
    assert talk.edges() == set()


async def test_new_conversation_with_the_id_of_a_damaged_one_is_kept(talk: Talk) -> None:
    await begin(talk, "bad")
    await send_to_sleep(talk)
    spoil(talk, "state = '{'")
    talk.says("a", "b", "request", conversation_id="bad")
    await talk.rig.commit()
    assert (put_aside(talk), left(talk)) == (1, ["bad"])
    talk.crash()
    assert (talk.state("b", "bad"), put_aside(talk)) == ("requested", 1)


async def test_row_damaged_under_a_conversation_in_memory_is_written_anew(talk: Talk) -> None:
    await begin(talk, "bad")
    spoil(talk, "state = '{'")
    assert list(talk.room.book.sound(talk.rig.rows(f"SELECT {COLUMNS} FROM conversations"))) == []  # noqa: S608
    await talk.rig.commit()
    assert put_aside(talk) == 1
    talk.crash()
    assert (talk.state("b", "bad"), put_aside(talk)) == ("requested", 1)


async def test_conversation_with_an_unknown_protocol_is_left_out_and_stays(
    talk: Talk, caplog: pytest.LogCaptureFixture
) -> None:
    await begin(talk, "bad", "good")
    make_foreign(talk)
    talk.crash()
    assert talk.find("bad") is None
    assert talk.state("b", "good") == "requested"
    talk.room.deadlines.look()
    await talk.rig.commit()
    assert (put_aside(talk), left(talk)) == (0, ["bad", "good"])
    assert [getattr(one, "action", "") for one in caplog.records] == ["conversation.unknown_protocol"]


async def test_those_that_end_all_at_once_are_not_taken_for_damaged(talk: Talk) -> None:
    await begin(talk, "x")
    await send_to_sleep(talk)
    talk.room.book.end_asleep(WORKSPACE, talk.clock.steady_us(), "cancelled")
    await talk.rig.commit()
    talk.crash()
    found = talk.find("x")
    assert (found and found.outcome, put_aside(talk)) == ("cancelled", 0)
