"""What comes back from a server, in the words of `tools.source`. Pure: it knows the protocol's numbers, not its SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from caxton.tools.source import Failure, Outcome, Result

if TYPE_CHECKING:
    from caxton.tools.source import Trouble

# The protocol's own codes
CLOSED, TIMED_OUT = -32000, -32001
INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, NO_JSON = -32600, -32601, -32602, -32700

# Ours, for errors that our transports make up in the place of an answer
TOO_LARGE, BROKEN, NO_ANSWER = -32090, -32091, -32092

TOO_LARGE_TEXT = "more than the cap"
"""Of the error that ends a stream of events; the SDK passes the text on, not the kind."""

_MEANS: dict[int, tuple[Trouble, str]] = {
    CLOSED: ("unavailable", "the connection to the server ended before its answer"),
    TIMED_OUT: ("timeout", "the server did not answer in time"),
    NO_METHOD: ("not_found", "the server says that there is no such tool"),
    INVALID_PARAMS: ("invalid", "the server refuses the name or the arguments of the call"),
    NO_JSON: ("failed", "the server's answer is no JSON of the protocol"),
    TOO_LARGE: ("too_large", "the server's answer is larger than the cap"),
    BROKEN: ("unavailable", "the server cannot be reached, or broke the connection"),
    NO_ANSWER: ("failed", "the server's answer is no JSON of the protocol"),
}


def failure_of(code: int) -> Failure:
    """What an error of JSON-RPC means. The server's own text is never part of it."""
    trouble, detail = _MEANS.get(code, ("failed", f"the server answered with error {code}"))
    return Failure(trouble, detail)


def outcome_of(raw: dict[str, Any]) -> Outcome:
    """A `CallToolResult`, whose shape the SDK has checked."""
    if raw.get("resultType", "complete") != "complete":
        return Failure("failed", "the server asks for more input, which an agent's call cannot give")
    content = cast("list[dict[str, Any]]", raw.get("content") or [])
    return Result(content=content, structured=raw.get("structuredContent"), is_error=raw.get("isError") is True)
