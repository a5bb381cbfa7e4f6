"""From records to a tree: who caused what, what became of it, and what is left out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caxton.core.views.traces import TraceView
from caxton.messages.codec import encode_message
from caxton.messages.message import AclMessage
from caxton.recorder.record import (
    CRASHED,
    DEAD,
    FAILED,
    LOST,
    REFUSED,
    REPLIED,
    SETTLED,
    TIMER,
    TOOL,
    Record,
)
from caxton.services.trace_tree import MAX_TOOLS, MAX_TRIES, grow, newest, sent_message
from tests.unit.services.talks import AGENTS, START_US, Talk, grown, live, record, talks


def told(view: TraceView) -> list[tuple[int, str, str | None, str | None, str | None]]:
    return [(event.at - START_US, event.agent, event.status, event.error, event.tool) for event in view.events]


def seq_of(span_id: str) -> int:
    return int(span_id, 16)


# --- one message -------------------------------------------------------------------------------------------------


def test_dead_letter_tells_its_attempts_and_why_and_when_it_was_given_up() -> None:
    view = grown(
        [
            record(FAILED, 1, "a", "b", sent=0, handed=5, ended=10, detail="its handler returned 1"),
            record(CRASHED, 1, "a", "b", sent=0, handed=20, ended=30, attempt=2, detail="out of bounds"),
            record(DEAD, 1, "a", "b", sent=0, ended=31, attempt=2, detail="failed: out of bounds"),
        ],
        now=40,
    )
    (span,) = view.spans
    assert (span.status, span.error, span.attempt, span.ended) == ("dead", "failed: out of bounds", 2, START_US + 31)
    assert [(one.attempt, one.outcome, one.error) for one in span.tries] == [
        (1, "failed", "its handler returned 1"), (2, "crashed", "out of bounds"),
    ]  # fmt: skip
    assert told(view) == [
        (0, "a", "sent", None, None),
        (5, "b", "received", None, None),
        (10, "b", "failed", "its handler returned 1", None),
        (20, "b", "received", None, None),
        (30, "b", "crashed", "out of bounds", None),
        (31, "b", "dead", "failed: out of bounds", None),
    ]


def test_message_that_failed_and_succeeded_has_no_error_in_the_end_but_its_failure_is_told() -> None:
    view = grown(
        [
            record(FAILED, 1, "a", "b", sent=0, handed=5, ended=10, detail="no"),
            record(SETTLED, 1, "a", "b", sent=0, handed=20, ended=30, attempt=2),
        ],
        now=40,
    )
    assert (view.spans[0].status, view.spans[0].error) == ("handled", None)
    assert [event.error for event in view.events if event.error] == ["no"]


def test_message_that_was_handled_and_did_not_last_is_received_once_more_and_that_is_said() -> None:
    view = grown(
        [
            record(SETTLED, 1, "a", "b", sent=0, handed=5, ended=10),
            record(SETTLED, 1, "a", "b", sent=50, handed=60, ended=70),
        ],
        now=80,
    )
    (span,) = view.spans
    again = "handed over again after a restart"
    assert [(one.attempt, one.note) for one in span.tries] == [(1, None), (1, again)]
    assert [event.note for event in view.events if event.status == "received"] == [None, again]
    assert span.sent == START_US


def test_attempt_that_follows_another_needs_no_explanation() -> None:
    view = grown(
        [
            record(FAILED, 1, "a", "b", sent=0, handed=5, ended=10, detail="no"),
            record(SETTLED, 1, "a", "b", sent=0, handed=20, ended=30, attempt=2),
        ],
        now=40,
    )
    assert [event.note for event in view.events] == [None] * len(view.events)


def test_messages_that_had_the_same_number_before_and_after_a_restart_are_two() -> None:
    view = grown(
        [
            record(SETTLED, 1, "client:ada", "a", sent=0, handed=5, ended=6),
            record(SETTLED, 2, "a", "b", sent=5, handed=10, ended=11, message_id="before-2"),
            record(LOST, 1, "client:ada", "a", sent=50, ended=51),
            record(SETTLED, 1, "client:ada", "a", sent=50, handed=60, ended=61, attempt=2),
            record(SETTLED, 2, "a", "b", sent=60, handed=70, ended=71, message_id="after-2"),
            record(SETTLED, 3, "b", "c", sent=70, handed=80, ended=81, message_id="after-3"),
        ],
        [live(3, "b", "c", sent=10, message_id="before-3")],
        now=90,
    )
    assert [(one.depth, one.message_id, len(one.tries), one.status) for one in view.spans] == [
        (0, "m-1", 2, "handled"), (1, "before-2", 1, "handled"), (2, "before-3", 0, "waiting"),
        (1, "after-2", 1, "handled"), (2, "after-3", 1, "handled"),
    ]  # fmt: skip
    assert len({one.id for one in view.spans}) == 5
    assert all(one.parent is None or one.parent in {each.id for each in view.spans} for one in view.spans)


def test_what_waits_again_after_a_restart_is_not_over_and_has_its_first_time() -> None:
    ended = [record(SETTLED, 2, "a", "b", sent=5, handed=10, ended=11)]
    begun = record(SETTLED, 1, "client:ada", "a", sent=0, handed=5, ended=6)
    (_, span) = grown([begun, *ended], [live(2, "a", "b", sent=5, taken_us=START_US + 50)], now=90).spans
    assert (span.status, span.sent, span.depth) == ("waiting", START_US + 5, 1)
    failed = [record(FAILED, 2, "a", "b", sent=50, handed=60, ended=61, detail="no")]
    (_, span) = grown([begun, *failed], [live(2, "a", "b", sent=5, taken_us=START_US + 50)], now=90).spans
    assert (span.status, span.sent, span.depth, len(span.tries)) == ("waiting", START_US + 5, 1, 1)


def test_what_was_out_of_place_was_never_sent_and_is_its_senders() -> None:
    view = grown([record(DEAD, 1, "a", "b", sent=3, ended=4, detail="protocol: not now")], now=9)
    assert told(view) == [(4, "a", "dead", "protocol: not now", None)]


def test_refusal_is_its_senders_and_stands_below_the_handling_in_which_it_happened() -> None:
    view = grown(
        [
            record(REFUSED, 0, "b", "full", sent=12, ended=12, detail="WOULD_BLOCK", message_id=""),
            record(FAILED, 1, "a", "b", sent=0, handed=10, ended=20, detail="no"),
            record(REFUSED, 0, "b", "full", sent=50, ended=50, detail="WOULD_BLOCK", message_id=""),
        ],
        now=60,
    )
    assert [(span.depth, span.status, span.receiver) for span in view.spans] == [
        (0, "failed", "b"), (1, "refused", "full"), (0, "refused", "full"),
    ]  # fmt: skip
    assert (12, "b", "refused", "WOULD_BLOCK", None) in told(view)


def test_what_was_in_hand_when_the_server_died_is_lost_until_it_is_handled() -> None:
    lost = record(LOST, 1, "a", "b", sent=0, ended=50)
    assert grown([lost], now=60).spans[0].status == "lost"
    again = grown([lost, record(SETTLED, 1, "a", "b", sent=0, handed=60, ended=61, attempt=2)], now=70)
    assert (again.spans[0].status, len(again.spans[0].tries)) == ("handled", 1)
    assert [event.status for event in again.events] == ["sent", "lost", "received", "handled"]


def test_message_to_several_was_sent_once_and_is_a_span_for_each() -> None:
    view = grown(
        [
            record(SETTLED, 1, "a", "b", sent=1, handed=2, ended=3, message_id="m"),
            record(SETTLED, 2, "a", "c", sent=1, handed=3, ended=4, message_id="m"),
        ],
        now=9,
    )
    assert len(view.spans) == 2
    assert [event.status for event in view.events].count("sent") == 1


def test_timer_is_no_message_and_causes_messages() -> None:
    view = grown(
        [
            record(TIMER, 0, "b", "b", sent=0, handed=10, ended=11, message_id="", act=""),
            record(SETTLED, 1, "b", "c", sent=10, handed=20, ended=21),
        ],
        now=30,
    )
    assert [(span.depth, span.receiver) for span in view.spans] == [(0, "b"), (1, "c")]
    assert (view.events[0].status, view.events[0].message) == ("received", None)


def test_tool_belongs_to_the_handling_that_called_it_and_its_error_to_nobody_else() -> None:
    view = grown(
        [
            record(
                TOOL,
                0,
                "b",
                "b",
                sent=444,
                handed=445,
                ended=5_445,
                act="",
                message_id="m-2",
                detail="database_query: tool timeout",
            ),
            record(FAILED, 2, "a", "b", sent=1, handed=444, ended=5_446, detail="its handler returned 1"),
            record(SETTLED, 3, "a", "b", sent=1, handed=6_000, ended=6_001),
        ],
        now=9_000,
    )
    first, second = view.spans
    assert [(tool.tool, tool.error, tool.ended - tool.began) for tool in first.tools] == [
        ("database_query", "tool timeout", 5000)
    ]
    assert second.tools == []
    line = next(event for event in view.events if event.tool)
    assert (line.agent, line.message, line.error, line.took_us) == ("b", None, "tool timeout", 5000)


def test_tool_that_a_timer_called_belongs_to_it() -> None:
    view = grown(
        [
            record(TOOL, 0, "b", "b", sent=10, handed=11, ended=15, act="", message_id="", detail="db"),
            record(TIMER, 0, "b", "b", sent=0, handed=10, ended=20, act="", message_id=""),
        ],
        now=30,
    )
    assert [[tool.tool for tool in span.tools] for span in view.spans] == [["db"]]


def test_answer_to_a_client_is_told_as_a_reply() -> None:
    view = grown([record(REPLIED, 1, "b", "client:ada", sent=5, handed=5, ended=9)], now=10)
    assert [(event.agent, event.status) for event in view.events] == [("b", "sent"), ("client:ada", "replied")]
    assert view.spans[0].tries == []


def test_long_story_of_one_message_is_cut() -> None:
    tries = [record(FAILED, 1, "a", "b", sent=0, handed=n + 1, ended=n + 2, attempt=n + 1) for n in range(200)]
    tools = [
        record(TOOL, 0, "b", "b", sent=1, handed=n + 1, ended=n + 2, detail=f"t{n}", message_id="m-1")
        for n in range(200)
    ]
    (span,) = grown([*tools, *tries], now=500).spans
    assert (len(span.tries), len(span.tools), span.tools[-1].tool) == (MAX_TRIES, MAX_TOOLS, "t199")


# --- what is not over --------------------------------------------------------------------------------------------


def test_message_in_hand_waiting_and_failing_each_say_so() -> None:
    view = grown(
        [record(FAILED, 3, "a", "b", sent=0, handed=5, ended=10, detail="no")],
        [
            live(1, "a", "b", sent=0, handed=50),
            live(2, "a", "b", sent=1, before=14, reason="its circuit is open"),
            live(3, "a", "b", sent=0, attempt=2, again_us=START_US + 200),
        ],
        now=100,
    )
    one, three, two = view.spans
    assert (one.status, one.note, one.ended) == ("in hand", "in hand of b", None)
    assert (two.status, two.note, two.before) == ("waiting", "waits in b's mailbox behind 14; its circuit is open", 14)
    assert (three.status, three.again_at, three.error, three.attempt) == ("waiting", START_US + 200, "no", 2)
    now = [(event.status, event.took_us) for event in view.events if event.at == START_US + 100]
    assert now == [("in hand", 50), ("waiting", 100), ("waiting", 99)]


def test_tool_of_a_handling_that_goes_on_belongs_to_it() -> None:
    tool = record(TOOL, 0, "b", "b", sent=50, handed=51, ended=60, detail="db", message_id="m-1")
    (span,) = grown([tool], [live(1, "a", "b", sent=0, handed=50)], now=100).spans
    assert [one.tool for one in span.tools] == ["db"]


def test_what_ended_since_it_was_looked_at_is_over() -> None:
    done = record(SETTLED, 1, "a", "b", sent=0, handed=5, ended=10)
    (span,) = grown([done], [live(1, "a", "b", sent=0)], now=20).spans
    assert (span.status, span.note) == ("handled", None)


def test_message_of_which_only_the_words_are_left_is_known_to_be_sent() -> None:
    message = AclMessage(performative="cfp", sender="a", receiver=["b", "c"], timestamp=START_US, conversation_id="c-1")
    tree = grow([], [], [sent_message(1, encode_message(message))], now_us=START_US + 9, limit=10)
    assert [(one.receiver, one.status, one.ended) for one in tree.spans] == [("b, c", "kept", None)]
    assert [(one.agent, one.message, one.status) for one in tree.events] == [("a", "cfp", "sent")]


# --- what is wanted ----------------------------------------------------------------------------------------------


def test_errors_come_with_what_led_to_them_and_nothing_else() -> None:
    view = grown(
        [
            record(SETTLED, 1, "client:ada", "a", sent=0, handed=10, ended=11),
            record(SETTLED, 2, "a", "b", sent=10, handed=20, ended=21),
            record(SETTLED, 3, "a", "c", sent=10, handed=20, ended=22),
            record(DEAD, 4, "b", "d", sent=20, ended=30, detail="expired"),
        ],
        now=40,
        errors=True,
    )
    assert [(seq_of(span.id), span.depth) for span in view.spans] == [(1, 0), (2, 1), (4, 2)]
    assert told(view) == [(30, "d", "dead", "expired", None)]


def test_family_of_a_message_is_what_led_to_it_and_what_it_led_to() -> None:
    view = grown(
        [
            record(SETTLED, 1, "client:ada", "a", sent=0, handed=10, ended=11),
            record(SETTLED, 2, "a", "b", sent=10, handed=20, ended=21),
            record(SETTLED, 3, "a", "c", sent=10, handed=21, ended=22),
            record(SETTLED, 4, "b", "d", sent=20, handed=30, ended=31, conversation_id="another"),
            record(REFUSED, 0, "d", "full", sent=30, ended=30, message_id=""),
        ],
        now=40,
        family_of="m-2",
    )
    assert [(span.receiver, span.depth) for span in view.spans] == [("a", 0), ("b", 1), ("d", 2), ("full", 3)]


def test_effect_of_what_is_left_out_hangs_on_the_next_cause_that_is_shown() -> None:
    records = [
        record(SETTLED, 1, "client:ada", "a", sent=0, handed=10, ended=11),
        record(SETTLED, 2, "a", "b", sent=10, handed=20, ended=21),
        record(SETTLED, 3, "b", "c", sent=20, handed=30, ended=31),
        record(SETTLED, 4, "c", "a", sent=30, handed=40, ended=41),
    ]
    view = grown(records, now=50, agent="a", limit=2)
    assert [(seq_of(span.id), span.depth) for span in view.spans] == [(2, 0), (4, 1)]
    assert (view.total, view.cut) == (3, True)


def test_newest_records_are_kept_and_those_of_errors_before_them() -> None:
    records = [record(SETTLED, n, "a", "b", sent=0, handed=1, ended=n) for n in range(1, 100)]
    records[3] = record(FAILED, 4, "a", "b", sent=0, handed=1, ended=4)
    assert [one.seq for one in newest(records, 2, errors=False)] == [98, 99]
    assert [one.seq for one in newest(records, 2, errors=True)] == [4, 98, 99]
    assert newest(records, 99, errors=True) is records


def test_long_chain_is_no_reason_to_recurse() -> None:
    chain = [
        record(SETTLED, n, f"a{n - 1}", f"a{n}", sent=10 * n, handed=10 * n + 10, ended=10 * n + 11)
        for n in range(1, 5000)
    ]
    assert grown(chain, now=10**6, limit=10_000).spans[-1].depth == 4998


# --- whatever happens --------------------------------------------------------------------------------------------


@settings(deadline=None)  # a busy machine is no error
@given(talks(min_step=1))
def test_every_message_hangs_on_the_one_in_whose_handling_it_was_sent(talk: Talk) -> None:
    view = grown(talk.records, talk.live, now=talk.now)
    parents = {seq_of(span.id): span.parent for span in view.spans}
    for seq in talk.seqs:
        cause = talk.causes.get(seq)
        assert parents[seq] == (None if cause is None else f"{cause:016x}")


def assert_is_a_tree(view: TraceView) -> None:
    placed: dict[str, int] = {}
    for span in view.spans:
        assert span.id not in placed
        assert span.depth == (0 if span.parent is None else placed[span.parent] + 1)  # parents come first
        placed[span.id] = span.depth
    assert [event.at for event in view.events] == sorted(event.at for event in view.events)
    assert {event.span for event in view.events} <= placed.keys()


@settings(deadline=None)  # a busy machine is no error
@given(talks())
def test_everything_is_shown_once_even_when_the_clock_stands_still(talk: Talk) -> None:
    view = grown(talk.records, talk.live, now=talk.now)
    assert_is_a_tree(view)
    assert {seq_of(span.id) for span in view.spans if span.message_id} == talk.seqs
    going_on = {seq_of(span.id) for span in view.spans if span.status in ("waiting", "in hand")}
    assert going_on == {one.seq for one in talk.live}
    assert sum(len(span.tools) for span in view.spans) == sum(one.kind == TOOL for one in talk.records)


@settings(deadline=None)  # a busy machine is no error
@given(talks(), st.integers(1, 10), st.sampled_from((None, *AGENTS)), st.booleans())
def test_no_narrower_view_shows_more_or_loses_what_it_must_show(
    talk: Talk, limit: int, agent: str | None, errors: bool
) -> None:
    whole = grown(talk.records, talk.live, now=talk.now, agent=agent, errors=errors)
    view = grown(talk.records, talk.live, now=talk.now, limit=limit, agent=agent, errors=errors)
    assert_is_a_tree(view)
    assert len(view.spans) == min(limit, whole.total)
    assert (view.total, view.cut) == (whole.total, whole.total > limit)
    assert {span.id for span in view.spans} <= {span.id for span in whole.spans}
    assert all(agent in (None, event.agent) for event in view.events)
    assert all(agent in (None, span.sender, span.receiver) for span in view.spans)
    if errors:
        assert all(event.error for event in view.events)
        shown = {seq_of(span.id) for span in whole.spans if span.message_id}
        mine = {one.seq for one in (*talk.records, *talk.live) if agent in (None, one.sender, one.receiver)}
        assert talk.bad & mine <= shown
    else:
        last = max((span.sent for span in view.spans), default=0)
        assert last == max((span.sent for span in whole.spans), default=0)


kinds = st.sampled_from((SETTLED, FAILED, CRASHED, DEAD, REFUSED, TIMER, TOOL, REPLIED, LOST))
times = st.integers(0, 5)
any_records = st.builds(
    Record, kinds, st.integers(0, 5), st.just("default"), st.sampled_from("ab"), st.sampled_from("ab"),
    st.sampled_from(("", "m-1", "m-2")), st.just("c-1"), st.binary(max_size=5), st.sampled_from(("", "x")),
    st.integers(0, 3), times, times, times, times, st.none() | st.text(max_size=12),
)  # fmt: skip


@settings(deadline=None)  # a busy machine is no error
@given(st.lists(any_records, max_size=12), st.none() | st.just("m-1"))
def test_no_records_however_wrong_are_too_much(records: list[Record], family_of: str | None) -> None:
    tree = grow(records, [], now_us=3, limit=20, family_of=family_of)
    assert_is_a_tree(
        TraceView(
            conversation_id="c-1", message_id=None, now=3, since=None, recorded_since=None, last_us=None,
            total=tree.total, cut=tree.cut, spans=tree.spans, events=tree.events,
        )
    )  # fmt: skip


@pytest.mark.parametrize("kind", [SETTLED, FAILED, CRASHED, DEAD, REFUSED, TIMER, REPLIED, LOST])
def test_every_kind_of_record_has_a_line(kind: int) -> None:
    assert grown([record(kind, 1, "a", "b", sent=1, handed=2, ended=3)], now=4).events
