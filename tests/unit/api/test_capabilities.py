"""The routes about capabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.testing.fakes.capabilities import capability, offer

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

PATH = "/api/v1/capabilities"


@pytest.mark.parametrize("path", [PATH, f"{PATH}/sorting"])
async def test_nobody_is_told_without_a_token(api: Api, path: str) -> None:
    assert (await api("GET", path, token=None)).status == 401


async def test_capability_that_nobody_offers_is_answered_with_the_nearest(api: Api) -> None:
    answer = await api("GET", f"{PATH}/sortng")
    assert (answer.status, answer.code) == (404, "CAPABILITY_NOT_FOUND")
    assert answer.json["details"] == {"capability": "sortng", "nearest": ["sorting"]}


@pytest.mark.parametrize("name", ["a b", "x" * 65, "..\0"])
async def test_what_is_no_name_is_refused(api: Api, name: str) -> None:
    answer = await api("GET", f"{PATH}/{name}")
    assert (answer.status, answer.code) == (400, "INVALID_NAME")


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "limit=x"])
async def test_page_out_of_bounds_is_refused(api: Api, query: str) -> None:
    answer = await api("GET", PATH, query=query)
    assert (answer.status, answer.code) == (400, "INVALID_VALUE")


async def test_each_is_told_with_those_who_offer_it(api: Api) -> None:
    answer = await api("GET", f"{PATH}/sorting")
    assert (answer.status, answer.json["name"]) == (200, "sorting")
    assert answer.json["agents"][1] == {
        "agent": "b", "priority": 50, "health": "degraded", "load": 0.25, "waiting": 7, "registered": False,
        "properties": {},
    }  # fmt: skip


async def test_list_is_given_in_pages(api: Api) -> None:
    api.node.capabilities.views = [capability(f"c{n}", offer("a", 1)) for n in range(5)]
    answer = await api("GET", PATH, query="limit=2&offset=3")
    assert ([view["name"] for view in answer.json["capabilities"]], answer.json["total"]) == (["c3", "c4"], 5)
