"""Server-sent events: an answer that goes on for as long as its reader listens."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from caxton.api.reply import encode_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from caxton.api.reply import Receive, Scope, Send

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]
"""The second asks proxies to pass each event on at once."""

HEARTBEAT = b": heartbeat\n\n"
"""A comment: readers drop it, and the connection is seen to live."""


def event(name: str, value: object, *, number: int | None = None) -> bytes:
    """One event: `value` as JSON, `number` as its id."""
    head = f"event: {name}\n" if number is None else f"event: {name}\nid: {number}\n"
    return b"%bdata: %b\n\n" % (head.encode(), encode_json(value))


class EventStream:
    """Events as they come.

    Args:
        first: events that are sent at once.
        events: those to come, one or several at a time; closed at the end if it can be.
        heartbeat_s: silence after which a comment is sent.
        stopping: ends the stream when set.
        lasts_s: it ends by itself after so long, with `last`; None: only with its reader or the server.
        last: see `lasts_s`.
    """

    def __init__(
        self, first: bytes, events: AsyncIterator[bytes], *, heartbeat_s: float, stopping: asyncio.Event,
        lasts_s: float | None = None, last: bytes = b"",
    ) -> None:  # fmt: skip
        self._first, self._events = first, events
        self._heartbeat_s, self._stopping = heartbeat_s, stopping
        self._lasts_s, self._last = lasts_s, last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the reader goes away, the events end, the time is over or the server stops."""
        ends = asyncio.ensure_future(_gone(receive)), asyncio.ensure_future(self._stopped())
        over = asyncio.ensure_future(self._over())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
            await send({"type": "http.response.body", "body": self._first or HEARTBEAT, "more_body": True})
            await self._pass_on(send, ends, over)
            last = self._last if over.done() else b""
        finally:
            for end in (*ends, over):
                end.cancel()
            await _close(self._events)
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _stopped(self) -> None:
        await self._stopping.wait()

    async def _over(self) -> None:
        if self._lasts_s is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(self._lasts_s)

    async def _pass_on(self, send: Send, ends: tuple[asyncio.Future[None], ...], over: asyncio.Future[None]) -> None:
        coming = asyncio.ensure_future(_next(self._events))
        try:
            while not over.done():
                waiting = (coming, *ends, over)
                await asyncio.wait(waiting, timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
                if any(end.done() for end in ends):
                    return
                body = HEARTBEAT
                if coming.done():
                    found = coming.result()
                    if found is None:
                        return
                    body = found
                    coming = asyncio.ensure_future(_next(self._events))
                await send({"type": "http.response.body", "body": body, "more_body": True})
        finally:
            coming.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await coming


async def _close(events: AsyncIterator[bytes]) -> None:
    """End the iterator here and now, not when the garbage collector finds it."""
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


async def _next(events: AsyncIterator[bytes]) -> bytes | None:
    return await anext(events, None)


async def _gone(receive: Receive) -> None:
    """Return when the client is no longer there."""
    while (await receive())["type"] != "http.disconnect":
        pass
