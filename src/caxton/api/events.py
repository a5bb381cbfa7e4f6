"""Server-sent events: an answer that goes on for as long as its reader listens."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from caxton.api.reply import encode_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from caxton.api.reply import Receive, Scope, Send
    from caxton.core.views import LogLine

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]
"""The second asks proxies to pass each event on at once."""

HEARTBEAT = b": heartbeat\n\n"
"""A comment: readers drop it, and the connection is seen to live."""


class LogStream:
    """Log lines as events named `log`, with the line's `seq` as id.

    Args:
        past: lines that are sent first.
        lines: lines to come.
        heartbeat_s: silence after which a comment is sent.
        stopping: ends the stream when set.
    """

    def __init__(
        self,
        past: list[LogLine],
        lines: AsyncIterator[LogLine],
        *,
        heartbeat_s: float,
        stopping: asyncio.Event,
    ) -> None:
        self._past = past
        self._lines = lines
        self._heartbeat_s = heartbeat_s
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the reader goes away, the lines end or the server stops."""
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
        first = b"".join(map(_event, self._past)) or HEARTBEAT
        await send({"type": "http.response.body", "body": first, "more_body": True})
        ends = asyncio.ensure_future(_gone(receive)), asyncio.ensure_future(self._stopped())
        try:
            await self._pass_on(send, ends)
        finally:
            for end in ends:
                end.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stopped(self) -> None:
        await self._stopping.wait()

    async def _pass_on(self, send: Send, ends: tuple[asyncio.Future[None], ...]) -> None:
        line = asyncio.ensure_future(_next(self._lines))
        try:
            while True:
                waiting = (line, *ends)
                await asyncio.wait(waiting, timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
                if any(end.done() for end in ends):
                    return
                body = HEARTBEAT
                if line.done():
                    found = line.result()
                    if found is None:
                        return
                    body = _event(found)
                    line = asyncio.ensure_future(_next(self._lines))
                await send({"type": "http.response.body", "body": body, "more_body": True})
        finally:
            await _close(line, self._lines)


async def _close(line: asyncio.Future[LogLine | None], lines: AsyncIterator[LogLine]) -> None:
    """End the iterator here and now, not when the garbage collector finds it."""
    line.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await line
    close = getattr(lines, "aclose", None)
    if close is not None:
        await close()


async def _next(lines: AsyncIterator[LogLine]) -> LogLine | None:
    return await anext(lines, None)


async def _gone(receive: Receive) -> None:
    """Return when the client is no longer there."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(line: LogLine) -> bytes:
    return b"event: log\nid: %d\ndata: %b\n\n" % (line.seq, encode_json(line))
