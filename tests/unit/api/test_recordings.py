"""The routes about recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.testing.fakes.recordings import recording

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

PATH = "/api/v1/recordings"
PATHS = [PATH, f"{PATH}/05-aa", f"{PATH}/modules/5a"]


@pytest.mark.parametrize("path", PATHS)
async def test_nobody_is_told_without_a_token_or_with_a_viewers(api: Api, path: str) -> None:
    assert (await api("GET", path, token=None)).status == 401
    refused = await api("GET", path, token=api.token_for("viewer"))
    assert (refused.status, refused.code) == (403, "FORBIDDEN")


@pytest.mark.parametrize("path", [f"{PATH}/06-bb", f"{PATH}/modules/77", f"{PATH}/..%2f..%2fadmin.token"])
async def test_what_is_not_there_is_not_found(api: Api, path: str) -> None:
    answer = await api("GET", path)
    assert (answer.status, answer.code) in ((404, "RECORDING_NOT_FOUND"), (404, "ROUTE_NOT_FOUND"))


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=10001", "agent=a%20b", "converation=c", "conversation=", "message=", "agent="]
)
async def test_bad_parameters_are_refused(api: Api, query: str) -> None:
    assert (await api("GET", PATH, query=query)).status == 400


async def test_those_that_match_are_listed(api: Api) -> None:
    api.node.recordings.views = [recording(f"0{n}-aa", agent) for n, agent in enumerate("aba")]
    api.node.recordings.not_recorded = ["quiet"]
    answer = await api("GET", PATH, query="agent=a&conversation=c&limit=1")
    assert ([view["id"] for view in answer.json["recordings"]], answer.json["total"]) == (["00-aa"], 2)
    assert answer.json["not_recorded"] == ["quiet"]


async def test_files_come_as_they_are(api: Api) -> None:
    for path, data in ((f"{PATH}/05-aa", b"a life"), (f"{PATH}/modules/5a", b"\0asm")):
        answer = await api("GET", path)
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["content-type"] == "application/octet-stream"
