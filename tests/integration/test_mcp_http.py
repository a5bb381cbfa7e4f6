"""MCP servers over HTTP: what goes wrong in one call is the failure of that call."""

from __future__ import annotations

import asyncio

import pytest

from caxton.tools.source import Failure
from tests.integration.mcp_http import HttpServer, http_source, served
from tests.integration.mcp_talks import CLOCK, LONG_S, Heard, call, text_of

SOON_S = 0.3


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """As a server runs."""
    return "asyncio", {"use_uvloop": True}


def trouble(outcome: object) -> str:
    assert isinstance(outcome, Failure), outcome
    return outcome.trouble


async def test_tools_are_listed_and_called() -> None:
    async with served(headers={"authorization": "Bearer x"}) as (it, server):
        assert [tool.name for tool in await it.list_tools()] == ["echo"]
        assert text_of(await call(it, "echo", n=1)) == '{"n": 1}'
        assert text_of(await call(it, "event")) == "ok"
        assert it.view()["revision"] == "2025-06-18"
        assert it.view()["headers"] == ["authorization"]
        assert all(b"authorization: bearer x" in head.lower() for head in server.headers)
        meta = server.requests[-1]["params"]["_meta"]
        assert meta["caxton/idempotency-key"] == "k1"


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ("big", "too_large"),
        ("endless", "too_large"),
        ("big_event", "too_large"),
        ("endless_events", "too_large"),
        ("lost_event", "unavailable"),
        ("die", "unavailable"),
        ("half", "unavailable"),
        ("gateway", "unavailable"),
        ("redirect", "failed"),
        ("utf8", "failed"),
        ("500", "failed"),
        ("page", "failed"),
        ("accepted", "failed"),
    ],
)
async def test_what_goes_wrong_in_one_call_is_the_failure_of_that_call(tool: str, expected: str) -> None:
    heard = Heard()
    async with served(heard=heard) as (it, server):
        other = asyncio.create_task(call(it, "hang", within=LONG_S))
        await server.asked.wait()
        outcome = await call(it, tool)
        assert trouble(outcome) == expected
        assert "secret" not in str(outcome)
        assert not other.done()
        assert text_of(await call(it, "echo")) == "{}"
        assert it.view()["starts"] == 1
        other.cancel()


@pytest.mark.parametrize("tool", ["hang", "quiet_events"])
async def test_call_that_is_given_up_is_taken_back_and_its_connection_let_go(tool: str) -> None:
    async with served() as (it, server):
        assert trouble(await call(it, tool, within=SOON_S)) == "timeout"
        async with asyncio.timeout(LONG_S):
            await server.cancelled.wait()
            await server.hung_up.wait()
        assert text_of(await call(it, "echo")) == "{}"


async def test_server_that_hangs_on_being_told_holds_up_no_other_call_for_long() -> None:
    server = HttpServer()
    server.hangs_on_notices = True
    async with served(server) as (it, _):
        assert trouble(await call(it, "hang", within=SOON_S)) == "timeout"
        async with asyncio.timeout(LONG_S):
            await server.cancelled.wait()
        assert text_of(await call(it, "echo")) == "{}"


async def test_session_that_the_server_forgot_is_begun_anew() -> None:
    server = HttpServer()
    server.session = "one"
    async with served(server) as (it, _):
        assert text_of(await call(it, "echo")) == "{}"
        server.session = "two"
        assert trouble(await call(it, "echo")) == "unavailable"
        async with asyncio.timeout(LONG_S):
            while it.life is not None:  # noqa: ASYNC110 - it is put away in the same loop
                await asyncio.sleep(0)
        assert it.view()["last_error"] == "the server ended the session"
        CLOCK.skip_back_off()
        assert text_of(await call(it, "echo")) == "{}"


async def test_server_that_is_not_there_is_unavailable() -> None:
    doors = await asyncio.start_server(HttpServer().serve, "127.0.0.1", 0)
    port = doors.sockets[0].getsockname()[1]
    doors.close()
    await doors.wait_closed()
    it = http_source(f"http://127.0.0.1:{port}/mcp")
    assert trouble(await call(it, "echo")) == "unavailable"
    assert it.state == "waiting"
    await it.close()


async def test_every_request_takes_the_way_out_that_was_handed_in() -> None:
    import httpx2

    class Refusing(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            raise httpx2.ConnectError("not allowed")

    async with served(open_transport=Refusing) as (it, server):
        assert trouble(await call(it, "echo")) == "unavailable"
        assert server.requests == []


def test_its_view_shows_no_secret_of_the_address_or_the_headers() -> None:
    it = http_source("https://user:pass@example.com/mcp?key=hidden", headers={"authorization": "Bearer hidden"})
    view = it.view()
    assert view["url"] == "https://example.com/mcp"
    assert "hidden" not in str(view)
