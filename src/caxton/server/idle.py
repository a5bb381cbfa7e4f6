"""Closes connections that granian leaves open: silent ones, and readers that do not read.

What granian closes by itself was measured (2.8.7): HTTP/1.1 headers that do not end within `header_read_timeout`,
keep-alive connections without a next request in that time, TLS handshakes after 10 s. What it never closes: a
connection that says nothing at all, one that stops within the 24 bytes that would make it HTTP/2, HTTP/2 without
requests, and a client that does not take its answer. Those are looked for here, in the kernel's own table: granian
does not tell of its connections, but they are this process's file descriptors.

Two rules. A connection without an open request is cut when its last request (or its birth) is `idle_s` ago, whatever
bytes trickle in: what it sends is no request. A connection with unsent answer bytes is cut when its reader takes less
than `MIN_PROGRESS_BYTES` in `idle_s`. A request that waits for its agent, or a quiet event stream, offends neither.

Linux only (/proc/self/fd and TCP_INFO); elsewhere granian's own limits are all there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from socket import SocketType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.api.reply import Asgi

logger = logging.getLogger(__name__)

MIN_PROGRESS_BYTES = 16 << 10
"""In 30 s this is 4 kbit/s: slower than any modem that still rings."""

SWEEPS_PER_LIMIT = 6
"""A limit of 30 s is looked after each 5 s, so a connection lives 30 to 35 s. A look costs some 20 µs a connection."""

FDS_PER_TURN = 50
"""About 1 ms of looking before the event loop gets a turn."""

_FDS = Path("/proc/self/fd")
IS_SUPPORTED = _FDS.is_dir()
_FAMILIES = (int(socket.AF_INET), int(socket.AF_INET6))
_COUNT = struct.Struct("=I")
_TOTALS = struct.Struct("=QQ")
_UNACKED_AT, _TOTALS_AT, _UNSENT_AT = 24, 120, 144
_INFO_BYTES = 148
"""Of `struct tcp_info` in linux/tcp.h: tcpi_unacked, tcpi_bytes_acked and _received, tcpi_notsent_bytes."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: the kernel drops what the reader did not take, instead of keeping it for minutes."""

Peer = tuple[str, str]
"""Address and port of the other side, as ASGI has them."""


class Requests:
    """An ASGI application around another one that knows which peers have requests open."""

    def __init__(self, app: Asgi) -> None:
        self._app = app
        self.open: dict[Peer, int] = {}
        self.ended_at: dict[Peer, float] = {}
        """When each peer's last request ended, monotonic; forgotten by the sweep that finds the peer gone."""
        self.tasks: set[asyncio.Task[Any]] = set()
        """The tasks of open requests, for those who must end them."""
        self._none_open = asyncio.Event()
        self._none_open.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Count the request while it is open."""
        peer = scope["client"]
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self.open[peer] = self.open.get(peer, 0) + 1
        self.tasks.add(task)
        self._none_open.clear()
        try:
            await self._app(scope, receive, send)
        finally:
            self.ended_at[peer] = time.monotonic()
            self.tasks.discard(task)
            left = self.open[peer] - 1
            if left:
                self.open[peer] = left
            else:
                del self.open[peer]
            if not self.tasks:
                self._none_open.set()

    async def wait_none(self, timeout_s: float) -> bool:
        """Wait until no request is open; False if that took too long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._none_open.wait()
        except TimeoutError:
            return False
        return True


@dataclass(slots=True)
class Watched:
    """What the last sweeps saw of one connection."""

    quiet_since: float
    """Its birth or the end of its last request, as far as was seen."""
    stalled_since: float | None = None
    """Since when there have been bytes that the reader does not take."""
    acked_before: int = 0
    """What the reader had taken at `stalled_since`."""
    received_before: int = 0

    def begin(self, seen: Seen, now: float) -> None:
        """Measure anew what the reader takes."""
        self.stalled_since, self.acked_before, self.received_before = now, seen.acked, seen.received


@dataclass(frozen=True, slots=True)
class Seen:
    """One connection at this moment."""

    is_open: bool
    """It has a request that is not yet answered."""
    ended_at: float
    """End of its last request; 0 if there was none."""
    acked: int
    """Bytes that its reader has taken, ever."""
    received: int
    """Bytes that it has sent, ever."""
    is_waiting: bool
    """There are bytes that its reader has not taken."""


def is_over(watched: Watched, seen: Seen, now: float, idle_s: float) -> bool:
    """Whether to cut the connection; `watched` is brought up to date."""
    stalled_s, is_busy = 0.0, seen.is_open
    if not seen.is_waiting:
        watched.stalled_since = None
    elif watched.stalled_since is None:
        watched.begin(seen, now)
    elif (taken := seen.acked - watched.acked_before) >= MIN_PROGRESS_BYTES:
        # The answer to a request that the application is done with is on its way; or HTTP/2 answers pings, one by one.
        is_busy |= taken > 2 * (seen.received - watched.received_before)
        watched.begin(seen, now)
    else:
        stalled_s = now - watched.stalled_since
    watched.quiet_since = now if is_busy else max(watched.quiet_since, seen.ended_at)
    return max(stalled_s, now - watched.quiet_since) >= idle_s


class IdleReaper:
    """Looks at a server's connections every few seconds and cuts those that are over.

    Args:
        port: the local port of the server.
        requests: what is open.
        idle_s: how long a connection may do nothing.
    """

    def __init__(self, port: int, requests: Requests, *, idle_s: float = 30.0) -> None:
        self._port = port
        self._requests = requests
        self._idle_s = idle_s
        self._watched: dict[str, Watched] = {}

    async def run(self) -> None:
        """Sweep until cancelled."""
        if not IS_SUPPORTED:
            logger.warning("idle connections are not closed on this system", extra={"action": "http.idle_off"})
            return
        while True:
            await asyncio.sleep(self._idle_s / SWEEPS_PER_LIMIT)
            try:
                await self.sweep()
            except Exception:  # the wall of this task: without it, one odd socket would end all looking
                logger.exception("idle connections were not looked at", extra={"action": "http.idle_failed"})

    async def sweep(self) -> int:
        """Look at every connection once. Returns how many were cut."""
        started_at = time.monotonic()
        watched, self._watched = self._watched, {}
        peers: set[Peer] = set()
        cut = 0
        for count, (name, peer, connection) in enumerate(connections(self._port)):
            peers.add(peer)
            state = watched.get(name) or Watched(quiet_since=started_at)
            seen = self._seen(connection, peer)
            if is_over(state, seen, time.monotonic(), self._idle_s):
                cut += 1
                _cut(connection, drop_unsent=seen.is_waiting)
            else:
                self._watched[name] = state
            if count % FDS_PER_TURN == FDS_PER_TURN - 1:
                await asyncio.sleep(0)
        ended_at = self._requests.ended_at
        for peer in [peer for peer, at in ended_at.items() if at < started_at and peer not in peers]:
            del ended_at[peer]
        if cut:
            logger.debug("idle connections closed", extra={"action": "http.idle_closed", "count": cut})
        return cut

    def _seen(self, connection: SocketType, peer: Peer) -> Seen:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        acked, received, is_waiting = 0, 0, False
        if len(info) >= _INFO_BYTES:  # shorter before Linux 4.6
            acked, received = _TOTALS.unpack_from(info, _TOTALS_AT)
            is_waiting = any(_COUNT.unpack_from(info, at)[0] for at in (_UNACKED_AT, _UNSENT_AT))
        return Seen(
            is_open=peer in self._requests.open,
            ended_at=self._requests.ended_at.get(peer, 0.0),
            acked=acked,
            received=received,
            is_waiting=is_waiting,
        )


def cut_all(port: int) -> None:
    """Cut every connection to `port`, at once."""
    for _, _, connection in connections(port):
        _cut(connection, drop_unsent=True)


def connections(port: int) -> Iterator[tuple[str, Peer, SocketType]]:
    """The accepted connections to this process's `port`: a name that no other has, the other side, a duplicate.

    A duplicate, because granian may close its own descriptor at any moment and the number then belong to another file.
    It is closed when the next one is asked for. Not wrapped in `socket.socket`, which would double what a look costs.
    """
    for entry in os.listdir(_FDS) if IS_SUPPORTED else []:
        try:
            name = os.readlink(f"{_FDS}/{entry}")
            connection = SocketType(fileno=os.dup(int(entry))) if name.startswith("socket:") else None
        except OSError:  # it was closed while we looked
            continue
        if connection is None:
            continue
        try:
            peer = _accepted_from(connection, port)
            if peer is not None:
                yield name, peer, connection
        finally:
            connection.close()


def _accepted_from(connection: SocketType, port: int) -> Peer | None:
    """The other side of a connection to our `port`; None for any other socket."""
    if connection.family not in _FAMILIES or connection.type != socket.SOCK_STREAM:
        return None
    try:
        if connection.getsockname()[1] != port:
            return None
        host, peer_port = connection.getpeername()[:2]
    except OSError:  # a listening socket, or one that is closed already
        return None
    return (host.partition("%")[0], str(peer_port))


def _cut(connection: SocketType, *, drop_unsent: bool) -> None:
    with contextlib.suppress(OSError):  # the client was faster
        if drop_unsent:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RDWR)
