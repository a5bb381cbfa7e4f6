"""The routes about the settings of a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

PATH = "/api/v1/settings"


def settings(own: str | None, effective: str = "enforce") -> dict[str, Any]:
    mode = {"mode": own, "effective_mode": effective}
    return {"workspace": "default", "conversations": mode, "mcp": {"expose": []}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], "INVALID_REQUEST"),
        ({"mode": "warn"}, "INVALID_REQUEST"),
        ({"conversations": {"mood": "warn"}}, "INVALID_REQUEST"),
        ({"conversations": {"mode": "warn", "idle_timeout": "2h"}}, "INVALID_REQUEST"),
        ({"conversations": None}, "INVALID_REQUEST"),
        ({"conversations": "warn"}, "INVALID_REQUEST"),
        ({"conversations": {"mode": False}}, "INVALID_REQUEST"),
        ({"conversations": {"effective_mode": "warn"}}, "INVALID_REQUEST"),
        ({"conversations": {"mode": "loose"}}, "INVALID_VALUE"),
        ({"conversations": {"mode": "WARN"}}, "INVALID_VALUE"),
        ({"conversations": {"mode": ""}}, "INVALID_VALUE"),
        ({"mcp": {"expose": "agent:echo"}}, "INVALID_REQUEST"),
        ({"mcp": {"expose": ["echo"]}, "conversations": {"mode": "warn"}}, "INVALID_VALUE"),
        ({"mcp": {"expose": ["agent:agent_list"]}}, "INVALID_VALUE"),
        ({"mcp": {"expose": [f"agent:a{n}" for n in range(201)]}}, "INVALID_VALUE"),
    ],
)
async def test_patch_that_breaks_a_rule_changes_nothing(body: Any, code: str, api: Api) -> None:
    await api("PATCH", PATH, {"conversations": {"mode": "off"}})
    answer = await api("PATCH", PATH, body)
    assert (answer.status, answer.code) == (400, code)
    assert (await api("GET", PATH)).json == settings("off", "off")


async def test_workspace_that_set_nothing_has_what_the_server_says(api: Api) -> None:
    assert (await api("GET", PATH)).json == settings(None)


@pytest.mark.parametrize("mode", ["strict", "enforce", "warn", "off"])
async def test_patch_answers_with_what_holds_from_now_on(mode: str, api: Api) -> None:
    answer = await api("PATCH", PATH, {"conversations": {"mode": mode}})
    assert (answer.status, answer.json) == (200, settings(mode, mode))
    assert (await api("GET", PATH)).json == settings(mode, mode)
    assert api.node.workspaces.changed_by == ["tester"]


@pytest.mark.parametrize("body", [{}, {"conversations": {}}])
async def test_what_a_patch_leaves_out_stays(body: Any, api: Api) -> None:
    await api("PATCH", PATH, {"conversations": {"mode": "warn"}})
    assert (await api("PATCH", PATH, body)).json == settings("warn", "warn")


async def test_null_is_the_default_again(api: Api) -> None:
    await api("PATCH", PATH, {"conversations": {"mode": "warn"}})
    assert (await api("PATCH", PATH, {"conversations": {"mode": None}})).json == settings(None)


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_workspace_that_is_not_there_is_not_found(method: str, api: Api) -> None:
    answer = await api(method, PATH, {"conversations": {"mode": "off"}}, query="workspace=elsewhere")
    assert (answer.status, answer.code) == (404, "WORKSPACE_NOT_FOUND")


async def test_viewer_may_look_at_settings_and_not_change_them(api: Api) -> None:
    api.token = api.token_for("viewer")
    assert (await api("GET", PATH)).status == 200
    assert (await api("PATCH", PATH, {"conversations": {"mode": "off"}})).code == "FORBIDDEN"
    api.token = api.token_for("operator")
    assert (await api("PATCH", PATH, {"conversations": {"mode": "off"}})).status == 200
    assert (await api("GET", PATH, token=None)).code == "UNAUTHORIZED"
