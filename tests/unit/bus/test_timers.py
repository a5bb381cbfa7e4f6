"""Durable timers: late rather than early, once, and as lasting as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.bus.envelope import MAX_ATTEMPTS
from caxton.sandbox.codes import NOT_FOUND, OK
from caxton.testing.handlers import FakeCrash, say

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from caxton.testing.clock import ManualClock
    from tests.unit.bus.rig import Agent, Rig

S = 1_000_000


def set_timers(rig: Rig, agent: Agent, *delays_s: float) -> list[int]:
    turn = rig.boot_turn(agent)
    ids = [turn.set_timer(round(delay * S)) for delay in delays_s]
    rig.bus.apply(turn)
    return ids


async def test_timer_fires_when_it_is_due_and_not_before(rig: Rig) -> None:
    a = rig.agent("a")
    (timer,) = set_timers(rig, a, 5)
    await rig.later(4.999)
    assert a.handler.fired == []
    await rig.later(0.001)
    assert a.handler.fired == [timer]
    await rig.later(3600)
    assert a.handler.fired == [timer]
    assert a.receiver.timers == {}


async def test_timers_fire_in_order_of_their_time(rig: Rig) -> None:
    a = rig.agent("a")
    third, first, second, at_once = set_timers(rig, a, 3, 1, 2, 0)
    await rig.later(0)
    assert a.handler.fired == [at_once]
    await rig.later(10)
    assert a.handler.fired == [at_once, first, second, third]


async def test_timer_that_is_due_takes_none_along_that_is_not(rig: Rig) -> None:
    a = rig.agent("a")
    first, second = set_timers(rig, a, 1, 1.000001)
    await rig.later(1)
    assert a.handler.fired == [first]
    await rig.later(0.000001)
    assert a.handler.fired == [first, second]


async def test_cancelled_timer_never_fires(rig: Rig) -> None:
    a = rig.agent("a")
    timer, other = set_timers(rig, a, 5, 5)
    turn = rig.boot_turn(a)
    assert turn.cancel_timer(timer) == OK
    rig.bus.apply(turn)
    await rig.later(10)
    assert a.handler.fired == [other]
    await rig.commit()
    assert rig.rows("SELECT * FROM timers") == []


async def test_timer_cancelled_between_firing_and_handling_is_not_handled(rig: Rig) -> None:
    timers: list[int] = []

    def cancel(turn: Turn, _message: AclMessage) -> int:
        return turn.cancel_timer(timers[0])

    a = rig.agent("a", cancel)
    timers += set_timers(rig, a, 5)
    rig.post("a")
    rig.clock.advance(5)
    await rig.turn_loop()  # it has fired and stands behind the message
    assert len(list(a.receiver.mailboxes[0].inbox)) == 2
    rig.pump()
    assert (len(a.handler.delivered), a.handler.fired, a.receiver.failed) == (1, [], 0)
    rig.post("a")
    rig.pump()
    assert a.supervisor.failures == [(0, NOT_FOUND)]  # there is nothing left to cancel


async def test_timer_of_a_failed_handler_was_never_set(rig: Rig) -> None:
    def fail(turn: Turn, _message: AclMessage) -> int:
        turn.set_timer(0)
        return 1

    a = rig.agent("a", fail)
    rig.post("a")
    rig.pump()
    rig.bus.queues.shut(a.receiver.mailboxes[0])
    await rig.later(60)
    assert a.handler.fired == []


async def test_effects_of_a_timer_and_its_end_are_one_transaction(rig: Rig) -> None:
    def on_timer(turn: Turn, _timer: int) -> int:
        turn.kv_set(b"fired", b"1")
        return turn.send(say("b", "tick"))

    a = rig.agent("a", on_timer=on_timer)
    rig.receiver("b")
    set_timers(rig, a, 1)
    await rig.commit()
    assert len(rig.rows("SELECT * FROM timers")) == 1
    await rig.later(1)
    assert a.handler.fired == [1]
    assert len(rig.rows("SELECT * FROM timers")) == 1  # still as it was
    assert rig.rows("SELECT * FROM kv") == []
    await rig.commit()
    assert rig.rows("SELECT * FROM timers") == []
    assert rig.rows("SELECT key FROM kv") == [(b"fired",)]
    assert rig.pending() == ["tick"]


async def test_timer_handled_but_not_committed_fires_again_after_a_crash(rig: Rig) -> None:
    a = rig.agent("a")
    set_timers(rig, a, 1)
    await rig.commit()
    await rig.later(1)
    assert a.handler.fired == [1]
    again, agents = rig.recover(["a"])
    again.start(agents["a"])
    await again.pump_suspects()
    assert agents["a"].handler.fired == [1]
    await again.commit()
    third, agents = again.recover(["a"])
    third.start(agents["a"])
    await third.later(3600)
    assert agents["a"].handler.fired == []
    third.close()


async def test_timer_that_came_due_while_the_node_was_down_fires_at_start(rig: Rig, clock: ManualClock) -> None:
    a = rig.agent("a")
    overdue, later = set_timers(rig, a, 60, 7200)
    await rig.commit()
    rig.close()
    clock.advance(3600)
    again, agents = rig.recover(["a"])
    a = agents["a"]
    await again.later(0)  # it fires before the agent has started, and waits for it
    again.start(a)
    again.pump()
    assert a.handler.fired == [overdue]
    (new,) = set_timers(again, a, 1)
    assert new not in (overdue, later)
    await again.later(3600)
    assert a.handler.fired == [overdue, new, later]
    again.close()


async def test_timer_fires_at_the_replica_that_set_it_also_when_it_waited(rig: Rig) -> None:
    a = rig.agent("a", replicas=3)
    for box in a.receiver.mailboxes:
        turn = a.handlers[box.replica].turn
        turn.begin(None, rig.clock.wall_us())
        turn.set_timer(S)
        rig.bus.apply(turn)
    await rig.later(1)
    assert [handler.fired for handler in a.handlers] == [[1], [2], [3]]

    for box in a.receiver.mailboxes:
        turn = a.handlers[box.replica].turn
        turn.begin(None, rig.clock.wall_us())
        turn.set_timer(S)
        rig.bus.apply(turn)
    rig.stop(a)
    await rig.later(1)
    rig.start(a, replicas=3)
    rig.pump()
    assert [handler.fired for handler in a.handlers] == [[4], [5], [6]]


async def test_timer_of_a_replica_that_is_no_more_fires_at_another(rig: Rig) -> None:
    a = rig.agent("a", replicas=2)
    turn = a.handlers[1].turn
    turn.begin(None, rig.clock.wall_us())
    turn.set_timer(S)
    rig.bus.apply(turn)
    rig.bus.queues.set_mailboxes(a.receiver, 1)
    await rig.later(1)
    assert a.handlers[0].fired == [1]


async def test_failing_timer_is_tried_again_and_given_up(rig: Rig) -> None:
    a = rig.agent("a", on_timer=lambda _turn, _timer: 1)
    set_timers(rig, a, 1)
    await rig.commit()
    for _ in range(MAX_ATTEMPTS + 2):
        await rig.later(30)
    assert a.handler.fired == [1] * MAX_ATTEMPTS
    assert a.receiver.timers == {}
    assert a.supervisor.given_up == [(0, "", 1)]
    await rig.commit()
    assert rig.rows("SELECT * FROM timers") == []
    rig.post("a", 1)
    rig.pump()
    assert a.contents == [1]  # the mailbox is open again


async def test_timer_that_crashes_its_handler_comes_to_the_next(rig: Rig) -> None:
    a = rig.agent("a", on_timer=lambda _turn, _timer: FakeCrash())
    set_timers(rig, a, 1)
    await rig.later(1)
    assert len(a.supervisor.crashes) == 1
    rig.start(a)
    rig.pump()
    assert a.handler.fired == [1]


async def test_timer_of_a_removed_agent_is_forgotten(rig: Rig) -> None:
    a = rig.agent("a")
    set_timers(rig, a, 1, 2)
    rig.clock.advance(1)
    await rig.turn_loop()  # one has fired and waits, one is still to come
    rig.stop(a)
    rig.bus.names.remove(a.receiver)
    new = rig.agent("a")
    await rig.later(60)
    assert new.handler.fired == []
    await rig.commit()
    assert rig.dead() == []


@pytest.mark.parametrize("jump_s", [3600, -3600, 10 * 366 * 86_400, -10 * 366 * 86_400])
async def test_clock_that_is_set_neither_fires_nor_delays_a_timer(rig: Rig, clock: ManualClock, jump_s: int) -> None:
    a = rig.agent("a")
    (timer,) = set_timers(rig, a, 3600)
    clock.set_wall_us(clock.wall_us() + jump_s * S)
    await rig.later(3599)
    assert a.handler.fired == []
    await rig.later(1)
    assert a.handler.fired == [timer]


async def test_timers_take_no_room_in_the_mailbox(rig: Rig) -> None:
    a = rig.agent("a", max_messages=1)
    set_timers(rig, a, 1, 1, 1)
    rig.clock.advance(1)
    await rig.turn_loop()
    rig.post("a", 1)
    rig.pump()
    assert (len(a.handler.fired), a.contents, a.receiver.messages) == (3, [1], 0)
