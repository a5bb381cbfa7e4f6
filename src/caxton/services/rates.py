"""From records of the last while to rates and percentiles of one agent. Pure."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple, Protocol

from caxton.core.views.debugging import RateView

if TYPE_CHECKING:
    from collections.abc import Iterable

_SETTLED, _FAILED, _CRASHED, _TIMER, _TOOL = 0, 1, 2, 5, 6


class Handling(Protocol):
    """What is needed of a record (`recorder.record.Record`)."""

    @property
    def kind(self) -> int: ...
    @property
    def workspace(self) -> str: ...
    @property
    def receiver(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def sent_us(self) -> int: ...
    @property
    def handed_us(self) -> int: ...
    @property
    def ended_us(self) -> int: ...


class Figures(NamedTuple):
    """What an agent did."""

    tool_calls: RateView
    handlings: RateView
    waits: RateView
    failed: int


def figures_of(records: Iterable[Handling], workspace: str, name: str, window_s: float) -> Figures:
    """The figures of one agent from the `records` of the last `window_s` seconds."""
    tools: list[int] = []
    handlings: list[int] = []
    waits: list[int] = []
    failed = 0
    for record in records:
        if record.receiver != name or record.workspace != workspace:
            continue
        took = max(record.ended_us - record.handed_us, 0)
        if record.kind == _TOOL:
            tools.append(took)
        elif record.kind in (_SETTLED, _FAILED, _CRASHED, _TIMER):
            handlings.append(took)
            failed += record.kind in (_FAILED, _CRASHED)
            if record.seq:
                waits.append(max(record.handed_us - record.sent_us, 0))
    return Figures(rate(tools, window_s), rate(handlings, window_s), rate(waits, window_s), failed)


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
