"""Settings of an agent and of a workspace that were changed while it ran, and a server that is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.client import ApiProblem, CaxtonClient
from caxton.core.views.agents import AgentSpec
from caxton.messages.message import AclMessage
from caxton.testing.guests import guest
from tests.acceptance.served import served
from tests.cli_runner import caxton

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli_runner import CliRunner

__all__ = ["caxton"]

WAIT_S = 30


def test_settings_survive_a_kill_of_the_server_and_are_the_ones_that_hold(tmp_path: Path, caxton: CliRunner) -> None:
    with served(tmp_path) as (process, client):
        before = client.deploy(AgentSpec(name="broken"), guest("returns_nonzero"))
        token = (tmp_path / "data" / "admin.token").read_text(encoding="ascii").strip()
        said = caxton(
            "config", "set", "--agent", "broken", "--circuit-breaker.timeout=90s", "--circuit-breaker.threshold=2",
            "--server", client.server, "--token", token, "-o", "json",
        )  # fmt: skip
        assert (said.code, said.err) == (0, "")
        assert said.json()["circuit_breaker"] == {"threshold": 2, "timeout_s": 90.0, "probes": 1}
        view = client.agent("broken")
        assert (view.revision, view.restarts, view.deployed_at) == (1, 0, before.deployed_at)
        process.kill()
        process.wait(WAIT_S)
    with served(tmp_path) as (process, client):
        assert client.settings("broken").circuit_breaker.timeout_s == 90.0
        codes: list[str] = []
        for _ in range(3):
            with pytest.raises(ApiProblem) as caught:
                client.send(AclMessage(performative="request", receiver="broken"), wait_s=WAIT_S)
            codes.append(caught.value.code)
        assert codes == ["AGENT_FAILED", "AGENT_FAILED", "CIRCUIT_OPEN"]
        assert client.agent("broken").circuit_breaker.state == "open"


def test_mode_of_a_workspace_holds_at_once_and_survives_a_kill_of_the_server(tmp_path: Path, caxton: CliRunner) -> None:
    out_of_place = AclMessage(performative="agree", receiver="sink", protocol="fipa-request", conversation_id="c-1")

    def say(client: CaxtonClient) -> str:
        try:
            return client.send(out_of_place).status
        except ApiProblem as problem:
            return problem.code

    def run(client: CaxtonClient, *command: str) -> list[str]:
        token = (tmp_path / "data" / "admin.token").read_text(encoding="ascii").strip()
        said = caxton("config", *command, "--server", client.server, "--token", token)
        assert (said.code, said.err) == (0, "")
        return said.out.splitlines()[-1].split()

    with served(tmp_path) as (process, client):
        client.deploy(AgentSpec(name="sink"), guest("sink"))
        assert say(client) == "PROTOCOL_VIOLATION"
        assert run(client, "set", "--conversations.mode=warn") == ["conversations.mode", "warn", "workspace"]
        assert say(client) == "accepted"
        process.kill()
        process.wait(WAIT_S)
    with served(tmp_path) as (process, client):
        assert run(client, "show", "--workspace", "default") == ["conversations.mode", "warn", "workspace"]
        assert say(client) == "accepted"
        assert run(client, "set", "--conversations.mode=default") == ["conversations.mode", "enforce", "server"]
        assert say(client) == "PROTOCOL_VIOLATION"
