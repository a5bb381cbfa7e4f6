"""What records amount to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.core.views.stats import SORTS, StatsFilter, TimesView, WindowView
from caxton.recorder.record import CRASHED, DEAD, FAILED, KINDS, LOST, REFUSED, REPLIED, SETTLED, TIMER, TOOL, Record
from caxton.services.figures import MAX_INCIDENTS, chosen, is_troubled, of_agent, seen, tally, times, window_of
from caxton.testing.fakes.stats import agent_figures, times_view

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW_US = 1_700_000_000_000_000


def record(kind: int = SETTLED, receiver: str = "a", *, sender: str = "client:x", **fields: Any) -> Record:
    """A message that waited for 1 ms, was handled for 2 ms, and ended at `NOW_US`."""
    values: dict[str, Any] = {
        "seq": 7, "workspace": "default", "message_id": "m-1", "conversation_id": "c-1", "act": b'request","x',
        "trace": "", "attempt": 1, "sent_us": NOW_US - 3000, "handed_us": NOW_US - 2000, "ended_us": NOW_US,
        "size": 100, **fields,
    }  # fmt: skip
    return Record(kind=kind, sender=sender, receiver=receiver, **values)


def timer(receiver: str = "a", kind: int = TIMER) -> Record:
    return record(kind, receiver, sender=receiver, message_id="", conversation_id=None, seq=0, act=b"", sent_us=0)


def window(
    records: Sequence[Record], *, limit: int = 1000, uptime_s: float = 100.0, asked_s: float = 60.0,
    whole_since_us: int | None = None,
) -> WindowView:  # fmt: skip
    return window_of(
        records, asked_s=asked_s, now_us=NOW_US, uptime_s=uptime_s, limit=limit, is_recorded=True,
        whole_since_us=whole_since_us,
    )  # fmt: skip


TEN_S = WindowView(asked_s=10, covered_s=10, records=0, is_cut=False, is_recorded=True)


def test_nothing_recorded_is_no_rate_and_no_time() -> None:
    off = WindowView(asked_s=10, covered_s=10, records=0, is_cut=False, is_recorded=False)
    found = tally([], off, "default")
    assert (found.none.rate_per_s, found.all.rate_per_s, found.all.handling) == (None, None, None)
    assert tally([], TEN_S, "default").all.rate_per_s == 0


def test_each_agent_has_the_handlings_that_it_ended_failed_ones_included() -> None:
    records = [record(), record(FAILED), record(CRASHED, "b"), timer(), record(DEAD), record(REPLIED), record(TOOL)]
    found = tally(records, TEN_S, "default")
    counts = {name: (one.count, one.failed, one.rate_per_s) for name, one in found.agents.items()}
    assert counts == {"a": (3, 1, 0.3), "b": (1, 1, 0.1)}
    assert (found.all.count, found.all.failed) == (4, 2)


def test_timer_is_handled_but_does_not_wait() -> None:
    found = tally([timer(), timer(kind=FAILED), record()], TEN_S, "default").agents["a"]
    assert found.count == 3
    assert found.handling == TimesView(p50_ms=2.0, p99_ms=2.0, max_ms=2.0)
    assert found.waiting == TimesView(p50_ms=1.0, p99_ms=1.0, max_ms=1.0)


def test_agents_of_another_workspace_count_for_the_node_only() -> None:
    found = tally([record(), record(workspace="other")], TEN_S, "default")
    assert (found.agents["a"].count, found.all.count) == (1, 2)


def test_incidents_are_the_last_ones_the_newest_first() -> None:
    kinds = [FAILED, CRASHED, DEAD, REFUSED, LOST]
    assert [KINDS.index(one.kind) for one in tally([record(k) for k in kinds], TEN_S, "default").incidents] == kinds[
        ::-1
    ]
    assert tally([record(), record(REPLIED), timer(), record(TOOL)], TEN_S, "default").incidents == []
    many = [record(FAILED, message_id=str(n)) for n in range(MAX_INCIDENTS + 5)]
    ids = [one.message_id for one in tally(many, TEN_S, "default").incidents]
    assert ids == [str(n) for n in range(MAX_INCIDENTS + 4, 4, -1)]


@pytest.mark.parametrize(
    ("values", "p50", "p99", "longest"),
    [
        ([5000], 5, 5, 5),
        ([1000, 2000], 1, 2, 2),
        ([n * 1000 for n in range(100, 0, -1)], 50, 99, 100),
        ([1000] * 99 + [9_000_000], 1, 1, 9000),
        ([-5000, -1000], 0, 0, 0),
    ],
)
def test_times_are_of_the_nearest_rank_and_never_negative(
    values: list[int], p50: float, p99: float, longest: float
) -> None:
    assert times(values) == TimesView(p50_ms=p50, p99_ms=p99, max_ms=longest)


def test_no_durations_are_no_times() -> None:
    assert times([]) is None


def test_window_is_what_was_asked_for_when_all_of_it_was_looked_at() -> None:
    assert window([record()]) == WindowView(asked_s=60, covered_s=60, records=1, is_cut=False, is_recorded=True)


def test_window_of_a_young_server_is_its_age() -> None:
    assert window([], uptime_s=5).covered_s == 5


def test_window_goes_on_behind_a_restart() -> None:
    assert window([record(ended_us=NOW_US - 30_000_000)], uptime_s=5).covered_s == 30


def test_window_with_more_than_is_looked_at_begins_with_the_first_that_was() -> None:
    records = [record(ended_us=NOW_US - 4_000_000), record()]
    assert window(records, limit=2) == WindowView(asked_s=60, covered_s=4, records=2, is_cut=True, is_recorded=True)


def test_window_of_which_the_beginning_was_overwritten_begins_where_records_are_whole() -> None:
    records = [record(ended_us=NOW_US - 3_000_000), record()]
    cut = window(records, whole_since_us=NOW_US - 4_000_000)
    assert (cut.covered_s, cut.is_cut) == (4, True)
    assert window([], whole_since_us=NOW_US - 4_000_000).covered_s == 4
    both = window(records, whole_since_us=NOW_US - 4_000_000, limit=2)
    assert (both.covered_s, both.is_cut) == (3, True)
    before = window(records, whole_since_us=NOW_US - 61_000_000)
    assert (before.covered_s, before.is_cut) == (60, False)


def test_calls_of_tools_are_counted_beside_handlings() -> None:
    records = [record(TOOL, handed_us=NOW_US - 5000), record(TOOL), record(), timer()]
    found = tally(records, TEN_S, "default").agents["a"]
    assert (found.tools, found.count, found.waited) == (2, 2, 1)
    assert found.tool == TimesView(p50_ms=2.0, p99_ms=5.0, max_ms=5.0)


def test_clock_that_was_set_back_makes_no_window_of_nothing() -> None:
    found = window([record(ended_us=NOW_US + 10_000_000)] * 2, limit=2)
    assert found.covered_s == 0.001


def test_what_was_not_handed_over_has_no_times() -> None:
    for kind in (DEAD, REFUSED, REPLIED, LOST):
        one = seen(record(kind, handed_us=0))
        assert (one.waited_ms, one.handled_ms) == (None, None)
    handled = seen(record(detail="why"))
    assert (handled.waited_ms, handled.handled_ms, handled.detail, handled.performative) == (1.0, 2.0, "why", "request")
    assert (seen(timer()).waited_ms, seen(timer()).handled_ms) == (None, 2.0)


def test_kind_that_is_not_known_here_is_shown_by_its_number() -> None:
    assert seen(record(99)).kind == "99"


def test_an_agents_last_deeds_are_what_it_handled_and_sent() -> None:
    records = [
        record(message_id="1"), record(message_id="2", receiver="b", sender="a"), record(message_id="3", receiver="c"),
        record(message_id="4", workspace="other"), record(message_id="5"),
    ]  # fmt: skip
    assert [one.message_id for one in of_agent(records, "default", "a", 10)] == ["5", "2", "1"]
    assert [one.message_id for one in of_agent(records, "default", "a", 2)] == ["5", "2"]


AGENTS = [
    agent_figures("busy", rate_per_s=9.0, handling=times_view(1, 2), memory_bytes=1),
    agent_figures("slow", rate_per_s=1.0, handling=times_view(1, 900), memory_bytes=2, queue=5),
    agent_figures("late", rate_per_s=2.0, waiting=times_view(1, 800), memory_bytes=3, restarts=4),
    agent_figures("idle-b", rate_per_s=None, failed=3),
    agent_figures("idle-a", failed_in_window=1),
]


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("rate", ["busy", "late", "slow", "idle-a", "idle-b"]),
        ("p99", ["slow", "busy", "idle-a", "idle-b", "late"]),
        ("waiting", ["late", "busy", "idle-a", "idle-b", "slow"]),
        ("queue", ["slow", "busy", "idle-a", "idle-b", "late"]),
        ("restarts", ["late", "busy", "idle-a", "idle-b", "slow"]),
        ("failures", ["idle-a", "idle-b", "busy", "late", "slow"]),
        ("name", ["busy", "idle-a", "idle-b", "late", "slow"]),
    ],
)
def test_agents_come_largest_first_and_equal_ones_by_name(sort: str, first: list[str]) -> None:
    assert [one.name for one in chosen(AGENTS, StatsFilter(sort=sort))] == first


def test_every_order_exists() -> None:
    assert all(len(chosen(AGENTS, StatsFilter(sort=sort))) == len(AGENTS) for sort in SORTS)


def test_agents_can_be_narrowed_by_a_part_of_their_name_and_by_trouble() -> None:
    assert [one.name for one in chosen(AGENTS, StatsFilter(match="IDLE"))] == ["idle-a", "idle-b"]
    assert [one.name for one in chosen(AGENTS, StatsFilter(troubled=True))] == ["idle-a"]


@pytest.mark.parametrize(
    ("fields", "is_one"),
    [
        ({}, False),
        ({"status": "stopped", "healthy": 0}, False),
        ({"queue": 999}, False),
        ({"failed": 9, "restarts": 9}, False),
        ({"type": "vacant", "status": "vacant", "replicas": 0, "healthy": 0}, False),
        ({"status": "failed"}, True),
        ({"circuit": "open"}, True),
        ({"circuit": "half_open"}, True),
        ({"failed_in_window": 1}, True),
        ({"replicas": 3, "healthy": 2}, True),
        ({"queue": 1000}, True),
        ({"queue": 8, "queue_limit": 10}, True),
        ({"type": "vacant", "status": "vacant", "replicas": 0, "healthy": 0, "queue": 1}, True),
    ],
)
def test_trouble_is_what_somebody_should_look_at(fields: dict[str, Any], is_one: bool) -> None:
    assert is_troubled(agent_figures("a", **fields)) is is_one
