"""The recordings of a node on its disk: bounded, whole, and left alone where they are not ours."""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING

import pytest

from caxton.core.errors import RecordingDamaged, RecordingNotFound, RecordingTooNew
from caxton.replay import file, store
from caxton.replay.record import MESSAGE, Handling, Life, Outcome, State
from caxton.replay.search import matching
from caxton.replay.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.replay.store import Writer

KIB = 1024
LIMIT = 64 * KIB


def life(n: int, *, sha256: str = "5a", agent: str = "echo") -> Life:
    return Life(f"{n:016x}-aa", "default", agent, 0, n, sha256, {}, "0.1.0")


def handling(size: int = 10, *, conversation_id: str | None = "c", message_id: str = "m") -> Handling:
    body = b"x" * size
    return Handling(MESSAGE, 1, body, "a", message_id, conversation_id, 1, -1, [], Outcome("returned"))


def begun(where: Store, n: int, *, sha256: str = "5a") -> Writer:
    return where.begin(life(n, sha256=sha256), State([], 1))


def ids(where: Store) -> list[int]:
    return [entry.life.began_us for entry in where.entries("default")]


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def test_everything_together_stays_within_its_bound_and_the_oldest_goes_first_as_a_whole(tmp_path: Path) -> None:
    where = Store(tmp_path, lambda: 1, LIMIT)
    for n in range(20):
        writer = begun(where, n)
        for _ in range(7):
            writer.add(handling(1000))
        writer.end("over")
        assert where.used_bytes <= LIMIT
        assert size_of(tmp_path) <= LIMIT
    assert ids(where) == list(range(20 - len(ids(where)), 20))
    assert len(ids(where)) > 4
    assert all(len(file.read(entry.path.read_bytes(), "x").handlings) == 7 for entry in where.entries("default"))
    assert where.used_bytes == Store(tmp_path, lambda: 1, LIMIT).used_bytes


def test_many_tiny_lives_are_bounded_too(tmp_path: Path) -> None:
    where = Store(tmp_path, lambda: 1, LIMIT)
    for n in range(100):
        begun(where, n).end("over")
    assert len(ids(where)) == LIMIT // store.MIN_LIFE_BYTES


def test_one_life_has_its_share_and_then_its_recording_ends_and_says_so(tmp_path: Path) -> None:
    where = Store(tmp_path, lambda: 1, LIMIT)
    told: list[str] = []
    writer = begun(where, 1)
    writer.on_end = told.append
    for _ in range(100):
        writer.add(handling(1000))
    assert not writer.is_open
    assert len(told) == 1
    found = file.read(where.entries("default")[0].path.read_bytes(), "x")
    assert found.end is not None
    assert len(found.handlings) > 10
    assert where.entries("default")[0].size < LIMIT // store.MAX_SHARE + 100


def test_life_that_goes_on_is_let_go_of_when_it_is_the_oldest_and_is_told(tmp_path: Path) -> None:
    where = Store(tmp_path, lambda: 1, LIMIT)
    told: list[str] = []
    oldest = begun(where, 0)
    oldest.on_end = told.append
    for n in range(1, 17):
        begun(where, n)
    assert (len(told), oldest.is_open, ids(where)[0]) == (1, False, 1)
    oldest.add(handling())
    assert size_of(tmp_path) <= LIMIT, "a recording that was let go of takes nothing any more"


def test_files_are_private(tmp_path: Path) -> None:
    where = Store(tmp_path / "recordings", lambda: 1)
    where.keep_module("5a", b"wasm")
    begun(where, 1)
    assert (tmp_path / "recordings").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o600}


def test_more_lives_than_open_files_go_on_all_the_same(tmp_path: Path) -> None:
    where = Store(tmp_path, lambda: 1)
    writers = [begun(where, n) for n in range(3 * store.MAX_OPEN_FILES)]
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        for writer in writers:
            writer.add(handling())
    assert len(os.listdir("/proc/self/fd")) <= before
    assert all(len(file.read(entry.path.read_bytes(), "x").handlings) == 3 for entry in where.entries("default"))


def test_disk_that_takes_half_of_a_frame_ends_the_recording_at_the_frame_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, write = Store(tmp_path, lambda: 1), os.write
    told: list[str] = []
    writer = begun(where, 1)
    writer.on_end = told.append
    writer.add(handling())

    def write_half(handle: int, data: bytes) -> int:
        return write(handle, data[: len(data) // 2])

    monkeypatch.setattr("os.write", write_half)
    writer.add(handling())
    monkeypatch.undo()
    writer.add(handling())
    [entry] = where.entries("default")
    assert told == ["it cannot be written: no space left on device"]
    assert len(file.read(entry.path.read_bytes(), "x").handlings) == 1
    assert entry.path.stat().st_size == entry.size, "the half is taken back"


def test_what_another_run_left_is_taken_up_and_its_torn_end_is_not_shown(tmp_path: Path) -> None:
    writer = begun(Store(tmp_path, lambda: 1), 1)
    writer.add(handling())
    [path] = tmp_path.glob("*.life")
    path.write_bytes(path.read_bytes() + b"H\x10\x00")
    where = Store(tmp_path, lambda: 1)
    [entry] = where.entries("default")
    assert (entry.life, entry.writer) == (life(1), None)
    assert len(list(matching(entry.path, conversation_id="c"))) == 1


def test_files_of_another_format_are_named_refused_and_left_as_they_are(tmp_path: Path) -> None:
    begun(Store(tmp_path, lambda: 1), 1)
    [path] = tmp_path.glob("*.life")
    later = struct.pack("<8sI", file.MAGIC, 9) + b"who knows"
    path.write_bytes(later)
    garbage = tmp_path / "0-0.life"
    garbage.write_bytes(b"no recording")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "77.wasm").write_bytes(b"the later one may need it")
    where = Store(tmp_path, lambda: 1, LIMIT)
    assert set(where.unreadable) == {path.name, garbage.name}
    with pytest.raises(RecordingTooNew):
        where.entry("default", path.stem)
    with pytest.raises(RecordingDamaged):
        where.entry("default", garbage.stem)
    for n in range(100, 200):
        begun(where, n).end("over")
    assert (path.read_bytes(), garbage.read_bytes()) == (later, b"no recording")
    assert (tmp_path / "modules" / "77.wasm").exists()


def test_unknown_recordings_are_not_found(tmp_path: Path) -> None:
    where = Store(tmp_path, lambda: 1)
    begun(where, 1)
    for workspace, name in (("default", "nothing"), ("other", life(1).id), ("default", "../../etc/passwd")):
        with pytest.raises(RecordingNotFound):
            where.entry(workspace, name)


def test_module_goes_with_the_last_life_that_needs_it(tmp_path: Path) -> None:
    wasm = [b"one", b"two"]
    sha256 = [hashlib.sha256(one).hexdigest() for one in wasm]
    where = Store(tmp_path, lambda: 1, LIMIT)
    for n, one in enumerate(wasm):
        where.keep_module(sha256[n], one)
        begun(where, n, sha256=sha256[n]).end("over")
    where = Store(tmp_path, lambda: 1, LIMIT)
    assert [where.module(one) for one in sha256] == wasm
    for n in range(2, 17):
        begun(where, n, sha256=sha256[1]).end("over")
    with pytest.raises(RecordingNotFound):
        where.module(sha256[0])
    assert where.module(sha256[1]) == b"two"
    (tmp_path / "modules" / f"{sha256[1]}.wasm").write_bytes(b"twa")
    with pytest.raises(RecordingDamaged):
        where.module(sha256[1])


@pytest.mark.parametrize("message_id", ["m-7", "message-Ü"])
def test_messages_are_found_by_conversation_and_by_id(tmp_path: Path, message_id: str) -> None:
    where = Store(tmp_path, lambda: 1)
    writer = begun(where, 1)
    for n in range(5):
        writer.add(handling(300_000, conversation_id=f"c-{n}"))
    writer.add(handling(conversation_id="c-3", message_id=message_id))
    path = where.entries("default")[0].path
    assert [one.message_id for one in matching(path, conversation_id="c-3")] == ["m", message_id]
    assert [one.conversation_id for one in matching(path, message_id=message_id)] == ["c-3"]
    assert list(matching(path, conversation_id="c")) == []
    assert list(matching(path, conversation_id="not there")) == []
