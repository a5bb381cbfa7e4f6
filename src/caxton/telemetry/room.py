"""The export as a whole: takes what happens on the event loop's thread in O(1), and does everything else on threads.

    records of the flight recorder ─► sieve ─► selection thread ─► outbox ─► spans   ┐
    figures, every 15 s            ────────────────────────────────► outbox ─► metrics ├─► collector
    lines of logs                  ────────────────────────────────► outbox ─► records ┘

A collector that is dead or slow fills an outbox; what finds no room is counted in `dropped` and forgotten.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeAlias

from caxton.core.errors.server import InvalidConfig
from caxton.telemetry.lines import LineIntake
from caxton.telemetry.outbox import Outbox
from caxton.telemetry.outline import Outliner
from caxton.telemetry.selection import Raw, Selection
from caxton.telemetry.sieve import Sieve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

    from caxton.observe.metrics import Metric, Samples
    from caxton.telemetry.exporters import Way
    from caxton.telemetry.outline import Outline
    from caxton.telemetry.settings import TelemetrySettings

Figures: TypeAlias = "Callable[[], Awaitable[Iterable[tuple[Metric, Samples]]]]"
Earlier: TypeAlias = "Callable[[Collection[str]], Sequence[Raw]]"

logger = logging.getLogger(__name__)

GATHER_S = 0.25
"""Records are looked at together: one look a second costs the same for each, and keeps a tail of a trace waiting."""
METRICS_EVERY_S = 15.0
"""As often as Prometheus scrapes by the configuration in `ops/`."""
CLOSE_S = 1.0
"""What a stop waits at most for what was not yet delivered; nothing if the last export failed."""

MAX_RECORDS = 200_000
"""That wait for the selection, some 80 MB: two seconds of everything a node can do."""
MAX_SPANS = 2_048
MAX_LINES = 2_048
MAX_FIGURES = 2
"""The newest; each is the whole."""
MAX_CALLERS = 10_000


class Telemetry:
    """See the module. Made once a collector is named; `open_telemetry` does.

    Args:
        settings: with an endpoint.
        instance_id: of this run of the server.
        figures: those of `/metrics` as they are now; awaited within the event loop.
        earlier: the recorder's last records of some traces; called on a thread.

    Raises:
        InvalidConfig: OpenTelemetry's own variables (`OTEL_…`) cannot be read.
    """

    def __init__(self, settings: TelemetrySettings, instance_id: str, figures: Figures, earlier: Earlier) -> None:
        # C code that says what it likes on stderr, and handlers around fork that a server with threads must not have.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        from caxton.telemetry import exporters

        self._settings, self._figures, self._earlier = settings, figures, earlier
        self._said = exporters.LastWords()
        self._resource = exporters.resource_of(instance_id)
        self._outboxes: dict[str, Outbox[Any]] = {}
        self._selection = self._new_selection()
        self._sieve = Sieve()
        self._outliner = Outliner()
        self._can_select = True
        self._batches: deque[list[Raw]] = deque()
        self._callers: deque[tuple[str, str]] = deque(maxlen=MAX_CALLERS)
        self._came = self._went = 0
        """Records, each counted by one thread."""
        self._some, self._stopping = Event(), Event()
        self._selector = Thread(target=self._select_for_ever, name="caxton-otlp-select", daemon=True)
        self._measuring: asyncio.Task[None] | None = None
        self._is_closed = False
        self.lines: LineIntake | None = None
        """Takes agents' lines, if logs are exported."""
        try:
            self._make_outboxes()
        except Exception as exc:
            raise InvalidConfig("telemetry", f"no exporter can be made with these settings: {exc}") from exc
        self._said.listen()

    def _make_outboxes(self) -> None:
        from caxton.telemetry import exporters
        from caxton.telemetry.figures import FigureBuilder
        from caxton.telemetry.spans import SpanBuilder

        signals = self._settings.signals
        if "traces" in signals:
            spans = SpanBuilder(self._resource)
            trace_way = exporters.trace_way(self._settings)
            self._add("traces", trace_way, MAX_SPANS, lambda some: trace_way.export([spans.build(one) for one in some]))
        if "metrics" in signals:
            figures = FigureBuilder(self._resource, time.time_ns())
            metric_way = exporters.metric_way(self._settings)
            self._add(
                "metrics", metric_way, MAX_FIGURES, lambda taken: metric_way.export(figures.build(*taken[-1])),
                keeps_newest=True,
            )  # fmt: skip
        if "logs" in signals:
            records = exporters.RecordBuilder(self._resource)
            log_way = exporters.log_way(self._settings)
            outbox = self._add("logs", log_way, MAX_LINES, lambda lines: log_way.export(records.build(lines)))
            self.lines = LineIntake(outbox.put, outbox.miss)

    def _add(
        self, signal: str, way: Way, most: int, export: Callable[[list[Any]], bool], *, keeps_newest: bool = False
    ) -> Outbox[Any]:
        def deliver(items: list[Any]) -> bool:
            self._said.forget()
            return export(items)

        outbox = Outbox[Any](signal, deliver, way.abort, most=most, on_change=self._changed, keeps_newest=keeps_newest)
        self._outboxes[signal] = outbox
        return outbox

    # --- what comes in: on the event loop's thread, in O(1) --------------------------------------------------

    @property
    def dropped(self) -> dict[str, int]:
        """What was lost, by signal: spans (or records, if nobody could look what becomes of them), figures, lines."""
        return {signal: outbox.dropped for signal, outbox in self._outboxes.items()}

    @property
    def passed_over(self) -> int:
        """Spans that were wanted and for which there was no budget."""
        return self._selection.passed_over

    @property
    def exported(self) -> dict[str, int]:
        """By signal, of the same."""
        return {signal: outbox.exported for signal, outbox in self._outboxes.items()}

    def start(self) -> None:
        """Begin to export. Within the event loop."""
        for outbox in self._outboxes.values():
            outbox.start()
        if "traces" in self._outboxes:
            self._selector.start()
        if self.lines is not None:
            logging.getLogger().addHandler(self.lines)
        if "metrics" in self._outboxes:
            self._measuring = asyncio.get_running_loop().create_task(self._measure_for_ever())

    def on_batch(self, records: list[Raw]) -> None:
        """Records of the flight recorder. The list is not kept."""
        if "traces" not in self._outboxes:
            return
        sifted = self._sieve.sift(records, self._selection.live)
        if not sifted:
            return
        if self._came - self._went + len(sifted) > MAX_RECORDS:
            self._outboxes["traces"].miss(len(sifted))
            return
        self._came += len(sifted)
        self._batches.append(sifted)
        if not self._some.is_set():
            self._some.set()

    def on_traced(self, message_id: str, traceparent: str) -> None:
        """A client posted the message within a span of its own, that it names."""
        self._callers.append((message_id, traceparent))

    async def _measure_for_ever(self) -> None:
        while True:
            await self._measure()
            await asyncio.sleep(METRICS_EVERY_S)

    async def _measure(self) -> None:
        outbox = self._outboxes["metrics"]
        try:
            outbox.put([(list(await self._figures()), time.time_ns())])
        except Exception as exc:
            logger.error("figures could not be taken", exc_info=exc, extra={"action": "telemetry.error"})
            outbox.miss(1)

    # --- the selection, on its thread ------------------------------------------------------------------------

    def _select_for_ever(self) -> None:
        while not self._stopping.is_set():
            self._some.wait()
            self._stopping.wait(GATHER_S)
            self._some.clear()
            self._select()

    def _select(self) -> None:
        records: list[Raw] = []
        self._sieve.next_look()
        while self._batches:
            records += self._batches.popleft()
        self._went += len(records)
        try:
            spans = self._spans_of(records)
        except Exception as exc:  # the wall of this thread: without it one bad record would end all traces
            self._begin_anew(exc)
            self._outboxes["traces"].miss(len(records))
            return
        self._can_select = True
        if spans:
            self._outboxes["traces"].put(spans)

    def _spans_of(self, records: list[Raw]) -> list[Outline]:
        while self._callers:
            message_id, traceparent = self._callers.popleft()
            self._outliner.called(message_id, int(traceparent[36:52], 16))
            if int(traceparent[53:55], 16) & 1:
                self._selection.mark(traceparent[:36])
        kept = self._selection.select(records, time.monotonic())
        return [span for one in kept for span in self._outliner.outline(one)]

    def _begin_anew(self, exc: Exception) -> None:
        """With nothing of what was remembered: whatever it was, it must not go wrong again with the next records."""
        passed_over, self._selection = self._selection.passed_over, self._new_selection()
        self._selection.passed_over = passed_over
        if self._can_select:
            self._can_select = False
            logger.error("records could not be read", exc_info=exc, extra={"action": "telemetry.error"})

    def _new_selection(self) -> Selection:
        return Selection(self._settings.sample_ratio, self._settings.max_spans_per_s, self._earlier)

    # --- the end ---------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Deliver what waits, within `CLOSE_S` and if the collector took what came before. May be called twice."""
        if self._end_measuring():
            await self._measure()
        await asyncio.to_thread(self._close, time.monotonic() + CLOSE_S)

    def close(self) -> None:
        """Give up what waits."""
        self._end_measuring()
        self._close(time.monotonic())

    def _end_measuring(self) -> bool:
        """Whether there was any."""
        task, self._measuring = self._measuring, None
        if task is not None:
            task.cancel()
        return task is not None

    def _close(self, until: float) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self.lines is not None:
            logging.getLogger().removeHandler(self.lines)
        self._stopping.set()
        self._some.set()
        if self._selector.is_alive():
            self._selector.join(max(0.0, until - time.monotonic()))
        for outbox in self._outboxes.values():
            outbox.begin_close()
        for outbox in self._outboxes.values():
            outbox.close(until)

    def _changed(self, signal: str, is_well: bool) -> None:
        extra = {"action": "telemetry.delivered" if is_well else "telemetry.undelivered", "signal": signal}
        if is_well:
            logger.info("telemetry is delivered again", extra=extra)
        else:
            facts = {**extra, "endpoint": self._settings.endpoint, "error": self._said.text}
            logger.warning("telemetry cannot be delivered and is dropped until it can", extra=facts)


def open_telemetry(
    settings: TelemetrySettings | None, instance_id: str, figures: Figures, earlier: Earlier
) -> Telemetry | None:
    """The export, or None if no collector is named: then OpenTelemetry is not even loaded. Raises `InvalidConfig`."""
    if settings is None or settings.endpoint is None:
        return None
    return Telemetry(settings, instance_id, figures, earlier)
