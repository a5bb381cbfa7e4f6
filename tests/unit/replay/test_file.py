"""The file of a life: whole frames are read, and nothing else is."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from caxton.core.errors import RecordingDamaged, RecordingTooNew
from caxton.replay import file
from caxton.replay.record import FORMAT, MESSAGE, START, End, Handling, Life, Outcome, State

if TYPE_CHECKING:
    from collections.abc import Iterable

LIFE = Life("05-aa", "default", "echo", 2, 5, "5a", {"memory_bytes": 65536, "wall_time_s": 1.5}, "0.1.0")
STATE = State([(b"key\xff", b"\x00value")], 7)


def handling(n: int) -> Handling:
    calls = [(0, (b'{"n":1}',), 0), (6, (b"key",), None), (3, (4,), b"\x00\xff\x01\x02"), (1, (2, b"t", "guest"), None)]
    return Handling(MESSAGE, n, b"{}" * n, "client:a", f"m-{n}", "c", 1, -1, calls, Outcome("returned", n))


HANDLINGS = [Handling(START, 1, b"", "", "", None, 1, -1, [], Outcome("returned", text="a,b")), *map(handling, (2, 3))]
END = End(9, "it was over")


def written(records: Iterable[tuple[bytes, object]] = ()) -> bytes:
    data, checksum = file.begin(LIFE, STATE)
    for kind, record in [*((file.HANDLING, one) for one in HANDLINGS), (file.END, END), *records]:
        frame, checksum = file.frame(kind, record, checksum)
        data += frame
    return data


def test_what_was_written_is_read_byte_for_byte() -> None:
    found = file.read(written(), "x")
    assert (found.life, found.state, found.handlings, found.end) == (LIFE, STATE, HANDLINGS, END)
    assert file.read_life(written(), "x") == LIFE


def test_file_cut_off_anywhere_shows_whole_handlings_only() -> None:
    whole = written()
    shown: list[int] = []
    for length in range(len(whole)):
        try:
            found = file.read(whole[:length], "x")
        except RecordingDamaged:
            shown.append(-1)
            continue
        assert found.handlings == HANDLINGS[: len(found.handlings)]
        assert found.end is None
        shown.append(len(found.handlings))
    assert shown == sorted(shown)
    assert set(shown) == {-1, 0, 1, 2, 3}


def test_flipped_bit_ends_what_is_read_before_it() -> None:
    whole = written()
    for at in range(len(file.HEAD), len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        try:
            found = file.read(bytes(damaged), "x")
        except RecordingDamaged:
            continue
        assert found.handlings == HANDLINGS[: len(found.handlings)]
        assert found.end is None, "the frame that holds the bit counts as torn, and so does all behind it"


def test_frame_that_was_lost_or_taken_from_elsewhere_ends_what_is_read() -> None:
    data, checksum = file.begin(LIFE, STATE)
    first, after = file.frame(file.HANDLING, HANDLINGS[0], checksum)
    second, last = file.frame(file.HANDLING, HANDLINGS[1], after)
    third, _ = file.frame(file.HANDLING, HANDLINGS[2], last)
    assert len(file.read(data + first + third, "x").handlings) == 1
    other, _ = file.frame(file.HANDLING, HANDLINGS[2], 12345)
    assert len(file.read(data + first + second + other, "x").handlings) == 2


@pytest.mark.parametrize("found", [FORMAT + 1, 0, 2**32 - 1])
def test_another_format_is_refused_by_its_number(found: int) -> None:
    data = struct.pack("<8sI", file.MAGIC, found) + written()[len(file.HEAD) :]
    with pytest.raises(RecordingTooNew) as refused:
        file.read(data, "x")
    assert (refused.value.found, refused.value.known) == (found, FORMAT)


@pytest.mark.parametrize("data", [b"", b"CXLIFE", b"something else altogether", file.HEAD, file.HEAD + bytes(100)])
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    with pytest.raises(RecordingDamaged):
        file.read(data, "x")
    with pytest.raises(RecordingDamaged):
        file.read_life(data, "x")
