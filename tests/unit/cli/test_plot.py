"""Curves and bars."""

from __future__ import annotations

import pytest

from caxton.cli.drawing.plot import bar, ceiling, plot


@pytest.mark.parametrize("values", [[], [None, None], [0, 0.0]])
def test_nothing_is_drawn_as_nothing(values: list[float | None]) -> None:
    assert plot(values, width=4, height=2) == ["    ", "    "]
    assert ceiling(values) == 1.0


def test_highest_value_fills_all_lines_and_the_newest_is_at_the_right() -> None:
    assert plot([1, 2, 4], width=5, height=2) == ["    █", "  ▄██"]


def test_only_as_many_as_there_are_columns_are_drawn() -> None:
    assert plot([100, 1, 2], width=2, height=1) == ["▄█"]


def test_little_is_not_drawn_as_nothing_and_gaps_stay() -> None:
    assert plot([0.001, None, 0, 1000], width=4, height=1) == ["▁  █"]


def test_value_below_nothing_is_none() -> None:
    assert plot([-5, 5], width=2, height=1) == [" █"]


@pytest.mark.parametrize(("width", "height"), [(0, 3), (-1, 2), (3, 0)])
def test_no_room_is_no_error(width: int, height: int) -> None:
    assert [len(line) for line in plot([1, 2], width=width, height=height)] == [max(width, 0)] * height


@pytest.mark.parametrize(
    ("ratio", "drawn"),
    [(0, "░░░░"), (1e-9, "▏░░░"), (0.5, "██░░"), (0.6, "██▍░"), (1, "████"), (7, "████"), (-1, "░░░░")],
)
def test_bar_is_as_long_as_its_ratio(ratio: float, drawn: str) -> None:
    assert bar(ratio, width=4) == drawn
