"""A real server that is killed, and the command that replays what its agents did before."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from caxton.core.views.agents import AgentSpec
from caxton.testing.guests import example
from tests.acceptance.served import environment, served

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.client import CaxtonClient


def command(place: Path, client: CaxtonClient, *options: str, answers: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caxton", *options], check=False, timeout=60, input=answers,
        env=environment(place, client), encoding="utf-8", capture_output=True, cwd=place,
    )  # fmt: skip


def test_conversation_of_before_a_kill_is_replayed_stepped_through_and_tried_on_another_module(tmp_path: Path) -> None:
    conversation = ("--conversation-id", "c")
    with served(tmp_path) as (_, client):
        client.deploy(AgentSpec(name="counter", record=True), example("counter"))
        client.deploy(AgentSpec(name="echo"), example("echo"))
        assert command(tmp_path, client, "replay", *conversation).returncode == 3
        assert command(tmp_path, client, "config", "set", "--agent", "echo", "--record=true").returncode == 0
        for name, content in (("counter", {"add": 2}), ("echo", "hello"), ("counter", {"add": 3})):
            sent = ("--to", name, "--content", json.dumps(content), *conversation, "--wait-reply")
            assert command(tmp_path, client, "message", "send", *sent).returncode == 0
    (tmp_path / "new.wasm").write_bytes(example("counter"))
    (tmp_path / "other.wasm").write_bytes(example("echo"))
    with served(tmp_path) as (_, client):  # the first one was killed
        done = command(tmp_path, client, "replay", *conversation)
        assert (done.returncode, done.stderr) == (0, "")
        assert "identical: 5 handlings with 7 host calls, byte for byte" in done.stdout
        same = command(tmp_path, client, "replay", *conversation, "--agent", "counter", "--against", "new.wasm")
        assert (same.returncode, "identical: 3 handlings" in same.stdout) == (0, True)
        other = command(tmp_path, client, "replay", *conversation, "--agent", "counter", "--against", "other.wasm")
        assert other.returncode == 10
        stepped = command(tmp_path, client, "replay", *conversation, "--step", answers="\nq\n")
        assert (stepped.returncode, stepped.stderr.count("[Enter]")) == (11, 2)
        view = client.agent("counter")
        assert view.messages_handled == 0, "a replay touches nobody who lives"
