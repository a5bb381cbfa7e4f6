"""Which traces are kept whole, and which ratio of the others there is room for. Pure: times in, choices out.

What is known of a trace outlives the change of a ratio: one that was begun goes on, one that was refused stays away.

The demand of either kind of trace is measured so that it does not depend on the ratio that it leads to. A marked trace
is counted whether it is kept or not; one that is in the sample counts as many times as it stands for others. A demand
that grew with what was refused would drive its own ratio to nothing.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from caxton.telemetry.identity import LOW_AT, TRACE_END, bound_of

MAX_KNOWN = 10_000
"""Traces that something is known of; about 3 MB."""

MEMORY_S = 5.0
"""Over which demand is averaged: so long after the last of a flood nothing is known of it."""

CUT_S = 60.0
"""For which a trace that found no room stays away: one that never ends gets another chance."""

SAMPLED_SHARE, MARKED_SHARE, WHOLE_SHARE = 0.5, 0.5, 0.7
"""Of the budget: for traces by ratio, for those that callers marked, and for both together. When they would take more,
a ratio sinks, so that those that are kept are whole. Those by ratio get what is left by the others."""

MIN_RATIO = 1e-6
"""Less is not needed: a node cannot do so much."""
GROWTH = 16.0
"""As many times the ratio may grow in a second: with few spans a second, nothing in the sample may be mere chance."""

FOLLOWED, CHOSEN, WHOLE, CUT = range(4)
"""What a trace may be: kept since something in it went wrong; marked and to be kept; kept; refused."""


class Fate(NamedTuple):
    """What is known of one trace."""

    status: int
    is_marked: bool = False
    weight: float = 0.0
    """Of a trace in the sample: how many it stands for, one over the ratio of that time."""
    until_s: float = 0.0
    """Of a trace that is `CUT`."""


class Demand:
    """Spans that were asked for, a second, over the last `MEMORY_S`."""

    def __init__(self) -> None:
        self._parts: deque[tuple[float, float]] = deque()

    def add(self, spans: float, now_s: float) -> float:
        """Count these in, and tell how many it is a second."""
        self._parts.append((now_s, spans))
        while self._parts[0][0] <= now_s - MEMORY_S:
            self._parts.popleft()
        return sum(part for _, part in self._parts) / MEMORY_S


class Traces:
    """See the module.

    Args:
        ratio: of traces that nobody marked, at most.
        spans_per_s: the budget.
    """

    def __init__(self, ratio: float, spans_per_s: int) -> None:
        self._most, self._per_s = ratio, spans_per_s
        self.ratio, self.bound = ratio, bound_of(ratio)
        """Of traces that nobody marked."""
        self.marked_ratio, self._marked_bound = 1.0, bound_of(1.0)
        self._sampled, self._marked = Demand(), Demand()
        self.fates: dict[str, Fate] = {}

    def mark(self, trace: str, now_s: float) -> None:
        """A caller keeps this trace: so do we, if it is in the sample of marked ones."""
        fate = self.fates.get(trace)
        if fate is None or fate.status == FOLLOWED or (fate.status == CUT and now_s >= fate.until_s):
            is_in = trace[LOW_AT:TRACE_END] < self._marked_bound
            self._set(trace, Fate(CHOSEN, True) if is_in else Fate(CUT, True, until_s=now_s + CUT_S))

    def follow(self, trace: str) -> bool:
        """Keep what comes of this trace; whether that was not so before."""
        fate = self.fates.get(trace)
        if fate is not None and fate.status != CUT:
            return False
        self._set(trace, Fate(FOLLOWED, fate is not None and fate.is_marked))
        return True

    def keep(self, trace: str) -> None:
        """It has begun, and is kept whole."""
        fate = self.fates.get(trace)
        is_marked = fate is not None and fate.is_marked
        self._set(trace, Fate(WHOLE, is_marked, 0.0 if is_marked else 1 / self.ratio))

    def cut(self, trace: str, now_s: float) -> None:
        """There was no room for it, or for the rest of it."""
        fate = self.fates.get(trace)
        self._set(trace, Fate(CUT, fate is not None and fate.is_marked, until_s=now_s + CUT_S))

    def forget(self, trace: str) -> None:
        """It is judged anew."""
        self.fates.pop(trace, None)

    def adapt(self, sampled: float, marked: float, step_s: float, now_s: float) -> None:
        """Choose the ratios.

        Args:
            sampled: spans of the last `step_s`, were every trace in the sample.
            marked: spans of marked traces.
            step_s: seconds since the last call.
            now_s: a time that only grows.
        """
        wanted, share = self._marked.add(marked, now_s), self._per_s * MARKED_SHARE
        self.marked_ratio = share / wanted if wanted > share else 1.0
        self._marked_bound = bound_of(self.marked_ratio)
        if not self._most:
            return
        rest = min(self._per_s * SAMPLED_SHARE, self._per_s * WHOLE_SHARE - min(wanted, share))
        demand = self._sampled.add(sampled, now_s)
        ratio = self._most if demand * self._most <= rest else rest / demand
        grown = self.ratio * GROWTH ** min(step_s, MEMORY_S)
        self.ratio = min(self._most, max(MIN_RATIO, min(ratio, grown)))
        self.bound = bound_of(self.ratio)

    def _set(self, trace: str, fate: Fate) -> None:
        self.fates.pop(trace, None)
        self.fates[trace] = fate
        if len(self.fates) > MAX_KNOWN:
            del self.fates[next(iter(self.fates))]
