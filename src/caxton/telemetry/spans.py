"""Outlines as OpenTelemetry's spans, with the times and ids that they say. Loads OpenTelemetry: import it late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from caxton.telemetry import names

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from caxton.telemetry.outline import Outline

_KINDS = {"producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER, "internal": SpanKind.INTERNAL}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class SpanBuilder:
    """See the module."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._scope = InstrumentationScope(names.SCOPE, schema_url=names.SCHEMA_URL)

    def build(self, outline: Outline) -> ReadableSpan:
        """The span."""
        error = outline.error
        return ReadableSpan(
            name=outline.name,
            context=_context(outline.trace, outline.span),
            parent=_context(outline.trace, outline.parent) if outline.parent else None,
            resource=self._resource,
            attributes=outline.attributes if error is None else {**outline.attributes, names.ERROR_TYPE: error},
            links=[Link(_context(outline.trace, outline.link))] if outline.link else [],
            kind=_KINDS[outline.kind],
            status=Status(StatusCode.UNSET) if error is None else Status(StatusCode.ERROR, outline.detail),
            start_time=outline.begun_us * 1000,
            # The clock may have been set back meanwhile.
            end_time=max(outline.begun_us, outline.ended_us) * 1000,
            instrumentation_scope=self._scope,
        )


def _context(trace: int, span: int) -> SpanContext:
    return SpanContext(trace, span, is_remote=False, trace_flags=_SAMPLED)
