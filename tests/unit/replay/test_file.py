"""The file of a life: whole frames are read, and nothing else is."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from caxton.core.errors.recordings import RecordingDamaged, RecordingTooNew
from caxton.replay import file
from caxton.replay.record import FORMAT, MESSAGE, START, End, Handling, Life, Outcome, State, encode, encode_state

if TYPE_CHECKING:
    from collections.abc import Iterable

LIFE = Life("05-aa", "default", "echo", 2, 5, "5a", {"memory_bytes": 65536, "wall_time_s": 1.5}, "0.1.0")
STATE = State([(b"key\xff", b"\x00value")], 7)


def handling(n: int) -> Handling:
    calls = [(0, (b'{"n":1}',), 0), (6, (b"key",), None), (3, (4,), b"\x00\xff\x01\x02"), (1, (2, b"t", "guest"), None)]
    return Handling(MESSAGE, n, b"{}" * n, "client:a", f"m-{n}", "c", 1, -1, calls, Outcome("returned", n))


HANDLINGS = [Handling(START, 1, b"", "", "", None, 1, -1, [], Outcome("returned", text="a,b")), *map(handling, (2, 3))]
FRAME_HEAD = 9
END = End(9, "it was over")


def beginning() -> tuple[bytes, int]:
    parts, checksum = file.begin(LIFE, dict(STATE.kv), STATE.next_timer_id)
    return b"".join(parts), checksum


def written(records: Iterable[tuple[bytes, object]] = ()) -> bytes:
    data, checksum = beginning()
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


def ends() -> list[int]:
    """Where each frame ends."""
    found = [len(file.HEAD)]
    for _, content in file.frames(written(), "x"):
        found.append(found[-1] + FRAME_HEAD + len(content))
    return found


def test_flipped_bit_is_damage_wherever_it_is_and_nothing_from_there_on_is_read() -> None:
    whole = written()
    _, _, *handlings, last = ends()
    for at in range(len(file.HEAD), len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        try:
            found = file.read(bytes(damaged), "x")
        except RecordingDamaged:
            assert at < handlings[0]
            continue
        before = sum(end <= at for end in handlings)
        assert found.handlings == HANDLINGS[: before - 1]
        assert found.end is None
        assert found.damage is not None, at
        assert (found.damage.at, found.damage.of) == (handlings[before - 1], last)


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5, 8, 14])
def test_damage_tells_which_handlings_are_lost(at: int) -> None:
    """Kind, length, checksum, content: those behind are known unless the length, or the kind, is what is damaged."""
    damaged = bytearray(written())
    begins = ends()[3]
    damaged[begins + at] ^= 0x10
    damage = file.read(bytes(damaged), "x").damage
    assert damage is not None
    lost = [one.message_id for one in damage.lost if one.message_id.startswith("m-")]
    assert (lost, damage.is_all) == ((["m-2", "m-3"], True) if at >= 5 else ([], False))


def test_what_a_kill_cut_off_is_no_damage_and_what_was_cut_out_is() -> None:
    whole = written()
    _, _, _, first, second, third, _ = ends()
    for length in range(third, third + 1):
        assert file.read(whole[:length], "x").damage is None
    for length in range(second, third):
        found = file.read(whole[:length], "x")
        assert (len(found.handlings), found.damage) == (2, None)
    for gap in ((first, second), (first + 3, first + 4), (second, third)):
        assert file.read(whole[: gap[0]] + whole[gap[1] :], "x").damage is not None
    assert file.read(whole + b"H", "x").damage is not None, "a life that has ended was not cut off"
    assert file.read(whole[:third] + bytes(40), "x").damage is not None


def test_frame_that_says_to_be_larger_than_any_is_damage() -> None:
    whole = written()[: ends()[4]]
    body = struct.pack("<cII", file.HANDLING, file.MAX_FRAME_BYTES + 1, 0) + b"\xda\xff\xff"
    assert file.read(whole + body, "x").damage is not None
    body = struct.pack("<cII", file.HANDLING, file.MAX_FRAME_BYTES, 0) + b"\xda\xff\xff"
    assert file.read(whole + body, "x").damage is None, "a text of 65535 bytes that was cut off"


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65535, 65536])
def test_state_is_encoded_piece_by_piece_as_it_is_in_one(count: int) -> None:
    kv = {b"k%d" % n: b"v" * (n % 40) for n in range(count)}
    assert encode_state(kv, 7) == encode(State(list(kv.items()), 7))


def test_frame_that_was_lost_or_taken_from_elsewhere_ends_what_is_read() -> None:
    data, checksum = beginning()
    first, after = file.frame(file.HANDLING, HANDLINGS[0], checksum)
    second, last = file.frame(file.HANDLING, HANDLINGS[1], after)
    third, _ = file.frame(file.HANDLING, HANDLINGS[2], last)
    other, _ = file.frame(file.HANDLING, HANDLINGS[2], 12345)
    for pieces, whole in ((first + third, 1), (first + second + other, 2)):
        found = file.read(data + pieces, "x")
        assert (len(found.handlings), found.damage is None) == (whole, False)


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
