"""A well-behaved MCP server over stdio, made with the official SDK, as a process of its own.

`python mcp_kind.py [REVISION]`: with one, it takes every handshake for one of that revision.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PAGE = 3
ANYTHING = {"type": "object"}
SUM = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}

_names = ["add", "env", "fail", "meta", "steps", "wait", "change", "last"]
_cancelled = 0
_bus = InMemorySubscriptionBus()


def _text(text: str, **more: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], **more)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


async def list_tools(_ctx: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    at = int(params.cursor) if params and params.cursor else 0
    tools = [
        types.Tool(
            name=name,
            description=f"does {name}",
            input_schema=ANYTHING,
            output_schema=SUM if name == "add" else None,
            annotations=types.ToolAnnotations(read_only_hint=name == "env", idempotent_hint=name == "add"),
        )
        for name in _names[at : at + PAGE]
    ]
    return types.ListToolsResult(tools=tools, next_cursor=str(at + PAGE) if at + PAGE < len(_names) else None)


async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    global _cancelled
    arguments = params.arguments or {}
    match params.name:
        case "add":
            return _text("done", structured_content={"sum": arguments["a"] + arguments["b"]})
        case "env":
            return _text(json.dumps(dict(os.environ)))
        case "fail":
            return _text("it is Sunday", is_error=True)
        case "meta":
            meta = params.meta or {}
            return _text(json.dumps({"meta": dict(meta), "cancelled": _cancelled}, default=str))
        case "steps":
            for step in range(1, 4):
                await ctx.session.report_progress(step, 4, "on the way")
            _say("steps are done")
            await anyio.sleep_forever()
        case "wait":
            try:
                _say("waits")
                await anyio.sleep_forever()
            except BaseException:
                _cancelled += 1
                _say("was taken back")
                raise
        case "change":
            _names.append("new")
            await _bus.publish(ToolsListChanged())
            await ctx.session.send_tool_list_changed()
            return _text("changed")
        case _:
            raise ValueError(params.name)
    raise AssertionError


@asynccontextmanager
async def _as_if(read: Any, revision: str) -> AsyncGenerator[Any]:
    """`read`, in which every client asks for `revision`."""
    send, receive = anyio.create_memory_object_stream[Any](0)

    async def pass_on() -> None:
        async with send:
            async for item in read:
                message: Any = getattr(item, "message", None)
                if getattr(message, "method", "") == "initialize":
                    message.params["protocolVersion"] = revision
                await send.send(item)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pass_on)
        yield receive
        tasks.cancel_scope.cancel()


async def main(revision: str) -> None:
    server: Server[Any] = Server(
        "kind",
        version="1",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_subscriptions_listen=ListenHandler(_bus),
    )
    options = server.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (read, write):
        if not revision:
            await server.run(read, write, options)
            return
        async with _as_if(read, revision) as old:
            await server.run(old, write, options)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if sys.argv[1:] else "")
