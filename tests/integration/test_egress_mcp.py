"""The way out for MCP over HTTP: what one answer does wrong ends one request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from caxton.egress.transport import capped_transport
from tests.integration.scripted_web import HOME, always, answer, endless, web

if TYPE_CHECKING:
    from caxton.egress.policy import Policy


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """As the server runs."""
    return "asyncio", {"use_uvloop": True}


def client(policy: Policy, most: int = 1000) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=capped_transport(policy, most=most), trust_env=False, timeout=10)


async def test_answer_passes_as_it_is() -> None:
    async with web(always(answer(200, b"x" * 1000, "content-type: application/json", "mcp-session-id: 7"))) as there:
        policy = there.policy()
        async with client(policy) as http:
            response = await http.post(f"http://api.test:{there.port}/mcp", json={})
    assert (response.status_code, response.content) == (200, b"x" * 1000)
    assert response.headers["mcp-session-id"] == "7"
    assert (policy.counters.requests, policy.counters.connections, policy.counters.bytes_in) == (1, 1, 1000)


@pytest.mark.parametrize(
    "data", [answer(200, b"x" * 1001), b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n"]
)
async def test_answer_that_is_too_large_or_broken_is_a_502(data: bytes) -> None:
    async with web(always(data)) as there, client(there.policy()) as http:
        assert (await http.get(f"http://api.test:{there.port}/")).status_code == 502


async def test_endless_answer_is_a_502_and_its_connection_ends() -> None:
    async with web(endless) as there, client(there.policy()) as http:
        assert (await http.get(f"http://api.test:{there.port}/")).status_code == 502
        async with asyncio.timeout(10):
            await there.gone.wait()


async def test_what_may_not_be_reached_is_a_502_without_a_connection() -> None:
    async with web(always(answer(200))) as there:
        policy = there.policy("near.test:80", names={"near.test": ["169.254.169.254"]})
        async with client(policy) as http:
            for url in (
                "http://169.254.169.254/",
                "http://near.test/",
                f"http://localhost:{there.port}/",
                "http://a.test/",
            ):
                assert (await http.get(url)).status_code == 502
    assert policy.counters.refused == {"host": 3, "address": 1}
    assert policy.counters.connections == 0


async def test_redirect_is_not_followed_and_its_place_would_be_refused() -> None:
    async with web(always(answer(307, b"", "location: http://169.254.169.254/"))) as there:
        policy = there.policy()
        async with client(policy) as http:
            assert (await http.get(f"http://api.test:{there.port}/")).status_code == 307
            assert (await http.get(f"http://api.test:{there.port}/", follow_redirects=True)).status_code == 502
    assert policy.counters.refused == {"host": 1}


async def test_event_stream_passes_piece_by_piece() -> None:
    more = asyncio.Event()

    async def stream(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        await writer.drain()
        await more.wait()
        writer.write(b"data: " + b"2" * 2000 + b"\n\n")

    async with (
        web(stream) as there,
        client(there.policy()) as http,
        http.stream("GET", f"http://api.test:{there.port}/") as response,
    ):
        pieces = response.aiter_raw()
        assert await anext(pieces) == b"data: 1\n\n"
        more.set()
        assert b"".join([piece async for piece in pieces]) == b"data: " + b"2" * 2000 + b"\n\n"


async def test_port_where_nobody_listens_is_a_502() -> None:
    async with web(always(answer(200))) as there:
        policy = there.policy()
    async with client(policy) as http:
        assert (await http.get(f"http://{HOME}:{there.port}/")).status_code == 502
