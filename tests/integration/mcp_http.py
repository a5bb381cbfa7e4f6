"""MCP servers over HTTP in this process: a raw one that does on demand what no server should, and one by the SDK."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from caxton.tools.mcp.http import HttpSource
from tests.integration.mcp_talks import CLOCK, Heard, care

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncGenerator, Callable


class HttpServer:
    """Speaks revision 2025-06-18; misbehaves by the name of the tool that is called."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[bytes] = []
        self.cancelled = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.asked = asyncio.Event()
        self.session = ""
        self.hangs_on_notices = False

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                self.headers.append(head)
                body = await reader.readexactly(length)
                if not head.startswith(b"POST"):
                    _reply(writer, 405, b"")
                    continue
                await self._answer(json.loads(body), head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, message: dict[str, Any], head: bytes, reader: StreamReader, writer: StreamWriter) -> None:
        self.requests.append(message)
        number = message.get("id")
        if number is None:
            if message["method"] == "notifications/cancelled":
                self.cancelled.set()
                if self.hangs_on_notices:
                    await reader.read()
            _reply(writer, 202, b"")
            return
        match message["method"]:
            case "initialize":
                info = {"name": "h", "version": "1"}
                result: Any = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
                more = f"mcp-session-id: {self.session}\r\n".encode() if self.session else b""
                _reply(writer, 200, _result(number, result), more=more)
            case "tools/list":
                tool = {"name": "echo", "inputSchema": {"type": "object"}}
                _reply(writer, 200, _result(number, {"tools": [tool]}))
            case "tools/call" if self.session and f"mcp-session-id: {self.session}".encode() not in head.lower():
                _reply(writer, 404, b"")
            case "tools/call":
                await self._called(number, message["params"], reader, writer)
            case _:
                error = {"code": -32601, "message": "no"}
                _reply(writer, 200, json.dumps({"jsonrpc": "2.0", "id": number, "error": error}).encode())

    async def _called(self, number: int, params: dict[str, Any], reader: StreamReader, writer: StreamWriter) -> None:
        events = b"text/event-stream"
        match params["name"]:
            case "big":
                _reply(writer, 200, _text(number, "x" * 50_000_000))
            case "endless":
                writer.write(_HEAD % (200, b"application/json", b"transfer-encoding: chunked\r\n"))
                await _for_ever(writer, b"10000\r\n" + b"x" * 65536 + b"\r\n")
            case "big_event":
                _reply(writer, 200, b"event: message\ndata: " + _text(number, "x" * 5_000_000) + b"\n\n", events)
            case "endless_events":
                writer.write(_HEAD % (200, events, b"connection: close\r\n"))
                await _for_ever(writer, b": still there\n\n" * 4096)
            case "event":
                _reply(writer, 200, b"event: message\ndata: " + _text(number, "ok") + b"\n\n", events)
            case "lost_event":
                _reply(writer, 200, b": nothing\n\n", events)
            case "quiet_events":
                writer.write(_HEAD % (200, events, b"connection: close\r\n") + b": wait\n\n")
                await self._hang(reader)
            case "hang":
                await self._hang(reader)
            case "redirect":
                _reply(writer, 307, b"", more=b"location: http://169.254.169.254/mcp\r\n")
            case "die":
                writer.close()
            case "half":
                writer.write(_HEAD % (200, b"application/json", b"content-length: 1000\r\n") + b'{"jsonrpc"')
                writer.close()
            case "utf8":
                _reply(writer, 200, b"\xff\xfe{")
            case "500":
                _reply(writer, 500, b"secret text of the server", b"text/plain")
            case "gateway":
                _reply(writer, 503, b"later", b"text/plain")
            case "page":
                _reply(writer, 200, b"<html>", b"text/html")
            case "accepted":
                _reply(writer, 202, b"")
            case _:
                _reply(writer, 200, _text(number, json.dumps(params.get("arguments"))))

    async def _hang(self, reader: StreamReader) -> None:
        self.asked.set()
        await reader.read()
        self.hung_up.set()
        raise ConnectionError


_HEAD = b"HTTP/1.1 %d X\r\ncontent-type: %s\r\n%s\r\n"


def _reply(
    writer: StreamWriter, status: int, body: bytes, kind: bytes = b"application/json", more: bytes = b""
) -> None:
    writer.write(_HEAD % (status, kind, b"content-length: %d\r\n" % len(body) + more) + body)


def _result(number: int, result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode()


def _text(number: int, text: str) -> bytes:
    return _result(number, {"content": [{"type": "text", "text": text}]})


async def _for_ever(writer: StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def served(server: HttpServer | None = None, **changed: Any) -> AsyncGenerator[tuple[HttpSource, HttpServer]]:
    """A source of a raw server."""
    server = server or HttpServer()
    doors = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = doors.sockets[0].getsockname()[1]
    it = http_source(f"http://127.0.0.1:{port}/mcp", **changed)
    try:
        yield it, server
    finally:
        await it.close()
        doors.close()


def http_source(
    url: str,
    *,
    heard: Heard | None = None,
    headers: dict[str, str] | None = None,
    open_transport: Callable[[], Any] | None = None,
    **changed: Any,
) -> HttpSource:
    more: dict[str, Any] = {"tell": heard or Heard(), "jitter": lambda: 0.0}
    return HttpSource("it", url, CLOCK, care(**changed), headers=headers, open_transport=open_transport, **more)
