"""Which span is which, and which traces are in the sample. Pure.

No identity is stored or looked up: both ends of an edge can compute it, whichever of them is seen first. See
docs/decisions/0011-telemetry.md.
"""

from __future__ import annotations

from hashlib import blake2b

_TOP_BIT = 1 << 63
_LOW = 64
"""Bits of a trace id that decide: those that OpenTelemetry's own ratio sampler looks at."""

TRACE_AT, LOW_AT, TRACE_END = 3, 19, 35
"""Where the trace id, and its lower half, stand in `00-<32 hex digits>-`."""


def handling_span(workspace: str, agent: str, handed_us: int) -> int:
    """Span id of the handling that `agent` began at `handed_us`.

    A message says who sent it and when, and that is when the handling began that sent it. So its parent is
    `handling_span(workspace, sender, sent_us)`.
    """
    return _hashed("handling", workspace, agent, handed_us)


def end_span(kind: str, workspace: str, name: str, at_us: int) -> int:
    """Span id of something that has no effects: a dead letter, a refusal, a tool call."""
    return _hashed(kind, workspace, name, at_us)


def send_span(seq: int) -> int:
    """Span id of the sending of message `seq`: the one that its `traceparent` says."""
    return seq


def trace_id(trace: str) -> int:
    """The number in `00-<32 hex digits>-`; 0 if there is none."""
    try:
        return int(trace[TRACE_AT:TRACE_END], 16) if len(trace) >= TRACE_END else 0
    except ValueError:
        return 0


def trace_of_its_own(workspace: str, name: str, at_us: int) -> int:
    """For something that nobody gave a trace, such as a timer whose handler failed before it sent anything."""
    text = f"trace\0{workspace}\0{name}\0{at_us}".encode("utf-8", "replace")
    return int.from_bytes(blake2b(text, digest_size=16).digest(), "big") or 1


def bound_of(ratio: float) -> str:
    """Lower halves of trace ids, as hex digits, that are less than this are in a sample of `ratio`."""
    if ratio >= 1:
        return "g"  # after every hex digit
    bound = round(ratio * (1 << _LOW))
    return f"{bound:016x}" if bound else ""


def _hashed(*parts: object) -> int:
    """Never the number of a message: those have not yet reached 2^63."""
    text = "\0".join(map(str, parts)).encode("utf-8", "replace")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") | _TOP_BIT
