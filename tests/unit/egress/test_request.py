"""Which requests are sent."""

from __future__ import annotations

import pytest

from caxton.egress.refused import Refused
from caxton.egress.request import MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_HEADERS, Headers, Request, check


def test_headers_are_sent_in_small_letters_without_space_around() -> None:
    assert check(Request(url="", headers=(("X-A", " b c\t"), ("Accept", "")))) == (("x-a", "b c"), ("accept", ""))


@pytest.mark.parametrize("method", ["", "get", "CONNECT", "TRACE", "GET / HTTP/1.1\r\nX: y"])
def test_other_methods_are_refused(method: str) -> None:
    with pytest.raises(Refused):
        check(Request(url="", method=method))


@pytest.mark.parametrize(
    "headers",
    [
        (("Host", "evil.com"),),
        (("content-LENGTH", "0"),),
        (("Transfer-Encoding", "chunked"),),
        (("Connection", "keep-alive"),),
        (("Accept-Encoding", "gzip"),),
        (("Proxy-Authorization", "x"),),
        (("", "x"),),
        (("a b", "x"),),
        (("a:", "x"),),
        (("a\r\nhost", "x"),),
        (("ä", "x"),),
        (("a", "x\r\nhost: evil.com"),),
        (("a", "x\n"),),
        (("a", "\x00"),),
        (("a", "ä"),),
        tuple((f"x{number}", "") for number in range(MAX_HEADERS + 1)),
        (("x", "y" * MAX_HEADER_BYTES),),
    ],
)
def test_header_that_would_say_what_is_not_its_to_say_is_refused(headers: Headers) -> None:
    with pytest.raises(Refused) as caught:
        check(Request(url="", headers=headers))
    assert caught.value.reason == "request"


def test_body_that_is_too_long_is_refused() -> None:
    assert check(Request(url="", body=b"x" * MAX_BODY_BYTES)) == ()
    with pytest.raises(Refused):
        check(Request(url="", body=b"x" * (MAX_BODY_BYTES + 1)))
