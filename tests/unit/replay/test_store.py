"""The recordings of a node on its disk: bounded, whole, and left alone where they are not ours."""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caxton.core.errors.recordings import RecordingDamaged, RecordingNotFound, RecordingTooLarge, RecordingTooNew
from caxton.replay import file, shares, store
from caxton.replay.record import MESSAGE, Handling, Life, Outcome
from caxton.replay.search import damage_in, matching
from caxton.replay.store import Store

if TYPE_CHECKING:
    from caxton.replay.store import Writer

KIB = 1024
LIMIT = 64 * KIB


def life(n: int, *, sha256: str = "5a", agent: str = "echo") -> Life:
    return Life(f"{n:016x}-aa", "default", agent, 0, n, sha256, {}, "0.1.0")


def handling(size: int = 10, *, conversation_id: str | None = "c", message_id: str = "m") -> Handling:
    body = b"x" * size
    return Handling(MESSAGE, 1, body, "a", message_id, conversation_id, 1, -1, [], Outcome("returned"))


def opened(directory: Path, max_bytes: int = store.DEFAULT_BYTES) -> Store:
    where = Store(directory, lambda: 1, max_bytes)
    where.load()
    return where


def begun(
    where: Store, n: int, *, sha256: str = "5a", agent: str = "echo", kv: dict[bytes, bytes] | None = None
) -> Writer:
    """As a runner does it."""
    writer = where.begin(where.write_beginning(life(n, sha256=sha256, agent=agent), kv or {}, 1))
    while where.prune(store.MAX_GONE_AT_ONCE):
        pass
    return writer


def keep(where: Store, sha256: str, wasm: bytes) -> None:
    """As the agents' service does it."""
    if where.wants_module(sha256):
        where.write_module(sha256, wasm)
        where.keep_module(sha256, len(wasm))


def ids(where: Store) -> list[int]:
    return [entry.life.began_us for entry in where.entries("default")]


def size_of(where: Store, directory: Path) -> int:
    where.settle()
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def test_everything_together_stays_within_its_bound_and_the_oldest_goes_first_as_a_whole(tmp_path: Path) -> None:
    where = opened(tmp_path, LIMIT)
    for n in range(20):
        writer = begun(where, n)
        for _ in range(7):
            writer.add(handling(1000))
        writer.end("over")
        assert where.used_bytes <= LIMIT
        assert size_of(where, tmp_path) <= LIMIT
    assert ids(where) == list(range(20 - len(ids(where)), 20))
    assert len(ids(where)) > 4
    assert all(len(file.read(entry.path.read_bytes(), "x").handlings) == 7 for entry in where.entries("default"))
    assert where.used_bytes == opened(tmp_path, LIMIT).used_bytes


def test_many_tiny_lives_are_bounded_too(tmp_path: Path) -> None:
    where = opened(tmp_path, LIMIT)
    for n in range(100):
        begun(where, n).end("over")
    assert len(ids(where)) == LIMIT // shares.MIN_LIFE_BYTES


def test_one_life_has_its_share_and_then_its_recording_ends_and_says_so(tmp_path: Path) -> None:
    where = opened(tmp_path, LIMIT)
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
    where = opened(tmp_path, LIMIT)
    told: list[str] = []
    oldest = begun(where, 0)
    oldest.on_end = told.append
    for n in range(1, 17):
        begun(where, n)
    assert (len(told), oldest.is_open, ids(where)[0]) == (1, False, 1)
    oldest.add(handling())
    assert size_of(where, tmp_path) <= LIMIT, "a recording that was let go of takes nothing any more"


def test_agent_that_crashes_all_the_time_lets_go_of_its_own_recordings(tmp_path: Path) -> None:
    where = opened(tmp_path, LIMIT)
    others = [begun(where, n, agent=f"other-{n}") for n in range(3)]
    for writer in others:
        writer.add(handling(2000))
    begun(where, 3, agent="over").end("over")
    for n in range(100, 300):
        begun(where, n, agent="crashes").end("over")
        assert where.used_bytes <= LIMIT
    assert ids(where)[:4] == [0, 1, 2, 3], "older than all of the other's, and still there"
    assert all(writer.is_open for writer in others)
    assert len(ids(where)) == LIMIT // shares.MIN_LIFE_BYTES
    assert size_of(where, tmp_path) <= LIMIT


def test_lives_that_go_on_stay_as_long_as_others_are_over(tmp_path: Path) -> None:
    where = opened(tmp_path, LIMIT)
    writer = begun(where, 0, agent="large")
    while where.entries("default")[0].size < LIMIT // store.MAX_SHARE - 2000:
        writer.add(handling(1000))
    for n in range(1, 40):
        begun(where, n, agent=f"small-{n % 3}").end("over")
    assert (ids(where)[0], writer.is_open) == (0, True)


def test_agents_that_take_as_much_let_go_in_turns(tmp_path: Path) -> None:
    where = opened(tmp_path, LIMIT)
    for n in range(100):
        begun(where, n, agent=f"a-{n % 4}").end("over")
    owners = [entry.life.agent for entry in where.entries("default")]
    assert {owners.count(f"a-{n}") for n in range(4)} == {4}


def test_letting_go_of_a_life_looks_at_no_other_and_deletes_nothing_on_this_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash loop fills the store with tiny lives; one that is large has to replace hundreds of them."""
    limit = 8 << 20
    where = opened(tmp_path, limit)
    for n in range(limit // shares.MIN_LIFE_BYTES):
        begun(where, n).end("over")
    threads: list[str] = []
    unlink = Path.unlink

    def noting(path: Path, missing_ok: bool = False) -> None:
        threads.append(threading.current_thread().name)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", noting)
    turns, looks = [0], [0]
    largest = shares._largest  # pyright: ignore[reportPrivateUsage]

    def counting(of: Any) -> Any:
        looks[0] += 1
        return largest(of)

    monkeypatch.setattr(shares, "_largest", counting)
    where.begin(where.write_beginning(life(10**6), {b"k": bytes(1 << 20)}, 1))
    before = len(where.entries("default"))
    while where.prune(store.MAX_GONE_AT_ONCE):
        assert before - len(where.entries("default")) <= store.MAX_GONE_AT_ONCE
        before, turns[0] = len(where.entries("default")), turns[0] + 1
    where.settle()
    assert (turns[0], looks[0]) == (256 // store.MAX_GONE_AT_ONCE, 256 // store.MAX_GONE_AT_ONCE + 1)
    assert len(threads) == 257
    assert {name.rpartition("_")[0] for name in threads} == {"caxton-recordings"}
    assert where.used_bytes <= limit


def test_state_that_is_larger_than_a_life_may_be_is_refused_and_takes_nothing(tmp_path: Path) -> None:
    where = opened(tmp_path, LIMIT)
    begun(where, 1)
    with pytest.raises(RecordingTooLarge) as refused:
        where.write_beginning(life(2), {b"k": bytes(LIMIT // store.MAX_SHARE)}, 1)
    assert (refused.value.size_bytes > LIMIT // store.MAX_SHARE, refused.value.limit_bytes) == (True, LIMIT // 4)
    assert (ids(where), len(list(tmp_path.glob("*.life")))) == ([1], 1)


def test_beginning_that_nobody_wants_any_more_is_deleted(tmp_path: Path) -> None:
    where = opened(tmp_path, LIMIT)
    where.discard(where.write_beginning(life(1), {}, 1))
    where.settle()
    where.discard(where.write_beginning(life(2), {}, 1))
    where.close()
    where.discard(where.write_beginning(life(3), {}, 1))
    assert (list(tmp_path.iterdir()), where.used_bytes) == ([], 0)


def test_files_are_private(tmp_path: Path) -> None:
    where = opened(tmp_path / "recordings")
    keep(where, "5a", b"wasm")
    begun(where, 1)
    assert (tmp_path / "recordings").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o600}


def test_more_lives_than_open_files_go_on_all_the_same(tmp_path: Path) -> None:
    where = opened(tmp_path)
    writers = [begun(where, n) for n in range(3 * store.MAX_OPEN_FILES)]
    before = len(os.listdir("/proc/self/fd")) + store.MAX_OPEN_FILES
    for _ in range(3):
        for writer in writers:
            writer.add(handling())
    assert len(os.listdir("/proc/self/fd")) <= before
    assert all(len(file.read(entry.path.read_bytes(), "x").handlings) == 3 for entry in where.entries("default"))


def test_disk_that_takes_half_of_a_frame_ends_the_recording_at_the_frame_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, write = opened(tmp_path), os.write
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
    writer = begun(opened(tmp_path), 1)
    writer.add(handling())
    [path] = tmp_path.glob("*.life")
    path.write_bytes(path.read_bytes() + b"H\x10\x00")
    where = opened(tmp_path)
    [entry] = where.entries("default")
    assert (entry.life, entry.writer) == (life(1), None)
    found = matching(entry.path, conversation_id="c")
    assert (len(found.handlings), found.damage, damage_in(entry.path)) == (1, None, None)


def test_files_of_another_format_are_named_refused_and_left_as_they_are(tmp_path: Path) -> None:
    begun(opened(tmp_path), 1)
    [path] = tmp_path.glob("*.life")
    later = struct.pack("<8sI", file.MAGIC, 9) + b"who knows"
    path.write_bytes(later)
    garbage = tmp_path / "0-0.life"
    garbage.write_bytes(b"no recording")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "77.wasm").write_bytes(b"the later one may need it")
    where = opened(tmp_path, LIMIT)
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
    where = opened(tmp_path)
    begun(where, 1)
    for workspace, name in (("default", "nothing"), ("other", life(1).id), ("default", "../../etc/passwd")):
        with pytest.raises(RecordingNotFound):
            where.entry(workspace, name)


def test_module_goes_with_the_last_life_that_needs_it(tmp_path: Path) -> None:
    wasm = [b"one", b"two"]
    sha256 = [hashlib.sha256(one).hexdigest() for one in wasm]
    where = opened(tmp_path, LIMIT)
    for n, one in enumerate(wasm):
        keep(where, sha256[n], one)
        begun(where, n, sha256=sha256[n]).end("over")
    where = opened(tmp_path, LIMIT)
    assert [where.module(one) for one in sha256] == wasm
    for n in range(2, 17):
        begun(where, n, sha256=sha256[1]).end("over")
    with pytest.raises(RecordingNotFound):
        where.module(sha256[0])
    assert where.module(sha256[1]) == b"two"
    (tmp_path / "modules" / f"{sha256[1]}.wasm").write_bytes(b"twa")
    with pytest.raises(RecordingDamaged):
        where.module(sha256[1])


def test_module_that_two_agents_write_at_once_is_whole_and_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, wasm = opened(tmp_path), bytes(1 << 20)
    sha256 = hashlib.sha256(wasm).hexdigest()
    both_wrote, replace = threading.Barrier(2, timeout=5), Path.replace

    def meet(path: Path, target: Path) -> Path:
        both_wrote.wait()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", meet)
    assert [where.wants_module(sha256) for _ in range(2)] == [True, True]
    writers = [threading.Thread(target=where.write_module, args=(sha256, wasm)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        where.keep_module(sha256, len(wasm))
    assert (where.module(sha256), where.used_bytes) == (wasm, len(wasm))
    assert [path.name for path in (tmp_path / "modules").iterdir()] == [f"{sha256}.wasm"]
    assert not where.wants_module(sha256)


def test_module_that_the_disk_does_not_take_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = opened(tmp_path)

    def refuse(path: Path, target: Path) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="no space"):
        where.write_module("5a", b"wasm")
    assert (list((tmp_path / "modules").iterdir()), where.used_bytes, where.wants_module("5a")) == ([], 0, True)


def test_half_a_module_that_another_run_left_goes_at_the_next_start(tmp_path: Path) -> None:
    where = opened(tmp_path)
    keep(where, "5a", b"wasm")
    begun(where, 1)
    (tmp_path / "modules" / "5a.0f0f0f0f").write_bytes(b"wa")
    assert opened(tmp_path).used_bytes == where.used_bytes
    assert [path.name for path in (tmp_path / "modules").iterdir()] == ["5a.wasm"]


@pytest.mark.parametrize("message_id", ["m-7", "message-Ü"])
def test_messages_are_found_by_conversation_and_by_id(tmp_path: Path, message_id: str) -> None:
    where = opened(tmp_path)
    writer = begun(where, 1)
    for n in range(5):
        writer.add(handling(300_000, conversation_id=f"c-{n}"))
    writer.add(handling(conversation_id="c-3", message_id=message_id))
    path = where.entries("default")[0].path
    assert [one.message_id for one in matching(path, conversation_id="c-3").handlings] == ["m", message_id]
    assert [one.conversation_id for one in matching(path, message_id=message_id).handlings] == ["c-3"]
    assert matching(path, conversation_id="c").handlings == []
    assert matching(path, conversation_id="not there").handlings == []
