from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from caxton.conversations.facts import AgentFacts
from caxton.core.views.conversations import ConversationDetail
from caxton.core.views.waits import CriticalPath
from caxton.messages.codec import MAX_FIELD_CHARS

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

PATH = "/api/v1/conversations"


def ids(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [one["id"] for one in answer["conversations"]]


def fill(api: Api) -> None:
    begin = api.node.conversations.begin
    begin("c1", "manager", "a", "b")
    begin("c2", "a", "db", state="done", parent="c1")
    begin("c3", "client:ada", "b", state="cancelling:agreed")


# --- looking -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["c3", "c2", "c1"]),
        ("status=open", ["c1"]),
        ("status=cancelling", ["c3"]),
        ("status=ended", ["c2"]),
        ("agent=a", ["c2", "c1"]),
        ("agent=client:ada", ["c3"]),
        ("protocol=fipa-request&agent=b", ["c3", "c1"]),
        ("protocol=fipa-query", []),
        ("after=c3", ["c2", "c1"]),
    ],
)
async def test_list_has_what_matches_with_those_begun_last_first(api: Api, query: str, found: list[str]) -> None:
    fill(api)
    answer = await api("GET", PATH, query=query)
    assert (answer.status, ids(answer.json), answer.json["next"]) == (200, found, None)


async def test_long_list_is_read_page_by_page(api: Api) -> None:
    fill(api)
    first = (await api("GET", PATH, query="limit=2")).json
    second = (await api("GET", PATH, query=f"limit=2&after={first['next']}")).json
    assert (ids(first), ids(second), second["next"]) == (["c3", "c2"], ["c1"], None)


@pytest.mark.parametrize(
    "query", ["status=closed", "limit=0", "limit=1001", "agent=", f"protocol={'x' * (MAX_FIELD_CHARS + 1)}", "after="]
)
async def test_list_refuses_what_cannot_be(api: Api, query: str) -> None:
    answer = await api("GET", PATH, query=query)
    assert (answer.status, answer.code in ("INVALID_REQUEST", "INVALID_VALUE")) == (400, True)


async def test_one_is_shown_with_each_participant_and_who_has_to_speak(api: Api) -> None:
    fill(api)
    answer = await api("GET", f"{PATH}/c1")
    view = msgspec.json.decode(answer.body, type=ConversationDetail)
    assert (answer.status, view.status, view.waiting, view.children) == (200, "open", 2, ["c2"])
    assert [(one.name, one.state, one.waiter, one.waits_for) for one in view.exchanges] == [
        ("a", "requested", "manager", "a"),
        ("b", "requested", "manager", "b"),
    ]


@pytest.mark.parametrize(("method", "path"), [("GET", "c9"), ("GET", "c9/why"), ("POST", "c9/cancel")])
async def test_unknown_one_is_not_found(api: Api, method: str, path: str) -> None:
    answer = await api(method, f"{PATH}/{path}")
    assert (answer.status, answer.code) == (404, "CONVERSATION_NOT_FOUND")
    assert answer.json["details"] == {"conversation_id": "c9"}


@pytest.mark.parametrize("name", ["order/1", "deadlocks", "-", "..", "a b?c=d&e#f", "überweisung"])
async def test_any_id_is_found_when_the_query_has_it(api: Api, name: str) -> None:
    from urllib.parse import quote

    api.node.conversations.begin(name, "a", "b")
    query = f"conversation_id={quote(name, safe='')}"
    shown = await api("GET", f"{PATH}/-", query=query)
    reason = await api("GET", f"{PATH}/-/why", query=query)
    cancelled = await api("POST", f"{PATH}/-/cancel", query=query)
    assert (shown.json["id"], reason.json["conversation_id"]) == (name, name)
    assert (cancelled.status, cancelled.json["conversation_id"]) == (202, name)


@pytest.mark.parametrize(
    ("path", "query"),
    [("-", ""), ("-", "conversation_id="), ("c1", "conversation_id=c2"), ("x" * (MAX_FIELD_CHARS + 1), "")],
)
async def test_id_that_is_missing_doubled_or_too_long_is_refused(api: Api, path: str, query: str) -> None:
    answer = await api("GET", f"{PATH}/{path}", query=query)
    assert (answer.status, answer.code, answer.json["details"]["field"]) == (400, "INVALID_REQUEST", "conversation_id")


# --- reasons -----------------------------------------------------------------------------------------------------


async def test_why_has_the_path_to_the_agent_that_holds_it_up(api: Api) -> None:
    begin = api.node.conversations.begin
    begin("x", "manager", "bidder-3", state="agreed", ago_s=12.4, deadline_in_s=17)
    begin("y", "bidder-3", "db", ago_s=9, parent="x")
    api.node.conversations.agents["db"] = AgentFacts(status="stopped", mailbox_messages=3)
    answer = await api("GET", f"{PATH}/x/why")
    (path,) = msgspec.json.decode(answer.body, type=CriticalPath).paths
    assert [(wait.waiter, wait.waits_for, wait.waited_s, wait.deadline_in_s) for wait in path.waits] == [
        ("manager", "bidder-3", 12.4, 17.0),
        ("bidder-3", "db", 9.0, None),
    ]
    assert (path.cause.agent, path.cause.kind, path.cause.mailbox_messages) == ("db", "not-running", 3)


async def test_why_knows_free_messages_too(api: Api) -> None:
    api.node.conversations.asks.remember("echo", "r1", ["db"], "free", 0, None)
    answer = await api("GET", f"{PATH}/free/why")
    assert (answer.json["protocol"], answer.json["status"]) == (None, "open")
    assert answer.json["paths"][0]["waits"][0]["state"] == "asked"


async def test_deadlocks_are_those_whose_agents_have_nothing_left_to_do(api: Api) -> None:
    begin = api.node.conversations.begin
    begin("x", "a", "b", ago_s=20)
    begin("y", "b", "a", ago_s=10)
    (found,) = (await api("GET", f"{PATH}/deadlocks")).json["deadlocks"]
    assert (found["cycle"], [wait["conversation_id"] for wait in found["waits"]]) == (["a", "b"], ["x", "y"])
    api.node.conversations.agents["a"] = AgentFacts(status="running", mailbox_messages=1)
    assert (await api("GET", f"{PATH}/deadlocks")).json == {"deadlocks": []}


# --- cancelling --------------------------------------------------------------------------------------------------


async def test_cancel_is_told_to_each_once(api: Api) -> None:
    fill(api)
    first = await api("POST", f"{PATH}/c1/cancel")
    again = await api("POST", f"{PATH}/c1/cancel")
    assert (first.status, first.json["told"], first.json["cancelling"]) == (202, ["a", "b"], [])
    assert (again.status, again.json["told"], again.json["cancelling"]) == (202, [], ["a", "b"])
    assert (await api("GET", f"{PATH}/c1")).json["status"] == "cancelling"


async def test_conversation_that_has_ended_cannot_be_cancelled(api: Api) -> None:
    fill(api)
    answer = await api("POST", f"{PATH}/c2/cancel")
    assert (answer.status, answer.code) == (409, "CONVERSATION_OVER")


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 202)])
async def test_who_may_only_look_may_not_cancel(api: Api, role: str, status: int) -> None:
    fill(api)
    token = api.token_for(role)
    assert (await api("GET", f"{PATH}/c1/why", token=token)).status == 200
    assert (await api("POST", f"{PATH}/c1/cancel", token=token)).status == status
