"""HTTP/1.1, HTTP/2 and TLS on real sockets, and requests that are none."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from caxton.testing.fakes.agents import EMPTY_MODULE
from tests.integration.http_server import Served, running, wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


@asynccontextmanager
async def running_tls(tmp_path: Path) -> AsyncGenerator[tuple[Served, trustme.CA]]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    async with running(tmp_path, tls_cert=cert, tls_key=key) as served:
        yield served, authority


def trusting(authority: trustme.CA, **settings: Any) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    for name, value in settings.items():
        setattr(context, name, value)
    return context


async def handshake(served: Served, context: ssl.SSLContext) -> ssl.SSLObject:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=context)
    found: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.close()
    return found


async def test_tls_1_2_is_refused(tmp_path: Path) -> None:
    async with running_tls(tmp_path) as (served, authority):
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await handshake(served, trusting(authority, maximum_version=ssl.TLSVersion.TLSv1_2))


async def test_tls_1_3_is_spoken_with_the_certificate_given(tmp_path: Path) -> None:
    async with running_tls(tmp_path) as (served, authority):
        assert (await handshake(served, trusting(authority))).version() == "TLSv1.3"


async def test_a_client_that_trusts_somebody_else_is_not_fooled(tmp_path: Path) -> None:
    async with running_tls(tmp_path) as (served, _):
        with pytest.raises(ssl.SSLCertVerificationError):
            await handshake(served, trusting(trustme.CA()))


async def test_plain_http_on_a_tls_port_gets_no_answer(tmp_path: Path) -> None:
    async with running_tls(tmp_path) as (served, _), wire(served) as connection:
        await connection.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in await connection.rest()


@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
async def test_tls_clients_choose_their_protocol(http2: bool, version: str, tmp_path: Path) -> None:
    async with running_tls(tmp_path) as (served, authority):
        assert served.http.url.startswith("https://")
        async with served.client(verify=trusting(authority), http2=http2) as client:
            answer = await client.get("/api/v1/agents/echo")
            assert (answer.status_code, answer.http_version) == (200, version)


VERSIONS = {"HTTP/1.1": {}, "HTTP/2": {"http1": False, "http2": True}}


@pytest.fixture(params=VERSIONS, ids=str)
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a real server, once for each protocol; HTTP/2 in clear, with prior knowledge."""
    async with running(tmp_path) as served, served.client(**VERSIONS[request.param]) as client:
        assert (await client.get("/health")).http_version == request.param
        yield client


async def test_names_with_encoded_slashes_dots_and_zeros_lead_nowhere(client: httpx.AsyncClient) -> None:
    for name, code in {
        "..": "ROUTE_NOT_FOUND",
        "%2e%2e": "INVALID_NAME",
        "%2e%2e%2fhealth": "ROUTE_NOT_FOUND",
        "..%2f..%2fetc%2fpasswd": "ROUTE_NOT_FOUND",
        "echo%2f": "",
        "a%00b": "INVALID_NAME",
        "%00": "INVALID_NAME",
        "%ff": "INVALID_NAME",
        "%c0%ae%c0%ae": "INVALID_NAME",
        "a" * 300: "INVALID_NAME",
        "%61" * 300: "INVALID_NAME",
        "%252e%252e": "INVALID_NAME",
        "%e2%80%ae": "INVALID_NAME",
    }.items():
        url = httpx.URL(str(client.base_url), raw_path=f"/api/v1/agents/{name}".encode())
        answer = await client.get(url)
        assert answer.json().get("code", "") == code, name


async def test_a_whole_life_of_an_agent(client: httpx.AsyncClient) -> None:
    files: dict[str, Any] = {"config": (None, b'{"name":"new"}', "application/json"), "wasm": ("m", EMPTY_MODULE)}
    assert (await client.post("/api/v1/agents", files=files)).status_code == 201
    assert (await client.post("/api/v1/agents/new/invoke", json={"n": 1})).json()["content"] == {"n": 1}
    assert (await client.delete("/api/v1/agents/new")).status_code == 204
    assert (await client.get("/api/v1/agents/new")).status_code == 404


async def test_the_sender_of_a_message_that_is_too_large_sees_why(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/agents/echo/invoke", json="x" * (2 << 20))
    assert (answer.status_code, answer.json()["code"]) == (413, "MESSAGE_TOO_LARGE")


async def test_the_sender_of_an_endless_body_sees_why(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncGenerator[bytes]:
        for _ in range(100):
            yield b"x" * 50_000

    answer = await client.post("/api/v1/messages", content=endless(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "MESSAGE_TOO_LARGE")


async def test_somebody_unknown_sees_why_even_with_a_large_body(client: httpx.AsyncClient) -> None:
    headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
    answer = await client.post("/api/v1/agents", content=b"x" * (4 << 20), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


async def test_many_requests_at_once_are_all_answered(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/api/v1/agents/echo/invoke", json=n) for n in range(90)))
    assert [answer.json()["content"] for answer in answers] == list(range(90))


async def test_an_event_stream_arrives_event_by_event(tmp_path: Path) -> None:
    for options in VERSIONS.values():
        async with (
            running(tmp_path) as served,
            served.client(**options) as client,
            client.stream("GET", "/api/v1/logs?follow=true") as answer,
        ):
            chunks = answer.aiter_text()
            assert await anext(chunks) == ": heartbeat\n\n"
            for n in range(3):
                served.node.logs.write("echo", f"line {n}")
                assert f'"text":"line {n}"' in await anext(chunks)


async def test_waiting_for_a_go_ahead_is_answered_before_the_body(tmp_path: Path) -> None:
    async with running(tmp_path) as served, wire(served) as connection:
        kind = ("Content-Type: application/json", f"Content-Length: {2 << 20}", "Expect: 100-continue")
        await connection.send(served.head("POST", "/api/v1/messages", *kind))
        said = await connection.rest()
        assert said.startswith(b"HTTP/1.1 413 ")


NO_REQUESTS = {
    "binary": b"\0\1\2\3\r\n\r\n",
    "no method": b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/9": b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "header without a colon": b"GET /health HTTP/1.1\r\nHost localhost\r\n\r\n",
    "header with a zero byte": b"GET /health HTTP/1.1\r\nHost: local\0host\r\n\r\n",
    "folded header": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "negative length": b"POST /api/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "length as a word": b"POST /api/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: ten\r\n\r\n",
    "unknown transfer": b"POST /api/v1/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: zip\r\n\r\n",
    "header of 20 kB": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "path of 20 kB": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "500 headers": b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    "HTTP/2 garbage": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
}


@pytest.mark.parametrize("data", NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
async def test_what_is_no_request_gets_no_answer_but_a_refusal(data: bytes, tmp_path: Path) -> None:
    async with running(tmp_path) as served, wire(served) as connection, served.client() as client:
        await connection.send(data)
        said = await connection.rest()
        assert b"HTTP/1.1 2" not in said
        assert b"HTTP/1.1 5" not in said
        assert (await client.get("/health")).status_code == 200


async def test_a_second_request_cannot_hide_in_the_body_of_the_first(tmp_path: Path) -> None:
    """Length and chunks at once: what one reader takes for the body, another could take for a request."""
    hidden = b"0\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with running(tmp_path) as served, wire(served) as connection:
        lengths = (f"Content-Length: {len(hidden)}", "Transfer-Encoding: chunked")
        await connection.send(served.head("POST", "/api/v1/messages", *lengths) + hidden)
        assert b"ok" not in await connection.rest()


async def test_broken_chunks_are_never_acted_upon(tmp_path: Path) -> None:
    async with running(tmp_path) as served, wire(served) as connection:
        kind = ("Content-Type: application/json", "Transfer-Encoding: chunked")
        body = b'2d\r\n{"performative":"inform","receiver":"echo"}\r\nzz\r\n'
        await connection.send(served.head("POST", "/api/v1/messages", *kind) + body)
        assert b" 202 " not in await connection.rest()
        assert served.node.messages.kept == {}
