"""Rates and percentiles of one agent from records."""

from __future__ import annotations

import pytest

from caxton.core.views.debugging import RateView
from caxton.recorder.record import CRASHED, DEAD, FAILED, REPLIED, SETTLED, TIMER, TOOL, Record
from caxton.services.rates import figures_of, rate


def record(kind: int, took_us: int, *, receiver: str = "a", workspace: str = "default", waited_us: int = 0) -> Record:
    """Something that ended."""
    seq = 0 if kind in (TIMER, TOOL) else 1
    return Record(
        kind, seq, workspace, "b", receiver, "m", None, b'inform"', "", 1, 1_000_000 - waited_us, 1_000_000,
        1_000_000 + took_us, 10,
    )  # fmt: skip


def test_agent_that_did_nothing_has_no_times() -> None:
    found = figures_of([], "default", "a", 60)
    none = RateView(count=0, per_s=0.0, p50_s=None, p99_s=None)
    assert (found.tool_calls, found.handlings, found.waits, found.failed) == (none, none, none, 0)


def test_only_its_own_records_count() -> None:
    others = [record(SETTLED, 1, receiver="ab"), record(TOOL, 1, workspace="other")]
    assert figures_of(others, "default", "a", 60).handlings.count == 0


def test_each_kind_counts_where_it_belongs() -> None:
    kinds = (SETTLED, FAILED, CRASHED, TIMER, TOOL, TOOL, DEAD, REPLIED)
    found = figures_of([record(kind, 5) for kind in kinds], "default", "a", 10)
    assert (found.tool_calls.count, found.handlings.count, found.waits.count, found.failed) == (2, 4, 3, 2)
    assert (found.tool_calls.per_s, found.handlings.per_s) == (0.2, 0.4)


def test_clock_that_was_set_back_gives_no_negative_times() -> None:
    assert figures_of([record(SETTLED, -5, waited_us=-9)], "default", "a", 1).handlings.p50_s == 0


@pytest.mark.parametrize(
    ("times", "p50", "p99"), [([7], 7, 7), ([2, 1], 1, 2), (list(range(1, 101)), 50, 99), ([1] * 99 + [9] * 2, 1, 9)]
)
def test_percentiles_are_by_nearest_rank(times: list[int], p50: int, p99: int) -> None:
    found = rate(times, 1)
    assert (found.p50_s, found.p99_s) == (p50 / 1e6, p99 / 1e6)
