"""The routes about live figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.testing.fakes.stats import handling

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

PATH = "/api/v1/stats"


@pytest.mark.parametrize("path", [PATH, "/api/v1/agents/echo/stats"])
async def test_nobody_is_told_without_a_token(api: Api, path: str) -> None:
    assert (await api("GET", path, token=None)).status == 401


@pytest.mark.parametrize(
    "query",
    [
        "window=0.5s", "window=2h", "window=soon", "window=-1s", "window=", "sort=size", "limit=1001", "limit=x",
        "offset=-1", "troubled=perhaps", f"match={'x' * 129}",
    ],
)  # fmt: skip
async def test_nonsense_is_refused(api: Api, query: str) -> None:
    answer = await api("GET", PATH, query=query)
    assert (answer.status, answer.code) == (400, "INVALID_VALUE")


async def test_workspace_that_is_not_there_is_told(api: Api) -> None:
    for path in (PATH, "/api/v1/agents/echo/stats"):
        answer = await api("GET", path, query="workspace=other")
        assert (answer.status, answer.code) == (404, "WORKSPACE_NOT_FOUND")


async def test_agent_that_is_not_there_is_answered_with_the_nearest(api: Api) -> None:
    answer = await api("GET", "/api/v1/agents/ecko/stats")
    assert (answer.status, answer.code) == (404, "AGENT_NOT_FOUND")
    assert answer.json["details"]["nearest"] == "echo"
    answer = await api("GET", "/api/v1/agents/a%20b/stats")
    assert (answer.status, answer.code) == (400, "INVALID_NAME")


async def test_page_of_agents_says_how_many_there_are(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.deploy(name)
    api.node.stats.figures["c"] = {"rate_per_s": 7.0, "failed_in_window": 2}
    found = (await api("GET", PATH, query="limit=2&offset=1")).json
    assert ([one["name"] for one in found["agents"]], found["matched"], found["total"]) == (["a", "b"], 4, 4)
    found = (await api("GET", PATH, query="troubled&limit=0")).json
    assert (found["agents"], found["matched"], found["total"]) == ([], 1, 4)
    found = (await api("GET", PATH, query="match=CH&sort=name&window=5m")).json
    assert ([one["name"] for one in found["agents"]], found["window"]["asked_s"]) == (["echo"], 300.0)


async def test_one_agent_comes_with_what_it_did_last(api: Api) -> None:
    api.node.stats.recent["echo"] = [handling("settled", "x", "echo", message_id=str(n)) for n in range(3)]
    found = (await api("GET", "/api/v1/agents/echo/stats", query="limit=2&window=10s")).json
    assert (found["agent"]["name"], [one["message_id"] for one in found["recent"]]) == ("echo", ["0", "1"])
