"""What becomes of a guest's text."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.logs.line import KEPT_LINE_BYTES, MAX_LINE_CHARS, MAX_RAW_CHARS, Context, Record, clean, cost, split
from caxton.sandbox.imports import MAX_LOG_LINE_BYTES

DIRECTIONS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[1;38;5;196mbold\x1b[m and \x1b[2Kcleared\x1b[1A", "bold and cleared"),
        ("\x1b]0;title\x07", "�]0;title�"),
        ("\x1b[31", "�[31"),
        ("\x1b[\x1b[31m31m", "�[31m"),
        ("half \ud83d", "half �"),
        ("tab\tstays\r", "tab\tstays"),
        ("für \U0001f600", "für \U0001f600"),
        ("\x1b[2J" * 2000 + "after", "after"),
        ("order \u202e4711\u202c \u2066x\u2069 \u200f\u200e \u061c", "order �4711� �x� �� �"),
        ("", ""),
    ],
)
def test_colours_go_and_what_else_a_terminal_would_obey_is_replaced(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("utf-8", "replace")))
def test_no_text_leaves_anything_that_a_terminal_or_a_file_chokes_on(text: str) -> None:
    for line in split(text):
        assert len(line) <= MAX_LINE_CHARS
        assert all(char == "\t" or char.isprintable() or ord(char) > 159 for char in line)
        assert not DIRECTIONS & set(line)
        line.encode()


def test_sequences_cost_a_line_none_of_its_room_and_what_is_looked_at_is_bounded() -> None:
    assert clean("x" * 4090 + "\x1b[31m" * 9 + "redder") == "x" * 4090 + "redder"
    assert clean("\x1b[2J" * (MAX_RAW_CHARS // 4) + "after") == ""
    assert clean("\x07" * (MAX_RAW_CHARS + 1)) == "�" * MAX_LINE_CHARS


def test_whole_text_of_one_call_is_looked_at() -> None:
    assert MAX_RAW_CHARS >= MAX_LOG_LINE_BYTES


def test_cutting_does_not_leave_half_a_sequence_of_a_terminal() -> None:
    assert "\x1b" not in clean("x" * (MAX_LINE_CHARS - 2) + "\x1b[31mred")


@pytest.mark.parametrize("text", ["", "x" * 40, "ä" * 4096, "\U0001f600" * 4096])
def test_cost_covers_what_python_takes_for_a_line_and_its_ids(text: str) -> None:
    conversation = "é" * 1000
    context = Context("m" * 128, conversation, "ab" * 16, "0" * 16, 3)
    record = Record(1_700_000_000_123, 1_700_000_000_123_456, "default", "agent", 2, 3, "guest", text, context)
    parts = [record, context, *context, record.seq, record.at_us, text]
    place = 8
    taken = sum(map(sys.getsizeof, parts)) + place
    assert taken <= cost(record) <= taken + KEPT_LINE_BYTES
