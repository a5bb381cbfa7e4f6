"""Requests to an MCP server over HTTP, each bounded and alone: what goes wrong in one is the error of that one.

Left alone, the SDK's client reads answers of any size, and is torn down with all its calls when one connection breaks.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import httpx2

from caxton.tools.mcp.outcomes import BROKEN, TOO_LARGE, TOO_LARGE_TEXT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

CONNECT_S = 10.0
MAX_CALL_S = 600.0
"""How long an answer may take to begin or to go on; the deadline of a call is shorter."""

NOTICE_S = 2.0
"""For a notification, as that a call is taken back: the SDK sends nothing else meanwhile."""

MAX_CONNECTIONS = 100

_GATEWAY = (502, 503, 504)
"""Statuses of something before the server, as of our own way out: it was not reached."""

_REQUEST = re.compile(rb'\{"jsonrpc":"2\.0","id":(\d+),')
_CANCELLED = re.compile(rb'\{"jsonrpc":"2\.0","method":"notifications/cancelled","params":\{"requestId":(\d+)\b')
_NOTICE = b'{"jsonrpc":"2.0","method":"notifications/'


@asynccontextmanager
async def open_client(
    open_transport: Callable[[], httpx2.AsyncBaseTransport] | None, *, headers: Mapping[str, str], most_bytes: int
) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client for one server. `most_bytes`: of one answer."""
    limits = httpx2.Limits(max_connections=MAX_CONNECTIONS)
    inner = open_transport() if open_transport else httpx2.AsyncHTTPTransport(trust_env=False, limits=limits)
    timeout = httpx2.Timeout(MAX_CALL_S, connect=CONNECT_S)
    transport = BoundedTransport(inner, most_bytes)
    async with httpx2.AsyncClient(transport=transport, trust_env=False, headers=headers, timeout=timeout) as client:
        yield client


class _Abort:
    """Lets somebody else cut a wait short."""

    def __init__(self) -> None:
        self._is_asked = False
        self._timeout: asyncio.Timeout | None = None

    def ask(self) -> None:
        self._is_asked = True
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def allowed(self, seconds: float | None = None) -> AsyncGenerator[None]:
        """Raises `TimeoutError` out of its body when asked, or after so long."""
        async with asyncio.timeout(0 if self._is_asked else seconds) as self._timeout:
            try:
                yield
            finally:
                self._timeout = None


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Goes through `inner`, and answers 502 with an error of JSON-RPC instead of raising, or of reading too much."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, most_bytes: int) -> None:
        self._inner, self._most_bytes = inner, most_bytes
        self._aborts: dict[bytes, _Abort] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        if taken_back := _CANCELLED.match(body):
            self._abort(taken_back[1])
        abort = _Abort()
        found = _REQUEST.match(body)
        key = found[1] if found else b""
        if key:
            self._aborts[key] = abort
        is_stream = False
        try:
            async with abort.allowed(NOTICE_S if body.startswith(_NOTICE) else None):
                response = await self._inner.handle_async_request(request)
                if response.headers.get("content-type", "").lower().startswith("text/event-stream"):
                    is_stream = True
                    most = None if _is_endless(request) else self._most_bytes
                    return self._streamed(response, abort, key, most)
                if response.status_code in _GATEWAY and "json" not in response.headers.get("content-type", ""):
                    await response.aclose()
                    return _error(request, BROKEN)
                return await self._read(request, response)
        except (httpx2.TransportError, httpx2.StreamError, OSError):  # TimeoutError too
            return _error(request, BROKEN)
        finally:
            if not is_stream:
                self._forget(key, abort)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _abort(self, key: bytes) -> None:
        if (abort := self._aborts.get(key)) is not None:
            abort.ask()

    def _forget(self, key: bytes, abort: _Abort) -> None:
        if self._aborts.get(key) is abort:
            del self._aborts[key]

    async def _read(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        got = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                got += chunk
                if len(got) > self._most_bytes:
                    return _error(request, TOO_LARGE)
        finally:
            await response.aclose()
        left_out = ("content-length", "content-encoding", "transfer-encoding")
        headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in left_out]
        return httpx2.Response(response.status_code, headers=headers, content=bytes(got), request=request)

    def _streamed(self, response: httpx2.Response, abort: _Abort, key: bytes, most: int | None) -> httpx2.Response:
        stream = _BoundedStream(response, abort, most, lambda: self._forget(key, abort))
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )


class _BoundedStream(httpx2.AsyncByteStream):
    """Of server-sent events: ends when there are too many, or when its call is taken back."""

    def __init__(self, response: httpx2.Response, abort: _Abort, most: int | None, forget: Callable[[], None]) -> None:
        self._response, self._abort, self._most, self._forget = response, abort, most, forget

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(cast("httpx2.AsyncByteStream", self._response.stream))
        count = 0
        while True:
            try:
                async with self._abort.allowed():
                    chunk = await anext(chunks, None)
            except TimeoutError:
                raise httpx2.ReadError("taken back") from None
            if chunk is None:
                return
            count += len(chunk)
            if self._most is not None and count > self._most:
                raise httpx2.SSEError(TOO_LARGE_TEXT)
            yield chunk

    async def aclose(self) -> None:
        self._forget()
        await self._response.aclose()


def _is_endless(request: httpx2.Request) -> bool:
    """Streams of notices last."""
    return request.method == "GET" or request.headers.get("mcp-method") == "subscriptions/listen"


def _error(request: httpx2.Request, code: int) -> httpx2.Response:
    """The SDK takes the error as the server's own answer."""
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": "made up on our side"}}
    headers = {"content-type": "application/json"}
    return httpx2.Response(502, headers=headers, content=json.dumps(error).encode(), request=request)
