"""MCP as spoken with a command on its standard streams: lines of JSON-RPC, made and understood. Pure.

By hand, because the official SDK costs ten times what the call of a sandboxed tool does.
Source: Model Context Protocol, revisions 2025-06-18 and 2025-11-25.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.tools.source import Failure, Result, ToolInfo
from caxton.version import VERSION

if TYPE_CHECKING:
    from caxton.tools.source import Call, Outcome

REVISION = "2025-11-25"
REVISIONS = frozenset(("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"))
"""That are spoken; a tool answers with the one that it wants."""

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602

_CHANGED = "notifications/tools/list_changed"


class _Error(msgspec.Struct):
    code: int = 0


class Line(msgspec.Struct):
    """One message of a tool."""

    jsonrpc: str
    id: int | str | None = None
    method: str | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _Error | msgspec.UnsetType = msgspec.UNSET

    @property
    def is_change(self) -> bool:
        """Its tools are others from now on."""
        return self.method == _CHANGED


class _Initialized(msgspec.Struct, rename="camel"):
    protocol_version: str


class _Annotations(msgspec.Struct, rename="camel"):
    idempotent_hint: bool = False
    read_only_hint: bool = False


class _Tool(msgspec.Struct, rename="camel"):
    name: str
    input_schema: dict[str, Any]
    description: str = ""
    output_schema: dict[str, Any] | None = None
    annotations: _Annotations = msgspec.field(default_factory=_Annotations)


class _Tools(msgspec.Struct, rename="camel"):
    tools: list[_Tool]
    next_cursor: str | None = None


class _Called(msgspec.Struct, rename="camel"):
    content: list[dict[str, Any]]
    structured_content: dict[str, Any] | None = None
    is_error: bool = False


_encode = msgspec.json.Encoder().encode
_line = msgspec.json.Decoder(Line)
_initialized = msgspec.json.Decoder(_Initialized)
_tools = msgspec.json.Decoder(_Tools)
_called = msgspec.json.Decoder(_Called)


class NotMcp(Exception):
    """An answer is not what the protocol has there."""


def request(number: int, method: str, params: dict[str, Any]) -> bytes:
    """A line that asks."""
    return _encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + b"\n"


INITIALIZED = _encode({"jsonrpc": "2.0", "method": "notifications/initialized"}) + b"\n"


def initialize(number: int) -> bytes:
    """The first line of all."""
    client = {"name": "caxton", "version": VERSION}
    params: dict[str, Any] = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": client}
    return request(number, "initialize", params)


def list_tools(number: int, cursor: str | None) -> bytes:
    return request(number, "tools/list", {} if cursor is None else {"cursor": cursor})


def call_tool(number: int, call: Call) -> bytes:
    meta = {"caxton/idempotency-key": call.key}
    if call.traceparent:
        meta["traceparent"] = call.traceparent
    return request(number, "tools/call", {"name": call.tool, "arguments": call.arguments, "_meta": meta})


def reply_to(line: Line) -> bytes | None:
    """What to say to a tool that asks something; None if it does not."""
    if line.method is None or line.id is None:
        return None
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": line.id}
    if line.method == "ping":
        answer["result"] = {}
    else:
        answer["error"] = {"code": METHOD_NOT_FOUND, "message": "not offered"}
    return _encode(answer) + b"\n"


def parse(data: bytes) -> Line | None:
    """One line; None if it is none of the protocol's."""
    try:
        line = _line.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return line if line.jsonrpc == "2.0" else None


def check_initialized(line: Line) -> None:
    """Raises `NotMcp`."""
    found = _decoded(_initialized, line)
    if found.protocol_version not in REVISIONS:
        raise NotMcp("it wants a revision of MCP that is not spoken here")


def tools_of(line: Line) -> tuple[list[ToolInfo], str | None]:
    """One page of tools, and where the next one is. Raises `NotMcp`."""
    page = _decoded(_tools, line)
    tools = [
        ToolInfo(
            name=tool.name,
            description=tool.description,
            input_schema=tool.input_schema,
            output_schema=tool.output_schema,
            is_idempotent=tool.annotations.idempotent_hint,
            is_read_only=tool.annotations.read_only_hint,
        )
        for tool in page.tools
    ]
    return tools, page.next_cursor


def outcome_of(line: Line) -> Outcome:
    """Of a call."""
    if line.error is not msgspec.UNSET:
        if line.error.code == INVALID_PARAMS:
            return Failure("invalid", "the tool does not take these arguments")
        if line.error.code == METHOD_NOT_FOUND:
            return Failure("not_found", "it has no such tool")
        return Failure("failed", f"the tool answered with the error {line.error.code}")
    try:
        called = _decoded(_called, line)
    except NotMcp as exc:
        return Failure("failed", str(exc))
    return Result(content=called.content, structured=called.structured_content, is_error=called.is_error)


def _decoded(decoder: msgspec.json.Decoder[Any], line: Line) -> Any:
    if line.error is not msgspec.UNSET:
        raise NotMcp(f"it answered with the error {line.error.code}")
    if line.result is msgspec.UNSET:
        raise NotMcp("its answer has neither a result nor an error")
    try:
        return decoder.decode(line.result)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise NotMcp("its answer is not what MCP says") from None
