"""A real server process on a free loopback port, and an HTTP/1.1 client that adds as little as possible to a time."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Generator

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens and what it takes as a token."""

    host: str
    port: int
    token: str
    pid: int
    ready_s: float
    """From the start of the process until it answered requests."""


@contextmanager
def running_server(
    data_dir: Path | None = None, *, start_timeout_s: float = START_TIMEOUT_S, stop_timeout_s: float = STOP_TIMEOUT_S
) -> Generator[Server]:
    """`caxton serve` on a throw-away directory, or on `data_dir`; stopped by its own process id."""
    with tempfile.TemporaryDirectory() as home:
        data_dir = data_dir or Path(home) / "data"
        (data_dir / "server.json").unlink(missing_ok=True)
        began = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-m", "caxton", "serve", "--port", "0", "--data-dir", str(data_dir), "--quiet"],
            env={**os.environ, "HOME": home, "XDG_CONFIG_HOME": f"{home}/config", "CAXTON_LOG_LEVEL": "warning"},
            stdout=subprocess.DEVNULL,
        )
        try:
            info = _wait_for(data_dir / "server.json", child, start_timeout_s)
            ready_s = time.monotonic() - began
            url = urlsplit(json.loads(info)["url"])
            token = (data_dir / "admin.token").read_text(encoding="ascii").strip()
            yield Server("127.0.0.1", url.port or 0, token, child.pid, ready_s)
        finally:
            child.terminate()
            try:
                child.wait(stop_timeout_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait_for(path: Path, child: subprocess.Popen[bytes], timeout_s: float) -> str:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until and child.poll() is None:
        if path.exists() and (text := path.read_text(encoding="utf-8")):
            return text
        time.sleep(0.005)
    raise SystemExit("the server did not start; run `caxton serve` to see why")


class Connection:
    """One kept-alive connection, one request at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._socket = socket.create_connection((server.host, server.port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def request_bytes(self, method: str, path: str, body: bytes = b"") -> bytes:
        """A whole request, ready to be sent many times."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._server.host}:{self._server.port}\r\n"
            f"Authorization: Bearer {self._server.token}\r\n"
            + (f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else "")
            + "\r\n"
        )
        return head.encode() + body

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and read its answer: status and body."""
        self._socket.sendall(request)
        data = self._rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head = data[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        while len(data) < end + 4 + length:
            data += self._more()
        self._rest = data[end + 4 + length :]
        return int(head[9:12]), data[end + 4 : end + 4 + length]

    def call(self, method: str, path: str, document: Any = None) -> Any:
        """A request with JSON in and out; stops the bench unless the answer is a success."""
        body = b"" if document is None else json.dumps(document).encode()
        status, answer = self.exchange(self.request_bytes(method, path, body))
        if not 200 <= status < 300:
            raise SystemExit(f"{method} {path}: {status} {answer[:300]!r}")
        return json.loads(answer) if answer else None

    def deploy(self, example: str, name: str, **limits: int) -> None:
        """Deploy `examples/EXAMPLE.wasm` without a limit on what it sends, with `limits` of its resources."""
        module = base64.b64encode((EXAMPLES / f"{example}.wasm").read_bytes()).decode()
        resources = {"messages_per_s": 10_000_000, **limits}
        self.call("POST", "/api/v1/agents", {"name": name, "wasm_module": module, "resources": resources})

    def close(self) -> None:
        self._socket.close()

    def _more(self) -> bytes:
        part = self._socket.recv(65536)
        if not part:
            raise SystemExit("the server closed the connection")
        return part
