"""Which spans there are, and how they hang together."""

from __future__ import annotations

from typing import Any

from caxton.recorder.record import CRASHED, DEAD, FAILED, LOST, REFUSED, REPLIED, TIMER, TOOL
from caxton.telemetry import names
from caxton.telemetry.outline import MAX_REMEMBERED, Outline, Outliner
from caxton.telemetry.selection import ERROR, Kept
from tests.unit.telemetry.records import TRACE, record


def outline(outliner: Outliner, **fields: Any) -> list[Outline]:
    return outliner.outline(Kept(record(**fields), ERROR))


def test_effect_hangs_below_its_cause_whichever_is_seen_first() -> None:
    effect = outline(Outliner(), seq=8, sender="b", receiver="c", sent_us=1_100)[0]
    cause = outline(Outliner())[1]
    assert (cause.name, effect.name, effect.parent) == ("process b", "send c", cause.span)
    for other in ({"workspace": "other"}, {"receiver": "x"}, {"handed_us": 1_101}):
        assert outline(Outliner(), **other)[1].span != cause.span


def test_sending_has_the_span_that_the_message_carries_and_handling_hangs_below_it() -> None:
    sending, handling = outline(Outliner(), seq=0xABC)
    assert (sending.span, handling.parent, handling.link, sending.link) == (0xABC, 0xABC, 0xABC, 0)
    assert sending.trace == handling.trace == int(TRACE[3:35], 16)
    assert (sending.begun_us, sending.ended_us) == (1_000, 1_000)
    assert (handling.begun_us, handling.ended_us) == (1_100, 1_200)


def test_sending_is_told_once_and_each_attempt_has_a_span_of_its_own() -> None:
    outliner = Outliner()
    told = [
        *outline(outliner, kind=FAILED, handed_us=1_100),
        *outline(outliner, kind=FAILED, handed_us=1_200, attempt=2),
        *outline(outliner, kind=CRASHED, handed_us=1_300, attempt=3),
        *outline(outliner, kind=DEAD, handed_us=0, attempt=3, detail="failed: its handler returned 3"),
    ]
    assert [one.name for one in told] == ["send b", "process b", "process b", "process b", "settle b"]
    assert [one.error for one in told] == [None, "handler_failed", "handler_failed", "handler_crashed", "failed"]
    assert len({one.span for one in told}) == 5
    assert [one.attributes.get(names.ATTEMPT) for one in told] == [None, 1, 2, 3, 3]


def test_one_attempt_that_ends_in_a_dead_letter_tells_the_sending_once() -> None:
    outliner = Outliner()
    told = [*outline(outliner, kind=FAILED), *outline(outliner, kind=DEAD, detail="failed")]
    assert [one.name for one in told] == ["send b", "process b", "settle b"]


def test_message_that_expired_unhandled_has_a_sending() -> None:
    told = outline(Outliner(), kind=DEAD, handed_us=0, detail="expired")
    assert [(one.name, one.error) for one in told] == [("send b", None), ("settle b", "expired")]


def test_message_that_was_in_hand_when_the_node_ended_has_a_span_with_that_error() -> None:
    told = outline(Outliner(), kind=LOST, handed_us=0)
    assert [(one.name, one.error) for one in told] == [("send b", None), ("process b", "node_ended")]
    assert told[1].begun_us == told[1].ended_us == 1_200


def test_clients_message_hangs_below_the_clients_span() -> None:
    outliner = Outliner()
    outliner.called("m-7", 0xC0FFEE)
    sending, handling = outline(outliner, sender="client:ada")
    assert (sending.parent, handling.parent) == (0xC0FFEE, 7)
    assert outline(outliner, sender="client:ada", message_id="m-8")[0].parent == 0
    assert names.GEN_AI_AGENT_NAME not in sending.attributes


def test_reply_to_a_client_is_a_sending_and_nothing_more() -> None:
    (sending,) = outline(Outliner(), kind=REPLIED, receiver="client:ada")
    assert (sending.name, sending.kind, sending.span) == ("send client:ada", "producer", 7)


def test_refused_message_is_a_sending_with_an_error_below_who_wanted_it() -> None:
    cause = outline(Outliner())[1]
    (refused,) = outline(
        Outliner(), kind=REFUSED, seq=0, sender="b", receiver="c", message_id="", sent_us=1_100, handed_us=0,
        detail="MAILBOX_FULL",
    )  # fmt: skip
    assert (refused.name, refused.kind, refused.error, refused.parent) == (
        "send c", "producer", "MAILBOX_FULL", cause.span,
    )  # fmt: skip


def test_timer_is_the_parent_of_what_it_sends() -> None:
    (timer,) = outline(Outliner(), kind=TIMER, seq=0, message_id="", sender="", sent_us=0)
    assert (timer.name, timer.kind, timer.parent, timer.error) == ("timer b", "internal", 0, None)
    assert outline(Outliner(), sender="b", receiver="c", sent_us=1_100)[0].parent == timer.span


def test_timer_that_failed_before_it_sent_anything_has_a_trace_of_its_own() -> None:
    failed = [outline(Outliner(), kind=FAILED, seq=0, message_id="", trace="", handed_us=n)[0] for n in (1, 2)]
    assert [(one.name, one.error) for one in failed] == [("timer b", "handler_failed")] * 2
    assert 0 not in (traces := {one.trace for one in failed})
    assert len(traces) == 2


def test_tool_call_hangs_below_the_handling_that_made_it() -> None:
    handling = outline(Outliner())[1]
    (call,) = outline(Outliner(), kind=TOOL, sender="b", receiver="b", sent_us=1_100, handed_us=1_150, detail="search")
    assert (call.name, call.parent) == ("execute_tool search", handling.span)
    assert (call.attributes[names.GEN_AI_TOOL_NAME], call.error) == ("search", None)


def test_tool_call_that_failed_is_an_error() -> None:
    (call,) = outline(Outliner(), kind=TOOL, sender="b", receiver="b", detail="search: tool timeout")
    assert (call.name, call.error, call.detail) == ("execute_tool search", "tool_timeout", "tool timeout")


def test_ids_of_hashes_never_meet_numbers_of_messages() -> None:
    assert all(outline(Outliner(), handed_us=n)[1].span >> 63 for n in range(100))


def test_what_is_remembered_is_bounded() -> None:
    outliner = Outliner()
    for n in range(MAX_REMEMBERED + 1):
        outliner.called(f"m-{n}", n + 1)
        outline(outliner, kind=FAILED, seq=n)
    fresh = {"seq": 10 * MAX_REMEMBERED, "sender": "client:ada"}
    assert outline(outliner, **fresh, message_id="m-0")[0].parent == 0
    assert outline(outliner, **fresh, message_id="m-1")[0].parent == 2
    assert len(outline(outliner, kind=DEAD, seq=MAX_REMEMBERED)) == 1
    assert len(outline(outliner, kind=DEAD, seq=0)) == 2
