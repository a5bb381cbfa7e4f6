"""Speaking MCP with one server that is connected: its tools, calls, notices. Knows the SDK, not how servers live.

The SDK's own check of results against their schema is not used: it is slow, and a hostile pattern stops the loop in it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp import Client, MCPError
from pydantic import TypeAdapter, ValidationError

from caxton.tools.mcp.outcomes import INVALID_REQUEST, TOO_LARGE, TOO_LARGE_TEXT, failure_of, outcome_of
from caxton.tools.source import Call, Failure, Outcome, SourceDown, ToolInfo
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from mcp.client import Transport

    from caxton.tools.mcp.noise import Noise

    Progressed = Callable[[float, float | None], None]

MAX_PAGES = 100
MAX_TOOLS = 1000

LISTEN_AGAIN_S = 5.0
"""How long after a stream of notices was lost another one is asked for."""

SESSION_GONE = "Session terminated"
"""The SDK's words when a server over HTTP does not know our session any more."""

KEY = "caxton/idempotency-key"

_RAW: TypeAdapter[Any] = TypeAdapter(dict[str, Any])
"""Content stays as it came."""

logging.getLogger("mcp").setLevel(logging.CRITICAL)  # it logs, with a traceback, what strangers send
for _chatty in ("httpx2", "httpcore2"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)


class Session:
    """One connected server."""

    def __init__(self, client: Client, noise: Noise, on_gone: Callable[[str], None]) -> None:
        self._client, self._noise, self._on_gone = client, noise, on_gone
        self.revision = client.protocol_version

    async def tools(self) -> list[ToolInfo]:
        """All tools, page by page. Raises `SourceDown`."""
        found: list[ToolInfo] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._page(cursor)
            found += map(_info, page.tools)
            if len(found) > MAX_TOOLS:
                raise SourceDown(f"the server lists more than {MAX_TOOLS} tools")
            cursor = page.next_cursor
            if cursor is None:
                return found
        raise SourceDown(f"the list of the server's tools has more than {MAX_PAGES} pages")

    async def call(self, call: Call, progressed: Progressed) -> Outcome:
        """Call a tool. Cancelled: the server is told. It waits as long as it takes: whoever calls keeps the time."""

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            progressed(progress, total)

        meta: dict[str, Any] = {KEY: call.key}
        if call.traceparent:
            meta["traceparent"] = call.traceparent
        params = types.CallToolRequestParams.model_validate(
            {"name": call.tool, "arguments": call.arguments, "_meta": meta}
        )
        try:
            raw = await self._client.session.send_request(
                types.CallToolRequest(params=params), _RAW, progress_callback=on_progress
            )
        except MCPError as exc:
            return self._failure(exc)
        except ValidationError:
            return Failure("failed", "the server's answer breaks the protocol")
        return outcome_of(raw)

    async def listen(self, noticed: Callable[[], None]) -> None:
        """Hold a stream of notices open for as long as the server allows; what is noticed goes to the handler.

        From 2026-07-28 on servers tell nothing without it.
        """
        tools = self._client.server_capabilities.tools
        if self.revision in ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25") or not (
            tools and tools.list_changed
        ):
            return
        while True:
            try:
                async with self._client.listen(tools_list_changed=True) as events:
                    async for _ in events:
                        pass
            except MCPError as exc:
                if exc.error.code != types.CONNECTION_CLOSED:
                    return
            except (RuntimeError, TimeoutError):
                pass
            await asyncio.sleep(LISTEN_AGAIN_S)
            noticed()  # whatever happened meanwhile was not heard

    async def _page(self, cursor: str | None) -> types.ListToolsResult:
        try:
            return await self._client.session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
        except MCPError as exc:
            raise SourceDown(f"its tools cannot be listed: {self._failure(exc).detail}") from None
        except ValidationError:
            raise SourceDown("its list of tools breaks the protocol") from None

    def _failure(self, exc: MCPError) -> Failure:
        if exc.error.code == INVALID_REQUEST and exc.error.message == SESSION_GONE:
            self._on_gone("the server ended the session")
            return Failure("unavailable", "the server ended the session")
        if TOO_LARGE_TEXT in exc.error.message:
            return failure_of(TOO_LARGE)
        self._noise.heard("protocol", f"error {exc.error.code}: {exc.error.message}")
        return failure_of(exc.error.code)


@asynccontextmanager
async def open_session(
    transport: Transport,
    *,
    mode: str,
    start_s: float,
    noise: Noise,
    noticed: Callable[[], None],
    on_gone: Callable[[str], None],
) -> AsyncGenerator[Session]:
    """Shake hands over `transport`. Enter and leave it in one task; call from any.

    Args:
        transport: of the SDK's kind.
        mode: `auto`, `legacy` (2025-11-25 and before), or a revision from 2026-07-28 on.
        start_s: how long the server may take for each answer until it is there.
        noise: hears what the server says beside the protocol.
        noticed: called for each notice of change.
        on_gone: called when the session cannot be used any more.
    """

    async def handler(message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            noticed()
        elif isinstance(message, types.LoggingMessageNotification):
            noise.heard("protocol", str(message.params.data))

    client = Client(
        transport,
        mode=mode,
        cache=None,
        message_handler=handler,
        read_timeout_seconds=start_s,
        client_info=types.Implementation(name="caxton", version=VERSION),
    )
    async with client:
        session = Session(client, noise, on_gone)
        listening = asyncio.create_task(session.listen(noticed))
        try:
            yield session
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


def _info(tool: types.Tool) -> ToolInfo:
    says = tool.annotations
    return ToolInfo(
        name=tool.name,
        description=tool.description or "",
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        is_idempotent=bool(says and says.idempotent_hint),
        is_read_only=bool(says and says.read_only_hint),
    )
