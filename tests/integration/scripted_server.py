"""A server that says what it was told to, for the ways in which a real one never answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

_DEADLINE_S = 10.0


class ScriptedServer:
    """Gives each connection the next answer and hangs up. `requests` has the heads that came."""

    def __init__(self, answers: list[bytes]) -> None:
        self.requests: list[str] = []
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_DEADLINE_S)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def run(self) -> None:
        """Serve until the answers are used up."""
        with self._listener:
            for answer in self._answers:
                try:
                    connection, _ = self._listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(_DEADLINE_S)
                    self.requests.append(_head(connection))
                    connection.sendall(answer)

    def close(self) -> None:
        """Stop listening, also where that is waited for right now."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def scripted(*answers: bytes) -> Generator[ScriptedServer]:
    """A running server with these answers, one for each connection."""
    server = ScriptedServer(list(answers))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(_DEADLINE_S)


def answer(body: bytes, *, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """A whole answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def stream(body: bytes) -> bytes:
    """The beginning of an event stream that breaks off."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + body


def _head(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            break
        data += chunk
    return data.partition(b"\r\n\r\n")[0].decode()
