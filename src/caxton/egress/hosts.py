"""The list of hosts that may be reached: `api.example.com:443`, `*.example.com:443`, `10.1.2.3:8080`. Pure.

A name gives no right to a private address: whoever lists a host does not choose what its DNS answers. An address that
is not public must be listed itself with the same port, alone or within a network: `10.1.0.0/16:8080`, `[fd00::/8]:443`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING

from caxton.core.errors.values import InvalidValue
from caxton.egress.addresses import is_public, parse_address, plain
from caxton.egress.refused import Refused
from caxton.egress.target import parse_host, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caxton.egress.addresses import Address, Network

_ENTRY = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]+):([0-9]{1,5})", re.ASCII)
_RULE = (
    "write host and port, as in 'api.example.com:443', '*.example.com:443' for all names below it, "
    "or an address or network, as in '10.1.2.3:8080', '10.1.0.0/16:8080', '[fd00::1]:443'"
)
_WIDEST = {4: 8, 6: 7}
"""Bits of the widest network: those that are set aside for private use, and never everything."""


@dataclass(frozen=True, slots=True)
class AllowList:
    """What may be reached; nothing if empty."""

    names: frozenset[tuple[str, int]] = frozenset()
    below: frozenset[tuple[str, int]] = frozenset()
    """`example.com` for `*.example.com`."""
    networks: tuple[tuple[Network, int], ...] = field(default=())

    def permits(self, host: str, port: int) -> bool:
        """Whether a host, as `parse_host` returns it, may be asked for; a name's addresses are another question."""
        address = parse_address(host)
        if address is not None:
            return self._lists(address, port)
        return (host, port) in self.names or any((parent, port) in self.below for parent in _parents(host))

    def may_connect(self, address: Address, port: int) -> bool:
        """Whether a permitted host may be at this address."""
        return is_public(address) or self._lists(address, port)

    def _lists(self, address: Address, port: int) -> bool:
        address = plain(address)
        return any(port == at and address in network for network, at in self.networks)


def parse_hosts(entries: Iterable[str], *, what: str = "allowed_hosts") -> AllowList:
    """Raises `InvalidValue`."""
    names: set[tuple[str, int]] = set()
    below: set[tuple[str, int]] = set()
    networks: list[tuple[Network, int]] = []
    for entry in entries:
        host, port = _split(entry, what)
        network = _network(host.strip("[]"))
        if network is not None:
            networks.append((_checked(network, entry, what), port))
        elif host.startswith("*."):
            below.add((_name(host[2:], entry, what), port))
        else:
            names.add((_name(host, entry, what), port))
    return AllowList(frozenset(names), frozenset(below), tuple(networks))


def hosts_of_url(url: str, *more: str, what: str = "url") -> AllowList:
    """The list for a URL that an operator wrote: its own host and port, and whatever else is listed.

    An address in it, and `localhost`, may be reached; a name that stands for a private address needs it in `more`.
    Raises `InvalidValue`.
    """
    try:
        target = parse_url(url)
    except Refused as error:
        raise InvalidValue(what, url, str(error)) from None
    host = f"[{target.host}]" if ":" in target.host else target.host
    own = [f"{host}:{target.port}"]
    if target.host == "localhost":
        own += [f"127.0.0.1:{target.port}", f"[::1]:{target.port}"]
    return parse_hosts([*own, *more])


def _split(entry: str, what: str) -> tuple[str, int]:
    found = _ENTRY.fullmatch(entry)
    if found is None or not 0 < int(found[2]) < 65536:
        raise InvalidValue(what, entry, _RULE)
    return found[1], int(found[2])


def _network(text: str) -> Network | None:
    try:
        network = ip_network("" if "%" in text else text)
    except ValueError:
        return None
    mapped = parse_address(str(network.network_address))
    if mapped is not None and mapped.version != network.version:  # as addresses are compared: ::ffff:10.0.0.0/104
        return ip_network(f"{mapped}/{max(0, network.prefixlen - 96)}")
    return network


def _checked(network: Network, entry: str, what: str) -> Network:
    widest = _WIDEST[network.version]
    if network.prefixlen < widest:
        raise InvalidValue(what, entry, f"a network of /{network.prefixlen} is too wide; at least /{widest} is")
    return network


def _name(text: str, entry: str, what: str) -> str:
    try:
        return parse_host(text)
    except Refused:
        raise InvalidValue(what, entry, _RULE) from None


def _parents(name: str) -> Iterable[str]:
    while "." in name:
        name = name.partition(".")[2]
        yield name
