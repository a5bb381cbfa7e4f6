"""Priorities, `ttl_ms` and `reply_by`: who comes first, and what nobody wants any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from caxton.bus.dead_letters import EXPIRED, REASONS
from caxton.bus.envelope import MAX_ATTEMPTS
from caxton.bus.queues import MIN_TOMBSTONES
from caxton.bus.redelivery import MAX_BLOCKED
from caxton.bus.timers import LEAST_SWEPT
from caxton.core.errors.messages import InvalidMessage, MessageExpired
from caxton.sandbox.codes import INVALID, OK
from caxton.testing.handlers import say
from tests.unit.bus.rig import Caller

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from tests.unit.bus.rig import Rig

HOUR_MS = 3_600_000


def at(rig: Rig, seconds: float) -> str:
    return datetime.fromtimestamp(rig.clock.wall_us() / 1e6 + seconds, UTC).isoformat()


# --- refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [{"priority": 10}, {"priority": 99}, {"priority": -1}, {"ttl_ms": 0}, {"ttl_ms": -5}])
async def test_value_out_of_bounds_is_refused_with_its_field(rig: Rig, field: dict[str, Any]) -> None:
    rig.agent("a")
    with pytest.raises(InvalidMessage) as caught:
        rig.post("a", **field)
    assert caught.value.field == next(iter(field))


@pytest.mark.parametrize("text", ["tomorrow", "", "2031-05-17T09:30:00", "2031-99-17T09:30:00Z"])
async def test_reply_by_that_is_no_time_is_refused(rig: Rig, text: str) -> None:
    a = rig.agent("a")
    with pytest.raises(InvalidMessage) as caught:
        rig.post("a", reply_by=text)
    assert (caught.value.field, a.receiver.messages) == ("reply_by", 0)


@pytest.mark.parametrize("seconds", [0, -0.001, -86_400])
async def test_message_that_is_late_on_arrival_is_refused_and_leaves_nothing(rig: Rig, seconds: float) -> None:
    a = rig.agent("a")
    with pytest.raises(MessageExpired):
        rig.post("a", reply_by=at(rig, seconds))
    assert (a.receiver.messages, a.receiver.bytes, rig.journal.changed_rows()) == (0, 0, 0)


@pytest.mark.parametrize(
    "field", [{"reply_by": "soon"}, {"reply_by": "2001-01-01T00:00:00Z"}, {"ttl_ms": 0}, {"priority": 10}]
)
async def test_guest_that_sends_such_a_message_is_told_and_its_log_says_why(rig: Rig, field: dict[str, object]) -> None:
    told: list[int] = []
    reasons: list[str] = []

    def send(turn: Turn, _message: AclMessage) -> int:
        turn.on_refusal = reasons.append
        told.append(turn.send(say("b", 1, **field)))
        return 0

    rig.agent("a", send)
    b = rig.agent("b")
    rig.post("a")
    rig.pump()
    assert (told, b.contents) == ([INVALID], [])
    assert [next(iter(field)) in reason for reason in reasons] == [True]


# --- expired -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", [True, False])
async def test_message_that_waited_too_long_is_a_dead_letter_and_is_never_handled(rig: Rig, running: bool) -> None:
    a = rig.agent("a") if running else rig.receiver("a")
    rig.post("a", "late", ttl_ms=1000)
    rig.clock.advance(1)
    rig.pump()
    await rig.later(0.1)
    await rig.commit()
    assert rig.pending() == []
    assert rig.dead() == [("late", EXPIRED, None, 1)]
    assert (a.contents, a.receiver.messages, a.receiver.bytes) == ([], 0, 0)


async def test_message_in_time_is_handled(rig: Rig) -> None:
    a = rig.agent("a")
    rig.post("a", 1, ttl_ms=1000)
    rig.post("a", 2, reply_by=at(rig, 1))
    rig.clock.advance(0.999)
    rig.pump()
    await rig.later(5)
    await rig.commit()
    assert (a.contents, rig.dead()) == ([1, 2], [])


async def test_earlier_of_both_ends_counts(rig: Rig) -> None:
    rig.receiver("a")
    rig.post("a", 1, ttl_ms=HOUR_MS, reply_by=at(rig, 10))
    rig.post("a", 2, ttl_ms=10_000, reply_by=at(rig, 3600))
    await rig.later(10)
    await rig.commit()
    assert [content for content, *_ in rig.dead()] == [1, 2]


@pytest.mark.parametrize("jump_s", [3600, -3600, 3_000_000_000])
async def test_clock_that_is_set_neither_ends_nor_prolongs_a_life(rig: Rig, jump_s: int) -> None:
    rig.receiver("a")
    rig.post("a", 1, ttl_ms=10_000)
    rig.clock.set_wall_us(rig.clock.wall_us() + jump_s * 1_000_000)
    await rig.later(9.9)
    await rig.commit()
    assert rig.pending() == [1]
    await rig.later(0.1)
    await rig.commit()
    assert rig.pending() == []


async def test_life_goes_on_over_a_crash_also_while_the_node_is_down(rig: Rig) -> None:
    rig.receiver("a")
    rig.post("a", "short", ttl_ms=10_000)
    rig.post("a", "long", ttl_ms=HOUR_MS)
    await rig.commit()
    rig.clock.advance(60)
    again, agents = rig.recover(["a"])
    again.start(agents["a"])
    again.pump()
    await again.later(0.1)
    await again.commit()
    assert agents["a"].contents == ["long"]
    assert [content for content, *_ in again.dead()] == ["short"]
    again.close()


async def test_message_in_hand_may_end_late_and_expires_only_if_it_fails(rig: Rig) -> None:
    results: list[int | None] = [None, 1]
    a = rig.agent("a", lambda _turn, _message: None, on_resume=lambda _turn: results.pop(0))
    rig.post("a", 1, ttl_ms=1000)
    rig.bus.pump(0)
    rig.clock.advance(2)
    await rig.turn_loop()
    assert (a.receiver.messages, results) == (1, [1])
    rig.pump()
    await rig.commit()
    assert rig.dead() == [(1, EXPIRED, "its handler returned 1", 1)]


async def test_who_waits_for_the_reply_hears_that_it_expired(rig: Rig) -> None:
    rig.receiver("a")
    caller = Caller()
    rig.post("a", 1, ttl_ms=1000, caller=caller)
    await rig.later(1)
    assert not caller.has_heard
    await rig.commit()
    assert caller.failures == [(REASONS[EXPIRED], None)]


async def test_expired_mail_gives_its_room_back_and_is_let_go_of(rig: Rig) -> None:
    a = rig.receiver("a", max_messages=10)
    for n in range(50 * MIN_TOMBSTONES):
        rig.post("a", n, ttl_ms=1000)
        if n % 10 == 9:
            await rig.later(1)
    assert len(a.receiver.held) <= MIN_TOMBSTONES + 10


async def test_lifetimes_of_handled_messages_are_let_go_of(rig: Rig) -> None:
    a = rig.agent("a")
    for n in range(5 * LEAST_SWEPT):
        rig.post("a", n, ttl_ms=HOUR_MS)
        rig.pump()
    assert len(a.contents) == 5 * LEAST_SWEPT
    assert rig.bus.redelivery.waiting_lifetimes <= 2 * LEAST_SWEPT


# --- priorities --------------------------------------------------------------------------------------------------


async def test_higher_priorities_come_first_and_each_keeps_its_order(rig: Rig) -> None:
    a = rig.receiver("a")
    for n, priority in enumerate([4, 0, 9, None, 9, 0, 5, 4]):
        rig.post("a", n, priority=priority)
    rig.start(a)
    rig.pump()
    assert a.contents == [2, 4, 6, 0, 3, 7, 1, 5]


async def test_priority_is_kept_over_a_crash(rig: Rig) -> None:
    rig.receiver("a")
    for n, priority in enumerate([1, 8, 4]):
        rig.post("a", n, priority=priority)
    await rig.commit()
    again, agents = rig.recover(["a"])
    again.start(agents["a"])
    again.pump()
    assert agents["a"].contents == [1, 2, 0]
    again.close()


async def test_priority_of_a_guest_counts_too(rig: Rig) -> None:
    def send(turn: Turn, _message: AclMessage) -> int:
        return OK if {turn.send(say("b", n, priority=n)) for n in (1, 2, 7)} == {OK} else 1

    rig.agent("a", send)
    b = rig.receiver("b")
    rig.post("a")
    rig.pump()
    rig.start(b)
    rig.pump()
    assert b.contents == [7, 2, 1]


# --- repetition holds up one sender only -------------------------------------------------------------------------


async def test_failing_message_holds_up_its_sender_and_nobody_else(rig: Rig) -> None:
    def handle(_turn: Turn, message: AclMessage) -> int:
        return 1 if bytes(message.content) == b'"poison"' and message.attempt < 3 else 0

    a = rig.agent("a", handle)
    rig.post("a", "poison", sender="bad")
    rig.post("a", "behind", sender="bad")
    rig.post("a", 1, sender="good")
    rig.pump()
    assert a.contents == ["poison", 1]
    rig.post("a", 2, sender="good")
    rig.pump()
    assert a.contents == ["poison", 1, 2]
    await rig.later(0.1)
    assert a.contents == ["poison", 1, 2, "poison"]
    await rig.later(0.2)
    assert a.contents == ["poison", 1, 2, "poison", "poison", "behind"]
    assert a.receiver.messages == 0


async def test_handler_that_finds_no_room_waits_for_it_and_uses_up_no_attempt(rig: Rig) -> None:
    a = rig.agent("a", lambda turn, message: turn.send(say("slow", bytes(message.content).decode())))
    slow = rig.receiver("slow", max_messages=1)
    rig.post("slow", 0)
    rig.post("a", 1)
    for _ in range(3 * MAX_ATTEMPTS):
        await rig.later(5)
    assert (a.receiver.messages, a.receiver.failed, a.supervisor.failures) == (1, 0, [])
    attempts = [message.attempt for message in a.handler.delivered]
    assert attempts == list(range(1, len(attempts) + 1))
    rig.start(slow)
    await rig.later(30)
    await rig.commit()
    assert (slow.contents, rig.dead()) == ([0, "1"], [])


async def test_attempts_without_room_leave_all_others_also_after_a_crash(rig: Rig) -> None:
    def handle(turn: Turn, _message: AclMessage) -> int:
        return turn.send(say("slow")) or 7  # once there is room, it fails by itself

    rig.agent("a", handle)
    rig.receiver("slow", max_messages=1)
    rig.post("slow", 0)
    rig.post("a", 1)
    for _ in range(2 * MAX_ATTEMPTS):
        await rig.later(31)
    await rig.commit()
    run, agents = rig.recover(["a", "slow"])
    run.start(agents["a"], lambda _turn, _message: 7)
    for _ in range(2 * MAX_ATTEMPTS):
        await run.pump_suspects()
        await run.later(31)
        await run.commit()
    assert len(agents["a"].handler.delivered) in (MAX_ATTEMPTS - 1, MAX_ATTEMPTS)
    assert [content for content, *_ in run.dead()] == [1]
    run.close()


async def test_handler_that_finds_no_room_for_too_long_has_failed(rig: Rig) -> None:
    a = rig.agent("a", lambda turn, _message: turn.send(say("slow")))
    rig.receiver("slow", max_messages=1)
    rig.post("slow", 0)
    rig.post("a", 1)
    for _ in range(MAX_BLOCKED + MAX_ATTEMPTS):
        await rig.later(31)
    await rig.commit()
    assert ([content for content, *_ in rig.dead()], a.receiver.messages) == ([1], 0)


async def test_closed_intake_makes_handlers_wait_and_fails_none(rig: Rig) -> None:
    a = rig.agent("a", lambda turn, _message: turn.send(say("b", 1)))
    b = rig.agent("b")
    rig.post("a")
    rig.bus.intake.close("disk-full", InvalidMessage)  # pyright: ignore[reportArgumentType]
    for _ in range(3 * MAX_BLOCKED):
        await rig.later(31)
    assert (b.contents, a.receiver.messages) == ([], 1)  # for as long as it takes
    rig.bus.intake.open("disk-full")
    await rig.later(30)
    assert (b.contents, a.receiver.messages) == ([1], 0)


async def test_urgent_message_of_a_paused_sender_waits_and_comes_first_after_it(rig: Rig) -> None:
    a = rig.agent("a", lambda _turn, message: int(message.attempt == 1 and bytes(message.content) == b"1"))
    rig.post("a", 1)
    rig.pump()
    rig.post("a", "urgent", priority=9)
    rig.pump()
    assert a.contents == [1]
    await rig.later(0.1)
    assert a.contents == [1, "urgent", 1]


async def test_pause_ends_with_a_restart_of_the_agent_and_its_old_end_changes_nothing(rig: Rig) -> None:
    a = rig.agent("a", lambda _turn, _message: 1)
    rig.post("a", 1)
    rig.post("a", 2)
    rig.pump()
    rig.stop(a)
    rig.start(a, lambda _turn, message: 0 if message.attempt > 2 or bytes(message.content) != b"1" else 1)
    rig.pump()
    assert a.contents == [1]  # its second attempt; the third waits for its own pause
    await rig.later(0.1)
    assert a.contents == [1]
    await rig.later(0.1)
    assert a.contents == [1, 1, 2]
