"""kill -9 while agents record: no recording is torn, none lacks what was acknowledged, and all replay."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from caxton.replay import file
from caxton.replay.record import START
from caxton.testing.guests import example, guest
from caxton.testing.rooms import open_node
from tests.integration.replayed import recorded, replayer

CHILD = Path(__file__).with_name("recording_child.py")
ROUNDS = 5


def run_and_kill(place: Path, compiled: Path, answers: int) -> list[str]:
    """The conversations that were answered before it was killed."""
    arguments = [sys.executable, str(CHILD), str(place), str(compiled)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=CHILD.parents[2], env=environment) as child:
        assert child.stdout is not None
        heard = [child.stdout.readline() for _ in range(answers)]
        child.kill()
        heard += child.stdout.readlines()
    assert child.returncode == -9, "it ended by itself"
    return [line.decode().strip() for line in heard if line.endswith(b"\n")]


async def test_whatever_was_acknowledged_is_recorded_whole_and_replays(tmp_path: Path, compiled_dir: Path) -> None:
    chance = random.Random(5)  # noqa: S311
    place, answered = tmp_path / "node", list[str]()
    for _ in range(ROUNDS):
        answered += run_and_kill(place, compiled_dir, chance.randint(30, 200))
        for path in (place / "recordings").glob("*.life"):  # as a person would find them
            found = file.read(path.read_bytes(), path.name)
            assert found.handlings == [] or found.handlings[0].kind == START
            assert found.damage is None, "what a kill cut off is no damage"
    async with open_node(place, compiled=compiled_dir) as node:
        page, lives = await recorded(node)
    assert page.unreadable == {}
    assert len(lives) >= 3 * ROUNDS
    known = {h.conversation_id for life in lives for h in life.handlings if life.life.agent == "counter"}
    assert len(set(answered)) == len(answered) > 30 * ROUNDS
    assert set(answered) <= known
    with replayer() as again:
        assert again.same(lives, example("counter"), guest("asks_all")) > len(answered)
