"""Which names this server answers to, so that other sites' pages cannot use a server on one's own machine.

A page can make a browser send requests to 127.0.0.1; with a name of its own that resolves there it could even
read the answers (DNS rebinding). The Host header gives such a name away; the Origin header, any other site.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from caxton.core.errors.access import HostNotAllowed

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?", re.ASCII)

MAX_REMEMBERED = 256


class HostPolicy:
    """Checks Host and Origin.

    Args:
        allowed: names and addresses, without port; IPv6 in brackets. Loopback names are always allowed.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset((*LOOPBACK_NAMES, *(name.lower() for name in allowed)))
        self._good: set[bytes] = set()

    def check(self, host: bytes | None, origin: bytes | None) -> None:
        """Raise `HostNotAllowed` unless the request is meant for this server and comes from no other site."""
        if host not in self._good:
            self._check_host(host or b"")
        if origin is not None and origin.partition(b"://")[2].lower() != (host or b"").lower():
            raise HostNotAllowed("Origin", origin.decode("latin-1"))

    def _check_host(self, host: bytes) -> None:
        match = _HOST.fullmatch(host.decode("latin-1").lower())
        if not match or match[1] not in self._allowed:
            raise HostNotAllowed("Host", host.decode("latin-1"))
        if len(self._good) < MAX_REMEMBERED:
            self._good.add(host)
