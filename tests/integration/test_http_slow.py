"""Clients that take their time, on real sockets: which connections are closed, and which must live on.

The limits are those of a server, divided by a hundred.
"""

from __future__ import annotations

import asyncio
import select
import socket
import time
from typing import TYPE_CHECKING

import h2.connection
import pytest
from h2.events import ResponseReceived, StreamEnded

from caxton.api.request import Limits
from tests.integration.http_server import WAIT_S, Served, Wire, running, wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

IDLE_S = 0.3
PAUSE_S = 0.02

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
PING = b"\0\0\x08\6\0\0\0\0\0" + b"12345678"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncGenerator[Served]:
    limits = Limits(body_deadline_s=IDLE_S, discard_s=0.1, heartbeat_s=IDLE_S / 6)
    async with running(tmp_path, limits=limits, header_timeout_s=IDLE_S, idle_timeout_s=IDLE_S) as served:
        yield served


async def pass_idle_times(served: Served, count: int) -> None:
    """Let the idle limit pass `count` times, as seen on connections that say nothing."""
    for _ in range(count):
        async with wire(served) as silent:
            assert await silent.rest() == b""


BEGINNINGS = {
    "nothing": b"",
    "one letter": b"G",
    "half a request line": b"GET /health",
    "a header that does not end": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Pad: ",
    "half of HTTP/2's preface": PREFACE[:3],
    "most of HTTP/2's preface": PREFACE[:23],
    "HTTP/2 without a request": PREFACE + SETTINGS,
    "HTTP/2 and half a frame": PREFACE + SETTINGS + b"\0\0\x10\1\4\0\0\0\1",
}


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
async def test_a_client_that_stops_before_a_request_is_whole_is_cut_off(beginning: bytes, served: Served) -> None:
    async with wire(served) as connection:
        await connection.send(beginning)
        assert b"HTTP/1.1 2" not in await connection.rest()


@pytest.mark.parametrize(
    ("beginning", "drop"),
    [
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Pad: ", b"a"),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n"),
        (PREFACE + SETTINGS, PING),
        (PREFACE + SETTINGS, SETTINGS),
    ],
    ids=["header", "headers", "pings", "settings"],
)
async def test_a_client_that_trickles_anything_but_a_request_is_cut_off(
    beginning: bytes, drop: bytes, served: Served
) -> None:
    async with wire(served) as connection:
        await connection.send(beginning)
        assert b"HTTP/1.1 2" not in await connection.trickle(drop, pause_s=PAUSE_S)


@pytest.mark.parametrize("more", [b"", b" "], ids=["silent", "trickling"])
@pytest.mark.parametrize("length", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_end_is_told_so_and_cut_off(more: bytes, length: str, served: Served) -> None:
    async with wire(served) as connection:
        await connection.send(served.head("POST", "/api/v1/messages", "Content-Type: application/json", length))
        drop = b"1\r\n \r\n" if more and "chunked" in length else more
        said = await connection.trickle(drop, pause_s=PAUSE_S)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"REQUEST_TIMEOUT" in said
    assert served.node.messages.kept == {}


@pytest.mark.parametrize("more", [b"", b" "], ids=["silent", "trickling"])
async def test_a_body_that_nobody_wants_does_not_hold_the_connection(more: bytes, served: Served) -> None:
    async with wire(served) as connection:
        await connection.send(b"POST /api/v1/agents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        assert b" 401 " in await connection.trickle(more, pause_s=PAUSE_S)


async def test_a_kept_connection_without_a_next_request_is_closed(served: Served) -> None:
    async with wire(served) as connection:
        await connection.send(served.head("GET", "/health"))
        assert (await connection.rest()).endswith(b'{"status":"ok"}')


def take_slowly(port: int, request: bytes, take_bytes: int, buffer_bytes: int = 4096) -> int:
    """Ask, and take that much every `PAUSE_S` until the server closes; returns how much was taken."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.connect(("127.0.0.1", port))
        connection.sendall(request)
        reset, taken = select.poll(), 0
        reset.register(connection, 0)  # what is always reported: errors
        for _ in range(int(WAIT_S / PAUSE_S)):
            if reset.poll(PAUSE_S * 1000):
                return taken
            chunk = connection.recv(take_bytes) if take_bytes else b" "
            if not chunk:
                return taken
            taken += len(chunk) if take_bytes else 0
    pytest.fail("the server did not close")


@pytest.mark.parametrize("take_bytes", [0, 100], ids=["nothing", "a little"])
async def test_a_client_that_does_not_take_its_answer_is_cut_off(take_bytes: int, served: Served) -> None:
    served.node.messages.kept["c"] = [b'"%b"' % (b"x" * (1 << 20))] * 40
    request = served.head("GET", "/api/v1/messages?conversation_id=c")
    assert await asyncio.to_thread(take_slowly, served.port, request, take_bytes) < 1 << 20


async def test_a_client_that_does_not_take_its_events_is_cut_off(served: Served) -> None:
    for _ in range(40):
        served.node.logs.write("echo", "x" * (1 << 20))
    request = served.head("GET", "/api/v1/logs?follow=true", "Last-Event-ID: 0")
    assert await asyncio.to_thread(take_slowly, served.port, request, 0) == 0
    async with asyncio.timeout(WAIT_S):
        while served.node.logs.followers:  # noqa: ASYNC110  (until the application has seen it)
            await asyncio.sleep(0.001)


async def test_a_client_that_takes_its_answer_slowly_but_surely_gets_all_of_it(served: Served) -> None:
    served.node.messages.kept["c"] = [b'"%b"' % (b"x" * (1 << 20))] * 12
    request = served.head("GET", "/api/v1/messages?conversation_id=c", "Connection: close")
    started_at = time.monotonic()
    assert await asyncio.to_thread(take_slowly, served.port, request, 300 << 10, 1 << 20) > 12 << 20
    assert time.monotonic() - started_at > 2 * IDLE_S


async def test_a_request_that_waits_for_its_agent_is_left_alone(served: Served) -> None:
    served.node.messages.slow.add("echo")
    async with served.client() as client:
        asking = asyncio.create_task(client.post("/api/v1/agents/echo/invoke", json=1))
        await asyncio.wait_for(served.node.messages.asked.wait(), WAIT_S)
        await pass_idle_times(served, 3)
        served.node.messages.answered.set()
        assert (await asking).json()["content"] == 1


async def test_an_http2_request_that_waits_for_its_agent_is_left_alone(served: Served) -> None:
    served.node.messages.slow.add("echo")
    async with served.client(http1=False, http2=True) as client:
        asking = asyncio.create_task(client.post("/api/v1/agents/echo/invoke", json=1))
        await asyncio.wait_for(served.node.messages.asked.wait(), WAIT_S)
        await pass_idle_times(served, 3)
        served.node.messages.answered.set()
        assert (await asking).json()["content"] == 1


async def test_an_event_stream_without_events_is_left_alone(served: Served) -> None:
    async with wire(served) as connection:
        await connection.send(served.head("GET", "/api/v1/logs?follow=true"))
        await connection.until(b": heartbeat\n\n")
        await pass_idle_times(served, 3)
        line = served.node.logs.write("echo", "still here")
        assert b"still here" in await connection.until(b"id: %d\n" % line.seq) + await connection.until(b"\n\n")


async def test_many_silent_clients_keep_nobody_out(served: Served) -> None:
    wires = [wire(served) for _ in range(100)]
    connections = [await one.__aenter__() for one in wires]
    async with served.client() as client:
        assert (await client.get("/health")).status_code == 200
    assert await asyncio.gather(*(connection.rest() for connection in connections)) == [b""] * 100
    for one in wires:
        await one.__aexit__(None, None, None)


async def test_a_client_that_keeps_asking_is_never_cut_off(served: Served) -> None:
    connection = h2.connection.H2Connection()
    async with wire(served) as asking, wire(served) as silent:
        connection.initiate_connection()
        await asking.send(connection.data_to_send())
        waiting = asyncio.create_task(silent.rest())
        answered = 0
        while not waiting.done() or answered < 20:
            stream = connection.get_next_available_stream_id()
            headers = [(":method", "GET"), (":path", "/health"), (":scheme", "http"), (":authority", "localhost")]
            connection.send_headers(stream, headers, end_stream=True)
            await asking.send(connection.data_to_send())
            answered += await answer_of(connection, asking, stream)
        assert await waiting == b""


async def answer_of(connection: h2.connection.H2Connection, asking: Wire, stream: int) -> int:
    """Read until the stream's answer is whole; 1 for a 200."""
    found = 0
    while True:
        data = await asyncio.wait_for(asking.reader.read(65536), WAIT_S)
        assert data, "the server closed the connection"
        for event in connection.receive_data(data):
            if isinstance(event, ResponseReceived):
                found = int(dict(event.headers)[b":status"] == b"200")
            if isinstance(event, StreamEnded) and event.stream_id == stream:
                return found
