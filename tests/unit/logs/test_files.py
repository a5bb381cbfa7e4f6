"""Log lines on disk: what comes back, what is cleaned away, and what damage costs."""

from __future__ import annotations

import errno
import logging
import os
import stat
from typing import TYPE_CHECKING

import pytest

from caxton.logs import files as module
from caxton.logs.block import MAGIC, Damaged, decode, encode
from caxton.logs.files import MIN_FREE_BYTES, SEGMENTS, LogFiles
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


def test_any_flipped_bit_is_found_and_costs_nothing_before_it(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    files.write([record(1, context=TALK)])
    (path,) = segments(tmp_path)
    start = path.stat().st_size
    files.write([record(2, context=TALK)])
    whole = path.read_bytes()
    for at in range(start, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert [one.seq for one in open_files(tmp_path).load()] == [1]


@pytest.mark.parametrize("other", [b"", b"\x00", MAGIC[:-1] + b"\x07more", b"something else"])
def test_file_of_another_version_is_left_alone_and_told(
    other: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "000000000007.log"
    path.write_bytes(other)
    (tmp_path / "logs" / "readme.log").write_text("mine")
    files = open_files(tmp_path)
    assert files.load() == []
    for seq in range(1, 500):
        files.write([record(seq, text="x" * 100)])
    assert path.read_bytes() == other
    assert [vars(one)["action"] for one in caplog.records if one.levelno == logging.WARNING] == ["logs.damaged"]


def test_what_has_a_right_checksum_and_is_no_record_is_damage(tmp_path: Path) -> None:
    block = encode([record(1)])
    assert [[one.seq for one in found] for found in decode(block)] == [[1]]
    for data in (b"\x01", b"\x91\x01", encode([])[8:] + b"x"):
        import zlib

        wrong = len(data).to_bytes(4, "little") + zlib.crc32(data).to_bytes(4, "little") + data
        with pytest.raises(Damaged):
            list(decode(wrong))


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
