"""The list of hosts: exact, with ports, and no name opens what is private."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from caxton.core.errors.values import InvalidValue
from caxton.egress.hosts import hosts_of_url, parse_hosts


def test_nothing_is_permitted_by_an_empty_list() -> None:
    empty = parse_hosts([])
    assert not empty.permits("api.example.com", 443)
    assert not empty.permits("8.8.8.8", 443)


def test_name_is_permitted_with_its_port_only() -> None:
    hosts = parse_hosts(["API.example.com:443"])
    assert hosts.permits("api.example.com", 443)
    assert not hosts.permits("api.example.com", 80)
    assert not hosts.permits("x.api.example.com", 443)
    assert not hosts.permits("api.example.com.evil.com", 443)


def test_wildcard_permits_all_names_below_and_not_the_name_itself() -> None:
    hosts = parse_hosts(["*.example.com:443"])
    assert hosts.permits("a.example.com", 443)
    assert hosts.permits("a.b.example.com", 443)
    assert not hosts.permits("example.com", 443)
    assert not hosts.permits("badexample.com", 443)
    assert not hosts.permits("a.example.com", 8443)
    assert not hosts.permits("10.0.0.1", 443)


def test_address_is_permitted_when_listed_alone_or_within_a_network() -> None:
    hosts = parse_hosts(["10.1.0.0/16:80", "93.184.216.34:443", "[::1]:80", "[fd00::/8]:80"])
    assert hosts.permits("10.1.2.3", 80)
    assert hosts.permits("93.184.216.34", 443)
    assert hosts.permits("::1", 80)
    assert hosts.permits("fd12::1", 80)
    assert not hosts.permits("10.2.0.1", 80)
    assert not hosts.permits("10.1.2.3", 443)
    assert not hosts.permits("93.184.216.35", 443)
    assert not hosts.permits("8.8.8.8", 443)


def test_name_opens_no_private_address_but_a_listed_one_with_that_port() -> None:
    hosts = parse_hosts(["db.example.com:80", "10.1.2.3:80"])
    assert hosts.may_connect(ip_address("8.8.8.8"), 80)
    assert hosts.may_connect(ip_address("10.1.2.3"), 80)
    assert hosts.may_connect(ip_address("::ffff:10.1.2.3"), 80)
    assert not hosts.may_connect(ip_address("10.1.2.3"), 443)
    assert not hosts.may_connect(ip_address("10.1.2.4"), 80)
    assert not hosts.may_connect(ip_address("169.254.169.254"), 80)
    assert not hosts.may_connect(ip_address("::1"), 80)


def test_ipv4_within_ipv6_is_listed_as_ipv4() -> None:
    hosts = parse_hosts(["[::ffff:10.0.0.1]:80", "[::ffff:10.2.0.0/112]:80"])
    assert hosts.permits("10.0.0.1", 80)
    assert hosts.permits("10.2.9.9", 80)
    assert not hosts.permits("10.3.0.0", 80)


@pytest.mark.parametrize(
    "entry",
    [
        "", "api.example.com", "api.example.com:", "api.example.com:0", "api.example.com:65536",
        "api.example.com:https", "*:443", "*.*.com:443", "a*.com:443", "https://api.example.com:443",
        "api.example.com:443/", "api.example.com.:1",
        "u@a:1", "2130706433:80", "0x7f.1:80", "exämple.com:443", "::1:80", "[::1]", "[a.com]:80", "[*.a.com]:80",
        "0.0.0.0/0:80", "[::/0]:80", "10.0.0.0/7:80", "[::ffff:0:0/96]:80", "10.1.2.3/16:80", "[fe80::1%lo]:80",
        "a:٨٠", " a:80",
    ],
)  # fmt: skip
def test_entry_that_is_none_is_refused(entry: str) -> None:
    with pytest.raises(InvalidValue):
        parse_hosts([entry])


def test_url_of_an_operator_permits_its_own_place_only() -> None:
    hosts = hosts_of_url("https://mcp.example.com/mcp")
    assert hosts.permits("mcp.example.com", 443)
    assert not hosts.permits("mcp.example.com", 80)
    assert not hosts.may_connect(ip_address("10.0.0.1"), 443)
    assert hosts_of_url("https://mcp.example.com/mcp", "10.0.0.1:443").may_connect(ip_address("10.0.0.1"), 443)


@pytest.mark.parametrize(
    ("url", "address"),
    [("http://localhost:9000/", "127.0.0.1"), ("http://localhost:9000/", "::1"), ("http://[::1]:9000/", "::1")],
)
def test_own_machine_in_a_url_of_an_operator_may_be_reached(url: str, address: str) -> None:
    hosts = hosts_of_url(url)
    assert hosts.may_connect(ip_address(address), 9000)
    assert not hosts.may_connect(ip_address(address), 9001)


def test_url_of_an_operator_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidValue):
        hosts_of_url("http://2130706433/")
