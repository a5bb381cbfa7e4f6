"""Answers, written straight to ASGI: a status, some headers, bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application, written loosely: each framework types the events in its own way."""

Header = tuple[bytes, bytes]

JSON_TYPE: Header = (b"content-type", b"application/json")

encode_json = msgspec.json.Encoder(enc_hook=str).encode
"""What JSON cannot say (an odd fact in an error's details) becomes text, instead of a second error."""


class Reply:
    """A whole answer in one piece."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: bytes, *, status: int = 200, headers: tuple[Header, ...] = (JSON_TYPE,)) -> None:
        self.body = body
        self.status = status
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        headers = [*self.headers]
        if self.body or self.status != 204:
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def json_reply(value: object, *, status: int = 200, headers: tuple[Header, ...] = ()) -> Reply:
    """`value` as JSON."""
    return Reply(encode_json(value), status=status, headers=(JSON_TYPE, *headers))


NO_CONTENT = Reply(b"", status=204, headers=())
