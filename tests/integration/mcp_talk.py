"""A real node behind a real /mcp, and the official SDK's clients that speak with it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

import httpx
import httpx2
from mcp import Client
from mcp.client import session
from mcp.client.streamable_http import streamable_http_client

from caxton.core.errors.access import Unauthorized
from caxton.security.principal import Principal
from caxton.server.config.settings import load
from caxton.server.http import HttpServer, http_door
from caxton.testing.guests import example, guest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from caxton.testing.rooms import LocalNode

REVISIONS = ("2026-07-28", "2025-11-25", "2025-06-18")
WAIT_S = 10.0
"""Every wait ends after this, whatever happens; none should come near it."""

INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}  # fmt: skip


class Tokens:
    """Each token is the name of who bears it and, after a dot, the role."""

    def verify(self, token: str) -> Principal:
        """Who bears it."""
        name, _, role = token.partition(".")
        if not role:
            raise Unauthorized
        return Principal(name, frozenset({role}))


@dataclass
class Talk:
    """A node that serves."""

    node: LocalNode
    http: HttpServer

    @asynccontextmanager
    async def client(
        self, revision: str = "2026-07-28", who: str = "ann.admin", **options: Any
    ) -> AsyncGenerator[Client]:
        """The SDK's, which speaks this revision."""
        mode = revision if revision == "2026-07-28" else "legacy"
        headers = {"Authorization": f"Bearer {who}"}
        async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=WAIT_S) as http:
            transport = streamable_http_client(f"{self.http.url}/mcp", http_client=http)
            with mock.patch.object(session, "LATEST_HANDSHAKE_VERSION", revision):
                async with Client(transport, mode=mode, cache=None, **options) as client:
                    assert client.protocol_version == revision
                    yield client

    @asynccontextmanager
    async def raw(self, who: str | None = "ann.admin") -> AsyncGenerator[httpx.AsyncClient]:
        """A client that knows nothing of MCP."""
        headers = {"Accept": "application/json, text/event-stream"}
        if who is not None:
            headers["Authorization"] = f"Bearer {who}"
        async with httpx.AsyncClient(base_url=self.http.url, headers=headers, timeout=WAIT_S, trust_env=False) as http:
            yield http

    async def expose(self, *entries: str) -> None:
        """Change the setting."""
        await self.node.configure_workspace(mcp={"expose": [*entries]})


@asynccontextmanager
async def talking(node: LocalNode) -> AsyncGenerator[Talk]:
    """Serve `node`, with the agents `echo`, which answers, and `sink`, which never does; both are exposed."""
    settings = load({"server.port": 0, "server.data_dir": str(node.rooms.data_dir)}, {})
    http = http_door(settings, node.rooms, Tokens())
    await http.start()
    http.open()
    talk = Talk(node, http)
    try:
        await node.deploy("echo", example("echo"), capabilities=["parroting"])
        await node.deploy("sink", guest("sink"))
        await talk.expose("agent:echo", "agent:sink", "capability:parroting")
        yield talk
    finally:
        await http.stop(drain_s=0.2)
