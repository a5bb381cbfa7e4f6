"""The flight recorder survives `kill -9`: nothing torn is shown, and nothing that was kept is missing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from caxton.recorder.recorder import open_recorder
from tests.integration.recorder_child import RING_BYTES

CHILD = Path(__file__).with_name("recorder_child.py")


def kill_one(directory: Path, first: int, lines: int) -> int:
    """Let a child record from `first` on until it has said so many numbers, then kill it; returns the last one said."""
    with subprocess.Popen([sys.executable, CHILD, directory, str(first)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(lines):
            child.stdout.readline()
        child.kill()
        rest = child.stdout.read()
    return int(rest.splitlines(keepends=True)[-1]) if rest.endswith(b"\n") else first


def check(directory: Path, last: int) -> int:
    """All that is shown is whole and without a gap, up to `last` at least; returns the last number shown."""
    with closing(open_recorder(directory, RING_BYTES)) as recorder:
        records = recorder.recent()
        for record in records:
            assert record.detail == f"{record.seq}-" * (1 + record.seq % 40)
            assert record.message_id == f"m-{record.seq}"
        numbers = [record.seq for record in records]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert numbers[-1] >= last
        found = recorder.find("default", message_id=f"m-{last}")
        assert [record.seq for record in found] == [last]
        return numbers[-1]


def kill_often(directory: Path, kills: int) -> None:
    chance = random.Random(kills)  # noqa: S311
    last, rounds = 0, 0
    for _ in range(kills):
        said = kill_one(directory, last + 1, chance.randrange(1, 400))
        last = check(directory, max(said, last))
        rounds += 1
    assert rounds == kills
    assert os.stat(directory / "facts.ring").st_size <= RING_BYTES + 4096


@pytest.mark.timeout(120)
def test_no_torn_record_is_shown_after_a_kill(tmp_path: Path) -> None:
    kill_often(tmp_path, 20)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_torn_record_is_shown_after_two_hundred_kills(tmp_path: Path) -> None:
    kill_often(tmp_path, 200)
