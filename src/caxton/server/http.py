"""Serves an ASGI application over HTTP/1.1 and HTTP/2, with TLS 1.3 if there is a certificate.

The server is granian, embedded in the running event loop; its threads speak HTTP, the application runs in the loop.
Added here is what its embedded form lacks: a socket that is bound first (so port 0 and a taken port are known at once;
its own sets SO_REUSEPORT, which lets a second server share the port in silence), a start that ends when requests are
answered, a stop that ends, and `server.idle`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from granian.constants import Interfaces, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # pyright: ignore[reportPrivateImportUsage]
from granian.server.embed import Server

from caxton.api.app import build_app
from caxton.api.services import Services
from caxton.core.errors.server import InvalidConfig, PortInUse
from caxton.server.idle import IdleReaper, Requests, cut_all
from caxton.version import VERSION

if TYPE_CHECKING:
    from caxton.api.guard import Verifier
    from caxton.api.reply import Asgi
    from caxton.server.config.settings import Settings
    from caxton.server.rooms import Rooms

logger = logging.getLogger(__name__)

BACKLOG = 1024
"""Connections that the kernel holds until they are accepted: one burst."""

HEADER_BYTES = 16 << 10
"""A token may have 8 KiB, and other headers stand beside it."""

MAX_STREAMS = 100
"""Requests at once on one HTTP/2 connection."""

PING_S = 20
"""HTTP/2 connections with open requests are asked this often whether they live, and have as long to say so."""

RESERVED_FILES = 256
"""Descriptors kept free for files, when all connections are taken. Without that, granian would spin on `accept`."""

START_TIMEOUT_S = 10.0
LAST_WORDS_S = 1.0
"""For the last answers to get through, and for threads to end."""

_TASKS = Path("/proc/self/task")
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (they are recognized, not bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Where and how to serve."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one; `HttpServer.port` tells which."""
    tls_cert: Path | None = None
    """Certificate chain, PEM. With a key: TLS 1.3 and nothing else."""
    tls_key: Path | None = None
    header_timeout_s: float = 10.0
    """For the headers of a request; also how long a kept-alive HTTP/1.1 connection waits for its next one."""
    idle_timeout_s: float = 30.0
    """See `server.idle`."""
    max_connections: int = 10_000


class _Granian(Server):
    """granian on a socket that is bound already."""

    def __init__(self, app: Asgi, listener: socket.socket, **options: Any) -> None:
        self._listener = listener
        super().__init__(app, **options)

    def _init_shared_socket(self) -> None:
        # granian's worker closes the descriptor when it ends, so it is given away.
        self._ssp = None
        self._shd = SocketHolder(self._listener.detach(), False, BACKLOG)  # pyright: ignore[reportCallIssue]


class HttpServer:
    """One listening socket and what answers on it. Make it, `start` it, `stop` it; it serves once.

    Args:
        app: the ASGI application.
        options: where and how.
        stopping: set by `stop`, before anything else; the application ends its streams on it.
        opened: set by `open`.
    """

    def __init__(
        self, app: Asgi, options: HttpOptions, *, stopping: asyncio.Event, opened: asyncio.Event | None = None
    ) -> None:
        self._opened = asyncio.Event() if opened is None else opened
        self._options = options
        self._stopping = stopping
        self._requests = Requests(app)
        self._listener: socket.socket | None = None
        self._granian: _Granian | None = None
        self._serving: asyncio.Task[None] | None = None
        self._reaper: asyncio.Task[None] | None = None
        self._threads: set[str] = set()
        self.port = 0
        self.ended = asyncio.Event()
        """Set when the server is no longer there, asked or not."""

    @property
    def url(self) -> str:
        """Where this machine's clients find the server."""
        host = self._options.host.strip("[]")
        host = _WILDCARDS.get(host, host)
        scheme = "https" if self._options.tls_cert else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def bind(self) -> None:
        """Take the address; clients that connect from now on wait for `start`. Raises `PortInUse`."""
        if self._listener is None:
            self._listener = _listen(self._options.host.strip("[]"), self._options.port)
            self.port = self._listener.getsockname()[1]

    async def start(self) -> None:
        """Serve. Requests are answered when this returns.

        Raises:
            PortInUse: the address cannot be bound.
            InvalidConfig: the certificate or its key cannot be used.
        """
        check_certificate(self._options)
        self.bind()
        assert self._listener is not None  # noqa: S101
        before = _threads()
        address: str = self._listener.getsockname()[0]
        self._granian = _Granian(self._requests, self._listener, **_granian_options(self._options))
        self._serving = asyncio.create_task(self._granian.serve(), name="granian")
        self._serving.add_done_callback(self._has_ended)
        await self._wait_answering(address)
        self._threads = _threads() - before
        reaper = IdleReaper(self.port, self._requests, idle_s=self._options.idle_timeout_s)
        self._reaper = asyncio.create_task(reaper.run(), name="idle reaper")

    def open(self) -> None:
        """What the application stands for is there: answer everything."""
        self._opened.set()

    def refuse(self) -> None:
        """Answer new requests with SHUTTING_DOWN and end the streams; open requests go on."""
        self._stopping.set()

    async def stop(self, *, drain_s: float = 5.0) -> None:
        """Refuse new requests, let open ones end, then break off what is left. Stopping twice is allowed.

        Args:
            drain_s: how long open requests may take.
        """
        self._stopping.set()
        if self._serving is None or self._granian is None:
            if self._listener is not None:
                self._listener.close()
            return
        if self._reaper is not None:
            self._reaper.cancel()
        self._granian.stop()
        if not await self._requests.wait_none(drain_s):
            self._break_off()
            await self._requests.wait_none(LAST_WORDS_S)
        if not await _is_done(self._serving, LAST_WORDS_S):
            # HTTP/2 clients that do not hang up, half-sent requests, answers that nobody takes.
            cut_all(self.port)
            await _is_done(self._serving, LAST_WORDS_S)
        await self._wait_quiet()

    def _break_off(self) -> None:
        """Cancel what is still open. The application answers with 503, since it stops."""
        tasks = list(self._requests.tasks)
        logger.warning("requests broken off", extra={"action": "http.broken_off", "count": len(tasks)})
        for task in tasks:
            task.cancel()

    async def _wait_answering(self, address: str) -> None:
        assert self._serving is not None  # noqa: S101
        probe = asyncio.create_task(self._probe(address))
        await asyncio.wait({probe, self._serving}, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if probe.done() and not probe.cancelled() and probe.exception() is None:
            return
        probe.cancel()
        await self.stop(drain_s=0)
        raise InvalidConfig("http server", "it does not answer; its log says more (is the TLS key of a common kind?)")

    async def _probe(self, address: str) -> None:
        """Ask once, as a client would. The socket listens already, so this waits until somebody answers."""
        context = None
        if self._options.tls_cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(_WILDCARDS.get(address, address), self.port, ssl=context)
        try:
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            await reader.readuntil(b"\r\n")
        finally:
            writer.close()

    async def _wait_quiet(self) -> None:
        """Wait for granian's threads.

        A thread that still wants the interpreter while it shuts down makes granian abort the process.
        """
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                while self._threads & _threads():  # noqa: ASYNC110  (threads that are not ours set no event)
                    await asyncio.sleep(0.005)
        except TimeoutError:
            logger.warning("the HTTP server left threads behind", extra={"action": "http.threads_left"})

    def _has_ended(self, serving: asyncio.Task[None]) -> None:
        self.ended.set()
        if not serving.cancelled() and serving.exception() is not None:
            logger.error("the HTTP server failed", exc_info=serving.exception(), extra={"action": "http.failed"})
        elif not self._stopping.is_set():
            logger.error("the HTTP server ended by itself", extra={"action": "http.ended"})


def http_door(settings: Settings, rooms: Rooms, verifier: Verifier) -> HttpServer:
    """The REST API of a node, ready to be started. Until `open` it answers only those who ask whether it is ready."""
    stopping, opened = asyncio.Event(), asyncio.Event()
    services = Services(
        conversations=rooms.conversations,
        agents=rooms.agents, capabilities=rooms.capabilities, messages=rooms.messages,
            dead_letters=rooms.dead_letters, tasks=rooms.tasks,
        logs=rooms.log, sniff=rooms.sniff, storage=rooms.upkeep, server=rooms.status, workspaces=rooms.workspaces,
        recordings=rooms.recording_service,
        traces=rooms.traces,
        stats=rooms.stats,
        tools=rooms.tools,
        debugging=rooms.debugging, bundle=rooms.bundle,
    )  # fmt: skip
    app = build_app(
        services,
        verifier,
        version=VERSION,
        stopping=stopping,
        allowed_hosts=[*settings.allowed_hosts, _as_host_header(settings.host)],
        meter=rooms.meter,
        opened=opened,
    )
    options = HttpOptions(host=settings.host, port=settings.port, tls_cert=settings.tls_cert, tls_key=settings.tls_key)
    return HttpServer(app, options, stopping=stopping, opened=opened)


def check_certificate(options: HttpOptions) -> None:
    """Raise `InvalidConfig` unless certificate and key fit each other, or both are missing."""
    if options.tls_cert is None and options.tls_key is None:
        return
    if options.tls_cert is None or options.tls_key is None:
        raise InvalidConfig("tls_cert and tls_key", "give both or neither")
    try:
        # An empty password, because without one an encrypted key would make OpenSSL ask at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(options.tls_cert, options.tls_key, password="")
    except ssl.SSLError as exc:
        raise InvalidConfig("tls_cert and tls_key", "they are no certificate and its own, unencrypted key") from exc
    except OSError as exc:
        raise InvalidConfig("tls_cert and tls_key", exc.strerror or "they cannot be read") from exc


def _as_host_header(host: str) -> str:
    host = host.strip("[]")
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listener = socket.socket(found[0][0], socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.bind(found[0][4])
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as exc:
        raise PortInUse(host, port, exc.strerror or str(exc)) from exc
    return listener


def _granian_options(options: HttpOptions) -> dict[str, Any]:
    return {
        "interface": Interfaces.ASGINL,
        "websockets": False,
        "backlog": BACKLOG,
        "backpressure": connection_limit(options.max_connections),
        "http1_settings": HTTP1Settings(
            header_read_timeout=int(options.header_timeout_s * 1000), max_buffer_size=HEADER_BYTES
        ),
        "http2_settings": HTTP2Settings(
            keep_alive_interval=PING_S * 1000,
            keep_alive_timeout=PING_S,
            max_concurrent_streams=MAX_STREAMS,
            max_headers_size=HEADER_BYTES,
        ),
        "ssl_cert": options.tls_cert,
        "ssl_key": options.tls_key,
        "ssl_protocol_min": SSLProtocols.tls13,
        "log_level": LogLevels.warning,
        "log_dictconfig": _quiet(),
    }


def _quiet() -> dict[str, Any]:
    """Logging for granian: through the process's own handlers, not through one of its own on stdout.

    Incremental, because anything else would close every handler that the process has.
    """
    logging.getLogger("_granian").addFilter(_is_news)
    return {"incremental": True, "formatters": {}, "handlers": {}, "loggers": {}}


def _is_news(record: logging.LogRecord) -> bool:
    return "is experimental" not in str(record.msg)


def connection_limit(wanted: int) -> int:
    """How many connections to accept at once: `wanted`, or what the limit on open files leaves room for.

    The limit is raised as far as the system lets this process raise it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - RESERVED_FILES))


async def _is_done(task: asyncio.Task[None], timeout_s: float) -> bool:
    done, _ = await asyncio.wait({task}, timeout=timeout_s)
    return bool(done)


def _threads() -> set[str]:
    """Ids of all threads of this process, the interpreter's and others."""
    return set(os.listdir(_TASKS)) if _TASKS.is_dir() else set()
