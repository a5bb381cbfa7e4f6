"""A real HTTP server on a free port in this process, over services in memory; and clients that speak by the byte."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from caxton.api.app import build_app
from caxton.api.request import Limits
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.agents import AgentSpec
from caxton.security.keys import load_or_create_key
from caxton.security.tokens import TokenVerifier, issue_token
from caxton.server.http import HttpOptions, HttpServer
from caxton.testing.fakes.agents import EMPTY_MODULE
from caxton.testing.fakes.clock import FakeClock
from caxton.testing.fakes.node import FakeNode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

WAIT_S = 10.0
"""Every wait ends after this, whatever happens; none should come near it."""


@dataclass
class Served:
    """A server that serves."""

    http: HttpServer
    node: FakeNode
    token: str

    @property
    def port(self) -> int:
        return self.http.port

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A client that is let in."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.AsyncClient(base_url=self.http.url, headers=headers, timeout=WAIT_S, trust_env=False, **options)

    def head(self, method: str, path: str, *headers: str) -> bytes:
        """The head of an HTTP/1.1 request that is let in, for those who write it themselves."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self.token}", *headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@asynccontextmanager
async def running(
    tmp_path: Path, *, limits: Limits | None = None, drain_s: float = 0.2, **options: Any
) -> AsyncGenerator[Served]:
    """Serve one agent named `echo` until the block ends."""
    key, clock, node = load_or_create_key(tmp_path), FakeClock(), FakeNode()
    await node.agents.deploy(DEFAULT_WORKSPACE, AgentSpec(name="echo"), EMPTY_MODULE)
    stopping = asyncio.Event()
    app = build_app(
        node.services, TokenVerifier([key], clock), version="0", stopping=stopping, limits=limits or Limits()
    )
    http = HttpServer(app, HttpOptions(**options), stopping=stopping)
    token = issue_token(key, "tester", ["admin"], now_s=int(clock.wall_s), lifetime_s=3600)
    await asyncio.wait_for(http.start(), WAIT_S)
    try:
        yield Served(http, node, token)
    finally:
        await asyncio.wait_for(http.stop(drain_s=drain_s), WAIT_S)


class Wire:
    """One connection, by the byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), WAIT_S)

    async def until(self, mark: bytes) -> bytes:
        """What comes up to and with `mark`."""
        return await asyncio.wait_for(self.reader.readuntil(mark), WAIT_S)

    async def rest(self) -> bytes:
        """All that comes until the server closes the connection."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := await asyncio.wait_for(self.reader.read(65536), WAIT_S):
                data += chunk
        return data

    async def trickle(self, byte: bytes, *, pause_s: float) -> bytes:
        """Send `byte` again and again until the server closes; returns what it said meanwhile."""
        data = b""
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    self.writer.write(byte)
                    try:
                        async with asyncio.timeout(pause_s):
                            chunk = await self.reader.read(65536)
                    except TimeoutError:
                        continue
                    if not chunk:
                        return data
                    data += chunk
        except ConnectionError:
            return data


@asynccontextmanager
async def wire(served: Served) -> AsyncGenerator[Wire]:
    """Connect; disconnect when the block ends."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", served.port), WAIT_S)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
