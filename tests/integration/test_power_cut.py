"""The power is cut at any moment: what was acknowledged is there, nothing is there by half.

A bus works on a disk that keeps a log of what it is asked to write and sync. Then, for thousands of moments, the disk
is put together as a machine may find it when the power comes back, and opened.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from caxton.bus import retention
from caxton.storage import database as storage
from caxton.storage.database import Database
from caxton.storage.verify import verify
from caxton.testing.clock import ManualClock, ManualLoop
from caxton.testing.faults import Disk, FaultVfs
from caxton.testing.handlers import say
from tests.unit.bus.rig import Rig, StepDatabase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from caxton.storage.database import Statement
    from caxton.testing.faults import Step

ROUNDS = 90
TABLES = (
    "agents", "messages", "dead_letters", "kv", "timers", "subscriptions", "receipts", "names", "quarantine",
    "conversations", "workspace_settings", "dead_letter_purges",
)  # fmt: skip
State = tuple[Any, ...]


def state_of(query: Callable[[str], Any]) -> State:
    """All rows of all tables but modules."""
    return tuple(tuple(query(f"SELECT * FROM {table}")) for table in TABLES)  # noqa: S608


@dataclass
class Recording:
    """What a bus did to its disk. After the mark n of the log, everybody who waited for commit n was told."""

    log: list[Step] = field(default_factory=list["Step"])
    states: list[State] = field(default_factory=list[State])
    """What each commit left; the first is the empty journal."""
    checkpoints: int = 0


class MarkingDatabase(StepDatabase):
    """Marks in the disk's log where each transaction was acknowledged."""

    def __init__(self, path: Path, disk: FaultVfs, recording: Recording) -> None:
        super().__init__(path, vfs=disk.name)
        self._disk, self._recording = disk, recording
        self._mark()

    def let_go(self) -> list[Statement]:
        statements = super().let_go()
        self._mark()
        return statements

    def _mark(self) -> None:
        self._disk.mark(len(self._recording.states))
        self._recording.states.append(state_of(self.query))

    def _checkpoint(self, *, empty_log: bool = False) -> None:
        super()._checkpoint(empty_log=empty_log)
        self._recording.checkpoints += 1


async def work(path: Path, clock: ManualClock, seed: int) -> Recording:
    """A bus with agents that settle, pass on with state and a timer, and fail; mail that waits; dead letters."""
    chance = random.Random(seed)  # noqa: S311
    recording, disk = Recording(), FaultVfs()
    rig = Rig(path, clock, database=MarkingDatabase(path, disk, recording))

    def pass_on(turn: Turn, message: AclMessage) -> int:
        turn.kv_set(b"last", bytes(message.content))
        turn.set_timer(chance.randrange(1, 10_000_000))
        return turn.send(say("waits", chance.randrange(1000)))

    rig.agent("settles")
    rig.agent("passes-on", pass_on)
    rig.agent("fails", lambda _turn, _message: 1)
    waits = rig.receiver("waits")
    for n in range(ROUNDS):
        for _ in range(chance.randrange(1, 4)):
            rig.post(chance.choice(("settles", "passes-on", "fails", "waits")), "x" * chance.randrange(1500))
        rig.pump()
        if chance.random() < 0.5:
            await rig.later(chance.random() * 2)
        if n % 20 == 19:
            rig.start(waits)
            rig.pump()
            rig.stop(waits)
        await rig.commit()
    rig.close()
    recording.log = disk.log
    disk.unregister()
    return recording


def record(path: Path, seed: int) -> Recording:
    clock = ManualClock()
    with asyncio.Runner(loop_factory=lambda: ManualLoop(clock)) as runner:
        return runner.run(work(path, clock, seed))


@dataclass
class Outcome:
    """What a number of cuts left behind."""

    cuts: int = 0
    lost: int = 0
    """Cuts after which something acknowledged was missing."""
    wrong: list[str] = field(default_factory=list[str])
    """Cuts after which there was what no commit had left."""


def cut(recording: Recording, place: Path, cuts: int, seed: int) -> Outcome:
    """Cut the power so many times at moments spread over the whole log."""
    chance = random.Random(seed)  # noqa: S311
    moments = sorted(chance.randrange(1, len(recording.log)) for _ in range(cuts))
    marks = [n for n, step in enumerate(recording.log) if step.kind == "mark"]
    known = {state: n for n, state in enumerate(recording.states)}
    disk, at, outcome = Disk(), 0, Outcome()
    for moment in moments:
        for step in recording.log[at:moment]:
            disk.apply(step)
        at = moment
        acknowledged = bisect_right(marks, moment - 1) - 1
        found = find(place, disk.after_a_cut(chance))
        outcome.cuts += 1
        if isinstance(found, str):
            outcome.wrong.append(f"step {moment}: {found}")
        elif (number := known.get(found)) is None or number > acknowledged + 1:
            outcome.wrong.append(f"step {moment}: rows that no commit left")
        elif number < acknowledged:
            outcome.lost += 1
    return outcome


def find(place: Path, content: dict[str, bytes]) -> State | str:
    """What a server would find on this disk, or what is wrong with it."""
    for old in place.iterdir():
        old.unlink()
    for name, data in content.items():
        (place / name).write_bytes(data)
    try:
        database = Database(place / "journal.db")
    except Exception as exc:
        return f"it does not open: {exc!r}"
    with closing(database):
        connection: Any = database._connection  # pyright: ignore[reportPrivateUsage]
        if findings := verify(connection).findings:
            return str(findings)
        return state_of(database.query)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where disks are put together: in memory if there is a file system for it."""
    made = tmp_path / "after"
    made.mkdir()
    return made


@pytest.fixture(autouse=True)
def early_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "CHECKPOINT_PAGES", 60)
    monkeypatch.setattr(retention, "KEEP_SETTLED_ROWS", 40)
    monkeypatch.setattr(retention, "BUNDLE_ROWS", 4)


def record_and_cut(tmp_path: Path, place: Path, cuts: int, seed: int) -> Outcome:
    (tmp_path / "before").mkdir()
    recording = record(tmp_path / "before" / "journal.db", seed)
    assert recording.checkpoints >= 5
    assert len(recording.states) >= ROUNDS
    assert recording.states[-1][2], "the work should have left dead letters"
    return cut(recording, place, cuts, seed)


@pytest.mark.timeout(120)
def test_what_was_acknowledged_survives_every_power_cut_and_nothing_is_there_by_half(
    tmp_path: Path, place: Path
) -> None:
    seed = random.randrange(2**32)  # noqa: S311
    outcome = record_and_cut(tmp_path, place, 3000, seed)
    assert (outcome.lost, outcome.wrong[:5], outcome.cuts) == (0, [], 3000), f"seed {seed}"


def test_simulator_finds_what_is_lost_without_an_fsync_at_each_commit(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = tuple(pragma.replace("= FULL", "= NORMAL") for pragma in storage._PRAGMAS)  # pyright: ignore[reportPrivateUsage]
    assert careless != storage._PRAGMAS  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(storage, "_PRAGMAS", careless)
    outcome = record_and_cut(tmp_path, place, 200, seed=1)
    assert outcome.lost >= 20


def test_simulator_finds_what_is_half_done_without_transactions(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def each_for_itself(self: Database, statements: list[Statement]) -> None:
        for sql, rows in statements:
            self._connection.executemany(sql, rows)  # pyright: ignore[reportPrivateUsage]

    monkeypatch.setattr(Database, "_commit", each_for_itself)
    outcome = record_and_cut(tmp_path, place, 200, seed=1)
    assert len(outcome.wrong) >= 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(20))
def test_what_was_acknowledged_survives_ten_thousand_power_cuts(tmp_path: Path, place: Path, seed: int) -> None:
    outcome = record_and_cut(tmp_path, place, 10_000, seed)
    assert (outcome.lost, outcome.wrong[:5]) == (0, [])
