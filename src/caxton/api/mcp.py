"""/mcp: Caxton as an MCP server, over Streamable HTTP. The guard and the edge stand before it as before every route."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

from caxton.api.body import read_body
from caxton.api.mcp_tools import Caller, McpTools
from caxton.api.operation import EVENTS, Answer, Body, Operation, Route

if TYPE_CHECKING:
    from caxton.api.mcp_sdk import McpSessions
    from caxton.api.meter import Meter
    from caxton.api.reply import Asgi, Receive, Scope, Send
    from caxton.api.request import ApiRequest
    from caxton.api.services import Services
    from caxton.core.ids import WorkspaceName
    from caxton.security.principal import Principal

PATH = "/mcp"

MAX_BODY_BYTES = 2 << 20
"""Content of 1 MiB, and what MCP writes around it."""

_SDK = "caxton.api.mcp_sdk"

_REFUSED = (
    Answer(status=405, media_type=None, doc="The revision in MCP-Protocol-Version has no such request."),
    Answer(status=406, kind=Any, doc="Accept must name application/json and text/event-stream."),
)

POST = Operation(
    method="POST",
    path=PATH,
    action="mcp:use",
    summary="A message of the Model Context Protocol: its tools are agents.",
    body=Body(kind=Any, example={"jsonrpc": "2.0", "id": 1, "method": "ping"}),
    answers=(
        Answer(kind=Any, doc="The answer to it."),
        Answer(media_type=EVENTS, doc="The answer, after notices that belong to it."),
        Answer(status=202, media_type=None, doc="It needs no answer."),
        *_REFUSED,
    ),
)
LISTEN = Operation(
    method="GET",
    path=PATH,
    action="mcp:use",
    summary="What the server says unasked in an MCP session of a revision before 2026-07-28.",
    answers=(Answer(media_type=EVENTS, doc="Messages, until the session ends."), *_REFUSED),
)
END = Operation(
    method="DELETE",
    path=PATH,
    action="mcp:use",
    summary="End an MCP session of a revision before 2026-07-28.",
    answers=(Answer(media_type=None, doc="It has ended."), *_REFUSED),
)


def mcp_routes(services: Services, meter: Meter, *, version: str, stopping: asyncio.Event) -> list[Route]:
    """The routes of this module."""
    door = _Door(McpTools(services, meter), version, stopping)

    async def post(request: ApiRequest) -> Asgi:
        workspace = request.workspace
        return await door.answer(request, workspace, await read_body(request, MAX_BODY_BYTES))

    async def other(request: ApiRequest) -> Asgi:
        return await door.answer(request, request.workspace, None)

    return [Route(POST, post), Route(LISTEN, other), Route(END, other)]


class _Door:
    """Loads the SDK when the first one knocks, and keeps its sessions until the server stops."""

    def __init__(self, tools: McpTools, version: str, stopping: asyncio.Event) -> None:
        self._tools, self._version, self._stopping = tools, version, stopping
        self._lock = asyncio.Lock()
        self._sessions: McpSessions | None = None
        self._running: asyncio.Task[None] | None = None

    async def answer(self, request: ApiRequest, workspace: WorkspaceName, body: bytes | None) -> Asgi:
        """The answer to a request, whose body has been read if it has one."""
        sessions = await self._open()
        principal: Principal = request.principal
        caller = Caller(principal=principal, workspace=workspace, traceparent=request.traceparent)

        async def reply(scope: Scope, receive: Receive, send: Send) -> None:
            await sessions.handle(scope, receive, send, caller, body)

        return reply

    async def _open(self) -> McpSessions:
        async with self._lock:
            if self._sessions is None or self._running is None or self._running.done():
                sdk = await asyncio.to_thread(importlib.import_module, _SDK)
                sessions: McpSessions = sdk.McpSessions(self._tools, self._version)
                ready = asyncio.Event()
                self._running = asyncio.create_task(sessions.run(ready, self._stopping), name="mcp sessions")
                await ready.wait()
                self._sessions = sessions
            return self._sessions
