"""Reading what a request carries: not too much, not too slowly, and only the kind that was agreed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from caxton.core.errors.messages import InvalidMessage
from caxton.core.errors.requests import BodyTooLarge, InvalidRequest, RequestTimeout, UnsupportedMediaType
from caxton.messages.codec import check_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.api.request import ApiRequest
    from caxton.core.errors.error import CaxtonError

SMALL_BODY_BYTES = 64 << 10
"""For bodies of a few fields."""

UPLOAD_BODY_BYTES = 16 << 20
"""A module of 10 MiB in base64, or a batch of messages."""

MAX_TOLD_CHARS = 200

T = TypeVar("T")


async def read_body(
    request: ApiRequest, limit_bytes: int, too_large: Callable[[int, int], CaxtonError] = BodyTooLarge
) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: it says, or turns out, to be longer than the limit; nothing past that was kept.
        RequestTimeout: it did not end in time.
        InvalidRequest: its sender went away halfway.
    """
    declared = request.headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise too_large(int(declared), limit_bytes)
    deadline_s = request.limits.body_deadline_s
    try:
        async with asyncio.timeout(deadline_s):
            return await _read_all(request, limit_bytes, too_large)
    except TimeoutError as exc:
        raise RequestTimeout(deadline_s) from exc


async def _read_all(request: ApiRequest, limit_bytes: int, too_large: Callable[[int, int], CaxtonError]) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        event = await request.receive()
        if event["type"] != "http.request":
            request.body_done = True
            raise InvalidRequest("it ended before its end", field="body")
        chunk: bytes = event.get("body", b"")
        size += len(chunk)
        request.body_done = not event.get("more_body", False)
        if size > limit_bytes:
            raise too_large(size, limit_bytes)
        if request.body_done and not chunks:
            return chunk
        chunks.append(chunk)
        if request.body_done:
            return b"".join(chunks)


async def discard_body(request: ApiRequest) -> None:
    """Read the rest of a refused body and drop it: an answer sent across it would be lost to most clients."""
    try:
        async with asyncio.timeout(request.limits.discard_s):
            size = 0
            while not request.body_done and size <= UPLOAD_BODY_BYTES:
                event = await request.receive()
                size += len(event.get("body", b""))
                request.body_done = not event.get("more_body", False)
    except TimeoutError:
        pass


def may_have_body(request: ApiRequest) -> bool:
    """Whether a body may come. HTTP/1.1 announces each; HTTP/2 need not."""
    length = request.headers.get(b"content-length")
    if length is not None:
        return length != b"0"
    return b"transfer-encoding" in request.headers or request.scope["http_version"] == "2"


def media_type(request: ApiRequest) -> str:
    """The kind of the body, without its parameters, in lower case."""
    return request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")


def check_media_type(request: ApiRequest, *wanted: str) -> str:
    """The kind of the body; raises `UnsupportedMediaType` unless it is one of `wanted` and uncompressed."""
    encoding = request.headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        raise UnsupportedMediaType("Content-Encoding", encoding.decode("latin-1"), ["identity"])
    found = media_type(request)
    if found not in wanted:
        raise UnsupportedMediaType("Content-Type", found, list(wanted))
    return found


async def read_json(
    request: ApiRequest,
    limit_bytes: int = SMALL_BODY_BYTES,
    too_large: Callable[[int, int], CaxtonError] = BodyTooLarge,
) -> bytes:
    """The body, which must call itself JSON. It is not parsed here."""
    if request.headers.get(b"content-type") != b"application/json" or b"content-encoding" in request.headers:
        check_media_type(request, "application/json")
    return await read_body(request, limit_bytes, too_large)


def decode(data: bytes, kind: type[T]) -> T:
    """`data` as a `kind`; raises `InvalidRequest` for what is no JSON, an unknown key or a wrong value."""
    try:
        check_json(data)
        return msgspec.json.decode(data, type=kind)
    except InvalidMessage as exc:
        raise InvalidRequest(_told(str(exc).partition(": ")[2]), field="body") from exc
    except (msgspec.DecodeError, RecursionError) as exc:
        raise InvalidRequest(_told(str(exc)), field="body") from exc


def _told(text: str) -> str:
    """What a parser says, cut: it may repeat any length of what it was given."""
    shown = "".join(char if char.isprintable() else "�" for char in text[: MAX_TOLD_CHARS + 1])
    return shown if len(shown) <= MAX_TOLD_CHARS else f"{shown[:MAX_TOLD_CHARS]}…"


async def read_struct(request: ApiRequest, kind: type[T], limit_bytes: int = SMALL_BODY_BYTES) -> T:
    """The body as a `kind`."""
    return decode(await read_json(request, limit_bytes), kind)


async def read_optional(request: ApiRequest, kind: type[T], default: Any) -> T:
    """The body as a `kind`, or `default` where there is none."""
    data = await read_body(request, SMALL_BODY_BYTES) if may_have_body(request) else b""
    if not data:
        return default
    check_media_type(request, "application/json")
    return decode(data, kind)
