"""The official OTLP exporters, by protocol. Loads OpenTelemetry, and gRPC or requests: import it late."""

from __future__ import annotations

import logging
import os
import platform
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from caxton.telemetry import names
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

    from caxton.telemetry.lines import Line
    from caxton.telemetry.settings import TelemetrySettings

EXPORT_TIMEOUT_S = 5.0
"""For one request with its repetitions; meanwhile the next items wait, as far as there is room."""

_LIBRARIES = logging.getLogger("opentelemetry")


class Way(NamedTuple):
    """How one signal gets out."""

    export: Callable[[Any], bool]
    abort: Callable[[], None]


class LastWords(logging.Handler):
    """Keeps what the exporters said last on each thread: they say it at each failure, and once is enough for a log."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[int, str] = {}

    def forget(self) -> None:
        """What was said on this thread belongs to an earlier export."""
        self._texts.pop(get_ident(), None)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self._texts[get_ident()] = record.getMessage()[:500]

    def listen(self) -> None:
        """From now on: the libraries' lines no longer reach the server's log.

        They leave out what they said before, on whichever thread, and so on two threads of three: their filters go.
        """
        _LIBRARIES.handlers[:] = [self]
        _LIBRARIES.propagate = False
        for name, known in logging.root.manager.loggerDict.items():
            if name.startswith("opentelemetry.exporter.") and isinstance(known, logging.Logger):
                known.filters.clear()

    @property
    def text(self) -> str:
        """What was said last on the thread that asks."""
        return self._texts.get(get_ident(), "") or f"no answer within {EXPORT_TIMEOUT_S:g} s, and no word why"


def resource_of(instance_id: str) -> Resource:
    """What this server says of itself. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` add to it, and come first."""
    ours = {
        names.SERVICE_NAME: "caxton",
        names.SERVICE_VERSION: VERSION,
        names.SERVICE_INSTANCE_ID: instance_id,
        names.PROCESS_PID: os.getpid(),
        names.HOST_NAME: platform.node(),
    }
    return Resource(ours, names.SCHEMA_URL).merge(OTELResourceDetector().detect())


def trace_way(settings: TelemetrySettings) -> Way:
    """For spans."""
    options = _options(settings, "v1/traces")
    if settings.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Exporter
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Exporter
    exporter: Any = Exporter(**options)

    def export(spans: list[ReadableSpan]) -> bool:
        return exporter.export(spans) is SpanExportResult.SUCCESS

    return Way(export, exporter.shutdown)


def metric_way(settings: TelemetrySettings) -> Way:
    """For figures."""
    options = _options(settings, "v1/metrics")
    if settings.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Exporter
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Exporter
    exporter: Any = Exporter(**options)

    def export(figures: MetricsData) -> bool:
        return exporter.export(figures) is MetricExportResult.SUCCESS

    return Way(export, exporter.shutdown)


def log_way(settings: TelemetrySettings) -> Way:
    """For log records."""
    options = _options(settings, "v1/logs")
    if settings.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as Exporter
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as Exporter
    exporter: Any = Exporter(**options)

    def export(records: list[ReadableLogRecord]) -> bool:
        return exporter.export(records) is LogRecordExportResult.SUCCESS

    return Way(export, exporter.shutdown)


def _options(settings: TelemetrySettings, path: str) -> dict[str, Any]:
    endpoint = settings.endpoint or ""
    common: dict[str, Any] = {"headers": dict(settings.headers) or None, "timeout": EXPORT_TIMEOUT_S}
    if settings.protocol == "grpc":
        return {"endpoint": endpoint, "insecure": endpoint.startswith("http:"), **common}
    from caxton.telemetry.deadline import BoundedSession

    session = BoundedSession()
    session.max_redirects = 0  # the headers are for this collector and nobody else
    return {"endpoint": f"{endpoint}/{path}", "session": session, **common}


class RecordBuilder:
    """Makes OpenTelemetry's log records."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._scope = InstrumentationScope(names.SCOPE, schema_url=names.SCHEMA_URL)

    def build(self, lines: list[Line]) -> list[ReadableLogRecord]:
        """One for each line."""
        return [ReadableLogRecord(self._record(line), self._resource, self._scope) for line in lines]

    @staticmethod
    def _record(line: Line) -> LogRecord:
        return LogRecord(
            timestamp=line.at_ns,
            observed_timestamp=line.at_ns,
            context=_context(line),
            severity_number=SeverityNumber(line.severity),
            severity_text=line.severity_text,
            body=line.text,
            attributes=line.attributes,
            event_name=line.event or None,
        )


def _context(line: Line) -> Context:
    try:
        trace, span = int(line.trace_id or "0", 16), int(line.span_id or "0", 16)
    except ValueError:
        trace = span = 0
    if not trace:
        return Context({"caxton": ""})  # one without a span; an empty one would mean the thread's own
    found = SpanContext(trace, span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(found), Context())
