"""From records of the last while to rates and percentiles of one agent. Pure."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from caxton.core.views.debugging import RateView
from caxton.recorder.record import CRASHED, FAILED, SETTLED, TIMER, TOOL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caxton.recorder.record import Record


class Figures(NamedTuple):
    """What an agent did."""

    tool_calls: RateView
    handlings: RateView
    waits: RateView
    failed: int
    window_s: float


def figures_of(records: Iterable[Record], workspace: str, name: str, window_s: float) -> Figures:
    """The figures of one agent from the `records` of the last `window_s` seconds."""
    tools: list[int] = []
    handlings: list[int] = []
    waits: list[int] = []
    failed = 0
    for record in records:
        if record.receiver != name or record.workspace != workspace:
            continue
        took = max(record.ended_us - record.handed_us, 0)
        if record.kind == TOOL:
            tools.append(took)
        elif record.kind in (SETTLED, FAILED, CRASHED, TIMER):
            handlings.append(took)
            failed += record.kind in (FAILED, CRASHED)
            if record.seq:
                waits.append(max(record.handed_us - record.sent_us, 0))
    return Figures(rate(tools, window_s), rate(handlings, window_s), rate(waits, window_s), failed, window_s)


def rate(times_us: list[int], window_s: float) -> RateView:
    """How often, and how long by nearest rank."""
    times_us.sort()
    return RateView(
        count=len(times_us), per_s=round(len(times_us) / window_s, 3),
        p50_s=_percentile(times_us, 50), p99_s=_percentile(times_us, 99),
    )  # fmt: skip


def _percentile(times_us: list[int], percent: int) -> float | None:
    if not times_us:
        return None
    return times_us[ceil(len(times_us) * percent / 100) - 1] / 1e6
