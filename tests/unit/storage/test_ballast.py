"""The file that holds room on a disk."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from caxton.storage.ballast import MARGIN_BYTES, Ballast

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1 << 20


def test_its_room_is_really_taken_and_only_the_owner_may_read_it(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, size_bytes=SIZE)
    assert not ballast.is_there
    assert ballast.make()
    found = ballast.path.stat()
    assert (found.st_size, found.st_blocks * 512 >= SIZE, stat.S_IMODE(found.st_mode)) == (SIZE, True, 0o600)
    assert ballast.is_there
    assert ballast.make()


def test_its_room_is_given_back_once(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, size_bytes=SIZE)
    ballast.make()
    assert ballast.release()
    assert not ballast.path.exists()
    assert not ballast.release()


def test_file_of_another_size_is_made_anew(tmp_path: Path) -> None:
    Ballast(tmp_path, size_bytes=10).make()
    ballast = Ballast(tmp_path, size_bytes=SIZE)
    assert not ballast.is_there
    assert ballast.make()
    assert ballast.path.stat().st_size == SIZE


def test_without_room_nothing_is_left_behind(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, size_bytes=1 << 60)
    assert not ballast.make()
    assert list(tmp_path.iterdir()) == []
    assert not Ballast(tmp_path / "absent", size_bytes=SIZE).make()


def test_room_for_the_file_counts_only_while_it_is_gone(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, size_bytes=SIZE)
    assert ballast.needed_bytes == MARGIN_BYTES + SIZE
    ballast.make()
    assert ballast.needed_bytes == MARGIN_BYTES
    assert ballast.free_bytes() > 0
