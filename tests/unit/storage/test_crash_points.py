"""The process is killed at each named place of the writer's work: what is on disk is a whole number of transactions."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from caxton.storage.database import Database

if TYPE_CHECKING:
    from pathlib import Path

CHILD = """
import sys, threading
from pathlib import Path
from caxton.storage import database as storage
storage.CHECKPOINT_PAGES = 20
database = storage.Database(Path(sys.argv[1]))
database.start()
for n in range(40):
    done = threading.Event()
    def told(error):
        assert error is None
        done.set()
    put = "INSERT INTO kv (workspace, agent, key, value) VALUES ('default', ?, ?, ?)"
    database.write([(put, [(agent, n.to_bytes(2, "big"), bytes(3000))]) for agent in "ab"], told)
    done.wait()
    print(n, flush=True)
"""
TWELFTH = 12
POINTS = {
    "migration.before:1": 0, "migration.between:1": 0, "migration.after:1": 0, "migration.between:2": 0,
    "migration.after:2": 0, f"commit.begin:{TWELFTH}": 11, f"commit.half:{TWELFTH}": 11,
    f"commit.before:{TWELFTH}": 11, f"commit.after:{TWELFTH}": 12, "checkpoint.before:2": None,
    "checkpoint.after:2": None,
}  # fmt: skip
"""Where, and how many transactions there are then; None: any number."""


@pytest.mark.parametrize("point", POINTS)
def test_process_killed_at_a_named_place_leaves_whole_transactions_and_all_that_was_told(
    tmp_path: Path, point: str
) -> None:
    path = tmp_path / "journal.db"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "CAXTON_CRASH_AT": point}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], env=environment, capture_output=True, text=True, check=False
    )
    assert child.returncode == -9, child.stderr
    told = len(child.stdout.splitlines())
    with closing(Database(path)) as database:
        assert database.query("PRAGMA integrity_check") == [("ok",)]
        halves = [database.query("SELECT count(*) FROM kv WHERE agent = ?", (agent,))[0][0] for agent in "ab"]
    assert halves[0] == halves[1]
    assert halves[0] in (told, told + 1)
    assert halves[0] == (halves[0] if POINTS[point] is None else POINTS[point])
