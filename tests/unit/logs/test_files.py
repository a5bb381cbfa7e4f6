"""Log lines on disk: what comes back, what is cleaned away, and what damage costs."""

from __future__ import annotations

import errno
import os
import stat
import struct
import zlib
from typing import TYPE_CHECKING

import pytest

from caxton.logs import files as module
from caxton.logs.block import MAGIC, decode, encode
from caxton.logs.files import MIN_FREE_BYTES, RECORDS_PER_BLOCK, SEGMENTS, LogFiles
from caxton.logs.line import FORGOTTEN, Context, Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TALK = Context("m-1", "c-1", "ab" * 16, "0" * 16, 2)
MAX_BYTES = SEGMENTS * 2000


def record(seq: int, agent: str = "a", text: str = "said", context: Context | None = None) -> Record:
    return Record(seq, seq * 1000, "default", agent, 1, 3, "guest", text, context)


def forgotten(seq: int, agent: str = "a") -> Record:
    return record(seq, agent)._replace(level=FORGOTTEN)


def nothing(_space: str, _agent: str, _seq: int) -> bool:
    return False


def everything(_space: str, _agent: str, _seq: int) -> bool:
    return True


def open_files(path: Path, *, free: int = 1 << 40, keeps: Callable[[str, str, int], bool] | None = None) -> LogFiles:
    return LogFiles(path / "logs", MAX_BYTES, lambda: free, keeps or nothing)


def segments(path: Path) -> list[Path]:
    return sorted((path / "logs").iterdir())


def test_lines_come_back_as_they_were(tmp_path: Path) -> None:
    written = [record(1, context=TALK), record(2, "b", "für \U0001f600"), record(3)]
    files = open_files(tmp_path)
    assert files.load() == []
    files.write(written[:2])
    files.write(written[2:])
    assert open_files(tmp_path).load() == written
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in segments(tmp_path)} == {0o600}


def test_next_run_writes_behind_what_was_there(tmp_path: Path) -> None:
    for seq in (1, 2, 3):
        files = open_files(tmp_path)
        assert [one.seq for one in files.load()] == [*range(1, seq)]
        files.write([record(seq)])
    assert len(segments(tmp_path)) == 3


def test_lines_of_a_removed_agent_do_not_come_back_but_those_of_its_successor_do(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    files.write([record(1), record(2, "b"), record(3)])
    files.write([forgotten(4), record(5)])
    assert [(one.seq, one.agent) for one in open_files(tmp_path).load()] == [(2, "b"), (5, "a")]


def test_bytes_are_bounded_and_what_memory_keeps_survives_the_cleaning(tmp_path: Path) -> None:
    files = open_files(tmp_path, keeps=lambda _space, agent, seq: agent == "quiet" or seq > 9_900)
    files.write([record(0, "quiet")])
    for seq in range(1, 10_000):
        files.write([record(seq, text="x" * 100)])
    on_disk = sum(path.stat().st_size for path in segments(tmp_path))
    assert files.bytes == on_disk <= MAX_BYTES
    found = open_files(tmp_path).load()
    assert (found[0].seq, found[0].agent) == (0, "quiet")
    assert [one.seq for one in found[-100:]] == [*range(9_900, 10_000)]


def test_cleaning_ends_even_if_memory_keeps_more_than_the_disk_may_hold(tmp_path: Path) -> None:
    files = open_files(tmp_path, keeps=everything)
    for seq in range(1, 2_000):
        files.write([record(seq, text="ä" * 100)])
    assert files.bytes <= MAX_BYTES
    assert open_files(tmp_path).load()[-1].seq == 1_999


def test_line_that_a_cut_off_cleaning_left_twice_comes_back_once(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    files.write([record(1), record(2)])
    files.write([record(3), record(1)])
    assert [one.seq for one in open_files(tmp_path).load()] == [1, 2, 3]


@pytest.mark.parametrize("cut", [1, 4, 9, 20])
def test_torn_end_costs_only_what_was_torn(cut: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = open_files(tmp_path)
    files.write([record(1)])
    files.write([record(2)])
    (path,) = segments(tmp_path)
    os.truncate(path, path.stat().st_size - cut)
    again = open_files(tmp_path)
    assert [one.seq for one in again.load()] == [1]
    again.write([record(3)])
    assert [one.seq for one in open_files(tmp_path).load()] == [1, 3]
    assert {vars(one)["action"] for one in caplog.records} == {"logs.damaged"}


def test_any_flipped_bit_costs_its_block_alone_and_what_it_cost_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = open_files(tmp_path)
    files.write([record(1, context=TALK)])
    (path,) = segments(tmp_path)
    start = path.stat().st_size
    files.write([record(2, context=TALK), record(3)])
    end = path.stat().st_size
    files.write([record(4, context=TALK)])
    whole = path.read_bytes()
    for at in range(start, end):
        caplog.clear()
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert [one.seq for one in open_files(tmp_path).load()] == [1, 4]
        assert [(vars(one)["action"], vars(one)["lost"]) for one in caplog.records] == [("logs.damaged", 2)]


def test_one_byte_of_thousands_of_lines_costs_a_block_of_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def files() -> LogFiles:
        return LogFiles(tmp_path / "logs", SEGMENTS << 20, lambda: 1 << 40, nothing)

    files().write([record(seq, text="x" * 50) for seq in range(1, 5_001)])
    (path,) = segments(tmp_path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 10] ^= 1
    path.write_bytes(whole)
    found = files().load()
    assert len(found) == 5_000 - RECORDS_PER_BLOCK
    assert (found[0].seq, found[-1].seq) == (1, 5_000)
    assert [(vars(one)["lines"], vars(one)["lost"]) for one in caplog.records] == [(4_900, 100)]


@pytest.mark.parametrize("junk", [b"\0", b"\xff", b"\xc1BLK", encode([record(9)], 0)[:24]])
def test_hole_over_several_blocks_costs_what_is_in_it(
    junk: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = open_files(tmp_path)
    for seq in range(1, 11):
        files.write([record(seq)])
    (path,) = segments(tmp_path)
    whole = path.read_bytes()
    block = (len(whole) - len(MAGIC)) // 10
    start, size = len(MAGIC) + 3 * block + 5, 2 * block  # the 4th to the 6th, none as a whole but the 5th
    path.write_bytes(whole[:start] + (junk * size)[:size] + whole[start + size :])
    assert [one.seq for one in open_files(tmp_path).load()] == [1, 2, 3, 7, 8, 9, 10]
    assert vars(caplog.records[-1])["lost"] == 3


def test_cleaning_keeps_what_can_be_read_behind_the_damage(tmp_path: Path) -> None:
    files = open_files(tmp_path, keeps=lambda _space, agent, _seq: agent == "quiet")
    for seq in (1, 2, 3):
        files.write([record(seq, "quiet")])
    (path,) = segments(tmp_path)
    whole = bytearray(path.read_bytes())
    whole[len(MAGIC) + 30] ^= 1
    path.write_bytes(whole)
    for seq in range(4, 1_000):
        files.write([record(seq, text="x" * 100)])
    assert not path.exists()
    assert [one.seq for one in open_files(tmp_path).load() if one.agent == "quiet"] == [2, 3]


OTHERS = {
    b"": "it does not begin as",
    b"\x00": "it does not begin as",
    MAGIC[:-1] + b"\x07more": "it is of version 7, and this server reads version 2",
    b"something else": "it does not begin as",
}


@pytest.mark.parametrize("other", OTHERS)
def test_file_of_another_version_is_told_and_stays_while_there_is_room(
    other: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "000000000007.log"
    path.write_bytes(other)
    (tmp_path / "logs" / "readme.log").write_text("mine")
    (tmp_path / "logs" / "000000000009.log").mkdir()
    files = open_files(tmp_path)
    assert (files.load(), files.bytes) == ([], len(other))
    files.write([record(1)])
    assert path.read_bytes() == other
    (told,) = caplog.records
    assert (vars(told)["action"], vars(told)["path"]) == ("logs.damaged", str(path))
    assert vars(told)["reason"].startswith(OTHERS[other])


def test_files_of_another_version_count_and_the_oldest_goes_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logs").mkdir()
    paths = [tmp_path / "logs" / f"{number:012}.log" for number in (1, 2, 3)]
    size = MAX_BYTES * 2 // 5
    for path in paths:
        path.write_bytes((MAGIC[:-1] + b"\x07").ljust(size, b"x"))
    files = open_files(tmp_path)
    assert (files.load(), files.bytes) == ([], 3 * size)
    files.write([record(1)])
    assert segments(tmp_path)[:-1] == paths[1:]
    assert files.bytes == sum(path.stat().st_size for path in segments(tmp_path)) <= MAX_BYTES
    told = [(vars(one)["action"], vars(one)["path"]) for one in caplog.records]
    assert told == [*(("logs.damaged", str(path)) for path in paths), ("logs.let_go", str(paths[0]))]
    assert "version 7" in vars(caplog.records[-1])["reason"]


def test_file_that_the_disk_does_not_give_back_is_told_and_keeps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    open_files(tmp_path).write([record(1)])

    def fail(_path: Path, _mode: str) -> None:
        raise OSError(errno.EIO, "input/output error")

    files = open_files(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "open", fail)
        assert files.load() == []
    assert files.bytes == segments(tmp_path)[0].stat().st_size
    assert [vars(one)["reason"] for one in caplog.records] == ["reading it fails: input/output error"]


def test_what_has_a_right_checksum_and_is_no_record_is_damage() -> None:
    good = encode([record(1)], 0)
    assert [one.seq for one in decode(good).records] == [1]
    for data in (b"\x01", b"\x91\x01", b"\x90x"):
        head = struct.pack("<4sIIII", b"\xc1BLK", len(data), 0, 4, zlib.crc32(data))
        wrong = head + struct.pack("<I", zlib.crc32(head)) + data
        found = decode(wrong + encode([record(2)], 4))
        assert ([one.seq for one in found.records], found.lost) == ([2], 4)


def test_text_that_looks_like_a_block_is_text() -> None:
    """Nobody's line becomes a line of somebody else's because there was damage before it."""
    forged = encode([record(9, "victim")], 0)
    texts = [forged.decode("latin-1"), forged.decode("utf-8", "replace"), "\xc1BLK"]
    block = bytearray(encode([record(1, text=text, context=TALK._replace(message_id=text)) for text in texts], 0))
    block[5] ^= 1
    assert decode(bytes(block)) == ([], 1)


def test_last_room_of_the_disk_is_left_to_the_journal(tmp_path: Path) -> None:
    files = open_files(tmp_path, free=MIN_FREE_BYTES - 1)
    with pytest.raises(OSError, match="64 MiB"):
        files.write([record(1)])
    assert not (tmp_path / "logs").exists()


def test_write_that_fails_in_the_middle_spoils_nothing_that_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = open_files(tmp_path)
    files.write([record(1)])
    real = os.write

    def half(handle: int, data: memoryview) -> int:
        if len(data) < 8:
            raise OSError(errno.ENOSPC, "full")
        return real(handle, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "write", half)
        with pytest.raises(OSError, match="full"):
            files.write([record(2)])
    files.write([record(3)])
    assert files.bytes == sum(path.stat().st_size for path in segments(tmp_path))
    assert [one.seq for one in open_files(tmp_path).load()] == [1, 3]
