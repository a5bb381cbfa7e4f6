"""A message that its sender gave an id is accepted once, however often it is posted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.bus import receipts
from caxton.bus.journal import PRUNE_EVERY_S
from caxton.bus.receipts import WINDOW_S
from caxton.core.errors.messages import InvalidMessage, MessageIdConflict
from caxton.core.errors.receivers import MailboxFull
from caxton.messages.codec import MAX_ID_CHARS
from caxton.testing.handlers import say
from tests.unit.bus.rig import Caller

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from caxton.testing.clock import ManualClock
    from tests.unit.bus.rig import Rig

TEN_YEARS_US = 10 * 366 * 86_400 * 1_000_000


def answer(turn: Turn, message: AclMessage) -> int:
    return turn.send(say(message.sender, "done", in_reply_to=message.reply_with))


# --- refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other", [{"content": 2}, {"priority": 9}, {"performative": "request"}, {"receiver": "b"}, {"conversation_id": "c"}]
)
async def test_other_message_under_the_same_id_is_refused_and_changes_nothing(rig: Rig, other: dict[str, Any]) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    same: dict[str, Any] = {"receiver": "a", "content": 1, "message_id": "m"}
    rig.post(**same)
    before = rig.journal.changed_rows()
    with pytest.raises(MessageIdConflict) as caught:
        rig.post(**(same | other))
    assert caught.value.message_id == "m"
    assert (a.receiver.messages, b.receiver.messages, rig.journal.changed_rows()) == (1, 0, before)


@pytest.mark.parametrize("message_id", ["x" * (MAX_ID_CHARS + 1), "a\nb", "a\x00"])
async def test_id_that_is_none_is_refused(rig: Rig, message_id: str) -> None:
    rig.agent("a")
    with pytest.raises(InvalidMessage) as caught:
        rig.post("a", 1, message_id=message_id)
    assert caught.value.field == "message_id"


async def test_refused_post_is_not_remembered(rig: Rig) -> None:
    a = rig.receiver("a", max_messages=1)
    rig.post("a", 0)
    with pytest.raises(MailboxFull):
        rig.post("a", 1, message_id="m")
    rig.start(a)
    rig.pump()
    rig.post("a", 1, message_id="m")
    rig.pump()
    assert a.contents == [0, 1]


# --- known again -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handled", [True, False])
async def test_same_message_again_is_known_and_handled_once(rig: Rig, handled: bool) -> None:
    a = rig.agent("a")
    first = rig.post("a", 1, message_id="m", conversation_id=None)
    if handled:
        rig.pump()
    again = rig.post("a", 1, message_id="m", conversation_id=None)
    assert not rig.is_queued
    rig.pump()
    assert a.contents == [1]
    assert (again.message_id, again.conversation_id) == ("m", first.conversation_id)


async def test_repetition_is_known_although_the_mailbox_is_full_by_now(rig: Rig) -> None:
    a = rig.receiver("a", max_messages=1)
    rig.post("a", 1, message_id="m")
    rig.post("a", 1, message_id="m")
    assert a.receiver.messages == 1


async def test_another_sender_may_use_the_same_id(rig: Rig) -> None:
    a = rig.agent("a")
    rig.post("a", 1, message_id="m", sender="ann")
    rig.post("a", 2, message_id="m", sender="bob")
    rig.pump()
    assert a.contents == [1, 2]


async def test_several_receivers_have_one_receipt(rig: Rig) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    for _ in range(2):
        rig.post(["a", "b"], 1, message_id="m")
    rig.pump()
    assert (a.contents, b.contents) == ([1], [1])


async def test_receipt_survives_a_crash_with_its_message(rig: Rig) -> None:
    rig.agent("a")
    first = rig.post("a", 1, message_id="m")
    await rig.commit()
    rig.post("a", 2, message_id="lost")
    again, agents = rig.recover(["a"])
    assert again.post("a", 1, message_id="m").conversation_id == first.conversation_id
    assert not again.is_queued
    again.post("a", 2, message_id="lost")  # neither it nor its receipt was on disk
    assert again.is_queued
    assert agents["a"].receiver.messages == 2
    again.close()


async def test_receipt_is_written_in_the_same_transaction_as_its_message(rig: Rig) -> None:
    rig.receiver("a")
    rig.post("a", 1, message_id="m")
    await rig.turn_loop()
    rig.journal.after_commit(lambda: None)
    await rig.turn_loop()
    (statements,) = [statements for statements, _ in rig.database.asked]
    tables = " ".join(sql for sql, _ in statements)
    assert "INTO messages" in tables
    assert "INTO receipts" in tables


# --- the window --------------------------------------------------------------------------------------------------


async def test_after_the_window_it_is_a_new_message(rig: Rig) -> None:
    a = rig.agent("a")
    rig.post("a", 1, message_id="m")
    await rig.later(WINDOW_S)
    rig.post("a", 1, message_id="m")
    assert not rig.is_queued
    await rig.later(0.001)
    rig.post("a", 1, message_id="m")
    rig.pump()
    assert a.contents == [1, 1]


@pytest.mark.parametrize("jump_us", [TEN_YEARS_US, -TEN_YEARS_US])
async def test_clock_that_is_set_neither_shortens_nor_prolongs_the_window(
    rig: Rig, clock: ManualClock, jump_us: int
) -> None:
    rig.agent("a")
    rig.post("a", 1, message_id="m")
    clock.set_wall_us(clock.wall_us() + jump_us)
    rig.post("a", 1, message_id="m")
    assert not rig.is_queued
    await rig.later(WINDOW_S + 1)
    rig.post("a", 1, message_id="m")
    assert rig.is_queued


@pytest.mark.parametrize("jump_us", [0, TEN_YEARS_US, -TEN_YEARS_US])
async def test_time_that_the_node_is_down_does_not_count(rig: Rig, clock: ManualClock, jump_us: int) -> None:
    rig.receiver("a")
    await rig.later(1000)
    rig.post("a", 1, message_id="m")
    await rig.commit()
    clock.advance(10 * WINDOW_S)
    clock.set_wall_us(clock.wall_us() + jump_us)
    again, _ = rig.recover(["a"])
    again.post("a", 1, message_id="m")
    assert not again.is_queued
    await again.later(WINDOW_S + 1)
    again.post("a", 1, message_id="m")
    assert again.is_queued
    again.close()


async def test_old_receipts_are_let_go_of_in_memory_and_on_disk(rig: Rig) -> None:
    rig.agent("a")
    for n in range(100):
        rig.post("a", n, message_id=str(n))
    await rig.commit()
    await rig.later(WINDOW_S + PRUNE_EVERY_S)
    rig.post("a", 0, message_id="new")
    await rig.commit()
    assert (len(rig.receipts), rig.rows("SELECT message_id FROM receipts")) == (1, [("new",)])


async def test_receipts_are_bounded_the_oldest_go_first(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "MAX_RECEIPTS", 10)
    rig.agent("a")
    for n in range(20):
        rig.post("a", n, message_id=str(n))
    assert len(rig.receipts) == 11  # looked at when a message comes, before it is remembered itself
    rig.post("a", 19, message_id="19")
    assert not rig.is_queued


# --- not written, and waited for ---------------------------------------------------------------------------------


async def test_message_in_memory_only_is_never_written_and_gone_after_a_crash_with_its_receipt(rig: Rig) -> None:
    rig.receiver("a")
    rig.post("a", 1, message_id="m", durable=False)
    assert await rig.commit() == []
    again, agents = rig.recover(["a"])
    again.post("a", 1, message_id="m", durable=False)
    assert again.is_queued
    assert agents["a"].receiver.messages == 1
    again.close()


async def test_message_in_memory_only_is_known_again_while_the_node_lives(rig: Rig) -> None:
    a = rig.agent("a")
    for _ in range(2):
        rig.post("a", 1, message_id="m", durable=False)
    rig.pump()
    assert a.contents == [1]


async def test_message_in_memory_only_that_fails_for_good_is_a_dead_letter_on_disk(rig: Rig) -> None:
    rig.agent("a", lambda _turn, _message: 1)
    rig.post("a", 1, durable=False)
    for _ in range(10):
        await rig.later(30)
    await rig.commit()
    assert [(content, attempts) for content, _, _, attempts in rig.dead()] == [(1, 5)]


async def test_what_a_message_in_memory_caused_is_on_disk(rig: Rig) -> None:
    rig.agent("a", lambda turn, _message: turn.send(say("b", "caused")))
    rig.receiver("b")
    rig.post("a", 1, durable=False)
    rig.pump()
    await rig.commit()
    assert rig.pending() == ["caused"]


async def test_repetition_is_told_the_durability_that_its_message_has(rig: Rig) -> None:
    rig.receiver("a")
    rig.post("a", 1, message_id="m", durable=False)
    rig.post("a", 1, message_id="m")
    assert (rig.is_queued, rig.is_durable) == (False, False)
    rig.post("a", 1, message_id="n")
    rig.post("a", 1, message_id="n", durable=False)
    assert (rig.is_queued, rig.is_durable) == (False, True)


async def test_message_for_memory_only_is_known_again_after_a_stop_and_a_start(rig: Rig) -> None:
    rig.receiver("a")
    rig.post("a", 1, message_id="m", durable=False)
    rig.bus.write_down()
    rig.receipts.write_down()
    await rig.commit()
    run, agents = rig.recover(["a"])
    run.post("a", 1, message_id="m")
    assert (run.is_queued, agents["a"].receiver.messages) == (False, 1)
    run.close()


async def test_stop_of_the_node_writes_what_was_in_memory_only(rig: Rig) -> None:
    rig.receiver("a")
    rig.post("a", 1, durable=False)
    rig.bus.write_down()
    await rig.commit()
    assert rig.pending() == [1]


async def test_who_posts_again_while_the_first_still_waits_gets_the_reply_too(rig: Rig) -> None:
    a = rig.receiver("a")
    first, second = Caller(), Caller()
    rig.post("a", 1, message_id="m", caller=first)
    asked = rig.post("a", 1, message_id="m", caller=second)
    rig.start(a, answer)
    rig.pump()
    await rig.commit()
    assert [len(first.replies), len(second.replies), len(a.contents)] == [1, 1, 1]
    rig.bus.replies.stop("default", asked, first.waiter)
    rig.bus.replies.stop("default", asked, second.waiter)
    assert rig.bus.replies.is_empty


async def test_first_who_stops_waiting_takes_the_second_not_along(rig: Rig) -> None:
    a = rig.receiver("a")
    first, second = Caller(), Caller()
    asked = rig.post("a", 1, message_id="m", caller=first)
    rig.post("a", 1, message_id="m", caller=second)
    rig.bus.replies.stop("default", asked, first.waiter)
    rig.start(a, answer)
    rig.pump()
    await rig.commit()
    assert [len(first.replies), len(second.replies)] == [0, 1]
