"""Starting and stopping the HTTP server, on real sockets."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from caxton.core.errors.server import InvalidConfig, PortInUse
from caxton.server import http
from caxton.server.http import HttpOptions, HttpServer, connection_limit
from tests.integration.http_server import WAIT_S, running, wire

if TYPE_CHECKING:
    from pathlib import Path


async def nothing(scope: object, receive: object, send: object) -> None:
    """An application that never answers."""


def server(**options: object) -> HttpServer:
    return HttpServer(nothing, HttpOptions(**options), stopping=asyncio.Event())  # pyright: ignore[reportArgumentType]


async def test_a_port_that_is_taken_is_refused_by_name(tmp_path: Path) -> None:
    async with running(tmp_path) as served:
        second = server(port=served.port)
        with pytest.raises(PortInUse) as caught:
            await second.start()
        assert caught.value.details() == {"host": "127.0.0.1", "port": served.port}
        await second.stop()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "256.1.1.1", "\0"])
async def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(PortInUse):
        server(host=host).bind()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Two certificates with their keys, and some files that are neither."""
    authority = trustme.CA()
    found: dict[str, Path] = {}
    for name in ("one", "two"):
        issued = authority.issue_cert("localhost")
        found[f"{name}.cert"], found[f"{name}.key"] = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        issued.private_key_pem.write_to_path(str(found[f"{name}.key"]))
        found[f"{name}.cert"].write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    found["missing"], found["garbage"], found["locked"] = (tmp_path / name for name in ("none", "garbage", "locked"))
    found["garbage"].write_text("garbage")
    locked = BestAvailableEncryption(b"secret")
    found["locked"].write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    return found


@pytest.mark.parametrize(
    ("cert", "key"),
    [
        ("one.cert", None),
        (None, "one.key"),
        ("missing", "one.key"),
        ("one.cert", "missing"),
        ("garbage", "one.key"),
        ("one.cert", "garbage"),
        ("one.cert", "two.key"),
        ("one.cert", "locked"),
        ("one.key", "one.cert"),
    ],
)
async def test_a_certificate_that_cannot_be_used_is_refused_before_anything_listens(
    cert: str | None, key: str | None, files: dict[str, Path]
) -> None:
    one = server(tls_cert=files[cert] if cert else None, tls_key=files[key] if key else None)
    with pytest.raises(InvalidConfig):
        await one.start()
    assert one.port == 0


async def test_a_server_that_does_not_answer_has_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "START_TIMEOUT_S", 0.05)
    monkeypatch.setattr(http, "LAST_WORDS_S", 0.2)

    async def hang(scope: object, receive: object, send: object) -> None:
        await asyncio.Event().wait()

    one = HttpServer(hang, HttpOptions(), stopping=asyncio.Event())
    with pytest.raises(InvalidConfig):
        await asyncio.wait_for(one.start(), WAIT_S)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", one.port))
    assert one.ended.is_set()


async def test_port_0_takes_a_free_port_and_tells_it(tmp_path: Path) -> None:
    async with running(tmp_path) as served:
        assert served.port > 0
        assert served.http.url == f"http://127.0.0.1:{served.port}"
        async with served.client() as client:
            assert (await client.get("/health")).json() == {"status": "ok"}


async def test_clients_that_come_between_bind_and_start_are_answered(tmp_path: Path) -> None:
    async with running(tmp_path) as other:
        one = HttpServer(other.http._requests, HttpOptions(), stopping=asyncio.Event())  # pyright: ignore[reportPrivateUsage]
        one.bind()
        async with httpx.AsyncClient(trust_env=False, timeout=WAIT_S) as client:
            asking = asyncio.create_task(client.get(f"{one.url}/health"))
            await asyncio.sleep(0)
            await one.start()
            assert (await asking).status_code == 200
        await one.stop()


@pytest.mark.parametrize("host", ["::1", "[::1]"])
async def test_an_ipv6_address_is_served(host: str, tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    async with running(tmp_path, host=host) as served, served.client() as client:
        assert served.http.url == f"http://[::1]:{served.port}"
        assert (await client.get("/health")).status_code == 200


async def test_the_port_can_be_taken_again_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as served, served.client() as client:
        await client.get("/health")
    async with running(tmp_path, port=served.port) as again:
        assert again.port == served.port


async def test_a_stopping_server_lets_open_requests_end(tmp_path: Path) -> None:
    async with running(tmp_path) as served, served.client() as client:
        served.node.messages.slow.add("echo")
        asking = asyncio.create_task(client.post("/api/v1/agents/echo/invoke", json=1))
        await asyncio.wait_for(served.node.messages.asked.wait(), WAIT_S)
        stopping = asyncio.create_task(served.http.stop(drain_s=WAIT_S))
        await asyncio.sleep(0)
        assert not stopping.done()
        served.node.messages.answered.set()
        assert (await asking).json()["content"] == 1
        await asyncio.wait_for(stopping, WAIT_S)


async def test_a_request_that_does_not_end_in_time_is_told_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as served, served.client() as client:
        served.node.messages.slow.add("echo")
        asking = asyncio.create_task(client.post("/api/v1/agents/echo/invoke", json=1))
        await asyncio.wait_for(served.node.messages.asked.wait(), WAIT_S)
        await asyncio.wait_for(served.http.stop(drain_s=0.05), WAIT_S)
        answer = await asking
        assert (answer.status_code, answer.json()["code"]) == (503, "SHUTTING_DOWN")
        assert [vars(record)["action"] for record in caplog.records] == ["http.broken_off"]


@pytest.mark.parametrize(
    "beginning",
    [b"", b"G", b"PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b"GET /api/v1/logs?follow=true"],
    ids=["silent", "begun", "preface", "HTTP/2", "stream"],
)
async def test_connections_without_an_open_request_do_not_hold_up_a_stop(beginning: bytes, tmp_path: Path) -> None:
    async with running(tmp_path) as served, wire(served) as connection:
        if b"follow" in beginning:
            await connection.send(served.head("GET", "/api/v1/logs?follow=true"))
            await connection.until(b": heartbeat\n\n")
        else:
            await connection.send(beginning)
        await asyncio.wait_for(served.http.stop(drain_s=WAIT_S), WAIT_S / 2)
        await connection.rest()


async def test_half_a_body_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    async with running(tmp_path) as served, wire(served) as connection:
        kind = ("Content-Type: application/json", "Content-Length: 100")
        await connection.send(served.head("POST", "/api/v1/messages", *kind) + b"{")
        await asyncio.wait_for(wait_open(served.http), WAIT_S)
        await asyncio.wait_for(served.http.stop(drain_s=0.05), WAIT_S)
        await connection.rest()


async def wait_open(one: HttpServer) -> None:
    """Until a request is open. The server has no event for that, so it is looked at after each turn of the loop."""
    while not one._requests.open:  # pyright: ignore[reportPrivateUsage]  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def test_a_client_that_does_not_take_its_answer_does_not_hold_up_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LAST_WORDS_S", 0.2)
    async with running(tmp_path) as served, wire(served) as connection:
        served.node.messages.kept["c"] = [b'"%b"' % (b"x" * (1 << 20))] * 20
        await connection.send(served.head("GET", "/api/v1/messages?conversation_id=c"))
        await connection.until(b"\r\n\r\n")
        await asyncio.wait_for(served.http.stop(drain_s=0.05), WAIT_S)


async def test_nobody_is_let_in_after_the_stop(tmp_path: Path) -> None:
    async with running(tmp_path) as served:
        await served.http.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", served.port))
        assert served.http.ended.is_set()


async def test_stopping_twice_is_the_same_as_once(tmp_path: Path) -> None:
    async with running(tmp_path) as served:
        await served.http.stop()
        await asyncio.wait_for(served.http.stop(), WAIT_S)


async def test_a_server_that_was_only_bound_gives_its_port_back() -> None:
    one = server()
    one.bind()
    await one.stop()
    socket.create_server(("127.0.0.1", one.port)).close()


async def test_a_stopped_server_leaves_no_threads_or_files(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    gc.collect()  # or files of earlier tests are closed meanwhile
    before = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        async with running(tmp_path) as served, served.client() as client:
            await client.get("/health")
    assert (len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))) == before


async def test_the_server_prints_nothing_and_closes_no_log_of_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = logging.FileHandler(tmp_path / "log", mode="w")  # once closed, this one stays closed
    logging.getLogger().addHandler(log)
    try:
        async with running(tmp_path) as served, served.client() as client:
            await client.get("/health")
            async with wire(served) as connection:
                await connection.send(b"\0\0\0\r\n\r\n")
                await connection.rest()
        logging.getLogger("test").warning("after")
    finally:
        logging.getLogger().removeHandler(log)
        log.close()
    assert (tmp_path / "log").read_text() == "after\n"
    assert capfd.readouterr() == ("", "")


SCRIPT = """
    import asyncio, socket, sys, tempfile
    from pathlib import Path
    from tests.integration.http_server import running

    async def main():
        async with running(Path(tempfile.mkdtemp())) as served:
            open_ones = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(5)]
            for one in open_ones:
                kind = ("Content-Type: application/json", "Content-Length: 9")
                one.sendall(served.head("POST", "/api/v1/messages", *kind))
            async with served.client() as client:
                await client.get("/health")
    asyncio.run(main())
"""


def test_a_process_that_served_ends_cleanly() -> None:
    """granian aborts a process that ends while its threads still want the interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "requests broken off\n")


def test_more_connections_than_files_are_not_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"now": (1024, 4096)}

    def get(_: int) -> tuple[int, int]:
        return limits["now"]

    def put(_: int, new: tuple[int, int]) -> None:
        limits["now"] = new

    monkeypatch.setattr(http.resource, "getrlimit", get)
    monkeypatch.setattr(http.resource, "setrlimit", put)
    assert connection_limit(10_000) == 4096 - 256
    assert limits["now"] == (4096, 4096)
    limits["now"] = (1024, http.resource.RLIM_INFINITY)
    assert connection_limit(10_000) == 10_000
    assert limits["now"][0] == 10_256
