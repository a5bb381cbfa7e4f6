"""Lines out of pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.tools.mcp.lines import EndlessLine, Lines, TooLong, answered_id


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), st.integers(1, 7))
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    cutter = Lines(20, 100)
    found = [line for at in range(0, len(data), size) for line in cutter.feed(data[at : at + size])]
    assert found == lines


def test_line_that_is_too_long_is_told_once_and_left_out() -> None:
    cutter = Lines(5, 100)
    assert cutter.feed(b"abc") == []
    assert cutter.feed(b"defg") == [TooLong(b"abcdefg")]
    assert cutter.feed(b"more") == []
    assert cutter.feed(b" of it\nnext\n") == [b"next"]


def test_line_of_exactly_the_limit_is_a_line() -> None:
    assert Lines(5, 100).feed(b"abcde\n") == [b"abcde"]


def test_line_that_is_left_out_must_end() -> None:
    cutter = Lines(5, 10)
    cutter.feed(b"1234567890")
    with pytest.raises(EndlessLine):
        cutter.feed(b"1")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":{', 7),
        (b' { "jsonrpc" : "2.0", "id" : 12 , "result"', 12),
        (b'{"id":3,"jsonrpc":"2.0"', 3),
        (b'{"jsonrpc":"2.0","method":"x","params":{"id":7,', None),
        (b'{"jsonrpc":"2.0","result":{"id":7,', None),
        (b'{"jsonrpc":"2.0","id":"7","result"', None),
        (b"INFO id:7,", None),
    ],
)
def test_id_is_found_where_an_answer_begins_with_it(head: bytes, expected: int | None) -> None:
    assert answered_id(head) == expected
