"""A web server on loopback that does what a test says, and a policy that reaches it under names."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from caxton.egress.hosts import parse_hosts
from caxton.egress.policy import Policy
from caxton.egress.refused import Unreachable

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping

Handle: TypeAlias = "Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]"
"""Gets head and body of a request and writes the answer; the connection is closed after it."""

HOME = "127.0.0.1"


@dataclass(slots=True)
class Web:
    """A running server."""

    port: int
    heads: list[bytes] = field(default_factory=list[bytes])
    """What was asked, in order."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """A client ended its connection before the answer did."""

    def policy(self, *more: str, names: Mapping[str, list[str]] | None = None, **settings: object) -> Policy:
        """`api.test` with the server's port is listed, and so is the own machine; `names` is its DNS."""
        known = {"api.test": [HOME]} | dict(names or {})

        async def resolve(host: str, port: int) -> list[str]:
            if host not in known:
                raise Unreachable("unknown")
            return known[host]

        allow = parse_hosts([f"api.test:{self.port}", f"{HOME}:{self.port}", *more])
        return Policy(**({"allow": allow, "timeout_s": 10.0, "resolve": resolve} | settings))  # pyright: ignore[reportArgumentType]


@asynccontextmanager
async def web(handle: Handle) -> AsyncGenerator[Web]:
    """Serve until the block ends."""
    serving: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.get_running_loop().create_task(serve(reader, writer)))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
            request = head + await reader.readexactly(length)
            here.heads.append(request)
            await handle(request, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, RuntimeError):  # uvloop: the handler is closed
            here.gone.set()
        finally:
            writer.close()

    server = await asyncio.start_server(accept, HOME, 0)
    here = Web(server.sockets[0].getsockname()[1])
    try:
        async with server:
            yield here
    finally:
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@contextmanager
def tls_web(tls: ssl.SSLContext, data: bytes) -> Generator[Web]:
    """Serve `data` over TLS, on a thread: uvloop's own servers leak connections whose handshake fails."""
    listener = socket.create_server((HOME, 0))
    here = Web(listener.getsockname()[1])

    def serve() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            with raw, contextlib.suppress(OSError), tls.wrap_socket(raw, server_side=True) as connection:
                here.heads.append(connection.recv(65536))
                connection.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield here
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """An answer as it goes over the wire."""
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body


def always(data: bytes) -> Handle:
    """A server that answers the same whatever is asked."""

    async def handle(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return handle


async def drip(request: bytes, writer: asyncio.StreamWriter) -> None:
    """A body of which a byte comes now and then."""
    writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless(request: bytes, writer: asyncio.StreamWriter) -> None:
    """A body without end, as fast as it is taken."""
    writer.write(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()
