"""Who gets what, in which order, and that one cannot hold up the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from caxton.bus.bus import MESSAGES_PER_VISIT
from caxton.core.errors.messages import InvalidMessage
from caxton.core.errors.receivers import MailboxFull, UnknownReceiver
from caxton.messages.codec import decode_message
from caxton.testing.handlers import FakeCrash, say
from tests.unit.bus.rig import Caller, Rig

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage


# --- taken from outside --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("receiver", "error"),
    [
        ("nobody", UnknownReceiver), (["b", "nobody"], UnknownReceiver), ("topic://empty", UnknownReceiver),
        ("client:admin", UnknownReceiver), ("", InvalidMessage), ([], InvalidMessage), (["b", ""], InvalidMessage),
        (["b", "full"], MailboxFull),
    ],
)  # fmt: skip
async def test_message_that_cannot_go_to_all_its_receivers_goes_to_none(
    rig: Rig, receiver: str | list[str], error: type[Exception]
) -> None:
    b = rig.agent("b")
    rig.receiver("full", max_messages=0)
    with pytest.raises(error):
        rig.post(receiver)
    rig.pump()
    assert (b.contents, b.receiver.messages, rig.postbox.accepted, rig.journal.changed_rows()) == ([], 0, 0, 0)


async def test_full_mailbox_refuses_and_says_its_limits(rig: Rig) -> None:
    b = rig.receiver("b", max_messages=2, max_bytes=1 << 20)
    rig.post("b", 1)
    rig.post("b", 2)
    for _ in range(2):
        with pytest.raises(MailboxFull):
            rig.post("b", 3)
    with pytest.raises(MailboxFull) as caught:
        rig.post("b", 3)
    assert (caught.value.receiver, caught.value.limit_messages, caught.value.limit_bytes) == ("b", 2, 1 << 20)
    assert rig.postbox.accepted == 2
    rig.start(b)
    rig.pump()
    rig.post("b", 4)
    rig.pump()
    assert b.contents == [1, 2, 4]
    assert (b.receiver.messages, b.receiver.bytes) == (0, 0)


async def test_nobody_waits_for_the_replies_of_several(rig: Rig) -> None:
    rig.agent("a")
    rig.agent("b")
    caller = Caller()
    with pytest.raises(InvalidMessage):
        rig.post(["a", "b"], caller=caller)
    assert rig.postbox.accepted == 0


async def test_host_fills_in_what_a_client_may_not_or_need_not_say(rig: Rig) -> None:
    b = rig.agent("b")
    accepted = rig.post("b", 1, sender="eve", timestamp=5, attempt=9)
    given = rig.post("b", 2, conversation_id="talk", reply_with="r1")
    rig.pump()
    first, second = b.handler.delivered
    assert (first.sender, first.timestamp, first.attempt) == ("client:eve", rig.clock.wall_us(), 1)
    assert first.message_id != ""
    assert (first.conversation_id, first.reply_with) == (f"conversation-{first.message_id}", first.message_id)
    assert (second.conversation_id, second.reply_with) == ("talk", "r1")
    assert (first, second) == (accepted, given)


async def test_agent_that_writes_to_itself_stands_in_line_once(rig: Rig) -> None:
    a = rig.agent("a", lambda turn, _message: turn.send(say("a")))
    rig.post("a")
    for _ in range(50):
        rig.bus.pump(0)
    assert len(a.handler.delivered) > 50
    assert len(rig.bus.queues.ready) == 1


async def test_forged_sender_of_a_client_is_replaced(rig: Rig) -> None:
    b = rig.agent("b")
    forged = rig.post("b", 1)
    rig.postbox.accept("default", "eve", forged)
    rig.pump()
    assert forged.sender == "client:eve"
    assert [message.sender for message in b.handler.delivered] == ["client:admin", "client:eve"]


async def test_message_ids_and_sequence_never_repeat(rig: Rig) -> None:
    b = rig.agent("b", lambda turn, _message: turn.send(say("client:x")))
    ids = {rig.post("b").message_id for _ in range(50)}
    rig.pump()
    assert len(ids) == 50
    assert len({message.message_id for message in b.handler.delivered} | ids) == 50


async def test_other_workspace_is_another_world(rig: Rig) -> None:
    rig.agent("b")
    with pytest.raises(UnknownReceiver):
        rig.postbox.accept("other", "admin", rig.post("b"))


# --- order ---------------------------------------------------------------------------------------------------------


async def test_messages_of_one_sender_arrive_in_the_order_sent(rig: Rig) -> None:
    def burst(turn: Turn, message: AclMessage) -> int:
        base = int(bytes(message.content))
        return max(turn.send(say("b", base + n)) for n in range(10))

    a, b = rig.agent("a", burst), rig.agent("b")
    for n in range(20):
        rig.post("a", n * 10)
    rig.pump()
    assert a.contents == [n * 10 for n in range(20)]
    assert b.contents == list(range(200))


async def test_order_survives_failures_and_crashes(rig: Rig) -> None:
    outcomes = iter([7, 0, FakeCrash(), 0, 0, 3, 0])
    b = rig.agent("b", lambda _turn, _message: next(outcomes))
    handlers = [b.handler]
    for n in range(4):
        rig.post("b", n)
    for _ in range(10):
        rig.pump()
        if b.receiver.mailboxes[0].handler is None:
            rig.start(b, lambda _turn, _message: next(outcomes))
            handlers.append(b.handler)
        await rig.later(30)
    given = [int(bytes(message.content)) for handler in handlers for message in handler.delivered]
    assert given == [0, 0, 1, 1, 2, 3, 3]
    assert b.receiver.messages == 0


async def test_order_survives_a_stop_and_a_start(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: None, on_resume=lambda _turn: None)
    for n in range(5):
        rig.post("b", n)
    rig.bus.pump(1)
    assert b.contents == [0]
    rig.stop(b)
    rig.post("b", 5)
    rig.start(b)
    rig.pump()
    assert b.contents == [0, 1, 2, 3, 4, 5]


async def test_message_in_hand_stays_before_the_later_ones_when_its_replica_is_given_up(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: None, on_resume=lambda _turn: None, replicas=2)
    for n in range(40):
        rig.post("b", n, conversation_id="abcdefgh"[n % 8])
    rig.bus.pump(1)
    in_hand = b.handlers[1].delivered
    assert len(in_hand) == 1
    surplus = b.receiver.mailboxes[1]
    rig.bus.queues.set_mailboxes(b.receiver, 1)
    rig.bus.queues.drop(surplus)
    waiting = [decode_message(envelope.body) for envelope in b.receiver.mailboxes[0].inbox]
    order = [int(bytes(m.content)) for m in waiting if m.conversation_id == in_hand[0].conversation_id]
    assert order == sorted(order)
    assert order[0] == int(bytes(in_hand[0].content))
    assert b.receiver.messages == 40


async def test_conversation_stays_with_its_replica_and_the_rest_goes_round(rig: Rig) -> None:
    b = rig.agent("b", replicas=3)
    for n in range(30):
        rig.post("b", n, conversation_id=f"talk-{n % 5}")
    rig.pump()
    homes = [
        {replica for replica, handler in enumerate(b.handlers) for m in handler.delivered if m.conversation_id == talk}
        for talk in (f"talk-{n}" for n in range(5))
    ]
    assert [len(home) for home in homes] == [1] * 5

    a = rig.agent("a", lambda turn, _message: max(turn.send(say("b")) for _ in range(30)))
    before = [len(handler.delivered) for handler in b.handlers]
    rig.post("a")
    rig.pump()
    assert [len(handler.delivered) - was for handler, was in zip(b.handlers, before, strict=True)] == [10, 10, 10]
    assert a.receiver.failed == 0


# --- nobody is held up ---------------------------------------------------------------------------------------------


async def test_handler_that_never_ends_does_not_delay_the_others(rig: Rig) -> None:
    spinner = rig.agent("spinner", lambda _turn, _message: None, on_resume=lambda _turn: None)
    worker = rig.agent("worker")
    rig.post("spinner")
    for n in range(100):
        rig.post("worker", n)
        rig.bus.pump(1)
        assert worker.contents[-1] == n
    assert spinner.handler.resumed == 100  # and it got its slice each time
    assert spinner.receiver.messages == 1


async def test_handler_that_takes_long_gets_its_slices_though_there_is_always_other_work(rig: Rig) -> None:
    slow = rig.agent("slow", lambda _turn, _message: None, on_resume=lambda _turn: None)
    rig.agent("endless", lambda turn, _message: turn.send(say("endless")))
    rig.post("slow")
    rig.post("endless")
    for slices in range(1, 10):
        rig.bus.pump(0.0)
        assert rig.bus.has_work
        assert slow.handler.resumed >= slices - 1  # the first call may only have begun it


async def test_all_long_handlers_get_slices_in_turn_and_end(rig: Rig) -> None:
    left = {"a": 3, "b": 5, "c": 4}

    def on_resume(turn: Turn) -> int | None:
        left[turn.receiver.name] -= 1
        return None if left[turn.receiver.name] else 0

    agents = {name: rig.agent(name, lambda _turn, _message: None, on_resume=on_resume) for name in left}
    for name in left:
        rig.post(name)
    for _ in range(9):
        rig.bus.pump(1)
    assert {name: agent.handler.resumed for name, agent in agents.items()} == {"a": 3, "b": 3, "c": 3}
    rig.pump()
    assert {name: agent.handler.resumed for name, agent in agents.items()} == {"a": 3, "b": 5, "c": 4}
    assert rig.bus.settled == 3


async def test_replica_takes_nothing_else_while_a_message_is_in_hand(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: None)
    for n in range(3):
        rig.post("b", n)
    for done in range(3):
        rig.bus.pump(1)
        assert b.contents == list(range(done + 1))  # the fake refuses a second one in between


async def test_long_queue_lets_the_others_in(rig: Rig) -> None:
    given: list[str] = []

    def note(turn: Turn, _message: AclMessage) -> int:
        given.append(turn.receiver.name)
        return 0

    rig.agent("a", note)
    rig.agent("b", note)
    for _ in range(50):
        rig.post("a")
    rig.post("b")
    rig.pump()
    assert given.index("b") == MESSAGES_PER_VISIT


async def test_pump_comes_back_when_its_time_is_over(rig: Rig) -> None:
    endless = rig.agent("a", lambda turn, _message: turn.send(say("a")))
    rig.post("a")
    rig.bus.pump(0.0)
    assert len(endless.handler.delivered) <= MESSAGES_PER_VISIT
    assert rig.bus.has_work


async def test_pump_is_woken_for_work_that_came_from_outside_of_it(rig: Rig) -> None:
    """Effects of `agent_init`, mail dealt out anew, mail of a dropped replica: nobody else would wake it."""
    b = rig.agent("b")

    async def woken(what: str) -> None:
        assert rig.wakes > 0, what
        rig.pump()
        rig.wakes = 0

    turn = rig.boot_turn(b)
    turn.send(say("b", "from agent_init"))
    rig.bus.apply(turn)
    await woken("agent_init")

    rig.stop(b)
    rig.post("b", "while stopped")
    rig.wakes = 0
    rig.start(b)
    await woken("start")

    two = rig.agent("two", lambda _turn, _message: None, replicas=2)
    for n in range(8):
        rig.post("two", n, conversation_id=str(n))
    rig.bus.pump(1)
    rig.pump()
    rig.wakes = 0
    assert len(two.contents) == 8

    rig.bus.queues.shut(two.receiver.mailboxes[1])
    for n in range(8):
        rig.post("two", n, conversation_id=str(n))
    rig.pump()
    rig.wakes = 0
    rig.bus.queues.set_mailboxes(two.receiver, 1)
    await woken("scale")
    assert two.receiver.messages == 0


async def test_pump_is_not_woken_from_within_itself(rig: Rig) -> None:
    """A pump that wakes itself each time would soon be called many times a turn."""
    b = rig.agent("b", lambda _turn, _message: None)
    for n in range(5):
        rig.post("b", n)
    rig.wakes = 0
    rig.pump()
    assert (b.contents, rig.wakes) == ([0, 1, 2, 3, 4], 0)


# --- capability and topic ------------------------------------------------------------------------------------------


async def test_capability_goes_round_among_those_who_offer_it(rig: Rig) -> None:
    agents = [rig.agent(name) for name in ("a", "b", "c")]
    for agent in agents[:2]:
        agent.receiver.offer(deployed={"adding": 50, "other": 50})
    for n in range(4):
        rig.post(capability="adding", content=n)
    rig.pump()
    assert [agent.contents for agent in agents] == [[0, 2], [1, 3], []]


async def test_capability_prefers_those_who_run(rig: Rig) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    for agent in (a, b):
        agent.receiver.offer(deployed={"adding": 50})
    rig.stop(a)
    for n in range(3):
        rig.post(capability="adding", content=n)
    rig.pump()
    assert b.contents == [0, 1, 2]
    rig.stop(b)
    rig.post(capability="adding", content=3)  # it waits for one of them
    assert a.receiver.messages + b.receiver.messages == 1


async def test_receiver_comes_before_capability(rig: Rig) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    b.receiver.offer(deployed={"adding": 50})
    rig.post("a", 1, capability="adding")
    rig.pump()
    assert (a.contents, b.contents) == ([1], [])


async def test_topic_reaches_its_subscribers_once_and_not_the_publisher(rig: Rig) -> None:
    agents = {name: rig.agent(name) for name in ("a", "b", "c")}
    for name in ("b", "a"):
        turn = rig.boot_turn(agents[name])
        turn.subscribe(b"orders/created")
        turn.subscribe(b"topic://orders/created")
        rig.bus.apply(turn)
    rig.post("topic://orders/created", 1)
    turn = rig.boot_turn(agents["a"])
    assert turn.send(say("topic://orders/created", 2)) == 0
    assert turn.send(say("topic://orders/other", 3)) == 0  # nobody listens: that is no error
    rig.bus.apply(turn)
    rig.pump()
    assert {name: agent.contents for name, agent in agents.items()} == {"a": [1], "b": [1, 2], "c": []}


async def test_subscription_ends_with_unsubscribing_and_with_the_agent(rig: Rig) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    for agent in (a, b):
        turn = rig.boot_turn(agent)
        turn.subscribe(b"t")
        rig.bus.apply(turn)
    turn = rig.boot_turn(a)
    turn.unsubscribe(b"t")
    turn.unsubscribe(b"never")
    rig.bus.apply(turn)
    rig.post("topic://t", 1)
    rig.pump()
    assert (a.contents, b.contents) == ([], [1])
    rig.stop(b)
    rig.bus.names.remove(b.receiver)
    with pytest.raises(UnknownReceiver):
        rig.post("topic://t", 2)
    assert len(rig.bus.names.directory("default").topics) == 0


async def test_client_naming_an_agent_twice_sends_one_copy(rig: Rig) -> None:
    a = rig.agent("a")
    turn = rig.boot_turn(a)
    turn.subscribe(b"t")
    rig.bus.apply(turn)
    rig.post(["a", "topic://t", "a"], 1)
    rig.pump()
    assert (a.contents, rig.postbox.accepted) == ([1], 1)


# --- drain ---------------------------------------------------------------------------------------------------------


async def test_draining_ends_what_is_in_hand_and_begins_nothing(rig: Rig) -> None:
    left = [3]

    def on_resume(_turn: Turn) -> int | None:
        left[0] -= 1
        return None if left[0] else 0

    b = rig.agent("b", lambda _turn, _message: None, on_resume=on_resume)
    for n in range(3):
        rig.post("b", n)
    rig.bus.pump(1)
    rig.bus.is_draining = True
    free = asyncio.ensure_future(rig.bus.queues.wait_until_free(b.receiver.mailboxes))
    await rig.turn_loop()
    assert not free.done()
    rig.pump()
    await free
    assert (b.contents, rig.bus.settled, b.receiver.messages) == ([0], 1, 2)
    await rig.commit()
    assert rig.pending() == [1, 2]


async def test_waiting_for_free_handlers_ends_when_they_are_dropped(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: None, on_resume=lambda _turn: None)
    rig.post("b")
    rig.bus.pump(1)
    free = asyncio.ensure_future(rig.bus.queues.wait_until_free(b.receiver.mailboxes))
    await rig.turn_loop()
    rig.stop(b)
    await free
    assert b.receiver.messages == 1


# --- figures -------------------------------------------------------------------------------------------------------


async def test_time_that_a_message_waited_is_counted(rig: Rig) -> None:
    b = rig.receiver("b")
    rig.post("b")
    rig.clock.advance(0.001)
    rig.start(b)
    rig.pump()
    counts = {bucket: count for bucket, count in enumerate(rig.bus.latency_us) if count}
    assert counts == {(1000).bit_length(): 1}


async def test_clock_that_is_set_back_or_far_ahead_does_not_stop_the_bus(rig: Rig) -> None:
    b = rig.agent("b")
    for jump in (-(10**15), 10**15, 0):
        rig.post("b")
        rig.clock.set_wall_us(1_800_000_000_000_000 + jump)
        rig.pump()
    assert len(b.contents) == 3
    assert sum(rig.bus.latency_us) == 3


async def test_lower_halves_of_trace_ids_are_spread_evenly_and_never_come_twice(rig: Rig) -> None:
    made = [rig.bus.new_trace_id() for _ in range(10_000)]
    assert len(set(made)) == 10_000
    for digits in (slice(16, 17), slice(18, 19)):  # of the whole half, and of the 56 bits that W3C calls random
        counts = Counter(trace[digits] for trace in made)
        assert (len(counts), max(counts.values()) < 700) == (16, True)
