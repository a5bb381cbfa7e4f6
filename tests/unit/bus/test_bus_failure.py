"""Handlers that fail or crash: nothing of them happens, and their message is neither lost nor silently repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.bus.envelope import MAX_ATTEMPTS
from caxton.bus.retry import retry_delay_s
from caxton.core.errors.receivers import UnknownReceiver
from caxton.testing.handlers import FakeCrash, say

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from caxton.testing.handlers import Outcome
    from tests.unit.bus.rig import Agent, Rig

FAILURES = pytest.mark.parametrize("outcome", [5, FakeCrash()], ids=["fails", "crashes"])


def everything(turn: Turn) -> None:
    """Stage one of each effect."""
    turn.send(say("other", "output"))
    turn.send(say("client:admin", "answer"))
    turn.kv_set(b"k", b"v")
    turn.set_timer(0)
    turn.subscribe(b"t")


async def untouched(rig: Rig, agent: Agent, other: Agent) -> None:
    """None of those effects can be seen anywhere."""
    await rig.commit()
    assert (other.contents, other.receiver.messages, other.receiver.bytes) == ([], 0, 0)
    assert (agent.receiver.kv, agent.receiver.timers) == ({}, {})
    assert len(rig.bus.names.directory("default").topics) == 0
    for table in ("kv", "timers", "subscriptions"):
        assert rig.rows(f"SELECT * FROM {table}") == []  # noqa: S608
    assert rig.rows("SELECT receiver FROM messages WHERE receiver <> 'b'") == []


@FAILURES
async def test_nothing_a_failed_handler_did_happens(rig: Rig, outcome: Outcome) -> None:
    def act(turn: Turn, _message: AclMessage) -> Outcome:
        everything(turn)
        return outcome

    other, b = rig.agent("other"), rig.agent("b", act)
    rig.post("b", 1)
    rig.pump()
    await untouched(rig, b, other)
    assert rig.pending() == [1]


@FAILURES
async def test_nothing_happens_either_when_it_fails_after_a_long_time(rig: Rig, outcome: Outcome) -> None:
    def act(turn: Turn, _message: AclMessage) -> Outcome:
        everything(turn)
        return None

    other, b = rig.agent("other"), rig.agent("b", act, on_resume=lambda _turn: outcome)
    rig.post("b", 1)
    rig.bus.pump(1)
    await untouched_while_busy(rig, other)
    rig.pump()
    await untouched(rig, b, other)


async def untouched_while_busy(rig: Rig, other: Agent) -> None:
    await rig.commit()
    assert other.contents == []
    assert rig.rows("SELECT * FROM kv") == []


async def test_handler_that_is_dropped_leaves_nothing_and_its_message_comes_again(rig: Rig) -> None:
    def act(turn: Turn, _message: AclMessage) -> Outcome:
        everything(turn)
        return None

    other, b = rig.agent("other"), rig.agent("b", act, on_resume=lambda _turn: None)
    rig.post("b", 1)
    rig.bus.pump(1)
    rig.stop(b)
    await untouched(rig, b, other)
    rig.start(b)
    rig.pump()
    assert b.contents == [1]
    assert rig.bus.failures == 0


async def test_dropped_handler_is_not_resumed_and_its_successor_is_not_disturbed(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: None, on_resume=lambda _turn: None)
    rig.post("b", 1)
    rig.bus.pump(1)
    first = b.handler
    slices = first.resumed
    rig.stop(b)
    rig.start(b, lambda _turn, _message: None, on_resume=lambda _turn: None)
    for _ in range(5):
        rig.bus.pump(1)
    assert first.resumed == slices
    assert b.contents == [1]
    assert b.handler.resumed >= 4


# --- again and again -----------------------------------------------------------------------------------------------


async def test_failed_message_comes_again_after_its_delay_and_says_which_attempt_it_is(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: 1)
    rig.post("b", 1)
    rig.pump()
    for attempt in range(2, MAX_ATTEMPTS + 1):
        await rig.later(retry_delay_s(attempt, 1.0) * 0.99)
        assert len(b.handler.delivered) == attempt - 1, "too early"
        await rig.later(retry_delay_s(attempt, 0.0))
        assert len(b.handler.delivered) == attempt, "too late"
    assert [message.attempt for message in b.handler.delivered] == [1, 2, 3, 4, 5]
    assert {(m.message_id, m.conversation_id, bytes(m.content)) for m in b.handler.delivered} == {
        (b.handler.delivered[0].message_id, b.handler.delivered[0].conversation_id, b"1")
    }
    await rig.later(60)
    assert len(b.handler.delivered) == 5
    assert b.supervisor.failures == [(0, 1)] * 5


async def test_after_five_attempts_it_is_a_dead_letter_in_the_same_transaction(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, message: 0 if bytes(message.content) == b"2" else 9)
    rig.post("b", 1)
    rig.post("b", 2)
    rig.pump()
    await rig.commit()
    assert rig.pending() == [1, 2]
    for _ in range(MAX_ATTEMPTS - 1):
        await rig.later(30)
    assert rig.pending() == [1, 2]  # the disk knows nothing of it yet
    assert rig.dead() == []
    await rig.commit()
    assert rig.pending() == []
    assert rig.dead() == [(1, "failed", "its handler returned 9", MAX_ATTEMPTS)]
    assert (rig.bus.letters.count, b.receiver.messages, b.receiver.bytes) == (1, 0, 0)
    assert b.contents == [1] * 5 + [2]  # the letter no longer blocks the one behind it
    assert b.supervisor.given_up == [(0, b.handler.delivered[0].message_id, -1)]


async def test_dead_letter_that_was_never_written_before_is_written_as_one(rig: Rig) -> None:
    rig.agent("a", lambda turn, _message: turn.send(say("b", "inner")))
    rig.agent("b", lambda _turn, _message: 9)
    rig.post("a", "outer")
    rig.pump()
    for _ in range(MAX_ATTEMPTS - 1):
        await rig.later(30)
    await rig.commit()
    assert rig.pending() == []
    assert [letter[0] for letter in rig.dead()] == ["inner"]
    assert rig.rows("SELECT count(*) FROM messages WHERE receiver = 'b'") == [(0,)]


async def test_waiting_for_the_next_attempt_holds_up_this_replica_only(rig: Rig) -> None:
    b, c = rig.agent("b", lambda _turn, _message: 1), rig.agent("c")
    rig.post("b", 1)
    rig.post("b", 2)
    rig.post("c", 3)
    rig.pump()
    assert (b.contents, c.contents) == ([1], [3])
    rig.post("c", 4)
    rig.pump()
    assert c.contents == [3, 4]


async def test_crash_is_told_with_its_kind_and_the_message_waits_for_the_next_handler(rig: Rig) -> None:
    crash = FakeCrash("out of bounds", "it read beyond its memory", ["parse", "handle_message"])
    b = rig.agent("b", lambda _turn, _message: crash)
    rig.post("b", 1)
    rig.post("b", 2)
    rig.pump()
    assert b.supervisor.crashes == [(0, crash)]
    await rig.later(60)
    assert b.contents == [1]  # time alone changes nothing
    rig.start(b)
    rig.pump()
    assert b.contents == [1, 2]
    assert [message.attempt for message in b.handler.delivered] == [2, 1]


async def test_message_that_crashes_every_handler_ends_as_a_dead_letter(rig: Rig) -> None:
    crash = FakeCrash()
    b = rig.receiver("b")
    rig.post("b", 1)
    rig.post("b", 2)
    for _ in range(MAX_ATTEMPTS):
        rig.start(b, lambda _turn, message: crash if bytes(message.content) == b"1" else 0)
        rig.pump()
    rig.start(b)
    rig.pump()
    await rig.commit()
    assert rig.dead() == [(1, "failed", crash.reason, MAX_ATTEMPTS)]
    assert b.contents == [2]
    assert len(b.supervisor.crashes) == MAX_ATTEMPTS


async def test_stopped_while_it_waits_for_an_attempt_it_is_not_opened_by_the_clock(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: 1)
    rig.post("b", 1)
    rig.pump()
    rig.stop(b)
    await rig.later(60)
    assert b.contents == [1]
    rig.start(b)
    rig.pump()
    assert [message.attempt for message in b.handler.delivered] == [2]


async def test_agent_that_drains_is_not_opened_by_the_clock(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: 1)
    rig.post("b", 1)
    rig.pump()
    b.receiver.is_running = False
    rig.bus.queues.shut(b.receiver.mailboxes[0])
    await rig.later(60)
    assert b.contents == [1]


async def test_failing_message_keeps_its_place_and_its_room(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: 1, max_messages=2)
    rig.post("b", 1)
    rig.pump()
    assert b.receiver.messages == 1
    assert b.receiver.bytes == sum(len(e.body) for e in b.receiver.mailboxes[0].inbox)


# --- agents that are not there -------------------------------------------------------------------------------------


async def test_mail_to_a_stopped_agent_waits_in_order_and_survives_a_crash(rig: Rig) -> None:
    b = rig.receiver("b")
    for n in range(3):
        rig.post("b", n)
    rig.pump()
    await rig.commit()
    again, agents = rig.recover(["b"])
    again.post("b", 3)
    again.start(agents["b"])
    again.pump()
    assert (agents["b"].contents, b.contents) == ([0, 1, 2, 3], [])
    again.close()


async def test_mail_of_a_removed_agent_becomes_dead_letters_with_the_removal(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: None, on_resume=lambda _turn: None)
    turn = rig.boot_turn(b)
    turn.kv_set(b"k", b"v")
    turn.set_timer(10**9)
    turn.subscribe(b"t")
    rig.bus.apply(turn)
    for n in range(3):
        rig.post("b", n)
    rig.bus.pump(1)
    await rig.commit()
    assert rig.pending() == [0, 1, 2]
    rig.stop(b)
    rig.bus.names.remove(b.receiver)
    await rig.commit()
    assert rig.dead() == [(n, "removed", None, 1) for n in range(3)]
    assert rig.pending() == []
    for table in ("kv", "timers", "subscriptions"):
        assert rig.rows(f"SELECT * FROM {table}") == []  # noqa: S608
    rig.bus.names.forget("default", "b")
    with pytest.raises(UnknownReceiver):
        rig.post("b")


async def test_message_on_its_way_to_an_agent_that_is_removed_becomes_a_dead_letter(rig: Rig) -> None:
    """Staged by a handler that still runs, when its receiver goes: it must not wait for nobody for ever."""

    def act(turn: Turn, _message: AclMessage) -> None:
        assert turn.send(say("b", "late")) == 0

    b = rig.agent("b")
    rig.agent("a", act, on_resume=lambda _turn: 0 if b.receiver.is_removed else None)
    rig.post("a", 1)
    rig.bus.pump(0.0)
    assert b.receiver.messages == 1
    rig.stop(b)
    rig.bus.names.remove(b.receiver)
    rig.pump()
    assert rig.bus.settled == 1
    await rig.commit()
    assert rig.dead() == [("late", "removed", None, 1)]
    assert rig.pending() == []
    assert b.receiver.messages == 0


async def test_state_of_a_removed_agent_is_not_the_next_ones_of_that_name(rig: Rig) -> None:
    b = rig.agent("b")
    turn = rig.boot_turn(b)
    turn.kv_set(b"k", b"old")
    turn.set_timer(1_000_000)
    turn.subscribe(b"t")
    rig.bus.apply(turn)
    rig.stop(b)
    rig.bus.names.remove(b.receiver)
    new = rig.agent("b")
    turn = rig.boot_turn(new)
    assert turn.kv_get(b"k") is None
    turn.kv_set(b"k2", b"new")
    rig.bus.apply(turn)
    await rig.later(2)
    assert new.handler.fired == []
    await rig.commit()
    assert rig.rows("SELECT agent, key, value FROM kv") == [("b", b"k2", b"new")]
    assert rig.rows("SELECT * FROM timers") == rig.rows("SELECT * FROM subscriptions") == []


async def test_fault_of_the_host_costs_one_handler_and_not_the_pump(rig: Rig) -> None:
    def fail(_turn: Turn, message: AclMessage) -> int:
        raise RuntimeError(bytes(message.content))

    a, b = rig.agent("a", fail), rig.agent("b")
    rig.post("a", 1)
    rig.post("b", 2)
    rig.pump()
    assert [(replica, crash.kind) for replica, crash in a.supervisor.crashes] == [(0, "host_error")]
    assert b.contents == [2]
    rig.start(a)
    rig.pump()
    assert [message.attempt for message in a.handler.delivered] == [2]


async def test_fault_of_the_host_in_a_later_slice_costs_one_handler_too(rig: Rig) -> None:
    def fail(_turn: Turn) -> int:
        raise RuntimeError

    a = rig.agent("a", lambda _turn, _message: None, on_resume=fail)
    rig.post("a", 1)
    rig.pump()
    assert [(replica, crash.kind) for replica, crash in a.supervisor.crashes] == [(0, "host_error")]


async def test_supervisor_hears_of_what_was_given_up(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: 7)
    posted = rig.post("b", 1)
    for _ in range(MAX_ATTEMPTS):
        rig.pump()
        await rig.later(60)
    assert b.supervisor.given_up == [(0, posted.message_id, -1)]
