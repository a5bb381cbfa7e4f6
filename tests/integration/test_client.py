"""The client against servers that break off, refuse, or are none."""

from __future__ import annotations

import socket
from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import pytest
import trustme

from caxton.client import ApiProblem, CaxtonClient
from caxton.core.errors.client import ServerTimeout, ServerUnreachable, UnexpectedAnswer
from caxton.core.errors.error import CaxtonError
from caxton.core.views.logs import LogLine
from caxton.core.views.problem import Problem
from caxton.server.http import HttpOptions
from tests.integration.fake_node import ADMIN_PROOF, running_node
from tests.integration.scripted_server import answer, scripted, stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROOF = "a-token"


def event(seq: int, text: str) -> bytes:
    line = LogLine(seq=seq, at="2026-01-01T00:00:00Z", agent="a", replica=0, level="info", source="guest", text=text)
    return b"event: log\nid: %d\ndata: %b\n\n" % (seq, msgspec.json.encode(line))


def problem(code: str, status: int) -> bytes:
    body = Problem(type="about:blank", title="t", status=status, detail="because", code=code, trace_id="abc")
    return answer(msgspec.json.encode(body), status=f"{status} X", kind="application/problem+json")


def header(head: str, name: str) -> str | None:
    found = [line for line in head.split("\r\n") if line.lower().startswith(f"{name.lower()}:")]
    return found[0].partition(":")[2].strip() if found else None


def test_broken_log_stream_is_taken_up_after_the_last_line_seen() -> None:
    parts = stream(event(1, "one") + event(2, "two") + event(3, "half")[:20]), stream(event(3, "three"))
    with scripted(*parts) as server, CaxtonClient(server.url, PROOF) as client:
        lines = list(islice(client.follow_logs(["a"], limit=10), 3))
        assert [line.text for line in lines] == ["one", "two", "three"]
        assert [header(head, "Last-Event-ID") for head in server.requests] == [None, "2"]
        assert "agents=a" in server.requests[1]


def test_server_that_restarts_is_waited_for() -> None:
    parts = stream(event(1, "one")), problem("SERVER_NOT_READY", 503), stream(event(2, "two"))
    with scripted(*parts) as server, CaxtonClient(server.url) as client:
        assert [line.text for line in islice(client.follow_logs(), 2)] == ["one", "two"]


def test_server_that_stays_away_is_given_up_when_patience_ends() -> None:
    with scripted(stream(event(1, "one"))) as server, CaxtonClient(server.url) as client:
        lines = client.follow_logs(patience_s=0.05)
        assert next(lines).text == "one"
        with pytest.raises(ServerUnreachable):
            next(lines)


def test_refusal_ends_the_log_stream_at_once() -> None:
    with scripted(problem("AGENT_NOT_FOUND", 404)) as server, CaxtonClient(server.url) as client:
        with pytest.raises(ApiProblem) as caught:
            next(client.follow_logs(["nobody"]))
        assert (caught.value.code, caught.value.status, caught.value.trace_id) == ("AGENT_NOT_FOUND", 404, "abc")


def test_redirect_is_no_answer_and_the_token_does_not_follow_it() -> None:
    with scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as other:
        away = f"HTTP/1.1 302 Found\r\nLocation: {other.url}/\r\nContent-Length: 0\r\n\r\n".encode()
        with scripted(away) as server, CaxtonClient(server.url, PROOF) as client:
            with pytest.raises(UnexpectedAnswer):
                client.health()
            assert header(server.requests[0], "Authorization") == f"Bearer {PROOF}"
        assert other.requests == []


@pytest.mark.parametrize(
    "said",
    [
        answer(b"<html>It works!</html>", kind="text/html"),
        answer(b"<html>No</html>", status="404 Not Found", kind="text/html"),
        answer(b'{"agents": 3}'),
        answer(b"\xff\xfe"),
        answer(b"[" * 100_000),
    ],
)
def test_answer_of_another_kind_of_server_is_told_as_such(said: bytes) -> None:
    with scripted(said) as server, CaxtonClient(server.url) as client, pytest.raises(UnexpectedAnswer):
        client.agents()


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"])
def test_connection_that_breaks_is_an_unreachable_server(said: bytes) -> None:
    with scripted(said) as server, CaxtonClient(server.url) as client, pytest.raises(ServerUnreachable):
        client.agents()


def test_silent_server_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with CaxtonClient(url, timeout_s=0.1) as client, pytest.raises(ServerTimeout):
            client.agents()


CALLS: list[Callable[[CaxtonClient], object]] = [
    lambda client: client.agents(),
    lambda client: client.health(),
    lambda client: client.ready(),
    lambda client: client.alive(),
    lambda client: client.logs(),
    lambda client: client.stop("a"),
    lambda client: client.remove("a"),
    lambda client: client.invoke("a", 1),
    lambda client: client.conversation("c"),
]


@pytest.mark.parametrize("call", CALLS)
def test_every_call_tells_that_no_server_is_there(call: Callable[[CaxtonClient], object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with CaxtonClient(url) as client, pytest.raises(ServerUnreachable):
        call(client)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a" * 65, "a\x00b", "a?b=c"])
def test_name_that_is_none_never_reaches_the_address(name: str) -> None:
    with CaxtonClient("http://127.0.0.1:9") as client, pytest.raises(CaxtonError) as caught:
        client.agent(name)
    assert caught.value.code == "INVALID_NAME"


def test_proxy_of_the_environment_is_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(answer(b'{"status": "ok"}')) as server, scripted(answer(b"{}")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("all_proxy", proxy.url)
        with CaxtonClient(server.url, PROOF) as client:
            client.alive()
        assert proxy.requests == []


def test_known_certificate_is_accepted_whatever_its_name_and_no_other_is(tmp_path: Path) -> None:
    authority = trustme.CA()
    files = [_certificate(authority, tmp_path / str(number)) for number in range(2)]
    options = HttpOptions(tls_cert=files[0][0], tls_key=files[0][1])
    with running_node(options) as node:
        with CaxtonClient(node.url, ADMIN_PROOF, certificate=str(files[0][0])) as client:
            assert client.health().status == "ready"
        other = CaxtonClient(node.url, ADMIN_PROOF, certificate=str(files[1][0]))
        with other, pytest.raises(ServerUnreachable):
            other.health()
        with CaxtonClient(node.url, ADMIN_PROOF) as client, pytest.raises(ServerUnreachable):
            client.health()


def test_authority_that_is_trusted_vouches_only_for_the_right_name(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, outcome in [("127.0.0.1", nullcontext()), ("caxton.example", pytest.raises(ServerUnreachable))]:
        cert, key = _certificate(authority, tmp_path / name, name)
        with running_node(HttpOptions(tls_cert=cert, tls_key=key)) as node:
            client = CaxtonClient(node.url, ADMIN_PROOF, ca_file=str(tmp_path / "ca.pem"))
            with client, outcome:
                client.health()


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_file_that_is_no_certificate_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cert.pem"
    path.write_text(text)
    for ca_file, certificate in [(None, path), (path, None), (tmp_path / "missing", None)]:
        with pytest.raises(CaxtonError) as caught:
            CaxtonClient(
                "https://127.0.0.1:1",
                ca_file=ca_file and str(ca_file),
                certificate=certificate and str(certificate),
            )
        assert caught.value.code == "FILE_UNREADABLE"


def _certificate(authority: trustme.CA, path: Path, name: str = "caxton.example") -> tuple[Path, Path]:
    """A certificate with its authority behind it, and its key, in files."""
    issued = authority.issue_cert(name)
    path.mkdir()
    for blob in (*issued.cert_chain_pems, authority.cert_pem):
        blob.write_to_path(path / "cert.pem", append=True)
    issued.private_key_pem.write_to_path(path / "key.pem")
    return path / "cert.pem", path / "key.pem"
