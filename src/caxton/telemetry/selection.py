"""Which of the flight recorder's records become spans. Pure: records and times in, kept records out.

Kept are, in the order in which they get the budget of spans: what went wrong; what was delivered again; whole traces
(`telemetry.traces`), those that were begun before those that callers marked and those in the sample; what else belongs
to the trace of something that went wrong; messages that took longer than 99 % of those before them, and what belongs
to their traces.

The common case, a record that is none of these, costs one comparison of each, and the record is not held: what already
happened in a trace is asked of who has it. Of a busy node not every record comes here (`telemetry.sieve`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from caxton.recorder.record import REPLIED, SETTLED, TIMER, TOOL, Record
from caxton.telemetry.identity import LOW_AT, TRACE_END
from caxton.telemetry.traces import CHOSEN, CUT, FOLLOWED, WHOLE, Fate, Traces

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

Raw = tuple[Any, ...]
"""The fields of a `Record`, in their order."""

_FIELD = {name: n for n, name in enumerate(Record.__struct_fields__)}
KIND, TRACE, ATTEMPT = _FIELD["kind"], _FIELD["trace"], _FIELD["attempt"]
SENT, ENDED = _FIELD["sent_us"], _FIELD["ended_us"]

ERROR, REDELIVERED, SAMPLED, CONTEXT, SLOW = "error", "redelivered", "sampled", "context", "slow"
MARKED, BEGUN = "marked", "begun"
"""Kept as `SAMPLED`."""

RESERVE = {ERROR: 0.0, REDELIVERED: 0.1, BEGUN: 0.05, MARKED: 0.2, SAMPLED: 0.2, CONTEXT: 0.3, SLOW: 0.5}
"""The part of the budget that must be left for others: a flood of slow messages does not cost one error its span, and
traces that are begun leave something for their rest."""

MOST_SPANS = 2
"""Of one record. Even the smallest budget has room for them, once it is full."""

LOOK_BACK_S = 1.0
"""Between two looks at what already happened for the traces of slow messages, of which there are always some."""

MAX_KEPT = 4_096
"""Records that are remembered as kept, so that a later look back does not keep them again."""

LATENCIES = 4_096
"""Of messages, that the running p99 is taken from."""
MIN_LATENCIES = 100
LATENCIES_PER_LOOK = 256
"""Taken from one call's records at most, evenly: no more is needed."""
LATENCIES_PER_SORT = 1_024
"""Once so many are new, they are sorted: that is all that they cost."""

MIN_STEP_S = 0.1
"""Of the time between two calls."""


class Kept(NamedTuple):
    """One record that becomes spans."""

    record: Raw
    reason: str


class Selection:
    """See the module.

    Args:
        ratio: of traces, at most.
        spans_per_s: on average; that many may come at once.
        earlier: the last records of some traces, in the order in which they happened; those of this call as well.
    """

    def __init__(self, ratio: float, spans_per_s: int, earlier: Callable[[Collection[str]], Sequence[Raw]]) -> None:
        self._per_s = spans_per_s
        self._budget = float(spans_per_s)
        self._traces = Traces(ratio, spans_per_s)
        self._last_s: float | None = None
        self._now_s = self._sampled = self._marked = 0.0
        self._earlier = earlier
        self._kept: dict[Raw, None] = {}
        """Those that were kept last, of those whose trace is not kept whole."""
        self._owed: set[str] = set()
        """Traces of slow messages that were not yet looked back for."""
        self._look_back_s = 0.0
        self._latencies: deque[int] = deque(maxlen=LATENCIES)
        self._unsorted = 0
        self.slow_us = 1 << 62
        """A message that takes longer is slow."""
        self.passed_over = 0
        """Spans that were wanted and for which there was no budget."""

    @property
    def ratio(self) -> float:
        """Of traces that are kept now, of those that nobody marked."""
        return self._traces.ratio

    @property
    def live(self) -> Collection[str]:
        """Traces of which everything is kept, for another thread to look into."""
        return self._traces.live

    def mark(self, trace: str) -> None:
        """A caller says that it keeps this trace (`00-<32 hex digits>-`), so it should not end here."""
        self._traces.mark(trace, self._now_s)

    def select(self, records: Sequence[Raw], now_s: float) -> list[Kept]:
        """Those of `records` that are kept, and earlier ones that belong to them.

        Args:
            records: in the order in which they happened.
            now_s: a time that only grows.
        """
        step_s = MIN_STEP_S if self._last_s is None else max(now_s - self._last_s, MIN_STEP_S)
        self._last_s = self._now_s = now_s
        self._budget = min(self._budget + self._per_s * step_s, float(self._per_s))
        wanted = self._sort(records)
        self._adapt(wanted, step_s)
        bad = self._grant(wanted[ERROR], ERROR) + self._grant(wanted[REDELIVERED], REDELIVERED)
        whole = [kept for reason in (BEGUN, MARKED, SAMPLED) for kept in self._grant_traces(wanted[reason], reason)]
        context = self._grant(self._context_of(bad) + wanted[CONTEXT], CONTEXT)
        slow = self._grant(wanted[SLOW], SLOW)
        context += self._grant(self._context_of_slow(slow), CONTEXT, reserve=RESERVE[SLOW])
        self._learn(records)
        return [*bad, *whole, *context, *slow]

    def _sort(self, records: Sequence[Raw]) -> dict[str, list[Raw]]:
        bound, slow_us, fates = self._traces.bound, self.slow_us, self._traces.fates
        wanted: dict[str, list[Raw]] = {reason: [] for reason in RESERVE}
        for record in records:
            kind, trace = record[KIND], record[TRACE]
            if kind not in _FINE and _went_wrong(record):
                wanted[ERROR].append(record)
            elif record[ATTEMPT] > 1 and kind == SETTLED:
                wanted[REDELIVERED].append(record)
            elif trace in fates:
                self._sort_known(record, fates[trace], wanted)
            elif trace[LOW_AT:TRACE_END] < bound and trace:
                wanted[SAMPLED].append(record)
            elif record[ENDED] - record[SENT] > slow_us and kind == SETTLED:
                wanted[SLOW].append(record)
        return wanted

    def _sort_known(self, record: Raw, fate: Fate, wanted: dict[str, list[Raw]]) -> None:
        spans, status = _spans_of(record), fate.status
        if fate.is_marked:
            self._marked += spans
        elif status == WHOLE:
            self._sampled += spans * fate.weight
        if status != CUT:
            self._traces.touch(record[TRACE])
            wanted[_BY_STATUS[status]].append(record)
            return
        self.passed_over += spans
        if self._now_s >= fate.until_s:
            self._traces.forget(record[TRACE])

    def _adapt(self, wanted: dict[str, list[Raw]], step_s: float) -> None:
        """Choose the ratios, and leave out what is not in the sample any more."""
        traces = self._traces
        if traces.ratio:
            self._sampled += sum(map(_spans_of, wanted[SAMPLED])) / traces.ratio
        traces.adapt(self._sampled, self._marked, step_s, self._now_s)
        self._sampled = self._marked = 0.0
        kept: list[Raw] = []
        for record in wanted[SAMPLED]:
            if record[TRACE][LOW_AT:TRACE_END] < traces.bound:
                kept.append(record)
            else:
                self._pass_over([record])
        wanted[SAMPLED] = kept

    def _grant(self, records: list[Raw], reason: str, *, reserve: float | None = None) -> list[Kept]:
        """Those for which there is budget."""
        kept: list[Kept] = []
        for n, record in enumerate(records):
            spans = _spans_of(record)
            if spans > self._room(RESERVE[reason] if reserve is None else reserve):
                self.passed_over += sum(map(_spans_of, records[n:]))
                break
            self._budget -= spans
            self._kept[record] = None
            kept.append(Kept(record, SAMPLED if reason in (BEGUN, MARKED) else reason))
        return kept

    def _grant_traces(self, records: list[Raw], reason: str) -> list[Kept]:
        """Those of traces for which there is budget, from the first of them to the last."""
        by_trace: dict[str, list[Raw]] = {}
        for record in records:
            by_trace.setdefault(record[TRACE], []).append(record)
        kept: list[Kept] = []
        for trace, group in by_trace.items():
            spans, reserve = sum(map(_spans_of, group)), RESERVE[reason]
            if spans <= self._room(reserve):
                kept += self._grant(group, reason)
                if reason != BEGUN:
                    self._traces.keep(trace)
                continue
            self._traces.cut(trace, self._now_s)
            if reason == BEGUN or spans > self._per_s * (1 - reserve):  # its beginning is better than nothing
                kept += self._grant(group, reason)
            else:
                self._pass_over(group)
        return kept

    def _room(self, reserve: float) -> float:
        """Spans of the budget."""
        return self._budget - min(self._per_s * reserve, self._per_s - MOST_SPANS)

    def _pass_over(self, records: list[Raw]) -> None:
        self.passed_over += sum(map(_spans_of, records))

    def _context_of(self, kept: list[Kept]) -> list[Raw]:
        """What already happened in the traces of these; from now on they are kept whole."""
        return self._look_back(self._follow(kept))

    def _context_of_slow(self, kept: list[Kept]) -> list[Raw]:
        """The same, a little later."""
        self._owed |= self._follow(kept)
        if self._now_s < self._look_back_s:
            return []
        self._look_back_s = self._now_s + LOOK_BACK_S
        owed, self._owed = self._owed, set()
        return self._look_back(owed)

    def _follow(self, kept: list[Kept]) -> set[str]:
        """Those of their traces of which that is new."""
        return {trace for record, _ in kept if (trace := record[TRACE]) and self._traces.follow(trace)}

    def _look_back(self, traces: set[str]) -> list[Raw]:
        """What of these already happened and was not kept."""
        if not traces:
            return []
        found = [record for record in self._earlier(traces) if record not in self._kept]
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return found

    def _learn(self, records: Sequence[Raw]) -> None:
        """How long messages take."""
        stride = max(1, len(records) // LATENCIES_PER_LOOK)
        taken = [record[ENDED] - record[SENT] for record in records[::stride] if record[KIND] == SETTLED]
        self._latencies.extend(taken)
        self._unsorted += len(taken)
        known = len(self._latencies)
        if known >= MIN_LATENCIES and self._unsorted >= min(LATENCIES_PER_SORT, known // 4):
            self._unsorted = 0
            self.slow_us = sorted(self._latencies)[known * 99 // 100]


_FINE = frozenset({SETTLED, TIMER, REPLIED})
_BY_STATUS = {FOLLOWED: CONTEXT, CHOSEN: MARKED, WHOLE: BEGUN}


def _went_wrong(record: Raw) -> bool:
    """Whether a record of a kind that is not always fine tells of something that is not."""
    return record[KIND] != TOOL or Record(*record).tool_error is not None


def _spans_of(record: Raw) -> int:
    """How many spans a record becomes, at most."""
    return 2 if record[KIND] == SETTLED and record[ATTEMPT] == 1 else 1
