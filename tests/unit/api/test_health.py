"""The routes about the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api


async def test_a_server_that_starts_lives_and_is_not_ready(api: Api) -> None:
    api.node.server.is_ready = False
    assert (await api("GET", "/health", token=None)).json == {"status": "ok"}
    answer = await api("GET", "/ready", token=None)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "SERVER_NOT_READY", "1")
    assert answer.json["details"] == {
        "status": "starting", "reasons": [{"code": "STARTING", "what": "it starts", "next": "wait"}],
    }  # fmt: skip


async def test_a_server_that_serves_is_ready(api: Api) -> None:
    answer = await api("GET", "/ready", token=None)
    assert (answer.status, answer.json) == (200, {"status": "ready", "reasons": []})


async def test_the_server_tells_of_itself_to_those_who_may_know(api: Api) -> None:
    assert (await api("GET", "/api/v1/health", token=None)).status == 401
    assert (await api("GET", "/api/v1/health")).json["agents"] == {"running": 1}


async def test_metrics_come_in_the_format_of_prometheus(api: Api) -> None:
    answer = await api("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"caxton_agents 1\n" in answer.body
