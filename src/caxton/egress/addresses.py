"""Which addresses belong to the public internet. Pure; a list of our own, since the standard library's changes.

Python's `is_global` says yes to multicast, to addresses that carry a private one within (6to4, NAT64, IPv4-compatible)
and to some that are set aside; whether it does depends on the patch release. Here each of them is no.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network; a connection to 0.0.0.0 reaches the own machine
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # private
        "100.64.0.0/10",  # shared by customers of one provider
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local: the metadata of clouds
        "192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24",  # for protocols
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "224.0.0.0/4", "240.0.0.0/4",  # multicast, reserved, broadcast
    )
)  # fmt: skip

_PUBLIC_V6 = IPv6Network("2000::/3")
"""All that is given out; what lies outside is loopback, private, link-local, multicast, or carries an IPv4 address."""

_NOT_PUBLIC_V6 = tuple(
    ip_network(text)
    for text in (
        "2001::/23",  # for protocols, Teredo and ORCHID among them
        "2001:db8::/32", "3fff::/20",  # documentation
        "2002::/16",  # 6to4: an IPv4 address is within
        "2620:4f:8000::/48",  # AS112
    )
)  # fmt: skip


def parse_address(text: str) -> Address | None:
    """The address that `text` is, IPv4 within IPv6 (`::ffff:…`) as IPv4; None for anything else, and for zones (`%`).

    Only the usual way of writing counts: four decimal numbers, or IPv6. `2130706433`, `0x7f.1`, `0177.0.0.1` are none.
    """
    if "%" in text:
        return None
    try:
        return plain(ip_address(text))
    except ValueError:
        return None


def plain(address: Address) -> Address:
    """IPv4 within IPv6 (`::ffff:127.0.0.1`) as IPv4: the same machine is reached."""
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if inner is None else inner


def is_public(address: Address) -> bool:
    """Whether it can only be a machine of the public internet."""
    address = plain(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC)
    return address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)
