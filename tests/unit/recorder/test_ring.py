"""The ring gives back whole blocks, newest first, whatever happened to its file."""

from __future__ import annotations

import errno
import os
import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caxton.recorder import ring as ring_module
from caxton.recorder.ring import MAX_BLOCK_BYTES, SEGMENT_BYTES, OtherFormat, Ring

if TYPE_CHECKING:
    from pathlib import Path


def opened(path: Path, *, mib: int = 2, version: int = 1) -> Ring:
    return Ring(path, mib << 20, version=version)


def block(n: int, size: int = 200_000) -> bytes:
    return f"block {n} ".encode() + random.Random(n).randbytes(size)  # noqa: S311


def test_file_of_another_version_or_size_or_kind_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    opened(path).close()
    before = path.read_bytes()
    for kwargs in ({"version": 2}, {"mib": 3}):
        with pytest.raises(OtherFormat):
            opened(path, **kwargs)
    assert path.read_bytes() == before
    path.write_bytes(b"SQLite format 3\0" * 300)
    with pytest.raises(OtherFormat):
        opened(path)


def test_block_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "ring")) as ring:
        ring.append(bytes(MAX_BLOCK_BYTES), 1)
        with pytest.raises(ValueError, match="the limit is"):
            ring.append(bytes(MAX_BLOCK_BYTES + 1), 2)
        assert len(list(ring.blocks())) == 1


def test_oldest_blocks_are_overwritten_and_the_others_survive_a_new_start(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    for first in (0, 20):
        with closing(opened(path)) as ring:
            for n in range(first, first + 20):
                ring.append(block(n), n)
            found = list(ring.blocks())
            assert found == [block(n) for n in range(first + 19, first + 19 - len(found), -1)]
            assert 5 <= len(found) <= 10
    with closing(opened(path)) as ring:
        assert list(ring.blocks()) == found


@pytest.mark.parametrize("byte", ["length", "checksum", "time", "content"])
def test_torn_block_and_what_follows_it_is_not_shown(tmp_path: Path, byte: str) -> None:
    path = tmp_path / "ring"
    with closing(opened(path)) as ring:
        for n in range(3):
            ring.append(block(n, 1000), n + 1)
    data = bytearray(path.read_bytes())
    at = data.index(b"block 1 ")
    data[at - {"length": 16, "checksum": 12, "time": 8, "content": -100}[byte]] ^= 4
    path.write_bytes(data)
    with closing(opened(path)) as ring:
        assert list(ring.blocks()) == [block(0, 1000)]
        ring.append(block(7, 1000), 9)
        assert list(ring.blocks()) == [block(7, 1000), block(0, 1000)]


def test_block_that_is_overwritten_while_it_is_read_is_left_out(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "ring")) as ring:
        for n in range(10):
            ring.append(block(n), n)
        reading = ring.blocks()
        found = [next(reading)]
        for n in range(10, 30):
            ring.append(block(n), n)
        found += reading
        assert found[0] == block(9)
        assert set(found) <= {block(n) for n in range(30)}


def test_only_blocks_that_have_the_needle_and_are_young_enough_are_read(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "ring")) as ring:
        for n in range(8):
            ring.append(f"conversation {n} of agents".encode(), n)
        assert list(ring.blocks(needle=b"conversation 3 ")) == [b"conversation 3 of agents"]
        assert len(list(ring.blocks(since_us=5))) == 3
        assert list(ring.blocks(needle=b"conversation 3 ", since_us=4)) == []
        assert list(ring.blocks(needle=b"nobody")) == []


def test_full_disk_makes_the_ring_shorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(fd: int, offset: int, size: int) -> None:
        if offset >= 2 * SEGMENT_BYTES:
            raise OSError(errno.ENOSPC, "no space")
        os.truncate(fd, max(os.fstat(fd).st_size, offset + size))

    monkeypatch.setattr(ring_module.os, "posix_fallocate", allocate)
    with closing(opened(tmp_path / "ring", mib=8)) as ring:
        for n in range(30):
            ring.append(block(n), n)
        found = list(ring.blocks())
        assert found[0] == block(29)
        assert 5 <= len(found) <= 10


def test_disk_that_has_no_room_at_all_is_an_error_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(tmp_path / "ring")) as ring:

        def allocate(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no space")

        monkeypatch.setattr(ring_module.os, "posix_fallocate", allocate)
        with pytest.raises(OSError, match="no space"):
            ring.append(b"x", 1)
        assert list(ring.blocks()) == []


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, MAX_BLOCK_BYTES), min_size=1, max_size=14),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), max_size=4),
)
def test_whatever_is_read_was_written_in_that_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], flips: list[tuple[float, int]]
) -> None:
    path = tmp_path_factory.mktemp("rings") / "ring"
    written = [block(n, max(size - 20, 0)) for n, size in enumerate(sizes)]
    with closing(opened(path)) as ring:
        for n, one in enumerate(written):
            ring.append(one, n)
    data = bytearray(path.read_bytes())
    for where, bit in flips:
        data[4096 + int(where * (len(data) - 4097))] ^= 1 << bit
    path.write_bytes(data)
    with closing(opened(path)) as ring:
        found = list(ring.blocks())
        places = [written.index(one) for one in found]
        assert places == sorted(places, reverse=True)
        if not flips:
            assert places[0] == len(written) - 1
        ring.append(b"after", 99)
        assert next(iter(ring.blocks())) == b"after"
