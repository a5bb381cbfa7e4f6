"""A disk that fails: at every write and every sync of a run, nobody is told that something is safe which is not."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from caxton.bus import retention
from caxton.bus.journal import IDLE_COMMIT_S
from caxton.core.errors.storage import StorageFailed
from caxton.storage import database as storage
from caxton.storage.database import Database
from caxton.testing.clock import ManualClock, ManualLoop
from caxton.testing.faults import FaultVfs, io_error
from caxton.testing.handlers import say
from tests.integration.honest_database import HonestDatabase
from tests.unit.bus.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator
    from pathlib import Path

    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage

ROUNDS = 25


class Story:
    """What clients of a bus were told."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.failed: list[str] = []
        self.told_after_the_failure = 0
        self.errors: list[Exception] = []
        self.begun: tuple[int, int] = (0, 0)
        self.ended: tuple[int, int] = (0, 0)
        """Writes and syncs up to where the bus began to work and ended."""


@pytest.fixture(autouse=True)
def early_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "CHECKPOINT_PAGES", 40)
    monkeypatch.setattr(retention, "KEEP_SETTLED_ROWS", 10_000)


@pytest.fixture
def disk() -> Generator[FaultVfs]:
    made = FaultVfs()
    made.is_recording = False
    yield made
    made.unregister()


def run(coroutine: Coroutine[Any, Any, None], clock: ManualClock) -> None:
    with asyncio.Runner(loop_factory=lambda: ManualLoop(clock)) as runner:
        runner.run(coroutine)


async def work(rig: Rig, story: Story) -> None:
    """Post to an agent that passes on and one that is stopped; somebody waits for each commit."""

    def pass_on(turn: Turn, message: AclMessage) -> int:
        turn.kv_set(b"last", bytes(message.content))
        return turn.send(say("waits", 1))

    rig.agent("passes-on", pass_on)
    rig.receiver("waits")
    for n in range(ROUNDS):
        posted = [rig.post(name, "x" * (400 * n % 3000)) for name in ("passes-on", "waits")]
        rig.pump()
        commit = asyncio.ensure_future(rig.journal.commit())
        rig.clock.advance(IDLE_COMMIT_S)
        await rig.turn_loop()
        while rig.database.asked:
            rig.database.let_go()
            await rig.turn_loop()
        for message in posted:
            if commit.exception() is None:
                story.acknowledged.append(message.message_id)
                story.told_after_the_failure += rig.journal.failed
            else:
                assert isinstance(commit.exception(), StorageFailed)
                story.failed.append(message.message_id)
    story.errors = rig.storage_errors


def play(path: Path, disk: FaultVfs) -> Story:
    """The whole run on `disk`, up to a crash of the process."""
    clock, story = ManualClock(), Story()

    async def story_of_a_node() -> None:
        rig = Rig(path, clock, database=HonestDatabase(path, vfs=disk.name))
        story.begun = disk.writes, disk.syncs
        try:
            await work(rig, story)
        finally:
            story.ended = disk.writes, disk.syncs
            disk.before_write = disk.before_sync = None
            rig.close()

    run(story_of_a_node(), clock)
    return story


def on_disk(path: Path) -> set[str]:
    with closing(Database(path)) as database:
        assert database.query("PRAGMA integrity_check") == [("ok",)]
        return {message_id for (message_id,) in database.query("SELECT message_id FROM messages")}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("at_sync", [False, True], ids=["write", "sync"])
def test_after_an_io_error_at_any_place_nobody_is_told_that_anything_is_safe(
    tmp_path: Path, disk: FaultVfs, at_sync: bool
) -> None:
    whole = play(tmp_path / "whole.db", disk)
    assert (len(whole.acknowledged), whole.failed) == (2 * ROUNDS, [])
    first, last = whole.begun[at_sync], whole.ended[at_sync]
    assert last - first >= (35 if at_sync else 150)
    checkpoints = 0
    for place in range(1, last - first + 1):
        path = tmp_path / f"{place}.db"
        disk.writes = disk.syncs = 0

        def fail(number: int, file: str, _size: int = 0, *, place: int = place) -> None:
            nonlocal checkpoints
            if number == first + place:
                checkpoints += file.endswith(".db")
                raise io_error(at_sync=at_sync)

        if at_sync:
            disk.before_sync = fail
        else:
            disk.before_write = fail
        story = play(path, disk)
        assert len(story.errors) == 1, place
        assert isinstance(story.errors[0], apsw.IOError)
        assert story.told_after_the_failure == 0
        assert len(story.acknowledged) + len(story.failed) == 2 * ROUNDS
        assert story.failed, place
        found = on_disk(path)
        assert set(story.acknowledged) <= found, f"lost after an error at {place}"
        for old in tmp_path.glob(f"{place}.db*"):
            old.unlink()
    assert checkpoints >= 3, "the run should fail within checkpoints as well"


def test_failed_fsync_of_a_checkpoint_is_not_forgotten(tmp_path: Path, disk: FaultVfs) -> None:
    """SQLite's own checkpoints swallow it, and the next one believes pages to be safe that are nowhere."""
    database = Database(tmp_path / "journal.db", vfs=disk.name)

    def fail(_number: int, file: str) -> None:
        if file == "journal.db":
            raise io_error(at_sync=True)

    disk.before_sync = fail
    outcomes: list[Exception | None] = []
    database.start()
    for n in range(40):
        database.write([(_PUT, [(n.to_bytes(2, "big"), bytes(6000))])], outcomes.append)
    database.tidy(lambda _error: None)
    disk_failed = threading.Event()
    database.read("SELECT 1", (), lambda _rows: disk_failed.set())
    assert disk_failed.wait(10)
    disk.before_sync = None
    database.close()
    first = next(n for n, outcome in enumerate(outcomes) if outcome is not None)
    assert isinstance(outcomes[first], apsw.IOError)
    assert first < 39
    assert database.failures["io"] >= 1


def test_failed_fsync_while_nobody_commits_is_not_forgotten_either(
    tmp_path: Path, disk: FaultVfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHECKPOINT_PAGES", 1000)
    database = Database(tmp_path / "journal.db", vfs=disk.name)
    outcomes: list[Exception | None] = []
    step(database, outcomes)

    def fail(_number: int, file: str) -> None:
        if file == "journal.db":
            raise io_error(at_sync=True)

    disk.before_sync = fail
    tidied: list[Exception | None] = []
    database.tidy(tidied.append, empty_log=True)
    step(database, outcomes)
    disk.before_sync = None
    step(database, outcomes)
    database.close()
    assert isinstance(tidied[0], apsw.IOError)
    assert [type(outcome) for outcome in outcomes] == [type(None), StorageFailed, StorageFailed]


_PUT = "INSERT INTO kv (workspace, agent, key, value) VALUES ('default', 'a', ?, ?)"


def test_acknowledgements_wait_for_a_slow_disk(tmp_path: Path, disk: FaultVfs, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many transactions as the disk has synced are told, never more; the rest waits in line."""
    monkeypatch.setattr(storage, "CHECKPOINT_PAGES", 1000)  # none in between, whose syncs would count
    may_sync, syncing = threading.Semaphore(0), threading.Semaphore(0)

    def wait(_number: int, _file: str) -> None:
        syncing.release()
        assert may_sync.acquire(timeout=10)

    database = Database(tmp_path / "journal.db", vfs=disk.name)
    database.start()
    told: list[int] = []
    first_told = threading.Semaphore(0)
    disk.before_sync = wait
    for n in range(10):

        def done(error: Exception | None, n: int = n) -> None:
            assert error is None
            told.append(n)
            first_told.release()

        database.write([(_PUT, [(bytes([n]), b"")])], done)
    assert syncing.acquire(timeout=10)
    assert told == []
    syncs_of_first = 1
    while not first_told.acquire(blocking=False):
        may_sync.release()
        if syncing.acquire(timeout=10) and told == []:
            syncs_of_first += 1
    assert told == [0]
    assert syncs_of_first <= 2  # the header of a new log, and the transaction
    disk.before_sync = None
    for _ in range(10):
        may_sync.release()
    database.close()
    assert told == list(range(10))


async def test_memory_is_bounded_and_senders_are_held_back_while_the_disk_is_slow(tmp_path: Path) -> None:
    """The disk takes nothing: mailboxes fill up to their quota, then clients are refused."""
    from caxton.core.errors.receivers import MailboxFull

    rig = Rig(tmp_path / "journal.db", ManualClock())
    rig.receiver("waits", max_messages=50)
    for _ in range(50):
        rig.post("waits", "x")
        rig.journal.touch()
    with pytest.raises(MailboxFull):
        rig.post("waits", "x")
    assert len(rig.database.asked) == 0  # nothing is due yet
    rig.journal.after_commit(lambda: None)
    await rig.turn_loop()
    assert len(rig.database.asked) == 1  # one transaction is under way, and no second one is begun
    for _ in range(10):
        rig.journal.touch()
        rig.journal.after_commit(lambda: None)
        await rig.turn_loop()
    assert len(rig.database.asked) == 1
    rig.close()


# --- the file goes away --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("companion", ["", "-wal"], ids=["file", "log"])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_journal_that_is_removed_or_replaced_is_noticed_before_the_next_acknowledgement(
    tmp_path: Path, companion: str, how: str
) -> None:
    path = tmp_path / "journal.db"
    victim = tmp_path / f"journal.db{companion}"
    database = Database(path)
    outcomes: list[Exception | None] = []
    step(database, outcomes)
    if how == "replaced":
        copy = tmp_path / "copy"
        copy.write_bytes(victim.read_bytes())
        copy.replace(victim)
    else:
        victim.unlink()
    step(database, outcomes)
    database.close()
    assert outcomes[0] is None
    assert isinstance(outcomes[1], StorageFailed)
    assert str(victim) in str(outcomes[1])


def step(database: Database, outcomes: list[Exception | None]) -> None:
    if not outcomes:
        database.start()
    done = threading.Event()

    def told(error: Exception | None) -> None:
        outcomes.append(error)
        done.set()

    database.write([(_PUT, [(bytes([len(outcomes)]), b"")])], told)
    assert done.wait(10)
