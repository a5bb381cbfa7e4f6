from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

PATH = "/api/v1/tools"
APPROVALS = "/api/v1/approvals"


async def test_tools_are_listed_by_name(api: Api) -> None:
    api.node.tools.put("search")
    api.node.tools.put("echo", status="quarantined")
    found = (await api("GET", PATH)).json
    assert [(one["name"], one["status"]) for one in found["tools"]] == [
        ("web.echo", "quarantined"),
        ("web.search", "approved"),
    ]
    assert found["total"] == 2
    assert (await api("GET", PATH, query="source=web")).json == found
    assert (await api("GET", PATH, query="source=wob")).code == "TOOL_SOURCE_NOT_FOUND"


async def test_sources_are_no_tool(api: Api) -> None:
    (source,) = (await api("GET", f"{PATH}/sources")).json["sources"]
    assert (source["name"], source["circuit"]) == ("web", "closed")


async def test_tool_is_shown_with_what_was_approved(api: Api) -> None:
    api.node.tools.put("echo", status="quarantined", approved={"description": "Harmless."})
    detail = (await api("GET", f"{PATH}/web.echo")).json
    assert (detail["tool"]["status"], detail["approved"]) == ("quarantined", {"description": "Harmless."})
    answer = await api("GET", f"{PATH}/web.eco")
    assert (answer.status, answer.code) == (404, "TOOL_NOT_FOUND")


async def test_source_that_is_down_is_said_to_be(api: Api) -> None:
    api.node.tools.down["web"] = "it ended"
    answer = await api("POST", f"{PATH}/web.echo/test", {})
    assert (answer.status, answer.code) == (503, "TOOL_SOURCE_DOWN")


async def test_call_that_fails_is_an_answer_too(api: Api) -> None:
    api.node.tools.put("echo")
    api.node.tools.put("held", status="quarantined")
    good = (await api("POST", f"{PATH}/web.echo/test", {"arguments": {"a": 1}})).json
    assert (good["outcome"], good["result"]["content"][0]["text"]) == ("ok", '{"a":1}')
    bad = (await api("POST", f"{PATH}/web.held/test", {})).json
    assert (bad["outcome"], bad["result"]) == ("not_approved", None)
    calls = (await api("GET", f"{PATH}/web/calls", query="limit=1")).json["calls"]
    assert [(one["tool"], one["agent"], one["outcome"]) for one in calls] == [
        ("web.held", "client:tester", "not_approved")
    ]


@pytest.mark.parametrize("body", [{"arguments": [1]}, {"argument": {}}, b"{"])
async def test_arguments_that_are_no_object_are_refused(api: Api, body: object) -> None:
    api.node.tools.put("echo")
    assert (await api("POST", f"{PATH}/web.echo/test", body)).code == "INVALID_REQUEST"
    assert api.node.tools.called == []


async def test_what_is_approved_is_what_was_looked_at(api: Api) -> None:
    api.node.tools.put("echo", status="quarantined", sha256="ab" * 32)
    answer = await api("POST", f"{PATH}/web.echo/approve", {"sha256": "cd"})
    assert (answer.status, answer.code) == (409, "TOOL_CHANGED")
    assert (await api("POST", f"{PATH}/web.echo/approve", {"sha256": "abab"})).json["status"] == "approved"
    assert (await api("POST", f"{PATH}/web.echo/quarantine")).json["status"] == "quarantined"
    assert (await api("POST", f"{PATH}/web.echo/approve")).json["status"] == "approved"
    assert api.node.tools.decisions == [
        ("approved", "web.echo", "tester"),
        ("quarantined", "web.echo", "tester"),
        ("approved", "web.echo", "tester"),
    ]


async def test_tool_that_can_never_be_called_cannot_be_approved(api: Api) -> None:
    api.node.tools.put("echo", status="unusable")
    answer = await api("POST", f"{PATH}/web.echo/approve")
    assert (answer.status, answer.code) == (409, "TOOL_UNUSABLE")


async def test_call_that_waits_is_answered_once(api: Api) -> None:
    api.node.tools.ask("5f2c8a1b9d3e")
    api.node.tools.ask("5f2c8a1b9d3f")
    assert (await api("GET", APPROVALS)).json["total"] == 2
    assert (await api("POST", f"{APPROVALS}/5f2c8a1b9d3e/grant")).json["agent"] == "ping"
    assert (await api("POST", f"{APPROVALS}/5f2c8a1b9d3f/deny")).status == 200
    again = await api("POST", f"{APPROVALS}/5f2c8a1b9d3e/deny")
    assert (again.status, again.code) == (404, "APPROVAL_NOT_FOUND")
    assert api.node.tools.decisions == [
        ("granted", "5f2c8a1b9d3e", "tester"),
        ("denied", "5f2c8a1b9d3f", "tester"),
    ]


@pytest.mark.parametrize(
    "path",
    [
        f"{PATH}/web.echo/approve",
        f"{PATH}/web.echo/quarantine",
        f"{PATH}/web.echo/test",
        f"{APPROVALS}/5f2c8a1b9d3e/grant",
        f"{APPROVALS}/5f2c8a1b9d3e/deny",
    ],
)
async def test_who_may_only_look_decides_nothing_and_calls_nothing(api: Api, path: str) -> None:
    api.node.tools.put("echo", status="quarantined")
    api.node.tools.ask("5f2c8a1b9d3e")
    viewer = api.token_for("viewer")
    assert (await api("POST", path, {}, token=viewer)).status == 403
    assert (api.node.tools.decisions, api.node.tools.called) == ([], [])
    assert (await api("GET", PATH, token=viewer)).status == 200
    assert (await api("GET", APPROVALS, token=viewer)).status == 200
