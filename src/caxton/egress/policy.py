"""What one tool may ask of other machines, and what it did ask."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from caxton.egress.hosts import AllowList
from caxton.egress.refused import Unreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

Resolve: TypeAlias = "Callable[[str, int], Awaitable[list[str]]]"
"""Addresses of a name, as text, for connections to a port. Raises `Unreachable`."""


@dataclass(slots=True)
class Counters:
    """What happened so far."""

    requests: int = 0
    """Asked for, refused ones among them."""
    connections: int = 0
    """Made to another machine."""
    bytes_in: int = 0
    """Of bodies."""
    refused: Counter[str] = field(default_factory=Counter[str])
    """How often, by `refused.Reason`."""


async def resolve_name(host: str, port: int) -> list[str]:
    """Ask the machine's own resolver. Raises `Unreachable`."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(f"no address is known for {host!r}") from None
    return list(dict.fromkeys(str(info[4][0]) for info in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Nothing is allowed that it does not say."""

    allow: AllowList = field(default_factory=AllowList)
    max_bytes: int = 1 << 20
    """Of an answer's body; the rest is left out."""
    timeout_s: float = 30.0
    """For all of it: name, connection, redirects, body."""
    max_redirects: int = 5
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """For `{{secret:NAME}}` in headers."""
    tls: ssl.SSLContext | None = None
    """Whose certificates are believed; those of the system if None."""
    resolve: Resolve = resolve_name
    counters: Counters = field(default_factory=Counters)

    def trust(self) -> ssl.SSLContext:
        """Of connections with TLS."""
        return self.tls or _system_trust()


@cache
def _system_trust() -> ssl.SSLContext:
    """Reading the system's certificates takes 20 ms."""
    return ssl.create_default_context()
