"""Which records become spans."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from caxton.recorder.record import CRASHED, DEAD, FAILED, LOST, REFUSED, REPLIED, SETTLED, TIMER, TOOL
from caxton.telemetry.selection import (
    CONTEXT,
    ERROR,
    MAX_KEPT,
    MIN_LATENCIES,
    REDELIVERED,
    SAMPLED,
    SLOW,
    Kept,
    Raw,
    Selection,
)
from caxton.telemetry.selection import (
    TRACE as TRACE_FIELD,
)
from caxton.telemetry.traces import CUT_S, MAX_KNOWN
from tests.unit.telemetry.records import TRACE, record

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def trace(n: int) -> str:
    """Traces whose lower halves are spread evenly."""
    return f"00-{n + 1:016x}{(n * 0x9E3779B97F4A7C15) % (1 << 64):016x}-"


class Selecting(Selection):
    """With a recorder that has everything that was selected from."""

    def __init__(self, ratio: float, spans_per_s: int) -> None:
        super().__init__(ratio, spans_per_s, self.of_traces)
        self.recorded: list[Raw] = []

    def of_traces(self, traces: Collection[str]) -> list[Raw]:
        return [one for one in self.recorded if one[TRACE_FIELD] in traces]

    def select(self, records: Sequence[Raw], now_s: float) -> list[Kept]:
        self.recorded += records
        return super().select(records, now_s)


def reasons(selection: Selecting, *records: Raw, now_s: float = 1.0) -> list[tuple[int, str]]:
    """The numbers of the kept ones and why."""
    return [(kept.record[1], kept.reason) for kept in selection.select(records, now_s)]


@pytest.mark.parametrize("kind", [FAILED, CRASHED, DEAD, REFUSED, LOST])
def test_errors_are_kept_whatever_the_ratio(kind: int) -> None:
    assert reasons(Selecting(0.0, 200), record(kind=kind, seq=1), record(seq=2, trace=trace(1))) == [(1, ERROR)]


@pytest.mark.parametrize("kind", [REPLIED, TIMER])
def test_what_is_fine_is_not_kept_without_a_sample(kind: int) -> None:
    assert reasons(Selecting(0.0, 200), record(kind=kind), record(kind=kind, trace="")) == []


def test_what_was_delivered_again_is_kept() -> None:
    assert reasons(Selecting(0.0, 200), record(attempt=2)) == [(7, REDELIVERED)]


@pytest.mark.parametrize(
    ("ratio", "low", "is_kept"),
    [
        (0.5, "7fffffffffffffff", True),
        (0.5, "8000000000000000", False),
        (0.0, "0000000000000000", False),
        (1.0, "ffffffffffffffff", True),
        (1 / 1024, "003fffffffffffff", True),
        (1 / 1024, "0040000000000000", False),
    ],
)
def test_ratio_goes_by_the_lower_half_of_the_trace_id_as_elsewhere(ratio: float, low: str, is_kept: bool) -> None:
    found = reasons(Selecting(ratio, 200), record(trace=f"00-{'f' * 16}{low}-"))
    assert found == ([(7, SAMPLED)] if is_kept else [])


def test_message_of_no_trace_is_in_no_sample() -> None:
    assert reasons(Selecting(1.0, 200), record(trace="")) == []


def test_trace_that_a_caller_keeps_is_kept() -> None:
    selection = Selecting(0.0, 200)
    selection.mark(TRACE)
    assert reasons(selection, record(), record(seq=8, trace=trace(1))) == [(7, SAMPLED)]


def test_trace_of_an_error_is_kept_whole_before_and_after() -> None:
    selection = Selecting(0.0, 200)
    other = record(seq=9, trace=trace(1))
    assert reasons(selection, record(seq=1), other, record(seq=2)) == []
    assert reasons(selection, other, record(seq=3, kind=FAILED)) == [(3, ERROR), (1, CONTEXT), (2, CONTEXT)]
    assert reasons(selection, record(seq=4), other) == [(4, CONTEXT)]
    assert reasons(selection, record(seq=5, kind=DEAD)) == [(5, ERROR)]  # and nothing twice


def test_slower_than_99_of_100_is_kept() -> None:
    selection = Selecting(0.0, 10_000)
    usual = [record(trace=trace(n), ended_us=1_200 + n) for n in range(MIN_LATENCIES)]
    assert reasons(selection, *usual) == []
    slow, fast = record(seq=8, ended_us=1_200 + MIN_LATENCIES), record(trace=trace(1_000), ended_us=1_200)
    assert reasons(selection, slow, fast) == [(8, SLOW)]


def test_trace_of_a_slow_message_is_kept_with_it() -> None:
    selection = Selecting(0.0, 10_000)
    selection.select([record(trace=trace(n)) for n in range(MIN_LATENCIES)], 1.0)
    call = record(kind=TOOL, seq=1, detail="search")
    found = reasons(selection, record(seq=2), call, record(seq=3, ended_us=10**9), record(trace=trace(7)), now_s=2.0)
    assert found == [(2, CONTEXT), (1, CONTEXT), (3, SLOW)]
    assert reasons(selection, record(seq=4)) == [(4, CONTEXT)]


def test_tool_that_failed_is_an_error_and_another_is_not() -> None:
    selection = Selecting(0.0, 200)
    fine, failed = (record(kind=TOOL, seq=n, detail=text) for n, text in enumerate(["a", "a: tool timeout"]))
    assert reasons(selection, fine, failed) == [(1, ERROR), (0, CONTEXT)]


def test_nothing_is_slow_before_enough_is_known() -> None:
    selection = Selecting(0.0, 200)
    assert reasons(selection, *[record(trace=trace(n)) for n in range(MIN_LATENCIES - 1)]) == []
    assert reasons(selection, record(ended_us=10**9)) == []


def test_budget_holds_and_errors_come_first() -> None:
    selection = Selecting(1.0, 200)
    flood = [record(seq=n, trace=trace(n)) for n in range(1_000)]
    errors = [record(seq=5_000 + n, kind=FAILED, attempt=2, trace=trace(5_000 + n)) for n in range(50)]
    kept = reasons(selection, *flood, *errors)
    assert kept[:50] == [(5_000 + n, ERROR) for n in range(50)]
    assert 0 < len(kept) - 50 <= (200 - 50) // 2  # a message has two spans
    assert selection.passed_over == 2 * (1_000 - (len(kept) - 50))


def test_flood_of_slow_messages_leaves_half_of_the_budget_to_others() -> None:
    selection = Selecting(0.0, 200)
    selection.select([record(trace=trace(n)) for n in range(MIN_LATENCIES)], 1.0)
    slow = [record(seq=n, ended_us=10**9, trace=trace(n)) for n in range(1_000)]
    assert len(selection.select(slow, 2.0)) == 50
    assert len(selection.select([record(kind=FAILED, attempt=2, trace=trace(n)) for n in range(500)], 2.0)) >= 100


def test_ratio_sinks_under_load_so_that_kept_traces_are_whole_and_rises_again() -> None:
    selection = Selecting(1.0, 200)
    now_s, kept_traces, all_kept = 0.0, set[str](), 0
    for cycle in range(125):  # 5 messages a trace, 4,000 messages a second
        now_s += 0.25
        records = [made for n in range(200) for made in [record(trace=trace(cycle * 200 + n))] * 5]
        kept = selection.select(records, now_s)
        if cycle >= 25:
            all_kept += len(kept)
            kept_traces |= {one.record[8] for one in kept}
    assert all_kept == 5 * len(kept_traces) > 0
    assert all_kept * 2 <= 200 * 25
    assert seconds_until_all_are_kept(selection, now_s) <= 10


def seconds_until_all_are_kept(selection: Selecting, now_s: float) -> float:
    """With nothing to do meanwhile."""
    begun_s = now_s
    while selection.ratio < 1.0 or not is_marked_trace_kept(selection, now_s):
        now_s += 0.25
        selection.select([], now_s)
        assert now_s < begun_s + 1_000
    return now_s - begun_s


def is_marked_trace_kept(selection: Selecting, now_s: float) -> bool:
    unlikely = f"00-{int(now_s * 4):016x}{'f' * 16}-"
    selection.mark(unlikely)
    return bool(selection.select([record(kind=REPLIED, trace=unlikely)], now_s))


class Load:
    """Messages a second that clients mark, each a trace of three spans: its end comes with the next batch."""

    def __init__(self, selection: Selecting) -> None:
        self.selection = selection
        self.now_s = 0.0
        self.kept: Counter[str] = Counter()
        """Spans by trace."""
        self.marked: set[str] = set()
        self._n = 0
        self._ends: list[Raw] = []

    def run(self, seconds: int, *, marked_per_s: int, others_per_s: int = 0, errors_per_s: int = 0) -> list[str]:
        """The reasons of all that was kept."""
        reasons: list[str] = []
        for _ in range(seconds * 4):
            records, self._ends = self._ends, []
            for n in range((marked_per_s + others_per_s + errors_per_s) // 4):
                self._n += 1
                found = trace(self._n)
                if n < marked_per_s // 4:
                    self.selection.mark(found)
                    self.marked.add(found)
                kind = FAILED if n >= (marked_per_s + others_per_s) // 4 else SETTLED
                records.append(record(kind=kind, trace=found, attempt=1 if kind == SETTLED else 2))
                if kind == SETTLED:
                    self._ends.append(record(kind=REPLIED, trace=found))
            self.now_s += 0.25
            kept = self.selection.select(records, self.now_s)
            self.kept.update(found for one in kept for found in [one.record[8]] * (1 + (one.record[0] == SETTLED)))
            reasons += [one.reason for one in kept]
        return reasons


@pytest.mark.parametrize("per_s", [240, 300, 3_000])
def test_flood_of_marked_traces_takes_its_share_for_minutes_and_nothing_of_it_stays(per_s: int) -> None:
    selection = Selecting(1.0, 200)
    load = Load(selection)
    seconds = 300 if per_s < 1_000 else 60
    load.run(seconds, marked_per_s=per_s)
    assert selection.ratio == 1.0  # of the others there are none
    assert 80 * seconds < sum(load.kept.values()) <= 140 * seconds
    assert load.run(10, marked_per_s=per_s, errors_per_s=40).count(ERROR) == 400
    assert seconds_until_all_are_kept(selection, load.now_s) <= 10


@pytest.mark.parametrize("marked_per_s", [60, 300, 3_000])
@pytest.mark.parametrize("others_per_s", [0, 2_000])
def test_marked_traces_that_are_kept_are_whole(marked_per_s: int, others_per_s: int) -> None:
    selection = Selecting(1.0, 200)
    load = Load(selection)
    load.run(60, marked_per_s=marked_per_s, others_per_s=others_per_s)
    load.run(1, marked_per_s=0)
    marked = [spans for found, spans in load.kept.items() if found in load.marked]
    assert len(marked) > 1_000
    assert set(marked) == {3}
    begun_in_between = sum(spans != 3 for spans in load.kept.values())  # when the ratio rose
    assert begun_in_between < len(load.kept) / 200


def test_long_trace_of_more_than_its_share_does_not_drive_the_ratio_to_nothing() -> None:
    selection = Selecting(1.0, 200)
    for n in range(4 * 300):
        selection.select([record(trace=trace(0), kind=REPLIED)] * 30, n / 4)
    assert selection.ratio == pytest.approx(100 / 120)


def test_burst_of_traces_is_let_in_trace_by_trace() -> None:
    burst = [record(trace=trace(n % 100), kind=REPLIED) for n in range(300)]
    kept = Counter(one.record[8] for one in Selecting(1.0, 200).select(burst, 1.0))
    assert (len(kept), set(kept.values())) == (160 // 3, {3})


def test_trace_larger_than_the_budget_is_kept_from_its_beginning() -> None:
    found = reasons(Selecting(1.0, 200), *[record(seq=n, trace=trace(0)) for n in range(500)])
    assert found == [(n, SAMPLED) for n in range(80)]


def test_marked_trace_that_found_no_room_gets_another_chance_after_a_minute() -> None:
    selection = Selecting(0.0, 200)
    load = Load(selection)
    load.run(10, marked_per_s=3_000)
    high = f"00-{'0' * 16}{'f' * 16}-"
    selection.mark(high)
    selection.mark(high)
    assert reasons(selection, record(trace=high), now_s=load.now_s + CUT_S - 1) == []
    selection.select([], load.now_s + CUT_S)
    selection.mark(high)
    assert reasons(selection, record(trace=high), now_s=load.now_s + CUT_S + 1) == [(7, SAMPLED)]


def test_what_was_kept_is_not_kept_again_with_its_trace() -> None:
    selection = Selecting(0.0, 200)
    again = record(seq=1, attempt=2)
    assert reasons(selection, again, record(seq=2)) == [(1, REDELIVERED), (2, CONTEXT)]
    selection = Selecting(1.0, 200)
    large = [record(seq=n, trace=trace(0)) for n in range(500)]
    assert len(selection.select(large, 1.0)) == 80
    failed = record(seq=1_000, kind=FAILED, attempt=2, trace=trace(0))
    found = reasons(selection, failed, now_s=60.0)
    assert found[0] == (1_000, ERROR)
    assert min(seq for seq, reason in found if reason == CONTEXT) == 80


def test_so_many_that_were_kept_are_remembered_and_no_more() -> None:
    selection = Selecting(0.0, 100_000)
    for n in range(MAX_KEPT + 10):
        selection.select([record(seq=n, attempt=2, trace=trace(n))], n / 10)
    assert len(selection._kept) <= MAX_KEPT + 1  # pyright: ignore[reportPrivateUsage]


def test_known_traces_are_bounded() -> None:
    selection = Selecting(0.0, 100_000)
    failed = [record(kind=FAILED, attempt=2, trace=trace(n)) for n in range(MAX_KNOWN + 1)]
    assert len(selection.select(failed, 1.0)) == MAX_KNOWN + 1
    assert reasons(selection, record(trace=trace(0))) == []
    assert reasons(selection, record(trace=trace(1))) == [(7, CONTEXT)]
