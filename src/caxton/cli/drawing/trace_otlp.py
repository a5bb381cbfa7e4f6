"""A trace as OTLP in JSON, on one line: what a collector's file receiver reads, and Jaeger takes. Pure.

Source: opentelemetry-proto, "JSON Protobuf Encoding": ids in hex, enums as numbers, 64-bit numbers as text. Names of
attributes: OpenTelemetry's conventions for messaging and for generative AI.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.core.views.traces import TraceSpan, TraceTool, TraceTry, TraceView

CLIENT, CONSUMER, INTERNAL = 3, 5, 1
"""Kinds of spans."""

ERROR = 2
"""Status code."""

_FAILED = frozenset({"dead", "refused", "failed", "crashed", "lost"})


def otlp(view: TraceView) -> str:
    """The trace as one `TracesData`; without a line end."""
    home = {span.id: (_trace_of(span, view), _id_of(span)) for span in view.spans}
    spans = [one for span in view.spans for one in _spans(span, view, home)]
    resource = {"attributes": [_attribute("service.name", "caxton"), _attribute("service.version", VERSION)]}
    scope = {"scope": {"name": "caxton.trace", "version": VERSION}, "spans": spans}
    return msgspec.json.encode({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}).decode()


def _trace_of(span: TraceSpan, view: TraceView) -> str:
    """Its own trace, or for what has none, one for all of these."""
    return span.trace_id or _digest(32, "trace", view.conversation_id or view.message_id or "")


def _id_of(span: TraceSpan) -> str:
    """The number of the message; what has none counts down from the top, and would be like another's."""
    return span.id if span.id < "8" else _digest(16, "span", span.sender, span.receiver, str(span.sent), span.id)


def _spans(span: TraceSpan, view: TraceView, home: dict[str, tuple[str, str]]) -> Iterator[dict[str, Any]]:
    trace, span_id = home[span.id]
    end_us = max(span.sent, view.now if span.ended is None and span.status != "kept" else span.ended or span.sent)
    made: dict[str, Any] = {
        "traceId": trace,
        "spanId": span_id,
        "name": f"process {span.receiver}" if span.performative else f"timer {span.receiver}",
        "kind": CONSUMER if span.performative else INTERNAL,
        "startTimeUnixNano": _nanos(span.sent),
        "endTimeUnixNano": _nanos(end_us),
        "attributes": list(_attributes(span)),
        "events": [one for attempt in span.tries for one in _events(attempt)],
    }
    parent_trace, parent_id = home.get(span.parent or "", ("", ""))
    if parent_trace == trace:
        made["parentSpanId"] = parent_id
    if span.status in _FAILED:
        made["status"] = {"code": ERROR, "message": span.error or span.status}
    yield made
    for number, tool in enumerate(span.tools):
        yield _call(span, tool, number, trace, span_id)


def _attributes(span: TraceSpan) -> Iterator[dict[str, Any]]:
    yield _attribute("messaging.system", "caxton")
    yield _attribute("messaging.operation.type", "process")
    yield _attribute("messaging.destination.name", span.receiver)
    yield _attribute("messaging.message.id", span.message_id)
    if span.conversation_id is not None:
        yield _attribute("messaging.message.conversation_id", span.conversation_id)
    yield _attribute("messaging.message.body.size", span.size_bytes)
    yield _attribute("caxton.sender", span.sender)
    yield _attribute("caxton.fipa.performative", span.performative)
    yield _attribute("caxton.delivery.attempt", span.attempt)
    yield _attribute("caxton.status", span.status)
    if span.status in _FAILED:
        yield _attribute("error.type", span.status)


def _events(attempt: TraceTry) -> Iterator[dict[str, Any]]:
    number = _attribute("caxton.delivery.attempt", attempt.attempt)
    yield {"timeUnixNano": _nanos(attempt.began), "name": "received", "attributes": [number]}
    if attempt.error is not None and attempt.ended is not None:
        facts = [number, _attribute("exception.type", attempt.outcome), _attribute("exception.message", attempt.error)]
        yield {"timeUnixNano": _nanos(attempt.ended), "name": "exception", "attributes": facts}


def _call(span: TraceSpan, tool: TraceTool, number: int, trace: str, parent: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "traceId": trace,
        "spanId": _digest(16, "tool", parent, str(number), str(tool.began)),
        "parentSpanId": parent,
        "name": f"execute_tool {tool.tool}",
        "kind": CLIENT,
        "startTimeUnixNano": _nanos(tool.began),
        "endTimeUnixNano": _nanos(max(tool.began, tool.ended)),
        "attributes": [_attribute("gen_ai.tool.name", tool.tool), _attribute("gen_ai.agent.id", span.receiver)],
    }
    if tool.error is not None:
        made["attributes"] = [*made["attributes"], _attribute("error.type", tool.error)]
        made["status"] = {"code": ERROR, "message": tool.error}
    return made


def _attribute(name: str, value: str | int) -> dict[str, Any]:
    return {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}


def _nanos(at_us: int) -> str:
    return str(at_us * 1000)


def _digest(digits: int, *parts: str) -> str:
    """An id that is the same each time, for what has none of its own."""
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:digits]
