"""What an agent gets of an outcome: bytes in MCP's shape, or a code. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.sandbox import codes
from caxton.sandbox.codes import name_of
from caxton.tools.schemas import depth_of
from caxton.tools.source import Failure

if TYPE_CHECKING:
    from caxton.tools.catalogue import Tool
    from caxton.tools.source import Outcome, Result, Trouble

CODES: dict[Trouble, int] = {
    "timeout": codes.TIMED_OUT,
    "too_large": codes.TOO_LARGE,
    "unavailable": codes.UNAVAILABLE,
    "not_found": codes.NOT_FOUND,
    "invalid": codes.INVALID,
    "refused": codes.NOT_PERMITTED,
    "failed": codes.FAILED,
}

HEALTH: dict[Trouble, bool | None] = {
    "timeout": False,
    "too_large": None,
    "unavailable": False,
    "not_found": None,
    "invalid": None,
    "refused": None,
    "failed": False,
}
"""What a failure tells of the source: None is nothing."""

REPEATABLE: frozenset[Trouble] = frozenset(("timeout", "unavailable"))

WORDS = {value: name_of(value).lower() for name, value in vars(codes).items() if name.isupper() and value < 0}
"""Outcomes of calls that got a code."""

_encode = msgspec.json.Encoder().encode


def answer(tool: Tool, outcome: Outcome) -> bytes | Failure:
    """The bytes for who called, or why it gets none: a result that is too large, or not what the tool promised."""
    if isinstance(outcome, Failure):
        return outcome
    shape: dict[str, Any] = {"content": outcome.content}
    if outcome.structured is not None:
        shape["structuredContent"] = outcome.structured
    if outcome.is_error:
        shape["isError"] = True
    try:
        data = _encode(shape)
    except (TypeError, ValueError, RecursionError):
        return Failure("failed", "its result is no JSON")
    most = tool.source.settings.max_result_bytes
    if len(data) > most:
        return Failure("too_large", f"its result has {len(data)} bytes, and {most} are allowed")
    if tool.results is None or outcome.is_error:
        return data
    broken = _broken(tool, outcome, len(data))
    return data if broken is None else Failure("failed", broken)


def _broken(tool: Tool, result: Result, size: int) -> str | None:
    checker = tool.results
    if checker is None:
        return None
    if result.structured is None:
        return "it promised a structured result and gave none"
    if not checker.has_time(size):
        return f"its result has {size} bytes, which is too much to check against its schema"
    if checker.is_good(result.structured):
        return None
    return f"its result is not what its schema promises: {checker.complaint(result.structured)}"


def parsed(data: bytes, most_depth: int) -> dict[str, Any] | None:
    """The arguments, or None if they are not a JSON object of at most so many levels."""
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if data.count(b"{") + data.count(b"[") > most_depth and depth_of(value, most_depth) > most_depth:
        return None
    return value


_decode = msgspec.json.Decoder(dict[str, Any]).decode
