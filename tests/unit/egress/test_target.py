"""URLs: what two parsers could read differently is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.egress.refused import Refused
from caxton.egress.target import MAX_URL_CHARS, Target, follow, parse_url

ODD = (
    "", "api.example.com", "//api.example.com/", "ftp://api.example.com/", "file:///etc/passwd", "gopher://a:70/x",
    "javascript:alert(1)", "unix:///run/docker.sock", "http://", "http:///x", "http://:80/", "https:api.example.com",
    # users, and what looks like them
    "http://good.com@127.0.0.1/", "http://a:b@c.com/", "http://@c.com/", "http://127.0.0.1\\@good.com/",
    "http://good.com:80@127.0.0.1/",
    # addresses that are ones only to some
    "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://017700000001/",
    "http://127.1/", "http://127.0.1/", "http://127.0.0.1.0x1/", "http://1.2.3.4.5/", "http://256.1.1.1/",
    "http://0x7f.0.0.0x1/", "http://a.0x/",
    # letters
    "http://127。0。0。1/", "http://\uff11\uff12\uff17.0.0.1/", "http://ⓛocalhost/", "http://exämple.com/", "http://127%2e0.0.1/",
    "http://good.com%00.evil/", "http://good.com\t.evil/", "http://good.com\n/", "http://good.com\r\nHost: x/",
    "http://a b/", "http://good.com/a b", "http://good.com/\x00", " http://good.com/", "http://good.com/\ud800",
    # IPv6
    "http://[::1", "http://::1/", "http://[::1]x/", "http://[fe80::1%25lo]/", "http://[fe80::1%lo]/", "http://[]/",
    "http://[127.0.0.1]/", "http://[v1.x]/",
    # labels and ports
    "http://good.com./", "http://127.0.0.1./", "http://localhost./", "http://a..b/", "http://.a/", "http://-a/",
    "http://a-/", f"http://{'a' * 64}.com/", f"http://{'a.' * 127}com/", "http://a:/", "http://a:0/",
    "http://a:65536/", "http://a:443443/", "http://a:80:80/", "http://a:+80/", "http://a:٨٠/", "http://good.com*/",
)  # fmt: skip


@pytest.mark.parametrize("url", ODD)
def test_odd_url_is_refused(url: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_url(url)
    assert caught.value.reason == "url"


def test_url_that_is_too_long_is_refused() -> None:
    with pytest.raises(Refused):
        parse_url("http://a/" + "x" * MAX_URL_CHARS)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://API.Example.COM", Target("https", "api.example.com", 443, "/")),
        ("HTTP://a:8080?x=1#part", Target("http", "a", 8080, "/?x=1")),
        ("http://my_db/a%2Fb/../c?q=[1]", Target("http", "my_db", 80, "/a%2Fb/../c?q=[1]")),
        ("https://xn--exmple-cua.com/ä", Target("https", "xn--exmple-cua.com", 443, "/%C3%A4")),
        ("http://127.0.0.1:80/", Target("http", "127.0.0.1", 80, "/")),
        ("http://[0:0::1]:8080/", Target("http", "::1", 8080, "/")),
        ("http://[::ffff:127.0.0.1]/", Target("http", "127.0.0.1", 80, "/")),
        ("http://[::FFFF:7f00:1]/", Target("http", "127.0.0.1", 80, "/")),
        ("http://a/http://b@c/", Target("http", "a", 80, "/http://b@c/")),
        ("http://good.com#@evil.com/", Target("http", "good.com", 80, "/")),
        ("http://good.com?@evil.com/", Target("http", "good.com", 80, "/?@evil.com/")),
    ],
)
def test_url_is_taken_apart_and_put_together(url: str, target: Target) -> None:
    assert parse_url(url) == target
    assert parse_url(str(target)) == target


@given(st.text(max_size=40))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"http://a/{text}"):
        try:
            target = parse_url(url)
        except Refused:
            continue
        assert parse_url(str(target)) == target
        assert target.path.isascii()
        assert not set(target.host) - set("abcdefghijklmnopqrstuvwxyz0123456789-_.:")


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b?c", Target("https", "a.com", 444, "/b?c")),
        ("b", Target("https", "a.com", 444, "/x/b")),
        ("//b.com/c", Target("https", "b.com", 443, "/c")),
        ("http://169.254.169.254/", Target("http", "169.254.169.254", 80, "/")),
    ],
)
def test_redirect_leads_where_it_says(location: str, target: Target) -> None:
    assert follow(parse_url("https://a.com:444/x/y"), location) == target


@pytest.mark.parametrize(
    "location", ["http://a@b/", "file:///etc/passwd", "http://2130706433/", "http://[::1", "\\\\b.com/", "http://a b/"]
)
def test_redirect_to_an_odd_url_is_refused(location: str) -> None:
    with pytest.raises(Refused):
        follow(parse_url("https://a.com/"), location)
