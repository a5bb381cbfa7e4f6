"""Curves and bars out of block characters. Pure: numbers in, lines of text out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_PARTS = " ▏▎▍▌▋▊▉█"


def plot(values: Sequence[float | None], *, width: int, height: int) -> list[str]:
    """The last `width` values as columns, the newest at the right; `height` lines, the highest value fills them all.

    None leaves a gap; a value above 0 is never drawn as nothing.
    """
    shown = list(values)[-width:] if width > 0 else []
    top = ceiling(shown)
    levels = [0 if not value or value < 0 else max(round(value / top * height * 8), 1) for value in shown]
    lines: list[str] = []
    for row in range(height - 1, -1, -1):
        columns = [_EIGHTHS[min(max(level - row * 8, 0), 8)] for level in levels]
        lines.append("".join(columns).rjust(max(width, 0)))
    return lines


def ceiling(values: Sequence[float | None]) -> float:
    """The value at the upper edge of a plot: the highest one, or 1 if all are 0."""
    return max((value for value in values if value), default=0.0) or 1.0


def bar(ratio: float, *, width: int) -> str:
    """A horizontal bar of which `ratio` (0 to 1, what is beyond is cut) is filled; a little is never nothing."""
    eighths = round(min(max(ratio, 0.0), 1.0) * width * 8)
    if ratio > 0:
        eighths = max(eighths, 1)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_PARTS[rest] if rest else "")).ljust(width, "░")
