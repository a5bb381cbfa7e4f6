"""Our tools in the words of the official SDK, which speaks MCP's revisions. Importing this costs 0.5 s and 55 MB.

So only `api.mcp` imports it, when somebody uses /mcp for the first time, in a thread. Sessions are those of the SDK;
it refuses one that another principal began as if there were none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import mcp_types as types
from mcp import MCPError
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import ListenHandler, ToolsListChanged
from mcp.server.transport_security import TransportSecuritySettings

from caxton.api.mcp_tools import Answer, Caller, McpTools, Tool, UnknownTool
from caxton.api.request import parse_traceparent

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server.connection import Connection
    from mcp.server.context import ServerRequestContext
    from mcp.server.subscriptions import ServerEvent

    from caxton.api.reply import Event, Receive, Scope, Send
    from caxton.core.ids import WorkspaceName

MAX_SESSIONS = 1000
"""Of clients of the earlier revisions; each holds some 100 KiB."""

SESSION_IDLE_S = 1800.0
MAX_LISTENERS = 1000
"""Open streams of `subscriptions/listen`."""

LOOK_S = 1.0
"""How often it is looked whether the list of tools has changed, while somebody wants to know."""

NOTICE_S = 5.0
"""How long one client may take to read a notice."""

LAST_ANSWERS_S = 30.0
"""When the server stops, calls that are under way have so long; it breaks them off before."""

_CALLER = "caxton.caller"
_SCOPE = (
    "type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path", "client",
    "server",
)  # fmt: skip
"""What the SDK gets to see of a request."""

_INSTRUCTIONS = (
    "Agents that talk. A tool with the name of an agent or a capability asks it and waits for the answer; "
    "message_send reaches every other one, agent_list names them, conversation_trace tells what became of a message."
)

logger = logging.getLogger(__name__)
logging.getLogger("mcp").setLevel(logging.WARNING)  # it tells of each request and session


class _Server(Server[Any]):
    """The SDK's, which says that the list of tools may change."""

    def create_initialization_options(
        self, notification_options: NotificationOptions | None = None, *rest: Any, **more: Any
    ) -> Any:
        """See the SDK."""
        return super().create_initialization_options(NotificationOptions(tools_changed=True), *rest, **more)


class McpSessions:
    """All that goes on at /mcp. `run` is one task for as long as the server serves; then `handle` answers."""

    def __init__(self, tools: McpTools, version: str) -> None:
        self._tools = tools
        self._told: WeakKeyDictionary[Connection, tuple[WorkspaceName, tuple[str, ...]]] = WeakKeyDictionary()
        self._changes = _Changes()
        self._listen = ListenHandler(self._changes, max_subscriptions=MAX_LISTENERS)
        self._calls = 0
        self._notices: set[asyncio.Task[None]] = set()
        server = _Server(
            "caxton", version=version, instructions=_INSTRUCTIONS, on_list_tools=self._list, on_call_tool=self._call,
            on_subscriptions_listen=self._listen, get_tool_input_schema=lambda _: None,
        )  # fmt: skip
        server.middleware.clear()  # its own OpenTelemetry: a message is traced by its own trace context
        self._manager = StreamableHTTPSessionManager(
            server,
            security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # the edge has checked
            session_idle_timeout=SESSION_IDLE_S,
            max_sessions=MAX_SESSIONS,
        )

    async def run(self, ready: asyncio.Event, stopping: asyncio.Event) -> None:
        """Serve until `stopping`; then let the calls that are under way end, and end all sessions."""
        async with self._manager.run():
            watch = asyncio.create_task(self._watch())
            try:
                ready.set()
                await stopping.wait()
                self._listen.close()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LAST_ANSWERS_S):
                        while self._calls:  # noqa: ASYNC110 - a stop is no time for cleverness
                            await asyncio.sleep(0.01)
            finally:
                watch.cancel()

    async def handle(self, scope: Scope, receive: Receive, send: Send, caller: Caller, body: bytes | None) -> None:
        """Answer one request of `caller`, whose body has been read unless it is None."""
        name = caller.principal.name
        own = {key: scope[key] for key in _SCOPE if key in scope}
        own["headers"] = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
        own["user"] = AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[]))
        own[_CALLER] = caller
        line = _Line(receive, send, body)
        try:
            await self._manager.handle_request(own, line.receive, line.send)
        finally:
            line.hang_up()

    async def _list(
        self, ctx: ServerRequestContext[Any], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        caller = _caller(ctx)
        connection = ctx.session._connection  # pyright: ignore[reportPrivateUsage] - no other way to it
        self._told[connection] = caller.workspace, self._tools.exposed(caller.workspace)
        self._changes.workspaces.setdefault(caller.workspace, self._tools.exposed(caller.workspace))
        await self._look()  # what this one is told now must be news to those who were told otherwise
        found = [_as_sdk(tool) for tool in self._tools.list(caller)]
        return types.ListToolsResult(tools=found, ttl_ms=0, cache_scope="private")

    async def _call(self, ctx: ServerRequestContext[Any], params: types.CallToolRequestParams) -> types.CallToolResult:
        self._calls += 1
        try:
            answer = await self._tools.call(_caller(ctx), params.name, params.arguments or {})
        except UnknownTool:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name[:128]!r}") from None
        finally:
            self._calls -= 1
        return _as_result(answer)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._look()
            except Exception:  # the wall of a task: the next look may go well
                logger.exception("tools were not looked at", extra={"action": "mcp.look_failed"})

    async def _look(self) -> None:
        """Tell those who asked for the list of tools if it is another by now."""
        for connection, (workspace, told) in list(self._told.items()):
            exposed = self._tools.exposed(workspace)
            if exposed != told:
                self._told[connection] = workspace, exposed
                notice = asyncio.create_task(_tell(connection))
                self._notices.add(notice)
                notice.add_done_callback(self._notices.discard)
        if self._changes.has_any(self._tools.exposed):
            await self._changes.publish(ToolsListChanged())


class _Changes:
    """Who listens for changes (the SDK's `SubscriptionBus`), and what they know."""

    def __init__(self) -> None:
        self._listeners: dict[object, Callable[[ServerEvent], None]] = {}
        self.workspaces: dict[WorkspaceName, tuple[str, ...]] = {}
        """What is exposed, as it was when they were told last."""

    def has_any(self, exposed: Callable[[WorkspaceName], tuple[str, ...]]) -> bool:
        """Whether something is exposed now that was not, or the other way round."""
        before = dict(self.workspaces)
        for workspace in before:
            self.workspaces[workspace] = exposed(workspace)
        return before != self.workspaces

    async def publish(self, event: ServerEvent) -> None:
        """Tell all."""
        for listener in list(self._listeners.values()):
            listener(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Tell this one as well, until what is returned is called."""
        token = object()
        self._listeners[token] = listener
        return lambda: self._listeners.pop(token, None) and None


class _Line:
    """A request's way in and out. A session keeps the request that began it, which must not keep the connection."""

    def __init__(self, receive: Receive, send: Send, body: bytes | None) -> None:
        self._receive: Receive | None = receive
        self._send: Send | None = send
        self._body = body

    async def receive(self) -> Event:
        """The body that has been read before, then what else comes."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return {"type": "http.disconnect"} if self._receive is None else await self._receive()

    async def send(self, event: Event) -> None:
        """Pass it on, while somebody is there."""
        if self._send is not None:
            await self._send(event)

    def hang_up(self) -> None:
        """The request is over."""
        self._receive = self._send = None


async def _tell(connection: Connection) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(NOTICE_S):
            await connection.send_tool_list_changed()


def _caller(ctx: ServerRequestContext[Any]) -> Caller:
    """Who makes this very request; it may name a trace of its own."""
    assert ctx.request is not None  # noqa: S101 - it came over HTTP
    caller: Caller = ctx.request.scope[_CALLER]
    named = (ctx.meta or {}).get("traceparent")
    found = parse_traceparent(named.encode()) if isinstance(named, str) else None
    if found is None:
        return caller
    return Caller(principal=caller.principal, workspace=caller.workspace, traceparent=found)


def _as_sdk(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name, description=tool.description, input_schema=tool.input_schema,
        annotations=types.ToolAnnotations(read_only_hint=tool.is_read_only),
    )  # fmt: skip


def _as_result(answer: Answer) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=answer.text)], structured_content=answer.structured,
        is_error=answer.is_error, _meta=answer.meta or None,
    )  # fmt: skip
