"""The routes that look into agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.core.ids import DEFAULT_WORKSPACE, AgentName
from caxton.testing.fakes.debugging import MEMORY_BYTES

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

AGENT = "/api/v1/agents/echo"
ROUTES = [
    ("GET", f"{AGENT}/debug", "viewer"),
    ("GET", f"{AGENT}/debug/mailbox", "viewer"),
    ("GET", f"{AGENT}/debug/kv", "operator"),
    ("GET", f"{AGENT}/debug/stack", "operator"),
    ("GET", f"{AGENT}/debug/memory", "operator"),
    ("POST", f"{AGENT}/profile", "operator"),
    ("GET", "/api/v1/debug/bundle", "admin"),
]
RANKS = ("viewer", "operator", "admin")


@pytest.mark.parametrize(("method", "path", "least"), ROUTES)
async def test_only_those_may_look_who_may_see_that_much(api: Api, method: str, path: str, least: str) -> None:
    assert (await api(method, path, token=None)).status == 401
    for rank, role in enumerate(RANKS):
        answer = await api(method, path, token=api.token_for(role))
        assert answer.status == (200 if rank >= RANKS.index(least) else 403), role


@pytest.mark.parametrize(("method", "path", "_least"), ROUTES[:-1])
async def test_unknown_agent_is_not_found(api: Api, method: str, path: str, _least: str) -> None:
    answer = await api(method, path.replace("echo", "ecko"))
    assert (answer.status, answer.code) == (404, "AGENT_NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/debug", "window=0s"), ("/debug", "window=2h"), ("/debug", "window=x"), ("/debug/mailbox", "limit=0"),
        ("/debug/mailbox", "limit=1001"), ("/debug/kv", "prefix=hex:0"), ("/debug/kv", "prefix=hex:zz"),
        ("/debug/kv", "prefix=" + "x" * 1025), ("/debug/memory", "offset=-1"), ("/debug/memory", "length=0"),
        ("/debug/memory", "length=65537"), ("/debug/memory", "offset=4294967296"), ("/debug/memory", "offset=0x10"),
        ("/debug/memory", "replica=-1"),
    ],
)  # fmt: skip
async def test_values_out_of_bounds_are_refused(api: Api, path: str, query: str) -> None:
    answer = await api("GET", AGENT + path, query=query)
    assert (answer.status, answer.code) == (400, "INVALID_VALUE")


@pytest.mark.parametrize("query", ["duration=0s", "duration=301s", "duration=soon"])
async def test_profile_of_nonsensical_length_is_refused(api: Api, query: str) -> None:
    assert (await api("POST", f"{AGENT}/profile", query=query)).code == "INVALID_VALUE"


async def test_memory_that_is_not_there_is_refused_with_how_much_there_is(api: Api) -> None:
    answer = await api("GET", f"{AGENT}/debug/memory", query=f"offset={MEMORY_BYTES - 1}&length=2")
    assert (answer.status, answer.code) == (400, "OUTSIDE_MEMORY")
    assert answer.json["details"]["memory_bytes"] == MEMORY_BYTES


@pytest.mark.parametrize(("method", "path"), [("GET", "/debug/memory"), ("POST", "/profile")])
async def test_stopped_agent_has_no_inside(api: Api, method: str, path: str) -> None:
    await api.node.agents.stop(DEFAULT_WORKSPACE, AgentName("echo"), force=True)
    answer = await api(method, AGENT + path)
    assert (answer.status, answer.code) == (409, "AGENT_STATE_CONFLICT")


async def test_prefix_is_text_or_bytes_in_hex(api: Api) -> None:
    api.node.debugging.kv = {b"order/1": b"a", b"other": b"b"}
    for prefix in ("order/", "hex:6f726465722f"):
        answer = await api("GET", f"{AGENT}/debug/kv", query=f"prefix={prefix}")
        assert [entry["key"] for entry in answer.json["entries"]] == ["order/1"]


async def test_profile_is_answered_as_it_is(api: Api) -> None:
    answer = await api("POST", f"{AGENT}/profile", query="duration=1s")
    assert answer.body == api.node.debugging.profile_json
