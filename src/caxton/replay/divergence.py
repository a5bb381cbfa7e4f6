"""Where a replay first did something else than what was recorded, in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.replay.record import CALLS

if TYPE_CHECKING:
    from caxton.replay.record import Outcome

MAX_SHOWN_BYTES = 160
"""Of an argument in a sentence."""

CONTEXT_BYTES = 24
"""Shown before the first byte that differs, and after it."""

_NAMES: dict[str, tuple[str, ...]] = {
    "send_message": ("message",),
    "log": ("level", "text", "source"),
    "random": ("count",),
    "set_timer": ("delay_us",),
    "cancel_timer": ("timer",),
    "kv_get": ("key",),
    "kv_set": ("key", "value"),
    "kv_delete": ("key",),
    "call_tool": ("request",),
    "subscribe": ("topic",),
    "unsubscribe": ("topic",),
}


class Divergence(msgspec.Struct, kw_only=True, frozen=True):
    """The first difference of an instance from its recording."""

    call: int
    """Which host call of the handling, from 1; the end of the handling counts as one."""
    expected: str
    got: str
    diff: str = ""
    """Where two texts part, when it is one call with other bytes."""


def shown(value: object) -> str:
    """An argument, short and printable."""
    if not isinstance(value, bytes):
        return repr(value) if isinstance(value, str) else str(value)
    part = value[:MAX_SHOWN_BYTES]
    try:
        text = repr(part.decode("utf-8", "strict" if len(part) == len(value) else "ignore"))
    except UnicodeDecodeError:
        text = f"0x{part.hex()}"
    return text if len(part) == len(value) else f"{text}… ({len(value)} bytes)"


def call_text(number: int, arguments: tuple[Any, ...]) -> str:
    """A host call as a person reads it."""
    name = CALLS[number]
    named = zip(_NAMES.get(name, ()), arguments, strict=False)
    return f"{name}({', '.join(f'{key}={shown(value)}' for key, value in named)})"


def outcome_text(outcome: Outcome) -> str:
    """The end of a handling as a person reads it."""
    match outcome.kind:
        case "returned":
            names = f", offering {outcome.text}" if outcome.text else ""
            return f"returned {outcome.status}{names}"
        case "trapped":
            return f"trapped ({outcome.text}): {outcome.reason}"
        case "not started":
            return f"did not start: {outcome.text}"
        case "cut":
            return "was cut off"


def of_calls(call: int, expected: tuple[int, tuple[Any, ...]], got: tuple[int, tuple[Any, ...]]) -> Divergence:
    """Two calls that are not the same."""
    diff = ""
    if expected[0] == got[0]:
        for ours, theirs in zip(expected[1], got[1], strict=False):
            if ours != theirs and isinstance(ours, bytes) and isinstance(theirs, bytes):
                diff = _diff(ours, theirs)
                break
    return Divergence(call=call, expected=call_text(*expected), got=call_text(*got), diff=diff)


def same_end(expected: Outcome, got: Outcome) -> bool:
    """Whether two handlings ended alike. The sentence of a trap may differ: it names limits and exit codes."""
    return (expected.kind, expected.status, expected.text) == (got.kind, got.status, got.text)


def _diff(expected: bytes, got: bytes) -> str:
    at = next((n for n, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), min(len(expected), len(got)))
    begin = max(at - CONTEXT_BYTES, 0)

    def around(data: bytes) -> str:
        text = data[begin : at + CONTEXT_BYTES].decode("utf-8", "backslashreplace")
        return f"{'…' if begin else ''}{text}{'…' if at + CONTEXT_BYTES < len(data) else ''}"

    return f"at byte {at}: expected {around(expected)!r}, got {around(got)!r}"
