"""`http`: one tool, `fetch`, for the hosts that the operator lists. All rules of the way out are `egress/`'s."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caxton.egress.refused import EgressError, Refused, TimedOut
from caxton.egress.request import MAX_HEADERS, METHODS, Request, Response
from caxton.egress.target import MAX_URL_CHARS
from caxton.tools.source import Call, Failure, Outcome, Result, ToolInfo, Trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from caxton.egress.policy import Policy

MAX_FETCHED_BYTES = 256 << 10
"""Of a body, unless the call asks for less: as text in JSON it may become six times as much."""

_INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "maxLength": MAX_URL_CHARS, "description": "Begins with https:// or http://"},
        "method": {"enum": list(METHODS), "default": "GET"},
        "headers": {
            "type": "object",
            "maxProperties": MAX_HEADERS,
            "additionalProperties": {"type": "string"},
            "description": "{{secret:NAME}} in a value stands for a secret of this tool",
        },
        "body": {"type": "string", "description": "Sent as UTF-8"},
        "body_base64": {"type": "string", "description": "Instead of body, for bytes that are no text"},
        "max_bytes": {"type": "integer", "minimum": 0, "maximum": MAX_FETCHED_BYTES, "default": MAX_FETCHED_BYTES},
        "follow_redirects": {"type": "boolean", "default": True},
    },
    "required": ["url"],
    "additionalProperties": False,
    "not": {"required": ["body", "body_base64"]},
}

_OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"type": "integer", "minimum": 100, "maximum": 999},
        "url": {"type": "string", "description": "Where the last redirect led"},
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Names in small letters; what came more than once is joined with ', '",
        },
        "body": {"type": "string"},
        "body_base64": {"type": "string", "description": "Instead of body if that is no UTF-8 text"},
        "truncated": {"type": "boolean", "description": "The body goes on after what is here"},
    },
    "required": ["status", "url", "headers", "truncated"],
    "additionalProperties": False,
    "oneOf": [{"required": ["body"]}, {"required": ["body_base64"]}],
}

FETCH = ToolInfo(
    name="fetch",
    description="Send one HTTP request to a listed host and return the answer: status, headers and body.",
    input_schema=_INPUT,
    output_schema=_OUTPUT,
)


@dataclass(slots=True)
class HttpSource:
    """Holds nothing open between calls."""

    name: str
    policy: Policy

    async def list_tools(self) -> list[ToolInfo]:
        """Always the one."""
        return [FETCH]

    def call(self, call: Call) -> Outcome | Awaitable[Outcome]:
        """See `Source`."""
        if call.tool != FETCH.name:
            return Failure("not_found", f"the tool 'http' has only {FETCH.name!r}")
        body = _body(call.arguments)
        if body is None:
            return Failure("invalid", "body_base64 is no base64 text")
        return self._fetch(_request(call, body))

    async def _fetch(self, request: Request) -> Outcome:
        from caxton.egress.fetch import fetch  # 40 ms, which only those who fetch pay

        try:
            return _result(await fetch(request, self.policy))
        except EgressError as error:
            return Failure(_trouble(error), str(error))

    def view(self) -> Mapping[str, Any]:
        """What went out so far."""
        counters = self.policy.counters
        return {
            "state": "ready",
            "requests": counters.requests,
            "connections": counters.connections,
            "bytes_in": counters.bytes_in,
            "refused": dict(counters.refused),
        }

    def on_change(self, tell: Callable[[], None]) -> None:
        """It never changes."""

    async def close(self) -> None:
        """Nothing is open."""


def _request(call: Call, body: bytes) -> Request:
    arguments = call.arguments
    headers: dict[str, str] = arguments.get("headers", {})
    return Request(
        url=arguments["url"],
        method=arguments.get("method", "GET"),
        headers=tuple(headers.items()),
        body=body,
        max_bytes=min(MAX_FETCHED_BYTES, arguments.get("max_bytes", MAX_FETCHED_BYTES)),
        timeout_s=max(0.0, call.until - time.monotonic()),
        is_followed=arguments.get("follow_redirects", True),
    )


def _body(arguments: dict[str, Any]) -> bytes | None:
    if "body_base64" not in arguments:
        return str(arguments.get("body", "")).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(arguments["body_base64"], validate=True)
    except (binascii.Error, ValueError):
        return None


def _trouble(error: EgressError) -> Trouble:
    if isinstance(error, TimedOut):
        return "timeout"
    if not isinstance(error, Refused):
        return "unavailable"
    return "invalid" if error.reason in ("url", "request") else "refused"


def _result(response: Response) -> Result:
    headers: dict[str, str] = {}
    for name, value in response.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    about = {"status": response.status, "url": response.url, "headers": headers, "truncated": response.is_truncated}
    key, body = _as_text(response)
    said = f"HTTP {response.status}, {len(response.body)} bytes in structuredContent.{key}"
    return Result(content=[{"type": "text", "text": said}], structured=about | {key: body})


def _as_text(response: Response) -> tuple[str, str]:
    """Where the body goes and how it stands there. A letter that the end cuts through is left out."""
    body = response.body
    try:
        return "body", body.decode("utf-8")
    except UnicodeDecodeError as error:
        if response.is_truncated and error.reason == "unexpected end of data":
            return "body", body[: error.start].decode("utf-8")
    return "body_base64", base64.b64encode(body).decode("ascii")
