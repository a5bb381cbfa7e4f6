"""A session of `requests` whose answers have a deadline as a whole. Loads requests and urllib3: import it late.

Their own timeout is for each read from the socket: a collector that sends one byte a second holds a request for ever.
"""

# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Lock, Timer
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import ProxyManager

MAX_ANSWER_BYTES = 65_536
"""As much of an answer is read; nobody needs what it says."""


class Line:
    """The one connection that a session has: its requests come from one thread, one after the other."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._owner: Any = None
        self._socket: socket.socket | None = None
        self._is_cut = self._is_closed = False

    def begin(self) -> None:
        """A request begins, and is not cut yet."""
        self._is_cut = self._is_closed

    def hold(self, owner: Any, made: socket.socket) -> socket.socket:
        """Remember it, by a descriptor of our own: that of its owner changes hands when TLS begins."""
        with self._lock:
            self._drop()
            self._owner, self._socket = owner, made.dup()
            if self._is_cut:  # while the connection was being made
                self._shut()
        return made

    def cut(self) -> None:
        """End it, so that who reads from it or writes to it goes on. From any thread."""
        with self._lock:
            self._is_cut = True
            self._shut()

    def let_go(self) -> None:
        """Close our descriptor if its owner closed its own: the other side should hear of the end."""
        with self._lock:
            if self._owner is not None and self._owner.sock is None:
                self._drop()

    def close(self) -> None:
        """End it for good."""
        self._is_closed = True
        self.cut()
        with self._lock:
            self._drop()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._owner = self._socket = None


class _Adapter(HTTPAdapter):
    """Makes connections that `line` knows."""

    def __init__(self, line: Line) -> None:
        self._pools = _pools(line)
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager: Any = super().proxy_manager_for(*args, **options)
        if isinstance(manager, ProxyManager):  # not one for SOCKS, which has pools of its own
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(line: Line) -> dict[str, type]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return line.hold(self, super()._new_conn())

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return line.hold(self, super()._new_conn())

    class PlainPool(HTTPConnectionPool):
        ConnectionCls: Any = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls: Any = Secure

    return {"http": PlainPool, "https": SecurePool}


class BoundedSession(requests.Session):
    """See the module. `timeout` of a request is for all of it: connecting, sending, and what is read of the answer."""

    def __init__(self) -> None:
        super().__init__()
        self._line = Line()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(self._line))

    def request(self, *args: Any, timeout: float, **options: Any) -> requests.Response:
        """Raises `requests.Timeout` if there is no whole answer within `timeout` seconds."""
        is_late = False
        self._line.begin()

        def end() -> None:
            nonlocal is_late
            is_late = True
            self._line.cut()

        watchdog = Timer(timeout, end)
        watchdog.daemon = True
        watchdog.start()
        try:
            with super().request(*args, timeout=timeout, **{**options, "stream": True}) as response:
                response.raw.read(MAX_ANSWER_BYTES)
        except Exception as exc:
            if is_late:
                raise requests.Timeout(f"no whole answer within {timeout:.3g} s") from exc
            raise
        finally:
            watchdog.cancel()
            self._line.let_go()
        if is_late:
            raise requests.Timeout(f"no whole answer within {timeout:.3g} s")
        return response

    def close(self) -> None:
        """End the connection, also under a request that is on its way."""
        super().close()
        self._line.close()
