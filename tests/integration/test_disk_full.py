"""A disk that fills up at any moment: nothing is lost, settling goes on, and the node goes on by itself."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from caxton.bus.disk import POLL_S, DiskGuard
from caxton.bus.journal import IDLE_COMMIT_S
from caxton.core.errors.storage import StorageFull
from caxton.storage import ballast as ballast_module
from caxton.storage import database as storage
from caxton.storage.ballast import Ballast
from caxton.storage.database import Database, DiskFull
from caxton.testing.clock import ManualClock, ManualLoop
from caxton.testing.faults import FaultVfs
from caxton.testing.handlers import say
from tests.integration.honest_database import HonestDatabase
from tests.unit.bus.rig import Rig, StepDatabase

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator
    from pathlib import Path

    from caxton.bus.turn import Turn
    from caxton.core.errors.error import CaxtonError
    from caxton.messages.message import AclMessage
    from caxton.storage.database import Statement

KIB = 1024
ROUNDS, FULL_ROUNDS = 14, 6


class ModelBallast(Ballast):
    """Room on the disk of the test instead of a file."""

    def __init__(self, directory: Path, disk: FaultVfs, size_bytes: int) -> None:
        super().__init__(directory, size_bytes=size_bytes)
        self._disk, self._is_there = disk, False
        self.released = 0

    @property
    def is_there(self) -> bool:
        return self._is_there

    def free_bytes(self) -> int:
        assert self._disk.capacity_bytes is not None
        return max(0, self._disk.capacity_bytes - self._disk.used_bytes)

    def make(self) -> bool:
        if not self._is_there and self.free_bytes() >= self.size_bytes:
            assert self._disk.capacity_bytes is not None
            self._disk.capacity_bytes -= self.size_bytes
            self._is_there = True
        return self._is_there

    def release(self) -> bool:
        freed, self._is_there = self._is_there, False
        if freed:
            assert self._disk.capacity_bytes is not None
            self._disk.capacity_bytes += self.size_bytes
            self.released += 1
        return freed


class Node:
    """A bus with its guard on a disk of the test's."""

    def __init__(self, path: Path, disk: FaultVfs, clock: ManualClock, ballast_bytes: int) -> None:
        self.disk, self.clock = disk, clock
        self.rig = Rig(path, clock, database=HonestDatabase(path, vfs=disk.name))
        self.ballast = ModelBallast(path.parent, disk, ballast_bytes)
        self.pauses = 0
        self.is_paused = False
        self.guard = DiskGuard(
            intake=self.rig.bus.intake, journal=self.rig.journal, database=self.rig.database, ballast=self.ballast,
            pause=self._pause, resume=self._resume,
        )  # fmt: skip
        self.guard.start()
        self.acknowledged: list[str] = []
        self.refused = 0
        self.handled: list[object] = []
        self.rig.agent("passes-on", self._pass_on)
        self.rig.agent("handles", lambda _turn, message: self.handled.append(bytes(message.content)) or 0)

    def _pass_on(self, turn: Turn, message: AclMessage) -> int:
        turn.kv_set(b"last", bytes(message.content))
        sent = turn.send(say("handles", 1))
        assert sent >= 0 or sent == -3
        return 0 if sent >= 0 else 1

    def _pause(self) -> None:
        self.pauses += 1
        self.is_paused = True

    def _resume(self) -> None:
        self.is_paused = False

    async def post(self, size: int) -> asyncio.Future[None] | None:
        """Post, let the agents work and the disk write; whoever waited hears of it in time."""
        waiting = None
        try:
            message = self.rig.post("passes-on", "x" * size)
        except StorageFull:
            self.refused += 1
        else:
            waiting = asyncio.ensure_future(self.rig.journal.commit())
            waiting.add_done_callback(lambda _done: self.acknowledged.append(message.message_id))
        await self.work()
        return waiting

    async def work(self, seconds: float = IDLE_COMMIT_S) -> None:
        if not self.is_paused:
            self.rig.pump()
        self.rig.journal.touch()
        self.clock.advance(seconds)
        await self.rig.turn_loop()
        for _ in range(5):
            if self.rig.database.asked:
                self.rig.database.let_go()
                await self.rig.turn_loop()

    @property
    def is_open(self) -> bool:
        return self.rig.bus.intake.is_open

    def close(self) -> None:
        self.guard.close()
        self.rig.close()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "CHECKPOINT_PAGES", 40)
    monkeypatch.setattr(storage, "MEASURE_EVERY_S", 0.0)
    monkeypatch.setattr(ballast_module, "MARGIN_BYTES", 100 * KIB)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def disk() -> Generator[FaultVfs]:
    made = FaultVfs()
    made.is_recording = False
    made.capacity_bytes = 1 << 40
    yield made
    made.unregister()


def run(coroutine: Coroutine[Any, Any, Any], clock: ManualClock) -> Any:
    with asyncio.Runner(loop_factory=lambda: ManualLoop(clock)) as runner:
        return runner.run(coroutine)


async def fill_and_heal(node: Node, *, full_at_write: int) -> bool:
    """Work; the disk is full from this write on; then somebody makes room. Whether it was ever full."""
    disk = node.disk
    disk.writes = 0

    def fill(number: int, _file: str, _size: int) -> None:
        if number == full_at_write:
            disk.capacity_bytes = disk.used_bytes

    disk.before_write = fill
    waiting = [await node.post(1500) for _ in range(ROUNDS)]
    was_full = disk.capacity_bytes != (1 << 40) - node.ballast.size_bytes
    for _ in range(FULL_ROUNDS):
        waiting.append(await node.post(1500))
        await node.work(1.0)
    before = len(node.acknowledged)
    disk.before_write = None
    disk.capacity_bytes = (1 << 40) - (node.ballast.size_bytes if node.ballast.is_there else 0)
    for _ in range(4):
        await node.work(POLL_S)
    assert node.is_open
    assert not node.is_paused
    assert node.ballast.is_there
    assert len(node.acknowledged) >= before
    assert all(commit is None or commit.exception() is None for commit in waiting)
    return was_full


@pytest.mark.timeout(120)
@pytest.mark.parametrize("ballast_kib", [24, 1024], ids=["small-ballast", "large-ballast"])
def test_disk_that_fills_up_at_any_write_loses_nothing_and_the_node_goes_on_by_itself(
    tmp_path: Path, disk: FaultVfs, clock: ManualClock, ballast_kib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caxton.bus.disk.LOW_BYTES", 0)  # not before it is full
    pauses = releases = refused = filled = 0

    async def one(place: int) -> bool:
        nonlocal pauses, releases, refused
        disk.capacity_bytes = 1 << 40
        disk.before_write = None
        node = Node(tmp_path / f"{place}.db", disk, clock, ballast_kib * KIB)
        was_full = await fill_and_heal(node, full_at_write=place)
        assert not node.rig.journal.failed
        assert node.rig.storage_errors == []
        pending = {row[0] for row in node.rig.rows("SELECT message_id FROM messages")}
        assert set(node.acknowledged) <= pending
        assert len(node.acknowledged) + node.refused == ROUNDS + FULL_ROUNDS
        pauses, releases, refused = pauses + node.pauses, releases + node.ballast.released, refused + node.refused
        node.close()
        with closing(Database(tmp_path / f"{place}.db")) as again:
            assert set(node.acknowledged) <= {row[0] for row in again.query("SELECT message_id FROM messages")}
            assert again.query("PRAGMA integrity_check") == [("ok",)]
        disk.sizes.clear()
        return was_full

    place = 1
    while run(one(place), clock):
        for old in tmp_path.glob(f"{place}.db*"):
            old.unlink()
        filled += 1
        place += 3
    assert filled >= 20
    assert releases >= 10, "the ballast should be of use"
    assert refused >= 50
    assert (pauses > 0) == (ballast_kib == 24)


def test_settling_goes_on_with_the_ballast_while_senders_are_refused(
    tmp_path: Path, disk: FaultVfs, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caxton.bus.disk.LOW_BYTES", 0)

    async def story() -> None:
        node = Node(tmp_path / "journal.db", disk, clock, 1024 * KIB)
        waits = node.rig.receiver("waits")
        for n in range(40):
            node.rig.post("waits", n)
        await node.work()
        node.rig.database.tidy(lambda _error: None, empty_log=True)  # a log that was larger has room of its own
        disk.capacity_bytes = disk.used_bytes
        for n in range(40):  # the agent is started: its settlements need room
            if n == 0:
                node.rig.start(waits)
            await node.work()
        assert node.rig.pending() == []
        assert node.ballast.released == 1
        assert (node.pauses, node.is_open) == (0, False)
        with pytest.raises(StorageFull) as refused:
            node.rig.post("waits", 1)
        assert str(tmp_path) in str(refused.value)
        assert refused.value.free_bytes == node.ballast.free_bytes()
        node.close()

    run(story(), clock)


def test_nothing_new_is_taken_before_the_disk_is_quite_full(
    tmp_path: Path, disk: FaultVfs, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caxton.bus.disk.LOW_BYTES", 50 * KIB)

    async def story() -> None:
        node = Node(tmp_path / "journal.db", disk, clock, 1024 * KIB)
        await node.work(1.0)
        disk.capacity_bytes = disk.used_bytes + 50 * KIB
        assert node.is_open
        await node.post(10)
        await node.work()
        assert not node.is_open
        assert len(node.acknowledged) == 1
        assert node.ballast.is_there, "the ballast is for later"
        disk.capacity_bytes += 300 * KIB
        await node.work(POLL_S)
        await node.work(POLL_S)
        assert node.is_open
        node.close()

    run(story(), clock)


def test_node_that_finds_no_room_for_its_ballast_begins_read_only(
    tmp_path: Path, disk: FaultVfs, clock: ManualClock
) -> None:
    async def story() -> None:
        disk.capacity_bytes = 20 << 20
        node = Node(tmp_path / "journal.db", disk, clock, 32 << 20)
        assert (node.is_open, node.guard.is_read_only) == (False, True)
        disk.capacity_bytes = 1 << 30
        await node.work(POLL_S)
        await node.work(POLL_S)
        assert node.is_open
        node.close()

    run(story(), clock)


def test_transaction_without_room_is_rolled_back_and_can_be_tried_again(tmp_path: Path, disk: FaultVfs) -> None:
    with closing(StepDatabase(tmp_path / "journal.db", vfs=disk.name)) as database:
        disk.capacity_bytes = disk.used_bytes + 8 * KIB
        outcomes: list[Exception | None] = []
        rows = [(bytes([n]), bytes(4000)) for n in range(20)]
        put: list[Statement] = [("INSERT INTO kv (workspace, agent, key, value) VALUES ('default', 'a', ?, ?)", rows)]
        with pytest.raises(DiskFull):
            database._transaction(put)  # pyright: ignore[reportPrivateUsage]
        assert database.query("SELECT count(*) FROM kv") == [(0,)]
        assert database.failures == {"full": 1, "io": 0, "other": 0}
        disk.capacity_bytes = None
        database._transaction(put)  # pyright: ignore[reportPrivateUsage]
        assert database.query("SELECT count(*) FROM kv") == [(20,)]
        assert outcomes == []


def test_error_says_what_to_do(tmp_path: Path) -> None:
    error: CaxtonError = StorageFull("/data", 5 << 20, 64 << 20)
    assert "/data has 5 MiB left" in str(error)
    assert "64 MiB" in str(error)
    assert error.details() == {"path": "/data", "free_bytes": 5 << 20, "needed_bytes": 64 << 20}
