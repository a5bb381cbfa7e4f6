"""Live figures as people read them."""

from __future__ import annotations

from typing import Any

import pytest

from caxton.cli.drawing import figures
from caxton.cli.drawing.curves import CURVES, point
from caxton.core.views.stats import SORTS, WindowView
from caxton.testing.fakes.stats import agent_figures, handling, node_figures, times_view


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, "-"), (0, "0µs"), (0.042, "42µs"), (1.5, "1.5ms"), (91.52, "91.5ms"), (999.6, "1000ms"), (1500, "1.5s"),
     (90_000, "1m 30s")],
)  # fmt: skip
def test_times_have_the_unit_that_fits(milliseconds: float | None, text: str) -> None:
    assert figures.millis(milliseconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (1234, "1,234"), (123_456, "123k"), (1_234_567, "1.2M"), (99_999, "99,999")]
)
def test_numbers_stay_short(count: int, text: str) -> None:
    assert figures.number(count) == text


@pytest.mark.parametrize(
    ("per_s", "text"), [(None, "-"), (0, "0"), (0.016, "0.02"), (1.04, "1.0"), (99.94, "99.9"), (1234.5, "1,234")]
)
def test_small_rates_have_digits_behind_the_point(per_s: float | None, text: str) -> None:
    assert figures.rate(per_s) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "last 60 s"),
        ({"covered_s": 5.2}, "last 5 s"),
        ({"asked_s": 3600, "covered_s": 3600}, "last 1h"),
        (
            {"covered_s": 4.23, "is_cut": True, "records": 50_000},
            "last 4.2 s of 60 s: no more than 50,000 records of it are kept or looked at",
        ),
        (
            {"covered_s": 0.05, "is_cut": True, "records": 9},
            "last 50 ms of 60 s: no more than 9 records of it are kept or looked at",
        ),
        ({"is_recorded": False}, "no rates and times: the flight recorder is off (recorder.size)"),
    ],
)
def test_window_says_what_it_leaves_out(fields: dict[str, Any], text: str) -> None:
    values: dict[str, Any] = {
        "asked_s": 60,
        "covered_s": 60,
        "records": 1,
        "is_cut": False,
        "is_recorded": True,
        **fields,
    }
    assert figures.window(WindowView(**values)) == text


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "running"),
        ({"replicas": 3, "healthy": 3}, "running ×3"),  # noqa: RUF001
        ({"replicas": 3, "healthy": 1}, "1/3 up"),
        ({"busy_s": 4.0}, "busy 4s"),
        ({"busy_s": 0.5}, "running"),
        ({"circuit": "open"}, "breaker"),
        ({"status": "failed", "circuit": "open"}, "failed"),
        ({"type": "native"}, "native"),
        ({"type": "vacant", "status": "vacant", "replicas": 0}, "vacant"),
    ],
)
def test_state_is_what_one_has_to_know_first(fields: dict[str, Any], state: str) -> None:
    assert figures.cells(agent_figures("a", **fields))[1] == state


def test_every_column_has_a_cell_and_every_order_a_column() -> None:
    agent = agent_figures("an-agent-with-a-long-name", rate_per_s=2.0, handling=times_view(1, 2), queue=5)
    assert len(figures.cells(agent)) == len(figures.COLUMNS)
    narrow = figures.narrow_cells(agent)
    assert len(narrow) == sum(column.is_narrow for column in figures.COLUMNS)
    assert (narrow[0], narrow[-2]) == ("an-agent-with-a…", "64 KiB")
    assert {column.sort for column in figures.COLUMNS if column.sort} == set(SORTS)


def test_incident_is_told_in_one_line() -> None:
    seen = handling("failed", "client:admin", "pong", attempt=2, detail="its handler returned 7")
    assert figures.incident_line(seen) == (
        "00:00:00.000 failed: client:admin → pong request, attempt 2 (its handler returned 7)"
    )


def test_first_look_has_no_rates_of_its_own() -> None:
    first = point(None, node_figures(rate_per_s=3.0, queue=4, handling=times_view(1, 2)))
    assert (first.messages_per_s, first.handling_ms, first.queue) == (3.0, 2, 4)
    assert (first.commits_per_s, first.errors_per_s, first.cpu) == (None, None, None)


def test_later_looks_have_what_happened_in_between() -> None:
    before = node_figures(uptime_s=10, handled=100, failed=1, refused=0, commits=5, cpu_s=1.0)
    now = node_figures(uptime_s=12, handled=140, failed=3, refused=4, commits=9, cpu_s=2.0)
    found = point(before, now)
    assert (found.messages_per_s, found.errors_per_s, found.commits_per_s, found.cpu) == (21.0, 3.0, 2.0, 0.5)


@pytest.mark.parametrize("fields", [{"run": "run-2"}, {"uptime_s": 10}, {"uptime_s": 3}])
def test_counts_of_another_run_are_not_compared(fields: dict[str, Any]) -> None:
    before = node_figures(uptime_s=10, handled=1000)
    found = point(before, node_figures(**{"uptime_s": 12, "handled": 5, "rate_per_s": 2.5, **fields}))
    assert (found.messages_per_s, found.commits_per_s) == (2.5, None)


def test_every_curve_says_what_is_not_known() -> None:
    nothing = point(None, node_figures(rate_per_s=None))
    assert all(curve.text(None) == "-" for curve in CURVES)
    assert all(curve.text(curve.value(nothing)) for curve in CURVES)
