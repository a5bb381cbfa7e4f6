"""Whoever sends a body in single bytes must not keep the event loop: others have their turn every millisecond or so.

Measured without: 64 KiB of chunks of one byte, which the HTTP library works through at once, took 130 to 350 ms.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, AsyncIterable

READ_BYTES = 4096
"""Given to the HTTP library at once: what is no piece of a body, such as many answers 100, it takes in one go."""

SLICE_S = 0.001
"""How long pieces of a body are taken before others have their turn."""


async def paced(pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """The same pieces, with turns for others between them."""
    since = time.perf_counter()
    async for piece in pieces:
        yield piece
        if time.perf_counter() - since > SLICE_S:
            await asyncio.sleep(0)
            since = time.perf_counter()


class PacedStream:
    """Reads a little at a time, with a turn for others before each."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """At most `READ_BYTES`."""
        await asyncio.sleep(0)
        return await self._inner.read(min(max_bytes, READ_BYTES), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """All of it."""
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        """See httpcore."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> PacedStream:
        """See httpcore."""
        return PacedStream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """See httpcore."""
        return self._inner.get_extra_info(info)
