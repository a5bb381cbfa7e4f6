"""Which addresses are public: only those that can be nothing else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.egress.addresses import is_public, parse_address

PUBLIC = ("8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1", "2a00:1450:4001::1", "::ffff:8.8.8.8", "172.32.0.1")
NOT_PUBLIC = (
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",  # noqa: S104
    "169.254.169.254", "100.64.0.1", "192.0.0.9", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255",
    "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:7f00:1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
    "2002:a9fe:a9fe::1", "3fff::1", "5f00::1", "fc00::1", "fd00::1", "fe80::1", "fec0::1", "ff02::1",
)  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_machine_of_the_internet_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_what_may_be_near_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@given(st.ip_addresses(v=4))
def test_nothing_is_public_that_python_calls_private(address: IPv4Address) -> None:
    assert not (is_public(address) and not address.is_global)


@given(st.ip_addresses(v=6))
def test_nothing_is_public_that_python_calls_private_in_ipv6(address: IPv6Address) -> None:
    assert not (is_public(address) and not address.is_global)


@given(st.ip_addresses(v=4))
def test_ipv4_within_ipv6_is_judged_as_itself(address: IPv4Address) -> None:
    mapped = parse_address(f"::ffff:{address}")
    assert mapped == address
    for carrier in (f"::{address}", f"64:ff9b::{address}", str(IPv6Address((0x2002 << 112) | (int(address) << 80)))):
        assert not is_public(ip_address(carrier))


@pytest.mark.parametrize(
    "text", ["2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.1", "017700000001", "fe80::1%lo", "1.2.3.4%eth0"]
)
def test_other_ways_to_write_an_address_are_none(text: str) -> None:
    assert parse_address(text) is None
