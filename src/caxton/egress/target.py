"""The URL of a request, taken apart. Pure, and strict: what two parsers could read differently is refused.

So there are no users in it, no backslashes, no `%` or non-ASCII letters in the host, no zone of an address, no dot at
the end, and no number that is an address only to some (`2130706433`, `0x7f.1`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from caxton.core.errors.error import quoted
from caxton.egress.addresses import parse_address
from caxton.egress.refused import Refused

if TYPE_CHECKING:
    from caxton.egress.addresses import Address

MAX_URL_CHARS = 8192
"""Of a whole URL."""

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
_PLACE = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]{1,5}))?", re.ASCII)
_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label like these makes some parsers read the host as an IPv4 address."""
_ODD = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name in small letters, or an address as Python writes it, without brackets."""
    port: int
    path: str
    """With the query, beginning with `/`."""

    @property
    def authority(self) -> str:
        """The `Host` header: without the port if it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Whom secrets of a request may be shown to."""
        return self.scheme, self.host, self.port

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_url(url: str) -> Target:
    """Take a URL apart. Raises `Refused` with the reason `url`."""
    if len(url) > MAX_URL_CHARS:
        raise Refused("url", f"the URL has {len(url)} characters; at most {MAX_URL_CHARS} are allowed")
    if _ODD.search(url):
        raise Refused("url", f"{quoted(url)} has spaces, control characters or backslashes; write a space as %20")
    found = _URL.fullmatch(url)
    if found is None:
        raise Refused("url", f"{quoted(url)} is no URL that can be fetched; it begins with https:// or http://")
    scheme = found[1].lower()
    host, port = parse_place(found[2], _PORTS[scheme])
    path = quote(found[3], safe="%/?:@!$&'()*+,;=-._~[]")
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}")


def parse_place(text: str, default_port: int) -> tuple[str, int]:
    """Host and port of `host:port`. Raises `Refused` with the reason `url`."""
    if "@" in text:
        raise Refused("url", "a URL with a user or a password in it is refused; send them in a header")
    found = _PLACE.fullmatch(text)
    port = default_port if found is None or found[2] is None else int(found[2])
    if found is None or not 0 < port < 65536:
        raise Refused("url", f"{quoted(text)} is no host with a port from 1 to 65535")
    return parse_host(found[1]), port


def parse_host(text: str) -> str:
    """A host as it is compared: a name in small letters, or an address without brackets. Raises `Refused`."""
    if text.startswith("["):
        address = parse_address(text[1:-1])
        if address is None or ":" not in text:
            raise Refused("url", f"{quoted(text)} is no IPv6 address; zones (%…) are refused too")
        return str(address)
    name = text.lower() if text.isascii() else ""
    if not _NAME.fullmatch(name):
        raise Refused(
            "url", f"{quoted(text)} is no host name; use letters, digits, '-' and dots between, others as xn--…"
        )
    if not _NUMBER.fullmatch(name.rpartition(".")[2]):
        return name
    address = parse_address(name)
    if address is None:
        raise Refused("url", f"{quoted(text)} is no address; write IPv4 as four decimal numbers from 0 to 255")
    return str(address)


def address_of(host: str) -> Address | None:
    """The address that a parsed host is, if it is one."""
    return parse_address(host)


def follow(target: Target, location: str) -> Target:
    """Where a redirect leads. Raises `Refused` with the reason `url`."""
    if _ODD.search(location):
        raise Refused("url", "the redirect has spaces, control characters or backslashes in its URL")
    try:
        return parse_url(urljoin(str(target), location))
    except ValueError:
        raise Refused("url", "the redirect leads to something that is no URL") from None
