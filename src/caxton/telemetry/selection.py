"""Which of the flight recorder's records become spans. Pure: records and times in, kept records out.

Kept are, in the order in which they get the budget of spans: what went wrong; what was delivered again; whole traces,
by ratio on bits of their ids, or since a caller marked them; what else belongs to the trace of something that went
wrong; messages that took longer than 99 % of those before them, and what belongs to their traces.

The common case, a record that is none of these, costs one comparison of each.
"""

from __future__ import annotations

from collections import deque
from math import exp
from typing import TYPE_CHECKING, Any, NamedTuple

from caxton.recorder.record import REPLIED, SETTLED, TIMER, TOOL, Record
from caxton.telemetry.identity import LOW_AT, TRACE_END, bound_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Raw = tuple[Any, ...]
"""The fields of a `Record`, in their order."""

_FIELD = {name: n for n, name in enumerate(Record.__struct_fields__)}
KIND, TRACE, ATTEMPT = _FIELD["kind"], _FIELD["trace"], _FIELD["attempt"]
SENT, ENDED = _FIELD["sent_us"], _FIELD["ended_us"]

ERROR, REDELIVERED, SAMPLED, CONTEXT, SLOW = "error", "redelivered", "sampled", "context", "slow"

RESERVE = {ERROR: 0.0, REDELIVERED: 0.1, SAMPLED: 0.2, CONTEXT: 0.3, SLOW: 0.5}
"""The part of the budget that must be left for others: a flood of slow messages does not cost one error its span."""

SAMPLED_SHARE = 0.5
"""Of the budget. When traces in the sample would take more, the ratio sinks, so that those that are kept are whole."""

RECENT_RECORDS = 20_000
"""In which the rest of a trace is looked for when something in it went wrong; about 8 MB."""
MAX_FOLLOWED = 1_000
"""Traces that are kept whole from now on."""

LATENCIES = 4_096
"""Of messages, that the running p99 is taken from."""
MIN_LATENCIES = 100
LATENCIES_PER_LOOK = 256
"""Taken from one call's records at most, evenly: no more is needed, and sorting them is all that it costs."""

MEMORY_S = 5.0
"""Over which the demand for sampled spans is averaged."""

MIN_STEP_S = 0.1


class Kept(NamedTuple):
    """One record that becomes spans."""

    record: Raw
    reason: str


class Selection:
    """See the module.

    Args:
        ratio: of traces, at most.
        spans_per_s: on average; that many may come at once.
    """

    def __init__(self, ratio: float, spans_per_s: int) -> None:
        self._ratio, self._per_s = ratio, spans_per_s
        self._bound = bound_of(ratio)
        self._budget = float(spans_per_s)
        self._demand = 0.0
        """Spans a second, were every trace in the sample."""
        self._current = ratio
        self._last_s: float | None = None
        self._followed: dict[str, None] = {}
        self._marked: dict[str, None] = {}
        self._recent: deque[Raw] = deque(maxlen=RECENT_RECORDS)
        self._latencies: deque[int] = deque(maxlen=LATENCIES)
        self.slow_us = 1 << 62
        """A message that takes longer is slow."""
        self.passed_over = 0
        """Spans that were wanted and for which there was no budget."""

    @property
    def ratio(self) -> float:
        """Of traces that are kept now."""
        return self._current

    def mark(self, trace: str) -> None:
        """A caller says that it keeps this trace (`00-<32 hex digits>-`), so it should not end here."""
        _remember(self._marked, trace)

    def select(self, records: Sequence[Raw], now_s: float) -> list[Kept]:
        """Those of `records` that are kept, and earlier ones that belong to them.

        Args:
            records: in the order in which they happened.
            now_s: a time that only grows.
        """
        step_s = MIN_STEP_S if self._last_s is None else max(now_s - self._last_s, MIN_STEP_S)
        self._last_s = now_s
        self._budget = min(self._budget + self._per_s * step_s, float(self._per_s))
        wanted = self._sort(records)
        self._adapt(sum(map(_spans_of, wanted[SAMPLED])), step_s)
        bad = self._grant(wanted[ERROR], ERROR) + self._grant(wanted[REDELIVERED], REDELIVERED)
        sampled = self._grant(wanted[SAMPLED], SAMPLED)
        context = self._grant(self._context_of(bad) + wanted[CONTEXT], CONTEXT)
        slow = self._grant(wanted[SLOW], SLOW)
        context += self._grant(self._context_of(slow), CONTEXT, reserve=RESERVE[SLOW])
        self._learn(records)
        return [*bad, *sampled, *context, *slow]

    def _sort(self, records: Sequence[Raw]) -> dict[str, list[Raw]]:
        bound, slow_us, followed, marked = self._bound, self.slow_us, self._followed, self._marked
        wanted: dict[str, list[Raw]] = {reason: [] for reason in RESERVE}
        recent = self._recent.append
        for record in records:
            kind, trace = record[KIND], record[TRACE]
            if kind not in _FINE and _went_wrong(record):
                wanted[ERROR].append(record)
            elif record[ATTEMPT] > 1 and kind == SETTLED:
                wanted[REDELIVERED].append(record)
            elif trace[LOW_AT:TRACE_END] < bound and trace:
                wanted[SAMPLED].append(record)
            elif trace in followed:
                wanted[CONTEXT].append(record)
            elif trace in marked:
                wanted[SAMPLED].append(record)
            elif record[ENDED] - record[SENT] > slow_us and kind == SETTLED:
                wanted[SLOW].append(record)
            else:
                recent(record)
        return wanted

    def _grant(self, records: list[Raw], reason: str, *, reserve: float | None = None) -> list[Kept]:
        """Those for which there is budget."""
        kept: list[Kept] = []
        least = self._per_s * (RESERVE[reason] if reserve is None else reserve)
        for n, record in enumerate(records):
            spans = _spans_of(record)
            if self._budget - spans < min(least, self._per_s - spans):
                self.passed_over += sum(map(_spans_of, records[n:]))
                break
            self._budget -= spans
            kept.append(Kept(record, reason))
        return kept

    def _context_of(self, kept: list[Kept]) -> list[Raw]:
        """What already happened in the traces of these; from now on they are kept whole."""
        found: list[Raw] = []
        fresh: set[str] = set()
        for record, _ in kept:
            trace = record[TRACE]
            if trace and trace not in self._followed:
                fresh.add(trace)
                _remember(self._followed, trace)
        if fresh:
            found = [record for record in self._recent if record[TRACE] in fresh]
        if found:
            rest = [record for record in self._recent if record[TRACE] not in fresh]
            self._recent.clear()
            self._recent.extend(rest)
        return found

    def _adapt(self, spans: int, step_s: float) -> None:
        """Choose the ratio with which sampled traces take their share of the budget."""
        if self._ratio == 0:
            return
        decay = exp(-step_s / MEMORY_S)
        self._demand = self._demand * decay + spans / self._current * (1 - decay) / step_s
        share = self._per_s * SAMPLED_SHARE
        self._current = self._ratio if self._demand * self._ratio <= share else share / self._demand
        self._bound = bound_of(self._current)

    def _learn(self, records: Sequence[Raw]) -> None:
        """How long messages take."""
        stride = max(1, len(records) // LATENCIES_PER_LOOK)
        taken = [record[ENDED] - record[SENT] for record in records[::stride] if record[KIND] == SETTLED]
        self._latencies.extend(taken)
        if taken and len(self._latencies) >= MIN_LATENCIES:
            self.slow_us = sorted(self._latencies)[len(self._latencies) * 99 // 100]


_FINE = frozenset({SETTLED, TIMER, REPLIED})


def _went_wrong(record: Raw) -> bool:
    """Whether a record of a kind that is not always fine tells of something that is not."""
    return record[KIND] != TOOL or Record(*record).tool_error is not None


def _spans_of(record: Raw) -> int:
    """How many spans a record becomes, at most."""
    return 2 if record[KIND] == SETTLED and record[ATTEMPT] == 1 else 1


def _remember(known: dict[str, None], trace: str) -> None:
    known.pop(trace, None)
    known[trace] = None
    while len(known) > MAX_FOLLOWED:
        del known[next(iter(known))]
