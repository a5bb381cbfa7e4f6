"""The pure parts of the client; tests/integration/test_client.py has it speak."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.client import MAX_EVENT_BYTES, CaxtonClient, ServerEvent, parse_server_url, read_events
from caxton.core.errors.error import CaxtonError

STREAM = "event: log\nid: 7\ndata: one\u2028two\x85three\n\n: heartbeat\n\nevent: log\r\ndata: a\r\ndata:b\r\n\r\n"
EVENTS = [
    ServerEvent(name="log", id="7", data="one\u2028two\x85three"),
    ServerEvent(name="log", data="a\nb"),
]


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=12))
def test_events_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    data = STREAM.encode()
    places = [0, *sorted(cuts), len(data)]
    assert list(read_events(data[start:end] for start, end in pairwise(places))) == EVENTS


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: x\n", []),
        (b"event: log\n\n", []),
        (b": only a comment\n\n", []),
        (b"data: x\r\rdata: y\r\r\n", [ServerEvent(data="x"), ServerEvent(data="y")]),
        (b"unknown: 1\ndata\n\n", [ServerEvent(data="")]),
        (b"data: \xff\n\n", [ServerEvent(data="\ufffd")]),
        (b"", []),
    ],
)
def test_odd_streams_are_read_as_the_standard_says(stream: bytes, events: list[ServerEvent]) -> None:
    assert list(read_events([stream])) == events


def test_stream_without_line_ends_is_given_up() -> None:
    chunks = (b"x" * 65536 for _ in range(2 * MAX_EVENT_BYTES // 65536))
    with pytest.raises(CaxtonError) as caught:
        list(read_events(chunks))
    assert caught.value.code == "UNEXPECTED_ANSWER"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("HTTP://LOCALHOST:8080", "http://localhost:8080"),
        ("https://caxton.example:443", "https://caxton.example"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_server_addresses_have_one_spelling(url: str, server: str) -> None:
    assert parse_server_url(url) == server


@pytest.mark.parametrize("token", ["", "two words", "new\nline", "gr\u00f6\u00dfe", "\x00"])
def test_token_that_would_break_the_header_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(CaxtonError) as caught:
        CaxtonClient(token=token)
    assert caught.value.code == "INVALID_REQUEST"
    assert not token or token not in str(caught.value)
