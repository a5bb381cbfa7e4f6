"""A trace as OTLP in JSON, on one line: what a collector's file receiver reads, and Jaeger takes. Pure.

Its spans are those that telemetry exports, with the same ids and names: a backend that has both shows them once.

Source: opentelemetry-proto, "JSON Protobuf Encoding": ids in hex, enums as numbers, 64-bit numbers as text.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.telemetry import names
from caxton.telemetry.identity import end_span, handling_span
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.core.views.traces import TraceSpan, TraceTool, TraceTry, TraceView

INTERNAL, PRODUCER, CONSUMER = 1, 4, 5
"""Kinds of spans."""

ERROR = 2
"""Status code."""


def otlp(view: TraceView) -> str:
    """The trace as one `TracesData`; without a line end."""
    handlings = {_handling_id(span, one.began) for span in view.spans for one in span.tries}
    spans: dict[str, dict[str, Any]] = {}
    for span in view.spans:
        for one in _spans(span, view, handlings):
            spans.setdefault(one["spanId"], one)  # two that began in one microsecond, after the clock was put back
    service = [_attribute(names.SERVICE_NAME, names.SYSTEM), _attribute(names.SERVICE_VERSION, VERSION)]
    scope = {
        "scope": {"name": names.SCOPE, "version": VERSION}, "schemaUrl": names.SCHEMA_URL, "spans": [*spans.values()],
    }  # fmt: skip
    whole = {"resourceSpans": [{"resource": {"attributes": service}, "scopeSpans": [scope]}]}
    return msgspec.json.encode(whole).decode()


def _spans(span: TraceSpan, view: TraceView, handlings: set[str]) -> Iterator[dict[str, Any]]:
    """The sending of a message, each of its handlings, the calls of tools in them, and its end."""
    trace = _trace_of(span, view)
    sending = None
    if span.performative:
        sending = _sending(span, trace, handlings)
        yield sending
    for one in span.tries:
        yield _handling(span, one, view, trace, None if sending is None else sending["spanId"])
    for tool in span.tools:
        yield _call(span, tool, trace)
    if sending is not None and span.status in ("dead", "lost") and span.ended is not None:
        yield _end(span, trace, sending["spanId"], span.ended)


def _sending(span: TraceSpan, trace: str, handlings: set[str]) -> dict[str, Any]:
    is_refused = span.status == "refused"
    where = f"{span.sender}\0{span.receiver}"
    made: dict[str, Any] = {
        "traceId": trace,
        "spanId": _hex(end_span("refused", DEFAULT_WORKSPACE, where, span.ended or span.sent)) if is_refused
        else span.id,
        "name": f"{names.SEND} {span.receiver}",
        "kind": PRODUCER,
        **_times(span.sent, (span.ended or span.sent) if is_refused else span.sent),
        "attributes": _attributes(span, names.SEND),
    }  # fmt: skip
    cause = _hex(handling_span(DEFAULT_WORKSPACE, span.sender, span.sent))
    if cause in handlings:
        made["parentSpanId"] = cause
    if is_refused:
        made["status"] = _error(span.error or span.status)
    return made


def _handling(span: TraceSpan, one: TraceTry, view: TraceView, trace: str, sending: str | None) -> dict[str, Any]:
    operation = names.PROCESS if span.performative else names.TIMER
    made: dict[str, Any] = {
        "traceId": trace,
        "spanId": _handling_id(span, one.began),
        "name": f"{operation} {span.receiver}",
        "kind": CONSUMER if span.performative else INTERNAL,
        **_times(one.began, view.now if one.ended is None else one.ended),
        "attributes": [*_attributes(span, operation), _attribute(names.ATTEMPT, one.attempt)],
    }
    if sending is not None:
        made["parentSpanId"] = sending
    if one.error is not None:
        made["status"] = _error(one.error)
    return made


def _call(span: TraceSpan, tool: TraceTool, trace: str) -> dict[str, Any]:
    began = [one.began for one in span.tries if one.began <= tool.began]
    made: dict[str, Any] = {
        "traceId": trace,
        "spanId": _hex(end_span("tool", DEFAULT_WORKSPACE, f"{span.receiver}\0{tool.tool}", tool.began)),
        "name": f"{names.EXECUTE_TOOL} {tool.tool}",
        "kind": INTERNAL,
        **_times(tool.began, tool.ended),
        "attributes": [
            _attribute(names.GEN_AI_OPERATION_NAME, names.EXECUTE_TOOL), _attribute(names.GEN_AI_TOOL_NAME, tool.tool),
            _attribute(names.GEN_AI_AGENT_NAME, span.receiver),
        ],
    }  # fmt: skip
    if began:
        made["parentSpanId"] = _handling_id(span, max(began))
    if tool.error is not None:
        made["attributes"].append(_attribute(names.ERROR_TYPE, tool.error.replace(" ", "_")))
        made["status"] = _error(tool.error)
    return made


def _end(span: TraceSpan, trace: str, sending: str, at_us: int) -> dict[str, Any]:
    """It became a dead letter; or the node ended while it was in hand, and nobody knows since when."""
    is_dead = span.status == "dead"
    dead = end_span("dead", DEFAULT_WORKSPACE, str(int(span.id[4:], 16)), at_us)
    operation = names.SETTLE if is_dead else names.PROCESS
    return {
        "traceId": trace,
        "spanId": _hex(dead) if is_dead else _handling_id(span, at_us),
        "parentSpanId": sending,
        "name": f"{operation} {span.receiver}",
        "kind": CONSUMER,
        **_times(at_us, at_us),
        "attributes": [*_attributes(span, operation), _attribute(names.ATTEMPT, span.attempt)],
        "status": _error(span.error or span.status),
    }


def _attributes(span: TraceSpan, operation: str) -> list[dict[str, Any]]:
    found: dict[str, str | int] = {
        names.WORKSPACE: DEFAULT_WORKSPACE,
        names.MESSAGING_SYSTEM: names.SYSTEM,
        names.MESSAGING_OPERATION_NAME: operation,
        names.MESSAGING_OPERATION_TYPE: operation,
        names.MESSAGING_DESTINATION_NAME: span.receiver,
        names.MESSAGING_MESSAGE_ID: span.message_id,
        names.MESSAGING_MESSAGE_ENVELOPE_SIZE: span.size_bytes,
        names.PERFORMATIVE: span.performative,
        names.GEN_AI_AGENT_NAME: span.sender if operation == names.SEND else span.receiver,
    }
    if span.conversation_id is not None:
        found[names.MESSAGING_MESSAGE_CONVERSATION_ID] = span.conversation_id
        found[names.GEN_AI_CONVERSATION_ID] = span.conversation_id
    return [_attribute(name, value) for name, value in found.items() if value != ""]


def _trace_of(span: TraceSpan, view: TraceView) -> str:
    """Its own trace, or for what has none, one for all of these that is the same each time."""
    name = f"trace\0{view.conversation_id or view.message_id or ''}"
    return span.trace_id or sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _handling_id(span: TraceSpan, began_us: int) -> str:
    return _hex(handling_span(DEFAULT_WORKSPACE, span.receiver, began_us))


def _times(begun_us: int, ended_us: int) -> dict[str, str]:
    """Nanoseconds; a clock that was put back makes nothing end before it begins."""
    return {"startTimeUnixNano": str(begun_us * 1000), "endTimeUnixNano": str(max(begun_us, ended_us) * 1000)}


def _error(text: str) -> dict[str, Any]:
    return {"code": ERROR, "message": text}


def _attribute(name: str, value: str | int) -> dict[str, Any]:
    return {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}


def _hex(span: int) -> str:
    return f"{span:016x}"
