"""From offsets in a module to lines of its source, whatever the bytes say."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.sandbox import source_lines
from caxton.sandbox.source_lines import SourceLines
from caxton.testing.guests import assemble, guest_text

PLAIN = assemble(guest_text())


def code_begin(wasm: bytes) -> int:
    """Where the contents of the code section begin; no section here is longer than 127 bytes."""
    at = 8
    while wasm[at] != 10:
        at += 2 + wasm[at + 1]
    return at + 2


CODE_BEGIN = code_begin(PLAIN)


def custom(name: str, data: bytes) -> bytes:
    """A custom section."""
    inside = bytes([len(name)]) + name.encode() + data
    size = len(inside)
    return bytes([0, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + inside


ROWS = bytes(
    [
        0, 5, 2, 10, 0, 0, 0,  # address 10
        3, 6, 1,  # line 7, row
        2, 4, 3, 2, 1,  # address 14, line 9, row
        13 + 8 * 14 + 6,  # special: address 22, line 10
        2, 4, 3, 0x76, 1,  # address 26, line 0: the compiler's own
        2, 4, 0, 1, 1,  # address 30: the end
    ]
)  # fmt: skip

STANDARD = bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])


def unit(version: int, files: bytes, rows: bytes = ROWS) -> bytes:
    """A line program; advances by special opcodes: 14 lines from -5, operations from 13."""
    rest = bytes([1]) + (b"\1" if version >= 4 else b"") + bytes([1, 256 - 5, 14, 13]) + STANDARD + files
    sizes = bytes([4, 0]) if version == 5 else b""
    body = struct.pack("<H", version) + sizes + struct.pack("<I", len(rest)) + rest + rows
    return struct.pack("<I", len(body)) + body


FILES_4 = b"src\0\0main.c\0\1\0\0other.c\0\0\0\0\0"
FILES_5 = (
    bytes([1, 1, 8, 2]) + b"/home/somebody\0src\0" + bytes([3, 1, 0x1F, 2, 0x0B, 5, 0x1E, 2])
    + struct.pack("<I", 0) + b"\0" + bytes(16) + struct.pack("<I", 0) + b"\1" + bytes(16)
)  # fmt: skip
TEXTS_5 = custom(".debug_line_str", b"main.c\0")


def module(*units: bytes, more: bytes = b"") -> bytes:
    """A module with these line programs."""
    return PLAIN + more + custom(".debug_line", b"".join(units))


def test_module_without_debug_information_has_no_lines() -> None:
    assert not SourceLines(PLAIN)
    assert SourceLines(PLAIN).find(CODE_BEGIN + 10) is None


@pytest.mark.parametrize("version", [2, 3, 4])
def test_each_address_has_the_line_of_the_row_before_it(version: int) -> None:
    lines = SourceLines(module(unit(version, FILES_4)))
    found = [lines.find(CODE_BEGIN + address) for address in (9, 10, 13, 14, 21, 22, 25, 29, 30)]
    first, second, third = "src/main.c:7", "src/main.c:9", "src/main.c:10"
    assert found == [None, first, first, second, second, third, third, third, None]


def test_version_5_does_not_tell_where_the_compiler_ran() -> None:
    lines = SourceLines(module(unit(5, FILES_5), more=TEXTS_5))
    assert lines.find(CODE_BEGIN + 10) == "src/main.c:7"
    of_own_directory = SourceLines(module(unit(5, FILES_5, b"\4\0" + ROWS), more=TEXTS_5))
    assert of_own_directory.find(CODE_BEGIN + 10) == "main.c:7"


def test_what_the_linker_threw_away_is_left_out() -> None:
    dead = ROWS.replace(bytes([2, 10, 0, 0, 0]), bytes(1) + bytes(4), 1)
    dead = bytes([0, 5, 2, 0, 0, 0, 0]) + ROWS[7:]
    lines = SourceLines(module(unit(4, b"\0dead.c\0\0\0\0\0", dead), unit(4, FILES_4)))
    assert lines.find(CODE_BEGIN + 10) == "src/main.c:7"
    assert lines.find(CODE_BEGIN + 2) is None


def test_a_damaged_unit_does_not_cost_those_before_it() -> None:
    torn = unit(4, FILES_4)[:-9]
    assert SourceLines(module(unit(4, FILES_4), torn)).find(CODE_BEGIN + 10) == "src/main.c:7"


def test_file_names_are_made_harmless() -> None:
    lines = SourceLines(module(unit(4, b"\0\x1b[2Jx\n.c\0\0\0\0\0")))
    assert lines.find(CODE_BEGIN + 10) == "\N{REPLACEMENT CHARACTER}[2Jx\N{REPLACEMENT CHARACTER}.c:7"


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_lines, "MAX_STEPS", 3)
    assert not SourceLines(module(unit(4, FILES_4)))


@given(st.data())
def test_no_bytes_make_it_fail(data: st.DataObject) -> None:
    whole = bytearray(module(unit(4, FILES_4), unit(5, FILES_5), more=TEXTS_5))
    for at, value in data.draw(st.lists(st.tuples(st.integers(8, len(whole) - 1), st.integers(0, 255)), max_size=6)):
        whole[at] = value
    cut = data.draw(st.integers(8, len(whole)))
    lines = SourceLines(bytes(whole[:cut]))
    for offset in range(CODE_BEGIN, CODE_BEGIN + 40):
        found = lines.find(offset)
        assert found is None or found.isprintable()
