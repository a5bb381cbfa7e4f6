"""A real server, real guests, and the command in a pipe."""

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

WAIT_S = 30


def sniff(place: Path, client: CaxtonClient, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "caxton", "sniff", *options],
        env=environment(place, client), encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_talk_of_guests_is_drawn_over_a_pipe_and_afterwards(tmp_path: Path) -> None:
    with served(tmp_path) as (_, client):
        client.deploy(AgentSpec(name="echo"), example("echo"))
        with sniff(tmp_path, client, "--agents", "echo", "--max", "2", "--content", "--width", "60") as process:
            assert process.stderr is not None
            assert "Listening" in process.stderr.readline()
            conversation = client.invoke("echo", {"n": 1}).conversation_id
            out, err = process.communicate(timeout=WAIT_S)
        assert (process.returncode, err) == (0, "")
        header, *rows = out.splitlines()
        assert header.split() == ["client:admin", "echo"]
        assert [head for row in rows for head in row if head in "<>✗"] == [">", "<"]
        assert f"[{conversation}]"[:20] in out
        with sniff(tmp_path, client, "--conversation", conversation, "--format", "text", "-o", "json") as process:
            out, _ = process.communicate(timeout=WAIT_S)
        assert [(one["sender"], one["excerpt"]) for one in map(json.loads, out.splitlines())] == [
            ("client:admin", '{"n":1}'), ("echo", '{"n":1}'),
        ]  # fmt: skip
