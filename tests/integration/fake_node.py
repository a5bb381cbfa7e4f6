"""The real API on a real socket, over services in memory. For clients, which live in threads of their own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from caxton.api.app import build_app
from caxton.core.errors.access import Unauthorized
from caxton.security.principal import Principal
from caxton.server.http import HttpOptions, HttpServer
from caxton.testing.fakes.node import FakeNode

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")

ADMIN_PROOF, VIEWER_PROOF = "admin-token", "viewer-token"

_DEADLINE_S = 20.0


class KnownTokens:
    """Two principals, each with a token that is a word."""

    def verify(self, token: str) -> Principal:
        """Who bears it."""
        roles = {ADMIN_PROOF: "admin", VIEWER_PROOF: "viewer"}
        if token not in roles:
            raise Unauthorized
        return Principal(roles[token], frozenset({roles[token]}))


class RunningNode:
    """A node that serves. Everything inside belongs to its own event loop; `do` works there."""

    def __init__(self) -> None:
        self.url = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._fakes: FakeNode | None = None

    def do(self, work: Callable[[FakeNode], T]) -> T:
        """Call `work` with the fakes, in their loop."""
        done: Future[T] = Future()

        def run() -> None:
            assert self._fakes is not None
            try:
                done.set_result(work(self._fakes))
            except Exception as exc:
                done.set_exception(exc)

        assert self._loop is not None
        self._loop.call_soon_threadsafe(run)
        return done.result(_DEADLINE_S)

    def stop(self) -> None:
        """End serving."""
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)

    async def serve(self, ready: Future[None], options: HttpOptions) -> None:
        """Serve until `stop`."""
        self._loop, self._end, self._fakes = asyncio.get_running_loop(), asyncio.Event(), FakeNode()
        stopping = asyncio.Event()
        app = build_app(self._fakes.services, KnownTokens(), version="0.0.0", stopping=stopping)
        server = HttpServer(app, options, stopping=stopping)
        await server.start()
        self.url = server.url
        ready.set_result(None)
        await self._end.wait()
        await server.stop(drain_s=0.5)


@contextmanager
def running_node(options: HttpOptions | None = None) -> Generator[RunningNode]:
    """A node on a free port of this machine."""
    node = RunningNode()
    ready: Future[None] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(node.serve(ready, options or HttpOptions())))
    thread.start()
    try:
        ready.result(_DEADLINE_S)
        yield node
    finally:
        node.stop()
        thread.join(_DEADLINE_S)
