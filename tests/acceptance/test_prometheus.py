"""A real Prometheus, with the configuration that we give, watches a real server, and its alarms go off."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from caxton.client import ApiProblem
from caxton.core.views.agents import AgentSpec
from caxton.messages.message import AclMessage
from caxton.testing.guests import example, guest
from tests.acceptance.served import served
from tests.prometheus import (
    FETCH_S,
    OPS,
    ROOT,
    boards,
    configure,
    metrics_in,
    prometheus,
    promtool,
    queries,
    rules,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(FETCH_S + 120)

CRASHES = 4
"""More than three within a minute, and an agent is given up."""


def monitor_token(place: Path) -> str:
    return (place / "data" / "monitor.token").read_text()


def address(place: Path) -> str:
    return json.loads((place / "data" / "server.json").read_text())["url"].removeprefix("http://")


async def test_agents_that_crash_and_requests_that_fail_set_off_alarms(tmp_path: Path) -> None:
    config = tmp_path / ".config" / "caxton" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[tools.clock]\ntype = "builtin"\nbuiltin = "time"\n')
    with served(tmp_path) as (_, client):
        client.test_tool("clock.now", {})
        client.deploy(AgentSpec(name="echo"), example("echo"))
        client.deploy(AgentSpec(name="crasher"), guest("trap_unreachable"))
        async with prometheus(tmp_path, address(tmp_path), monitor_token(tmp_path)) as watch:
            await watch.wait_until('up{job="caxton"}', 1)
            await watch.wait_until('sum(up{job="caxton-agents"})', 2)
            await watch.wait_until('caxton_agents{state="running"}', 2)
            assert await watch.firing() == {}

            client.send(AclMessage(performative="inform", receiver="crasher"))  # it crashes on each attempt

            down = await watch.wait_for_alarm("AgentDown")
            assert down["labels"] == {
                "alertname": "AgentDown", "instance": "crasher", "job": "caxton-agents", "severity": "warning",
                "workspace": "default",
            }  # fmt: skip
            assert down["annotations"]["summary"] == "Agent crasher is down"
            assert await watch.values('up{job="caxton-agents", instance="echo"}') == {"echo caxton-agents default": 1}
            await watch.wait_until('caxton_errors_total{code="AGENT_CRASHED"}', CRASHES)
            await watch.wait_until('caxton_agents{state="failed"}', 1)
            await watch.wait_until('caxton_wasm_traps_total{kind="unreachable"}', CRASHES)
            await watch.wait_until("caxton_supervisor_escalations_total", 1)

            for receiver in ("nobody", ""):
                with pytest.raises(ApiProblem):
                    client.send(AclMessage(performative="inform", receiver=receiver))
            await watch.wait_until("sum(caxton_refusals_total)", 2)
            asked = {name for board in boards().values() for query in queries(board) for name in metrics_in(query)}
            asked |= {name for rule in rules() for name in metrics_in(rule["expr"])}
            there = {name for given in await watch.names() for name in metrics_in(given)}
            assert asked - there == set()  # what boards and alarms ask for is what the server gives
            for board in boards().values():
                for query in queries(board):
                    await watch.values(query)  # it is no error


async def test_dead_letters_and_open_circuits_set_off_alarms(tmp_path: Path) -> None:
    with served(tmp_path) as (_, client):
        client.deploy(AgentSpec(name="bad"), guest("returns_nonzero"))
        async with prometheus(tmp_path, address(tmp_path), monitor_token(tmp_path)) as watch:
            await watch.wait_until('caxton_dead_letters_total{reason="failed"}', 0)
            for _ in range(100):  # a third of an error a second, over five minutes
                with pytest.raises(ApiProblem):
                    client.send(AclMessage(performative="request", receiver="bad"), wait_s=10)
            letters = await watch.wait_for_alarm("DeadLetters")
            assert letters["labels"]["reason"] == "failed"
            assert (await watch.wait_for_alarm("CircuitOpen"))["labels"]["severity"] == "warning"
            errors = await watch.wait_for_alarm("HighErrorRate")
            assert (errors["labels"]["severity"], errors["annotations"]["summary"]) == (
                "critical", "High error rate detected",
            )  # fmt: skip
            fast = 'caxton_request_duration_seconds_count{route="/api/v1/messages", method="POST", status="503"}'
            assert sum((await watch.values(fast)).values()) > 0


def test_configuration_and_rules_are_valid(tmp_path: Path) -> None:
    configure(tmp_path / "p", "127.0.0.1:1", "token")
    for arguments in (("check", "config", "prometheus.yml"), ("check", "rules", "rules.yml")):
        checked = promtool(*arguments, cwd=tmp_path / "p")
        assert checked.returncode == 0, checked.stdout


def test_every_alarm_goes_off_when_it_should_and_not_otherwise() -> None:
    tested = promtool("test", "rules", "rules.test.yml", cwd=OPS / "prometheus")
    assert tested.returncode == 0, tested.stdout


@pytest.mark.parametrize("name", boards())
def test_queries_of_a_board_can_be_read(name: str, tmp_path: Path) -> None:
    asked = [{"record": f"query_{n}", "expr": query} for n, query in enumerate(queries(boards()[name]))]
    (tmp_path / "board.yml").write_text(json.dumps({"groups": [{"name": name, "rules": asked}]}))
    checked = promtool("check", "rules", "board.yml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout


def test_machine_that_cannot_have_prometheus_is_told_what_to_do(tmp_path: Path) -> None:
    for tool in ("bash", "mkdir", "dirname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    script = [shutil.which("bash") or "bash", ROOT / "scripts" / "get-prometheus"]
    found = subprocess.run(script, env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (found.returncode, found.stdout) == (1, "")
    assert "there is no apt-get on this machine" in found.stderr
    assert "Install Debian's package 'prometheus'" in found.stderr


def test_prometheus_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    place = tmp_path / "caxton-bench" / "prometheus"
    place.mkdir(parents=True)
    for tool in ("prometheus", "promtool"):
        (place / tool).touch(mode=0o755)
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "XDG_CACHE_HOME": str(tmp_path)}
    script = [ROOT / "scripts" / "get-prometheus"]
    found = subprocess.run(script, env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (found.returncode, found.stdout) == (0, f"{place}\n")
