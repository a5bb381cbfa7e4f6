"""The data directory: private, one server at a time, secrets made once."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from caxton.core.errors.server import DataDirInUse, DataDirUnusable
from caxton.server.datadir import DataDir

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_second_server_is_refused_and_told_who_holds_the_directory(tmp_path: Path) -> None:
    with DataDir(tmp_path) as first:
        first.tell("http://localhost:8080", "2026-01-01T00:00:00Z")
        with pytest.raises(DataDirInUse) as caught, DataDir(tmp_path):
            pass
        assert caught.value.pid == os.getpid()
        assert str(os.getpid()) in str(caught.value)
        assert json.loads(first.info_path.read_text())["url"] == "http://localhost:8080"  # the first one's still
    with DataDir(tmp_path):
        pass


@pytest.mark.parametrize("told", [None, "", "[]", "{}", '{"pid": "x"}', '{"pid": null}', "\0"])
def test_second_server_is_refused_also_while_the_first_has_not_told(tmp_path: Path, told: str | None) -> None:
    with DataDir(tmp_path) as first:
        if told is not None:
            first.info_path.write_text(told)
        with pytest.raises(DataDirInUse) as caught, DataDir(tmp_path):
            pass
        assert caught.value.pid is None


@pytest.mark.parametrize("below", ["file/data", "file", "/proc/caxton-data", "a\0b"])
def test_directory_that_cannot_be_made_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirUnusable) as caught, DataDir(tmp_path / below):
        pass
    assert caught.value.path == str(tmp_path / below)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_directory_without_write_permission_is_refused(tmp_path: Path) -> None:
    parent = tmp_path / "closed"
    parent.mkdir(mode=0o500)
    with pytest.raises(DataDirUnusable), DataDir(parent / "data"):
        pass


def test_directory_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "data"
    with DataDir(path) as directory:
        directory.tell("http://localhost:1", "now")
        directory.secret("cache.key")
        assert mode(path) == 0o700
        assert mode(path / "keys") == 0o700
        assert mode(path / "keys" / "cache.key") == 0o600
        assert mode(path / "server.json") == 0o600


def test_directory_that_others_could_enter_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir(mode=0o755)
    with DataDir(path):
        assert mode(path) == 0o700


def test_directory_with_files_of_others_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir()
    path.chmod(0o1777)
    (path / "mine.txt").write_text("precious")
    with pytest.raises(DataDirUnusable), DataDir(path):
        pass
    assert (mode(path), [entry.name for entry in path.iterdir()]) == (0o1777, ["mine.txt"])


def test_leaving_takes_the_address_away_and_leaves_the_data(tmp_path: Path) -> None:
    with DataDir(tmp_path) as directory:
        directory.tell("http://localhost:1", "now")
        (tmp_path / "journal.db").write_text("precious")
    assert not directory.info_path.exists()
    assert (tmp_path / "journal.db").read_text() == "precious"


def test_secret_is_made_once_and_differs_by_name(tmp_path: Path) -> None:
    with DataDir(tmp_path) as directory:
        secret = directory.secret("a")
        assert directory.secret("b") != secret
    with DataDir(tmp_path) as directory:
        assert directory.secret("a") == secret
    assert len(secret) == 32


def test_secret_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    with DataDir(tmp_path) as directory:
        secret = directory.secret("a")
        (tmp_path / "keys" / "a").write_bytes(secret[:5])
        again = directory.secret("a")
        assert (len(again), again != secret, directory.secret("a")) == (32, True, again)


def test_secret_that_cannot_be_kept_is_an_error_and_not_a_new_one_each_time(tmp_path: Path) -> None:
    with DataDir(tmp_path) as directory:
        (tmp_path / "keys").write_text("in the way")
        with pytest.raises(DataDirUnusable):
            directory.secret("a")
