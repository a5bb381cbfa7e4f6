"""An MCP server that is somewhere else, spoken with over Streamable HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from caxton.tools.mcp.supervised import SupervisedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AsyncExitStack

    import httpx2

    from caxton.core.clock import Clock
    from caxton.tools.mcp.session import Session
    from caxton.tools.mcp.supervised import Care, Life


class HttpSource(SupervisedSource):
    """A `tools.source.Source`."""

    kind = "http"
    modules = ("caxton.tools.mcp.session", "caxton.tools.mcp.posts")

    def __init__(
        self,
        name: str,
        url: str,
        clock: Clock,
        care: Care | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        open_transport: Callable[[], httpx2.AsyncBaseTransport] | None = None,
        **more: Any,
    ) -> None:
        """See `SupervisedSource`.

        Args:
            name: of the source.
            url: of the server's endpoint.
            clock: the node's.
            care: how it is looked after.
            headers: sent with every request, as `authorization`.
            open_transport: makes the way out of the node, at each start; None: a plain one, which goes anywhere.
            more: as `SupervisedSource` takes it.
        """
        super().__init__(name, clock, care, **more)
        self._url, self._headers, self._open_transport = url, dict(headers or {}), open_transport

    async def connect(self, stack: AsyncExitStack, life: Life) -> Session:
        """Shake hands; there is nothing to start."""
        from mcp.client.streamable_http import streamable_http_client

        from caxton.tools.mcp.posts import open_client
        from caxton.tools.mcp.session import open_session

        client = await stack.enter_async_context(
            open_client(self._open_transport, headers=self._headers, most_bytes=self.care.most_bytes)
        )
        transport = streamable_http_client(self._url, http_client=client, max_sse_event_size=None)
        return await stack.enter_async_context(
            open_session(
                transport,
                mode=self.care.mode,
                start_s=self.care.start_s,
                noise=self.noise,
                noticed=self.changes.noticed,
                on_gone=life.end,
            )
        )

    def described(self) -> dict[str, Any]:
        """Its address without user, password and query, and the names of the headers."""
        url = urlsplit(self._url)
        where = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
        return {"url": where, "headers": sorted(self._headers)}
