"""kill -9 under load, again and again: whatever was acknowledged is there, once, and state and messages agree."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.integration.crash_child import RING, TOKENS

CHILD = Path(__file__).with_name("crash_child.py")
WAIT_S = 30.0


@dataclass
class Witness:
    """What the clients saw, over all runs. It knows nothing of the server's own files."""

    acknowledged: dict[str, set[str]] = field(default_factory=lambda: {"counter": set(), "token": set()})
    replies: set[str] = field(default_factory=set[str])
    attempts: int = 0
    count: int | None = None

    def hear(self, line: str) -> None:
        words = line.split()
        if line.endswith("\n"):  # else it was cut off by the kill
            match words:
                case ["ack", kind, message_id]:
                    self.acknowledged[kind].add(message_id)
                case ["reply", "pong", message_id]:
                    self.replies.add(message_id)
                case ["try", *_]:
                    self.attempts += 1
                case ["count", number]:
                    self.count = int(number)
                case _:
                    pass


@dataclass
class Disk:
    """What a restart would find."""

    pending: dict[str, list[str]]
    """Receiver → message ids."""
    settled: dict[str, list[str]]
    kept_replies: set[str]
    dead: set[str]
    count: int


def look(path: Path) -> Disk:
    """Read the journal with a connection of our own, as any SQLite tool would."""
    connection: Any = apsw.Connection(str(path))
    with closing(connection):
        assert list(connection.execute("PRAGMA integrity_check")) == [("ok",)]
        pending: dict[str, list[str]] = {}
        settled: dict[str, list[str]] = {}
        replies: set[str] = set()
        for receiver, message_id, settled_us in connection.execute(
            "SELECT receiver, message_id, settled_us FROM messages ORDER BY seq"
        ):
            if receiver.startswith("client:"):
                replies.add(message_id)
            else:
                (pending if settled_us is None else settled).setdefault(receiver, []).append(message_id)
        dead = {message_id for (message_id,) in connection.execute("SELECT message_id FROM dead_letters")}
        rows = list(connection.execute("SELECT value FROM kv WHERE agent = 'counter' AND key = ?", (b"count",)))
        return Disk(pending, settled, replies, dead, int(rows[0][0]) if rows else 0)


def check(witness: Witness, disk: Disk, *, questions: int = 0) -> None:
    """The promises of the delivery contract that can be seen from outside; `questions` to the counter add nothing."""
    counter_pending, counter_settled = disk.pending.get("counter", []), disk.settled.get("counter", [])
    places = [*counter_pending, *counter_settled]
    assert len(places) == len(set(places)), "in two places at once"
    assert not (witness.acknowledged["counter"] - set(places) - disk.dead), "acknowledged and lost"
    assert disk.count == len(counter_settled) - questions, "state and messages are not of one transaction"
    assert not (witness.replies - disk.kept_replies), "told to a client, and then forgotten"
    tokens = sum(len(disk.pending.get(f"ring-{n}", [])) for n in range(RING))
    assert len(witness.acknowledged["token"]) <= tokens <= TOKENS, "messages between agents lost or doubled"
    assert disk.dead == set()


def run(
    witness: Witness, directory: Path, compiled: Path, mode: str, *, kill_after: int | None = None, delay_s: float = 0.0
) -> None:
    """One life of the node; it is killed `delay_s` after so many acknowledgements, counted from `ready`."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(directory), str(compiled), mode], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    heard = -1
    with child.stdout:
        for line in child.stdout:
            witness.hear(line)
            if line == "ready\n":
                heard = 0
            elif heard >= 0 and line.startswith(("ack", "reply")):
                heard += 1
            if kill_after is not None and heard >= kill_after:
                threading.Timer(delay_s, child.kill).start()
                kill_after = None  # what is told until then still counts
    code = child.wait(WAIT_S)
    assert code == (0 if mode == "finish" else -9)


def cycles(number: int, directory: Path, compiled: Path) -> None:
    seed = random.randrange(2**32)  # noqa: S311
    chance = random.Random(seed)  # noqa: S311
    witness = Witness()
    for cycle in range(number):
        run(witness, directory, compiled, "load", kill_after=chance.randrange(100), delay_s=chance.random() * 0.02)
        try:
            check(witness, look(directory / "journal.db"))
        except AssertionError as exc:
            raise AssertionError(f"cycle {cycle} with seed {seed}: {exc}") from exc
    run(witness, directory, compiled, "finish")
    disk = look(directory / "journal.db")
    check(witness, disk, questions=1)
    assert disk.pending.keys() <= {f"ring-{n}" for n in range(RING)}
    assert witness.count == disk.count >= len(witness.acknowledged["counter"]) > 0
    assert witness.attempts > len(witness.acknowledged["counter"])


@pytest.mark.timeout(60)
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path, compiled_dir: Path) -> None:
    cycles(5, tmp_path / "node", compiled_dir)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_by_kill_9_thirty_times(tmp_path: Path, compiled_dir: Path) -> None:
    cycles(30, tmp_path / "node", compiled_dir)
