"""The routes about messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from caxton.api.messages import traceresponse
from caxton.core.views.messages import Receipt
from caxton.messages.message import AclMessage
from caxton.messages.performative import PERFORMATIVES

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

PATH, INVOKE = "/api/v1/messages", "/api/v1/agents/echo/invoke"


def message(**fields: Any) -> dict[str, Any]:
    return {"performative": "request", "receiver": "echo", "content": {"n": 1}} | fields


BAD: list[tuple[object, str]] = [
    ([], "INVALID_MESSAGE"),
    ("hello", "INVALID_MESSAGE"),
    ({}, "INVALID_MESSAGE"),
    (message(performative="shout"), "INVALID_MESSAGE"),
    (message(performative=""), "INVALID_MESSAGE"),
    (message(performative="request\0"), "INVALID_MESSAGE"),
    (message(performative=None), "INVALID_MESSAGE"),
    (message(performative="ｒequest"), "INVALID_MESSAGE"),  # noqa: RUF001
    (message(receiver=1), "INVALID_MESSAGE"),
    (message(receiver=[]), "INVALID_MESSAGE"),
    (message(receiver=""), "INVALID_MESSAGE"),
    (message(conversation_id="c" * 2000), "INVALID_MESSAGE"),
    (message(ttl_ms="soon"), "INVALID_MESSAGE"),
]


@pytest.mark.parametrize(("body", "code"), BAD)
async def test_a_message_that_breaks_a_rule_is_refused(body: object, code: str, api: Api) -> None:
    answer = await api("POST", PATH, body)
    assert (answer.status, answer.code) == (400, code)
    assert api.node.messages.kept == {}


async def test_a_message_to_nobody_is_refused(api: Api) -> None:
    answer = await api("POST", PATH, message(receiver="nobody"))
    assert (answer.status, answer.code) == (404, "UNKNOWN_RECEIVER")


async def test_a_full_mailbox_says_when_to_come_back(api: Api) -> None:
    api.node.messages.full.add("echo")
    answer = await api("POST", PATH, message())
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "MAILBOX_FULL", "1")


async def test_content_over_one_mebibyte_is_refused_and_up_to_it_is_not(api: Api) -> None:
    limit = 1 << 20
    assert (await api("POST", PATH, message(content="x" * (limit - 2)))).status == 202
    answer = await api("POST", PATH, message(content="x" * (limit - 1)))
    assert (answer.status, answer.code) == (413, "MESSAGE_TOO_LARGE")


@pytest.mark.parametrize("performative", PERFORMATIVES)
async def test_every_act_of_fipa_is_accepted(performative: str, api: Api) -> None:
    assert (await api("POST", PATH, message(performative=performative.upper()))).status == 202


async def test_an_accepted_message_gets_a_receipt(api: Api) -> None:
    answer = await api("POST", PATH, message(conversation_id="c"))
    assert (answer.status, answer.headers["content-type"]) == (202, "application/json")
    receipt = msgspec.json.decode(answer.body, type=Receipt)
    assert (receipt.conversation_id, receipt.status, receipt.durability) == ("c", "accepted", "fsync")


async def test_a_message_carries_the_trace_of_its_request(api: Api) -> None:
    await api("POST", PATH, message(conversation_id="c", traceparent="forged"), x_trace_id="ab" * 16)
    (parent,) = api.node.messages.parents
    parts = (parent or "").split("-")
    assert (parts[0], parts[1], len(parts[2]), parts[3]) == ("00", "ab" * 16, 16, "00")


@pytest.mark.parametrize("version", ["00", "01", "fe"])
async def test_span_of_the_caller_is_taken_up_with_its_trace(version: str, api: Api) -> None:
    more = "" if version == "00" else "-what-comes-later"
    await api("POST", PATH, message(conversation_id="c"), traceparent=f"{version}-{'ab' * 16}-{'cd' * 8}-01{more}")
    (sent, _) = api.node.messages.kept["c"]
    assert msgspec.json.decode(sent)["traceparent"][:36] == f"00-{'ab' * 16}-"
    assert api.node.messages.parents == [f"00-{'ab' * 16}-{'cd' * 8}-01"]


async def test_header_of_the_answer_tells_the_span_of_the_message(api: Api) -> None:
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    answer = await api("POST", PATH, message(conversation_id="c"), traceparent=parent)
    (sent, _) = api.node.messages.kept["c"]
    assert answer.headers["traceresponse"] == msgspec.json.decode(sent)["traceparent"]
    assert answer.headers["traceresponse"][:36] == parent[:36]
    assert answer.headers["traceresponse"] != parent


def test_message_that_was_accepted_before_has_no_span_to_tell() -> None:
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    again = AclMessage(performative="inform", traceparent=parent)
    assert traceresponse(parent, again) == ()


@pytest.mark.parametrize("span", ["0" * 16, "CD" * 8, "cd"])
async def test_span_of_a_caller_that_breaks_the_rules_is_not(span: str, api: Api) -> None:
    await api("POST", PATH, message(conversation_id="c"), traceparent=f"00-{'ab' * 16}-{span}-01")
    (found,) = api.node.messages.parents
    assert found is not None
    assert (found[3:35] != "ab" * 16, found[36:]) == (True, f"{'0' * 16}-00")


async def test_a_sender_cannot_be_made_up(api: Api) -> None:
    await api("POST", PATH, message(conversation_id="c", sender="boss"))
    (sent, _) = api.node.messages.kept["c"]
    assert msgspec.json.decode(sent)["sender"] == "client:tester"


async def test_waiting_gives_the_reply_itself(api: Api) -> None:
    answer = await api("POST", PATH, message(reply_with="r"), query="wait=5s")
    assert answer.status == 200
    reply = answer.json
    assert (reply["performative"], reply["sender"], reply["content"]) == ("inform", "echo", {"n": 1})
    assert reply["in_reply_to"] == "r"


@pytest.mark.parametrize("wait", ["0", "0s", "301s", "-1s", "soon", "1e9", "", "nan", "inf"])
async def test_a_wait_out_of_its_bounds_is_refused(wait: str, api: Api) -> None:
    assert (await api("POST", PATH, message(), query=f"wait={wait}")).code == "INVALID_VALUE"
    assert (await api("POST", INVOKE, 1, query=f"timeout={wait}")).code == "INVALID_VALUE"


@pytest.mark.parametrize("path", [f"{PATH}?wait=250ms", f"{INVOKE}?timeout=250ms"])
async def test_no_reply_in_time_is_told_with_the_conversation(path: str, api: Api) -> None:
    api.node.messages.silent.add("echo")
    path, _, query = path.partition("?")
    answer = await api("POST", path, message(), query=query)
    assert (answer.status, answer.code) == (504, "REPLY_TIMEOUT")
    facts = answer.json["details"]
    assert (facts["receiver"], facts["timeout_s"]) == ("echo", 0.25)
    assert facts["conversation_id"] in api.node.messages.kept


async def test_an_agent_that_failed_is_told_with_its_trap(api: Api) -> None:
    api.node.messages.failing.add("echo")
    answer = await api("POST", INVOKE, 1)
    assert (answer.status, answer.code, answer.json["details"]["trap"]) == (502, "AGENT_FAILED", "unreachable")


async def test_invoking_nobody_is_not_found(api: Api) -> None:
    assert (await api("POST", "/api/v1/agents/nobody/invoke", 1)).code == "UNKNOWN_RECEIVER"


@pytest.mark.parametrize("text", ["null", " 0 ", '""', "[]", "{}", '{"text": "ä\u2028"}', "1e300", "[[[]]]"])
async def test_invoke_returns_the_answer_with_any_content(text: str, api: Api) -> None:
    answer = await api("POST", INVOKE, text.encode(), query="performative=QUERY_REF")
    assert answer.status == 200
    assert set(answer.json) == {"conversation_id", "message_id", "performative", "sender", "content"}
    assert (answer.json["sender"], answer.json["content"]) == ("echo", json.loads(text))
    (sent, _) = api.node.messages.kept[answer.json["conversation_id"]]
    assert msgspec.json.decode(sent)["performative"] == "query-ref"


async def test_invoking_with_an_act_that_is_none_is_refused(api: Api) -> None:
    assert (await api("POST", INVOKE, 1, query="performative=shout")).code == "INVALID_MESSAGE"


@pytest.mark.parametrize(
    "body", [{}, [], {"messages": []}, {"messages": 1}, {"messages": [], "more": 1}, {"messages": [message()] * 1001}]
)
async def test_a_batch_that_is_none_is_refused_as_a_whole(body: object, api: Api) -> None:
    answer = await api("POST", f"{PATH}/batch", body)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert api.node.messages.kept == {}


async def test_a_batch_is_accepted_in_order(api: Api) -> None:
    body = {"messages": [message(conversation_id=f"c{n}") for n in range(1000)]}
    answer = await api("POST", f"{PATH}/batch", body)
    assert answer.status == 202
    assert [receipt["conversation_id"] for receipt in answer.json["receipts"]] == [f"c{n}" for n in range(1000)]


async def test_a_bad_message_stops_no_other_of_its_batch(api: Api) -> None:
    bad = [message(performative="shout"), 7, message(receiver="nobody"), message(content="x" * (1 << 20))]
    body = {"messages": [message(conversation_id="first"), *bad, message(conversation_id="last")]}
    answer = await api("POST", f"{PATH}/batch", body)
    assert answer.status == 207
    told = [receipt.get("code") or receipt["conversation_id"] for receipt in answer.json["receipts"]]
    codes = ["INVALID_MESSAGE", "INVALID_MESSAGE", "UNKNOWN_RECEIVER", "MESSAGE_TOO_LARGE"]
    assert told == ["first", *codes, "last"]
    assert {receipt.get("trace_id", "") for receipt in answer.json["receipts"]} == {"", answer.headers["x-trace-id"]}


async def test_a_conversation_is_read_back_oldest_first(api: Api) -> None:
    for n in range(3):
        await api("POST", PATH, message(conversation_id="c", content=n))
    answer = await api("GET", PATH, query="conversation_id=c&limit=4")
    assert [one["content"] for one in answer.json["messages"]] == [1, 1, 2, 2]
    assert answer.json["total"] == 4


async def test_a_conversation_that_nobody_knows_is_empty(api: Api) -> None:
    assert (await api("GET", PATH, query="conversation_id=x")).json == {"messages": [], "total": 0}


@pytest.mark.parametrize("query", ["", "conversation_id=", f"conversation_id={'c' * 2000}"])
async def test_a_conversation_must_be_named(query: str, api: Api) -> None:
    assert (await api("GET", PATH, query=query)).code == "INVALID_REQUEST"
