"""What a handler may stage: the results it gets, and that nothing of it outlives a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from caxton.bus.mailbox import KV_ENTRY_BYTES
from caxton.bus.turn import (
    MAX_KEY_BYTES,
    MAX_KV_BYTES,
    MAX_TIMER_DELAY_US,
    MAX_TIMERS,
    MAX_TOPIC_BYTES,
    MAX_TOPICS,
    MAX_VALUE_BYTES,
)
from caxton.messages.codec import MAX_CONTENT_BYTES
from caxton.sandbox.codes import INVALID, NOT_FOUND, OK, RATE_LIMITED, TOO_LARGE, UNKNOWN_RECEIVER, WOULD_BLOCK
from caxton.testing.handlers import say

if TYPE_CHECKING:
    from tests.unit.bus.rig import Agent, Rig

BIG = b"x" * MAX_VALUE_BYTES


def room(agent: Agent) -> tuple[int, int]:
    return agent.receiver.messages, agent.receiver.bytes


# --- results of send -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"{}", b'{"performative":"tell","receiver":"b"}', b'{"performative":"inform","receiver":5}',
     b'{"performative":"inform","receiver":"b","content":NaN}', say("b")[:-1], b"[" * 100_000, b"\xff",
     say(""), say([])],
)  # fmt: skip
async def test_what_is_no_message_is_invalid_and_says_why(rig: Rig, data: bytes) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    turn = rig.boot_turn(a)
    reasons: list[str] = []
    turn.on_refusal = reasons.append
    assert turn.send(data) == INVALID
    assert len(reasons) == 1
    assert reasons[0]
    assert (turn.sends, room(b)) == ([], (0, 0))


@pytest.mark.parametrize(
    "message",
    [say("nobody"), say(["b", "nobody"]), say("", capability="flying"),
     say("B"), say("b/"), say("topic:/x"), say("client")],
)  # fmt: skip
async def test_receiver_that_is_not_there_is_unknown_and_nobody_gets_it(rig: Rig, message: bytes) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    turn = rig.boot_turn(a)
    assert turn.send(message) == UNKNOWN_RECEIVER
    assert (turn.sends, room(b)) == ([], (0, 0))


async def test_message_over_a_mebibyte_is_too_large(rig: Rig) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    turn = rig.boot_turn(a)
    assert turn.send(say("b", "x" * MAX_CONTENT_BYTES)) == TOO_LARGE
    assert room(b) == (0, 0)
    assert turn.send(say("b", "x" * (MAX_CONTENT_BYTES - 200))) == OK


async def test_full_mailbox_would_block_until_there_is_room(rig: Rig) -> None:
    a, b = rig.agent("a"), rig.receiver("b", max_messages=2)
    turn = rig.boot_turn(a)
    assert [turn.send(say("b", n)) for n in range(3)] == [OK, OK, WOULD_BLOCK]
    rig.bus.apply(turn)
    turn.begin(None, rig.clock.wall_us())
    assert turn.send(say("b", 3)) == WOULD_BLOCK
    rig.start(b)
    rig.pump()
    assert turn.send(say("b", 4)) == OK


async def test_mailbox_is_full_by_bytes_too_but_an_empty_one_takes_any_message(rig: Rig) -> None:
    a = rig.agent("a")
    rig.receiver("b", max_bytes=1000)
    turn = rig.boot_turn(a)
    assert [turn.send(say("b", "x" * 2000)), turn.send(say("b"))] == [OK, WOULD_BLOCK]


async def test_multicast_reaches_all_or_none(rig: Rig) -> None:
    a, b, full = rig.agent("a"), rig.agent("b"), rig.receiver("full", max_messages=0)
    turn = rig.boot_turn(a)
    assert turn.send(say(["b", "full"])) == WOULD_BLOCK
    assert turn.send(say(["b", "nobody"])) == UNKNOWN_RECEIVER
    assert (room(b), room(full)) == ((0, 0), (0, 0))
    full.receiver.max_messages = 1
    assert turn.send(say(["b", "full"], 7)) == OK
    rig.bus.apply(turn)
    rig.start(full)
    rig.pump()
    assert (b.contents, full.contents) == ([7], [7])
    assert b.handler.delivered[0].receiver == ["b", "full"]


async def test_receiver_named_twice_gets_one_copy(rig: Rig) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    turn = rig.boot_turn(b)
    assert turn.subscribe(b"news") == OK
    assert turn.subscribe(b"sport") == OK
    rig.bus.apply(turn)
    turn = rig.boot_turn(a)
    assert turn.send(say(["b", "b", "topic://news", "topic://sport"])) == OK
    assert len(turn.sends) == 1
    assert room(b)[0] == 1


async def test_sending_faster_than_allowed_is_refused_until_the_next_second(rig: Rig) -> None:
    a = rig.agent("a")
    rig.agent("b")
    a.receiver.messages_per_s = 3
    turn = rig.boot_turn(a)
    assert [turn.send(say("b")) for _ in range(5)] == [OK, OK, OK, RATE_LIMITED, RATE_LIMITED]
    rig.clock.advance(1)
    turn.begin(None, rig.clock.wall_us())
    assert turn.send(say("b")) == OK


async def test_refused_messages_count_too_so_that_refusing_is_no_free_work(rig: Rig) -> None:
    a = rig.agent("a")
    a.receiver.messages_per_s = 2
    turn = rig.boot_turn(a)
    assert [turn.send(b"junk") for _ in range(3)] == [INVALID, INVALID, RATE_LIMITED]


# --- what the host decides -----------------------------------------------------------------------------------------


async def test_copies_for_several_receivers_are_the_same_message(rig: Rig) -> None:
    a = rig.agent("a", lambda turn, _message: turn.send(say(["b", "c", "client:ada"], 1)))
    b, c = rig.agent("b"), rig.agent("c")
    rig.post("a")
    rig.pump()
    (first,), (second,) = b.handler.delivered, c.handler.delivered
    assert first == second
    await rig.commit()
    bodies = rig.rows("SELECT body, message_id FROM messages WHERE receiver = 'client:ada'")
    assert [message_id for _, message_id in bodies] == [first.message_id]
    assert a.receiver.handled == 1


async def test_sender_id_time_attempt_and_trace_are_the_hosts_whatever_was_sent(rig: Rig) -> None:
    def forge(turn: object, _message: object) -> int:
        forged = say(
            "b",
            1,
            sender="admin",
            message_id="forged",
            timestamp=1,
            attempt=4,
            traceparent=f"00-{'f' * 32}-{'f' * 16}-01",
        )
        return a.handler.turn.send(forged)

    a, b = rig.agent("a", forge), rig.agent("b")
    cause = rig.post("a")
    rig.pump()
    (got,) = b.handler.delivered
    assert (got.sender, got.timestamp, got.attempt) == ("a", rig.clock.wall_us(), 1)
    assert got.message_id not in ("forged", cause.message_id)
    assert cause.traceparent is not None
    assert got.traceparent is not None
    assert got.traceparent[:36] == cause.traceparent[:36]  # same trace
    assert got.traceparent[36:52] != cause.traceparent[36:52]  # another step of it


async def test_trace_text_inside_content_does_not_lead_the_trace_astray(rig: Rig) -> None:
    a = rig.agent("a", lambda turn, _message: turn.send(say("b")))
    b = rig.agent("b")
    cause = rig.post("a", {"traceparent": f"00-{'e' * 32}-"})
    rig.pump()
    assert cause.traceparent is not None
    assert str(b.handler.delivered[0].traceparent).startswith(cause.traceparent[:36])
    assert a.contents == [{"traceparent": f"00-{'e' * 32}-"}]


async def test_what_is_sent_while_starting_begins_a_trace_of_its_own(rig: Rig) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    for _ in range(2):
        turn = rig.boot_turn(a)
        turn.send(say("b"))
        turn.send(say("b"))
        rig.bus.apply(turn)
    rig.pump()
    traces = [str(message.traceparent)[3:35] for message in b.handler.delivered]
    assert traces[0] == traces[1] != traces[2] == traces[3]
    assert all(len(trace) == 32 for trace in traces)


# --- giving back ---------------------------------------------------------------------------------------------------


async def test_room_is_taken_when_a_message_is_staged_and_given_back_on_failure(rig: Rig) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    turn = rig.boot_turn(a)
    turn.send(say("b", 1))
    turn.send(say(["b", "a"], 2))
    assert (room(a)[0], room(b)[0]) == (1, 2)
    assert b.receiver.bytes == sum(len(envelope.body) for target, envelope in turn.sends if target is b.receiver)
    turn.release()
    assert (room(a), room(b), turn.sends) == ((0, 0), (0, 0), [])


async def test_nothing_of_a_released_turn_is_left_for_the_next(rig: Rig) -> None:
    a = rig.agent("a")
    turn = rig.boot_turn(a)
    turn.send(say("a"))
    turn.kv_set(b"k", b"v")
    timer = turn.set_timer(0)
    turn.subscribe(b"t")
    turn.release()
    turn.begin(None, rig.clock.wall_us())
    assert (turn.kv_get(b"k"), turn.cancel_timer(timer)) == (None, NOT_FOUND)
    rig.bus.apply(turn)
    rig.pump()
    assert (a.contents, a.receiver.timers, len(rig.bus.names.directory("default").topics)) == ([], {}, 0)


# --- state ---------------------------------------------------------------------------------------------------------


async def test_key_and_value_have_limits(rig: Rig) -> None:
    turn = rig.boot_turn(rig.agent("a"))
    assert turn.kv_set(b"", b"v") == INVALID
    assert turn.kv_set(b"k" * (MAX_KEY_BYTES + 1), b"v") == INVALID
    assert turn.kv_set(b"k", BIG + b"x") == TOO_LARGE
    assert turn.kv_get(b"k") is None
    assert turn.kv_set(b"k" * MAX_KEY_BYTES, BIG) == OK


async def test_state_is_bounded_over_turns_and_within_one(rig: Rig) -> None:
    a = rig.agent("a")
    turn = rig.boot_turn(a)
    results = [turn.kv_set(b"%d" % n, BIG) for n in range(17)]
    assert results == [OK] * 15 + [TOO_LARGE] * 2
    rig.bus.apply(turn)
    turn.begin(None, 0)
    assert turn.kv_set(b"more", BIG) == TOO_LARGE
    assert a.receiver.kv_bytes <= MAX_KV_BYTES


async def test_full_state_can_still_be_changed_and_emptied(rig: Rig) -> None:
    a = rig.agent("a")
    turn = rig.boot_turn(a)
    for n in range(15):
        turn.kv_set(b"%d" % n, BIG)
    rig.bus.apply(turn)
    turn.begin(None, 0)
    assert turn.kv_set(b"3", BIG[:-1]) == OK
    assert turn.kv_set(b"3", BIG) == OK
    assert turn.kv_delete(b"4") == OK
    assert turn.kv_set(b"new", BIG) == OK
    assert turn.kv_set(b"4", BIG) == TOO_LARGE
    rig.bus.apply(turn)
    assert a.receiver.kv_bytes == sum(KV_ENTRY_BYTES + len(k) + len(v) for k, v in a.receiver.kv.items())


async def test_many_empty_values_are_bounded_by_their_keys(rig: Rig) -> None:
    turn = rig.boot_turn(rig.agent("a"))
    key = bytes(MAX_KEY_BYTES - 4)
    results = [turn.kv_set(key + n.to_bytes(4, "big"), b"") for n in range(MAX_KV_BYTES // MAX_KEY_BYTES)]
    assert results[-1] == TOO_LARGE
    assert results.count(OK) == MAX_KV_BYTES // (MAX_KEY_BYTES + KV_ENTRY_BYTES)


async def test_failed_turn_takes_none_of_the_quota(rig: Rig) -> None:
    a = rig.agent("a")
    turn = rig.boot_turn(a)
    for _ in range(3):
        assert [turn.kv_set(b"%d" % n, BIG) for n in range(15)] == [OK] * 15
        turn.release()
        turn.begin(None, 0)
    assert a.receiver.kv_bytes == 0


async def test_turn_sees_its_own_changes_before_anybody_else_does(rig: Rig) -> None:
    a = rig.agent("a")
    turn = rig.boot_turn(a)
    turn.kv_set(b"k", b"old")
    rig.bus.apply(turn)
    turn.begin(None, 0)
    assert turn.kv_set(b"k", b"new") == OK
    assert (turn.kv_get(b"k"), a.receiver.kv) == (b"new", {b"k": b"old"})
    assert (turn.kv_delete(b"k"), turn.kv_get(b"k"), turn.kv_delete(b"k")) == (OK, None, NOT_FOUND)
    assert turn.kv_delete(b"never") == NOT_FOUND
    rig.bus.apply(turn)
    assert (a.receiver.kv, a.receiver.kv_bytes) == ({}, 0)


# --- timers and topics ---------------------------------------------------------------------------------------------


async def test_timers_have_limits(rig: Rig) -> None:
    turn = rig.boot_turn(rig.agent("a"))
    assert turn.set_timer(MAX_TIMER_DELAY_US + 1) == INVALID
    ids = [turn.set_timer(MAX_TIMER_DELAY_US) for _ in range(MAX_TIMERS)]
    assert len(set(ids)) == MAX_TIMERS
    assert turn.set_timer(0) == RATE_LIMITED
    rig.bus.apply(turn)
    turn.begin(None, 0)
    assert turn.set_timer(0) == RATE_LIMITED
    assert turn.cancel_timer(ids[0]) == OK


async def test_timer_can_be_cancelled_once(rig: Rig) -> None:
    turn = rig.boot_turn(rig.agent("a"))
    staged = turn.set_timer(5)
    assert [turn.cancel_timer(staged), turn.cancel_timer(staged), turn.cancel_timer(99)] == [OK, NOT_FOUND, NOT_FOUND]
    kept = turn.set_timer(5)
    rig.bus.apply(turn)
    turn.begin(None, 0)
    assert [turn.cancel_timer(kept), turn.cancel_timer(kept)] == [OK, NOT_FOUND]


@pytest.mark.parametrize("topic", [b"", b"topic://", b"\xff", b"a\nb", b"\0", b"x" * (MAX_TOPIC_BYTES + 1)])
async def test_what_is_no_topic_is_invalid(rig: Rig, topic: bytes) -> None:
    turn = rig.boot_turn(rig.agent("a"))
    assert (turn.subscribe(topic), turn.unsubscribe(topic)) == (INVALID, INVALID)
    assert turn.topics == {}


async def test_large_content_of_a_multicast_is_counted_for_each_receiver(rig: Rig) -> None:
    a, b = rig.agent("a"), rig.agent("b")
    turn = rig.boot_turn(a)
    turn.send(say(["a", "b"], "x" * 1000))
    assert room(a)[1] == room(b)[1] > 1000
    assert msgspec.json.decode(turn.sends[0][1].body)["content"] == "x" * 1000


async def test_subscriptions_of_one_agent_are_bounded(rig: Rig) -> None:
    a = rig.agent("a")
    turn = rig.boot_turn(a)
    assert {turn.subscribe(b"t%d" % n) for n in range(MAX_TOPICS)} == {OK}
    assert [turn.subscribe(b"one more"), turn.subscribe(b"t5")] == [RATE_LIMITED, OK]
    rig.bus.apply(turn)
    turn.begin(None, 0)
    assert turn.subscribe(b"one more") == RATE_LIMITED
    assert turn.unsubscribe(b"t5") == OK
    rig.bus.apply(turn)
    turn.begin(None, 0)
    assert turn.subscribe(b"one more") == OK


async def test_what_one_handler_sends_to_clients_is_bounded(rig: Rig) -> None:
    a = rig.agent("a")
    turn = rig.boot_turn(a)
    message = say("client:admin", "x" * 1_000_000)
    told = [turn.send(message) for _ in range(20)]
    assert told == [OK] * 16 + [TOO_LARGE] * 4
    turn.release()
    assert rig.bus.names.directory("default").outside_bytes == 0


async def test_what_waits_for_the_disk_on_its_way_to_clients_is_bounded(rig: Rig) -> None:
    a = rig.agent("a")
    message, told = say("client:admin", "x" * 1_000_000), list[int]()
    for _ in range(6):
        turn = rig.boot_turn(a)
        told += [turn.send(message) for _ in range(15)]
        rig.bus.apply(turn)
    assert (told[:60], told[75:]) == ([OK] * 60, [WOULD_BLOCK] * 15)
    await rig.commit()
    assert rig.bus.names.directory("default").outside_bytes == 0
    assert rig.boot_turn(a).send(message) == OK


async def test_ending_subscriptions_that_are_not_there_leaves_nothing_behind(rig: Rig) -> None:
    turn = rig.boot_turn(rig.agent("a"))
    assert {turn.unsubscribe(f"topic {n}".encode()) for n in range(5000)} == {OK}
    assert (turn.topics, turn.has_state) == ({}, False)
