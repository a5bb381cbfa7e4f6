"""The gate as httpcore knows it: all that httpx and httpcore send through a pool with this backend passes the gate.

Host header, SNI and the check of the certificate stay with the name; only the connection goes to the checked address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import httpcore

from caxton.egress.gate import connect
from caxton.egress.pace import PacedStream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caxton.egress.policy import Policy


class GatedBackend(httpcore.AsyncNetworkBackend):
    """Raises `Refused` beside httpcore's own errors."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._inner = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See `gate.connect`."""

        async def dial(address: str, timeout_s: float) -> httpcore.AsyncNetworkStream:
            stream = await self._inner.connect_tcp(address, port, timeout_s, local_address, socket_options)
            return cast("httpcore.AsyncNetworkStream", PacedStream(stream))

        fails_with = (httpcore.ConnectError, httpcore.ConnectTimeout)
        return await connect(self._policy, host, port, dial, timeout_s=timeout, fails_with=fails_with)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise httpcore.ConnectError("sockets of this machine are not reached")

    async def sleep(self, seconds: float) -> None:
        """As asked."""
        await self._inner.sleep(seconds)
