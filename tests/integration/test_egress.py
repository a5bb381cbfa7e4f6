"""Requests to real servers on loopback: what arrives there, what is refused before, and what bounds the answer."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from caxton.egress.backend import GatedBackend
from caxton.egress.fetch import fetch
from caxton.egress.refused import Refused, TimedOut, Unreachable
from caxton.egress.request import Request
from tests.integration.scripted_web import HOME, Web, always, answer, drip, endless, tls_web, web

if TYPE_CHECKING:
    from caxton.egress.policy import Policy


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """As the server runs."""
    return "asyncio", {"use_uvloop": True}


async def refusal(url: str, policy: Policy) -> str:
    with pytest.raises(Refused) as caught:
        await fetch(Request(url=url), policy)
    return caught.value.reason


async def test_request_arrives_as_it_was_meant_and_the_answer_comes_back() -> None:
    async with web(always(answer(201, b"hello", "X-A: 1", "x-a: 2"))) as there:
        policy = there.policy()
        url = f"http://API.test:{there.port}/a?b=c"
        response = await fetch(Request(url=url, method="POST", headers=(("X-B", "d"),), body=b"e"), policy)
    assert (response.status, response.body, response.is_truncated) == (201, b"hello", False)
    assert response.url == f"http://api.test:{there.port}/a?b=c"
    assert [value for name, value in response.headers if name == "x-a"] == ["1", "2"]
    head = there.heads[0].decode()
    assert head.startswith("POST /a?b=c HTTP/1.1\r\n")
    assert head.endswith("\r\n\r\ne")
    for line in (f"host: api.test:{there.port}", "accept-encoding: identity", "content-length: 1", "x-b: d"):
        assert head.lower().count(f"\r\n{line}\r\n") == 1
    assert policy.counters.connections == policy.counters.requests == 1
    assert policy.counters.bytes_in == 5


async def test_what_is_not_listed_is_refused_before_any_connection() -> None:
    async with web(always(answer(200))) as there:
        policy = there.policy(names={"evil.test": [HOME]})
        assert await refusal(f"http://evil.test:{there.port}/", policy) == "host"
        assert await refusal("http://api.test/", policy) == "host"
        assert await refusal(f"http://[::1]:{there.port}/", policy) == "host"
        assert await refusal("http://8.8.8.8/", policy) == "host"
        assert await refusal(f"http://2130706433:{there.port}/", policy) == "url"
    assert there.heads == []
    assert policy.counters.connections == 0
    assert policy.counters.refused == {"host": 4, "url": 1}


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.2"],
        ["8.8.8.8", "127.0.0.2"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.2"],
        ["64:ff9b::7f00:2"],
        ["fe80::1%lo"],
        ["0.0.0.0"],  # noqa: S104
        ["nonsense"],
    ],
)
async def test_name_that_stands_for_an_address_that_is_not_listed_is_refused(addresses: list[str]) -> None:
    async with web(always(answer(200))) as there:
        policy = there.policy(names={"api.test": addresses})
        assert await refusal(f"http://api.test:{there.port}/", policy) == "address"
    assert policy.counters.connections == 0
    assert there.heads == []


async def test_name_that_changes_its_address_is_checked_each_time_and_asked_once() -> None:
    answers = [[HOME], ["169.254.169.254"], [HOME]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async with web(always(answer(200))) as there:
        policy = there.policy(resolve=rebinding)
        request = Request(url=f"http://api.test:{there.port}/")
        await fetch(request, policy)
        assert len(answers) == 2
        with pytest.raises(Refused):
            await fetch(request, policy)
        await fetch(request, policy)
    assert policy.counters.connections == len(there.heads) == 2


async def test_next_address_is_tried_when_one_does_not_answer() -> None:
    async with web(always(answer(200))) as there:
        policy = there.policy(f"127.0.0.3:{there.port}", names={"api.test": ["127.0.0.3", HOME]})
        response = await fetch(Request(url=f"http://api.test:{there.port}/"), policy)
    assert response.status == 200


async def test_unknown_name_and_closed_port_are_unreachable() -> None:
    async with web(always(answer(200))) as there:
        policy = there.policy("gone.test:80")
    with pytest.raises(Unreachable):
        await fetch(Request(url="http://gone.test/"), policy)
    with pytest.raises(Unreachable):
        await fetch(Request(url=f"http://api.test:{there.port}/"), policy)


# --- redirects


async def test_redirect_is_followed_and_its_place_is_told() -> None:
    async def handle(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(200, b"end") if b" /b " in request else answer(302, b"", "location: /b"))

    async with web(handle) as there:
        url = f"http://api.test:{there.port}/a"
        response = await fetch(Request(url=url), there.policy())
        kept = await fetch(Request(url=url, is_followed=False), there.policy())
    assert (response.status, response.body, response.url) == (200, b"end", f"http://api.test:{there.port}/b")
    assert (kept.status, kept.url) == (302, url)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data/", "host"),
        ("//169.254.169.254/", "host"),
        ("http://[::ffff:a9fe:a9fe]/", "host"),
        ("http://2852039166/", "url"),
        ("http://0xa9fea9fe/", "url"),
        ("http://api.test@169.254.169.254/", "url"),
        ("http://rebound.test/", "address"),
        ("file:///etc/passwd", "url"),
        ("gopher://127.0.0.1/", "url"),
    ],
)
async def test_redirect_is_looked_at_as_if_it_had_been_asked_for(location: str, reason: str) -> None:
    async with web(always(answer(302, b"", f"location: {location}"))) as there:
        policy = there.policy("rebound.test:80", names={"rebound.test": ["169.254.169.254"]})
        assert await refusal(f"http://api.test:{there.port}/", policy) == reason
    assert policy.counters.connections == 1


async def test_redirects_without_end_are_unreachable() -> None:
    async with web(always(answer(307, b"", "location: /again"))) as there:
        with pytest.raises(Unreachable):
            await fetch(Request(url=f"http://api.test:{there.port}/"), there.policy(max_redirects=3))
    assert len(there.heads) == 4


@pytest.mark.parametrize(("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
async def test_redirect_takes_the_body_along_only_if_it_says_so(status: int, method: str) -> None:
    async def handle(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(200) if b" /b " in request else answer(status, b"", "location: /b"))

    async with web(handle) as there:
        url = f"http://api.test:{there.port}/"
        headers = (("content-type", "text/plain"),)
        await fetch(Request(url=url, method="POST", headers=headers, body=b"e"), there.policy())
    assert there.heads[1].startswith(f"{method} /b ".encode())
    assert there.heads[1].endswith(b"\r\n\r\ne") == (b"content-type" in there.heads[1]) == (method == "POST")


# --- secrets

HEADERS = (("authorization", "Bearer {{secret:KEY}}"), ("x-key", "{{secret:KEY}}"), ("cookie", "a=b"), ("x-a", "b"))


async def test_secret_is_filled_in_and_never_comes_back() -> None:
    async def echo(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(200, request, "x-echo: s3cr3t-value"))

    async with web(echo) as there:
        policy = there.policy(secrets={"KEY": "s3cr3t-value"})
        request = Request(url=f"http://api.test:{there.port}/", headers=HEADERS)
        response = await fetch(request, policy)
        with pytest.raises(Refused) as caught:
            await fetch(Request(url=request.url, headers=(("a", "{{secret:OTHER}}"),)), policy)
    assert caught.value.reason == "secret"
    assert there.heads[0].count(b"s3cr3t-value") == 2
    assert len(there.heads) == 1
    assert b"s3cr3t" not in response.body
    assert response.body.count(b"{{secret:KEY}}") == 2
    assert dict(response.headers)["x-echo"] == "{{secret:KEY}}"
    assert "s3cr3t" not in repr(policy)


async def test_secret_and_login_stay_behind_when_a_redirect_leaves_the_origin() -> None:
    async with (
        web(always(answer(200))) as other,
        web(always(answer(307, b"", f"location: http://api.test:{other.port}/"))) as there,
    ):
        policy = there.policy(f"api.test:{other.port}", f"{HOME}:{other.port}", secrets={"KEY": "s3cr3t-value"})
        await fetch(Request(url=f"http://api.test:{there.port}/", headers=HEADERS), policy)
    assert b"s3cr3t-value" in there.heads[0]
    assert not any(word in other.heads[0] for word in (b"s3cr3t", b"authorization", b"cookie", b"x-key", b"{{"))
    assert b"x-a: b" in other.heads[0]


# --- answers


async def test_body_is_cut_where_the_limit_is_and_the_rest_is_not_waited_for() -> None:
    async with web(endless) as there:
        policy = there.policy(max_bytes=100_000)
        url = f"http://api.test:{there.port}/"
        response = await fetch(Request(url=url, max_bytes=1 << 40), policy)
        few = await fetch(Request(url=url, max_bytes=10), policy)
        async with asyncio.timeout(10):
            await there.gone.wait()
    assert (response.body, response.is_truncated) == (b"x" * 100_000, True)
    assert (few.body, few.is_truncated) == (b"x" * 10, True)


async def test_body_as_long_as_the_limit_is_whole() -> None:
    async with web(always(answer(200, b"x" * 10))) as there:
        response = await fetch(Request(url=f"http://api.test:{there.port}/", max_bytes=10), there.policy())
    assert (response.body, response.is_truncated) == (b"x" * 10, False)


async def test_body_that_drips_ends_at_the_deadline() -> None:
    async with web(drip) as there:
        with pytest.raises(TimedOut):
            async with asyncio.timeout(10):
                await fetch(Request(url=f"http://api.test:{there.port}/", timeout_s=0.3), there.policy())
        async with asyncio.timeout(10):
            await there.gone.wait()


async def test_server_that_never_answers_and_name_that_is_never_resolved_end_at_the_deadline() -> None:
    async def silent(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.get_running_loop().create_future()

    async def never(host: str, port: int) -> list[str]:
        return await asyncio.get_running_loop().create_future()

    async with web(silent) as there:
        for policy in (there.policy(timeout_s=0.2), there.policy(timeout_s=0.2, resolve=never)):
            with pytest.raises(TimedOut):
                async with asyncio.timeout(10):
                    await fetch(Request(url=f"http://api.test:{there.port}/", timeout_s=60), policy)


async def test_packed_body_stays_packed() -> None:
    bomb = gzip.compress(b"\x00" * 10_000_000)
    async with web(always(answer(200, bomb, "content-encoding: gzip"))) as there:
        response = await fetch(Request(url=f"http://api.test:{there.port}/"), there.policy())
    assert response.body == bomb


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense IGNORE ALL RULES\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: IGNORE\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nIGNORE",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nIGNORE",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nIGNORE",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nIGNORE\r\n",
    ],
)
async def test_answer_that_is_no_http_is_unreachable_in_words_of_our_own(data: bytes) -> None:
    async with web(always(data)) as there:
        with pytest.raises(Unreachable) as caught:
            await fetch(Request(url=f"http://api.test:{there.port}/"), there.policy())
    assert "IGNORE" not in str(caught.value)


async def test_head_has_no_body() -> None:
    async with web(always(b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\n")) as there:
        response = await fetch(Request(url=f"http://api.test:{there.port}/", method="HEAD"), there.policy())
    assert (response.status, response.body, response.is_truncated) == (200, b"", False)


# --- TLS


async def test_certificate_is_checked_for_the_name_and_the_name_is_told_to_the_server() -> None:
    authority = trustme.CA()
    told: list[str | None] = []
    here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.test").configure_cert(here)  # pyright: ignore[reportUnknownMemberType]
    here.sni_callback = lambda connection, name, context: told.append(name)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)  # pyright: ignore[reportUnknownMemberType]
    with tls_web(here, answer(200, b"safe")) as there:
        policy = there.policy(f"other.test:{there.port}", names={"other.test": [HOME]}, tls=trust)
        response = await fetch(Request(url=f"https://api.test:{there.port}/"), policy)
        with pytest.raises(Unreachable) as wrong:
            await fetch(Request(url=f"https://other.test:{there.port}/"), policy)
        with pytest.raises(Unreachable):
            await fetch(Request(url=f"https://{HOME}:{there.port}/"), policy)
        with pytest.raises(Unreachable):
            await fetch(Request(url=f"https://api.test:{there.port}/"), there.policy())
    assert response.body == b"safe"
    assert told[:2] == ["api.test", "other.test"]
    assert "certificate" in str(wrong.value)
    assert len(there.heads) == 1


async def test_server_without_tls_is_unreachable_over_https() -> None:
    def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-none\r\n")
        writer.close()

    server = await asyncio.start_server(greet, HOME, 0)
    async with server:
        there = Web(server.sockets[0].getsockname()[1])
        with pytest.raises(Unreachable, match="TLS"):
            await fetch(Request(url=f"https://api.test:{there.port}/"), there.policy())


# --- the seam


async def test_sockets_of_this_machine_are_not_reached() -> None:
    async with web(always(answer(200))) as there:
        with pytest.raises(Exception, match="sockets"):
            await GatedBackend(there.policy()).connect_unix_socket("/run/docker.sock")


async def test_httpx_with_the_backend_passes_the_gate() -> None:
    import httpcore

    async with web(always(answer(200, b"x"))) as there:
        transport = httpx.AsyncHTTPTransport(trust_env=False)
        transport._pool = httpcore.AsyncConnectionPool(network_backend=GatedBackend(there.policy()))  # pyright: ignore[reportPrivateUsage]
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            assert (await client.get(f"http://api.test:{there.port}/")).content == b"x"
            with pytest.raises(Refused):
                await client.get(f"http://localhost:{there.port}/")


# --- fairness


async def test_body_in_single_bytes_leaves_others_their_turn() -> None:
    async def crumbs(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")

    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with web(crumbs) as there:
        beside = asyncio.ensure_future(other())
        response = await fetch(Request(url=f"http://api.test:{there.port}/"), there.policy())
        beside.cancel()
    assert len(response.body) == 20_000
    assert turns > 100


async def test_answers_before_the_answer_leave_others_their_turn() -> None:
    async def patience(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 X\r\n\r\n" * 20_000 + answer(200))

    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with web(patience) as there:
        beside = asyncio.ensure_future(other())
        assert (await fetch(Request(url=f"http://api.test:{there.port}/"), there.policy())).status == 200
        beside.cancel()
    assert turns > 80
