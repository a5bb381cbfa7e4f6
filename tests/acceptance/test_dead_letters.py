"""A real server process, a guest that traps, and `caxton dlq` as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from caxton.client import ApiProblem, CaxtonClient
from caxton.core.views.agents import AgentSpec
from caxton.messages.message import AclMessage
from caxton.testing.guests import assemble, example, guest_text
from tests.acceptance.served import environment, served

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 30

BURNS = assemble(guest_text(handle="(call $burn) i32.const 0", more="(func $burn unreachable)"))
"""A guest that traps in a function of its own."""


class Served:
    """A client of a server, and the command line."""

    def __init__(self, place: Path, client: CaxtonClient) -> None:
        self.client, self._place = client, place

    def caxton(self, *arguments: str) -> tuple[int, Any]:
        """Exit code and JSON of a command."""
        done = subprocess.run(
            [sys.executable, "-m", "caxton", *arguments, "-o", "json", "--server", self.client.server],
            env=environment(self._place, self.client),
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=WAIT_S,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout or done.stderr)

    def kill_message(self, n: int) -> None:
        """A message on which the agent traps; it is tried once, since its sender waits."""
        with pytest.raises(ApiProblem) as failed:
            self.client.send(request(n), wait_s=WAIT_S)
        assert failed.value.code == "AGENT_FAILED"


def request(n: int) -> AclMessage:
    content = msgspec.Raw(f"{n}".encode())
    return AclMessage(performative="request", receiver="a", content=content, conversation_id=f"c-{n}")


def test_letters_of_a_guest_that_traps_are_looked_at_replayed_once_and_purged(tmp_path: Path) -> None:
    with served(tmp_path) as (_, client):
        node = Served(tmp_path, client)
        client.deploy(AgentSpec(name="a"), BURNS)
        for n in (1, 2):
            node.kill_message(n)
        code, page = node.caxton("dlq", "list", "--agent", "a")
        assert (code, len(page["letters"])) == (0, 2)
        first = page["letters"][1]
        _, shown = node.caxton("dlq", "show", first["id"])
        assert (shown["trap"], shown["functions"]) == ("unreachable", ["burn", "handle_message"])
        assert (shown["message"]["content"], shown["conversation_id"]) == (1, "c-1")
        node.client.replace(AgentSpec(name="a"), example("echo"))
        code, receipt = node.caxton("dlq", "replay", first["id"])
        assert (code, receipt["status"], receipt["replayed_by"]) == (0, "replayed", "admin")
    with served(tmp_path) as (_, client):  # after kill -9
        node = Served(tmp_path, client)
        code, again = node.caxton("dlq", "replay", first["id"])
        assert (code, again) == (0, receipt | {"status": "already-replayed"})
        code, done = node.caxton("dlq", "replay", "--all")
        assert (code, done) == (0, {"replayed": 1, "already_replayed": 0, "refused": []})
        for n in (1, 2):
            node.client.send(request(0), wait_s=WAIT_S)  # handled after those that were replayed
            told = [one for one in node.client.conversation(f"c-{n}") if one.sender == "a"]
            assert [bytes(one.content) for one in told] == [f"{n}".encode()]
        assert node.client.health().dead_letters == 0
        assert node.caxton("dlq", "purge", "--all")[0] == 2
        code, purged = node.caxton("dlq", "purge", "--all", "--yes")
        assert (code, purged) == (0, {"purged": 2, "waiting": 0})
        code, problem = node.caxton("dlq", "replay", first["id"])
        assert (code, problem["code"]) == (3, "DEAD_LETTER_NOT_FOUND")
