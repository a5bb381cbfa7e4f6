"""The routes by which Prometheus finds agents and asks whether they are up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api


async def test_each_agent_that_is_meant_to_run_is_a_target_at_the_address_that_was_asked(api: Api) -> None:
    await api.deploy("stopped")
    await api("POST", "/api/v1/agents/stopped/stop")
    answer = await api("GET", "/metrics/agents", host="caxton.example:8443")
    assert answer.json == [
        {
            "targets": ["caxton.example:8443"],
            "labels": {
                "__metrics_path__": "/metrics/agents/echo",
                "__param_workspace": "default",
                "instance": "echo",
                "workspace": "default",
            },
        }
    ]


async def test_agent_that_is_up_gives_an_empty_page_of_metrics(api: Api) -> None:
    answer = await api("GET", "/metrics/agents/echo", query="workspace=default")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_agent_of_which_no_instance_is_up_is_down(api: Api) -> None:
    views = api.node.agents.views
    views["echo"] = msgspec.structs.replace(views["echo"], status="failed", reason="it fell", healthy=0)
    answer = await api("GET", "/metrics/agents/echo")
    assert (answer.status, answer.code) == (503, "AGENT_DOWN")
    assert answer.json["details"] == {"name": "echo", "state": "failed", "reason": "it fell"}


async def test_agent_that_nobody_knows_is_not_found(api: Api) -> None:
    assert (await api("GET", "/metrics/agents/nobody")).code == "AGENT_NOT_FOUND"
    assert (await api("GET", "/metrics/agents", query="workspace=other")).code == "WORKSPACE_NOT_FOUND"


async def test_token_for_monitoring_reads_metrics_and_nothing_else(api: Api) -> None:
    token = api.token_for("monitor")
    for path in ("/metrics", "/metrics/agents", "/metrics/agents/echo"):
        assert (await api("GET", path, token=token)).status == 200
    for path in ("/api/v1/agents", "/api/v1/health", "/api/v1/agents/echo/logs"):
        assert (await api("GET", path, token=token)).status == 403
