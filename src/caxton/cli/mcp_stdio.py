"""MCP on standard input and output, passed on to a running server: the SDK reads and writes, the link asks.

Nothing is kept here. While the server is away each call says so; when it is back they go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp import MCPError
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged

from caxton.client.mcp import McpLink, RpcRefused
from caxton.core.errors.error import CaxtonError
from caxton.version import VERSION

if TYPE_CHECKING:
    from mcp.server.connection import Connection
    from mcp.server.context import ServerRequestContext

    from caxton.cli.contexts import Target

AGAIN_S = 5.0
"""How long after a lost connection it is listened for changes again."""

logging.getLogger("mcp").setLevel(logging.ERROR)  # standard error is for what a person should read


def serve(target: Target, workspace: str) -> None:
    """Answer until standard input ends. Raises `ServerUnreachable`, `ApiProblem`, … if the server lets nobody in."""
    asyncio.run(_serve(target, workspace))


async def _serve(target: Target, workspace: str) -> None:
    link = McpLink(
        target.server, target.token, workspace=workspace, ca_file=target.ca_file, certificate=target.certificate
    )
    async with link:
        await link.list_tools()  # who may not is told so now, not at the first call
        await _Proxy(link).run()


class _Proxy:
    def __init__(self, link: McpLink) -> None:
        self._link = link
        self._bus = InMemorySubscriptionBus()
        self._connection: Connection | None = None
        self._server = Server[Any](
            "caxton", version=VERSION, on_list_tools=self._list, on_call_tool=self._call,
            on_subscriptions_listen=ListenHandler(self._bus),
        )  # fmt: skip
        self._server.middleware.clear()

    async def run(self) -> None:
        """Until standard input ends."""
        options = self._server.create_initialization_options(NotificationOptions(tools_changed=True))
        listening = asyncio.create_task(self._listen())
        try:
            async with stdio_server() as (incoming, outgoing):
                await self._server.run(incoming, outgoing, options)
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening

    async def _list(
        self, ctx: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        self._connection = ctx.session._connection  # pyright: ignore[reportPrivateUsage] - no other way to it
        with _told():
            found = await self._link.list_tools(None if params is None else params.cursor)
        return types.ListToolsResult.model_validate(found, by_name=False)

    async def _call(self, ctx: ServerRequestContext[Any], params: types.CallToolRequestParams) -> types.CallToolResult:
        with _told():
            found = await self._link.call_tool(params.name, params.arguments or {}, dict(ctx.meta or {}))
        return types.CallToolResult.model_validate(found, by_name=False)

    async def _listen(self) -> None:
        """Pass changes on. After a connection was lost, something may have changed that nobody told."""
        is_first = True
        while True:
            with contextlib.suppress(CaxtonError, RpcRefused):
                async with contextlib.aclosing(self._link.changes()) as changes:
                    async for _ in changes:
                        if not is_first:
                            await self._changed()
                        is_first = False
            await asyncio.sleep(AGAIN_S)

    async def _changed(self) -> None:
        await self._bus.publish(ToolsListChanged())
        if self._connection is not None and self._connection.client_params is not None:
            await self._connection.send_tool_list_changed()


@contextlib.contextmanager
def _told() -> Any:
    """What the server refuses, in MCP's words."""
    try:
        yield
    except RpcRefused as exc:
        raise MCPError(exc.code, exc.message, exc.data) from exc
    except CaxtonError as exc:
        raise MCPError(types.INTERNAL_ERROR, f"{exc.code}: {exc}") from exc
