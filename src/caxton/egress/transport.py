"""The way out for MCP over HTTP, as httpx2 knows it (the SDK's HTTP library): the same gate, and answers with an end.

What fails here fails one request: it comes back as status 502. An exception would end the SDK's whole client, with all
calls that wait on it. Event streams are passed on as they come; the SDK bounds each event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import httpcore2
import httpx2

from caxton.egress.gate import connect
from caxton.egress.pace import PacedStream, paced
from caxton.egress.refused import EgressError, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from caxton.egress.policy import Policy

MAX_ANSWER_BYTES = 4 << 20
"""Of one answer that is no event stream."""

MAX_CONNECTIONS = 100
"""To one server at once; an event stream holds one."""

_FRAMING = frozenset((b"content-length", b"transfer-encoding"))


def capped_transport(policy: Policy, *, most: int = MAX_ANSWER_BYTES) -> httpx2.AsyncBaseTransport:
    """For `httpx2.AsyncClient(transport=…, trust_env=False)`, which closes it. Time is the client's to bound."""
    return _Capped(policy, most)


class _Capped(httpx2.AsyncBaseTransport):
    def __init__(self, policy: Policy, most: int) -> None:
        self._policy, self._most = policy, most
        trust = policy.trust()
        self._inner = httpx2.AsyncHTTPTransport(verify=trust, trust_env=False)
        self._inner._pool = httpcore2.AsyncConnectionPool(  # pyright: ignore[reportPrivateUsage]  # it takes no backend
            ssl_context=trust, max_connections=MAX_CONNECTIONS, network_backend=_GatedBackend(policy)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        counters = self._policy.counters
        counters.requests += 1
        try:
            return await self._capped(request)
        except Refused as error:
            counters.refused[error.reason] += 1
            return httpx2.Response(502, text=str(error), request=request)
        except EgressError as error:
            return httpx2.Response(502, text=str(error), request=request)
        except httpx2.TransportError:
            return httpx2.Response(502, text="there is no connection, or it broke", request=request)

    async def _capped(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return httpx2.Response(
                response.status_code,
                headers=response.headers,
                stream=_PacedBody(response.stream),
                extensions=response.extensions,
                request=request,
            )
        try:
            body = await self._read(response)
        finally:
            await response.aclose()
        if body is None:
            return httpx2.Response(502, text=f"the answer has more than {self._most} bytes", request=request)
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _FRAMING]
        return httpx2.Response(response.status_code, headers=headers, content=body, request=request)

    async def _read(self, response: httpx2.Response) -> bytes | None:
        body = bytearray()
        async for chunk in paced(response.aiter_raw()):
            body += chunk
            if len(body) > self._most:
                return None
        self._policy.counters.bytes_in += len(body)
        return bytes(body)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _PacedBody(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream | httpx2.AsyncByteStream) -> None:
        self._inner = cast("httpx2.AsyncByteStream", inner)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return paced(self._inner)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _GatedBackend(httpcore2.AsyncNetworkBackend):
    """`backend.GatedBackend` for the other library: its errors are classes of its own."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._inner = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        async def dial(address: str, timeout_s: float) -> httpcore2.AsyncNetworkStream:
            stream = await self._inner.connect_tcp(address, port, timeout_s, local_address, socket_options)
            return cast("httpcore2.AsyncNetworkStream", PacedStream(stream))

        fails_with = (httpcore2.ConnectError, httpcore2.ConnectTimeout)
        return await connect(self._policy, host, port, dial, timeout_s=timeout, fails_with=fails_with)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("sockets of this machine are not reached")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
