"""Where every connection to another machine begins: is the host listed, and may all of its addresses be reached?

A name is resolved once, and what was looked at is what is connected to: an answer that changes (DNS rebinding) gains
nothing. One bad address among good ones refuses them all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from caxton.egress.addresses import parse_address
from caxton.egress.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from caxton.egress.policy import Policy

MAX_ADDRESSES = 8
"""Of one name; a connection is tried to no more."""

CONNECT_S = 5.0
"""For each address, so that one that swallows packets leaves time for the next."""

Stream = TypeVar("Stream")


async def connect(
    policy: Policy,
    host: str,
    port: int,
    dial: Callable[[str, float], Awaitable[Stream]],
    *,
    timeout_s: float | None,
    fails_with: tuple[type[Exception], ...],
) -> Stream:
    """Dial the addresses of a host, one after the other, until one answers.

    `dial` gets an address and how long it may take. Raises `Refused`, `Unreachable`, or what the last `dial` raised.
    """
    addresses = await checked_addresses(policy, host, port)
    for address in addresses[:-1]:
        try:
            return await _dialled(policy, address, dial, timeout_s)
        except fails_with:
            continue
    return await _dialled(policy, addresses[-1], dial, timeout_s)


async def checked_addresses(policy: Policy, host: str, port: int) -> list[str]:
    """The addresses of a permitted host, at least one. Raises `Refused`, `Unreachable`."""
    if not policy.allow.permits(host, port):
        raise Refused("host", f"'{host}' with port {port} is not listed in allowed_hosts")
    literal = parse_address(host)
    found = [host] if literal is not None else await policy.resolve(host, port)
    return [_checked(policy, host, port, text) for text in found][:MAX_ADDRESSES]


def _checked(policy: Policy, host: str, port: int, text: str) -> str:
    address = parse_address(text)
    if address is None or not policy.allow.may_connect(address, port):
        raise Refused(
            "address",
            f"'{host}' stands for an address that is not public; to reach it, list the address itself with port {port} "
            "in allowed_hosts",
        )
    return str(address)


async def _dialled(
    policy: Policy, address: str, dial: Callable[[str, float], Awaitable[Stream]], timeout_s: float | None
) -> Stream:
    stream = await dial(address, min(CONNECT_S, math.inf if timeout_s is None else timeout_s))
    policy.counters.connections += 1
    return stream
