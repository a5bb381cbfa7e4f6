"""A request to another machine, its answer, and which headers may be sent. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from caxton.core.errors.error import quoted
from caxton.egress.refused import Refused

MAX_HEADERS = 64
"""Of a request."""

MAX_HEADER_BYTES = 16 << 10
"""Names and values of all headers of a request."""

MAX_BODY_BYTES = 1 << 20
"""Of a request."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Names in small letters."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OURS = frozenset(
    (
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect",
        "accept-encoding", "proxy-authorization", "proxy-connection",
    )
)  # fmt: skip
"""They say where a request ends, whom it is for and how it is packed; a second opinion on that is how requests are
smuggled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for."""

    url: str
    method: str = "GET"
    headers: Headers = ()
    """`{{secret:NAME}}` in a value stands for a secret."""
    body: bytes = b""
    max_bytes: int | None = None
    """Of the answer's body; the policy's if None, and never more."""
    timeout_s: float | None = None
    """The policy's if None, and never more."""
    is_followed: bool = True
    """Whether to go where a redirect leads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came."""

    status: int
    url: str
    """Of the last redirect."""
    headers: Headers
    body: bytes
    """As it was sent: no content coding is undone."""
    is_truncated: bool
    """There is more of the body."""


def check(request: Request) -> Headers:
    """The headers to send, secrets not filled in. Raises `Refused` with the reason `request`."""
    if request.method not in METHODS:
        raise Refused("request", f"{quoted(request.method)} is no method that is sent; use {', '.join(METHODS)}")
    if len(request.body) > MAX_BODY_BYTES:
        raise Refused("request", f"the body has {len(request.body)} bytes; at most {MAX_BODY_BYTES} are sent")
    size = sum(len(name) + len(value) for name, value in request.headers)
    if len(request.headers) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise Refused("request", f"more than {MAX_HEADERS} headers, or {MAX_HEADER_BYTES} bytes of them, are not sent")
    return tuple(_header(name, value) for name, value in request.headers)


def _header(name: str, value: str) -> tuple[str, str]:
    if not _NAME.fullmatch(name):
        raise Refused("request", f"{quoted(name)} is no name of a header")
    if name.lower() in _OURS:
        raise Refused("request", f"the header {quoted(name)} is the host's own to set; leave it out")
    if not _VALUE.fullmatch(value):
        raise Refused(
            "request", f"the header {quoted(name)} has line breaks or other characters that are not ASCII text"
        )
    return name.lower(), value.strip("\t ")
