"""Messages in FIPA's string encoding over HTTP."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from caxton.core.views.messages import Receipt
from caxton.messages.fipa_string import MAX_STRING_BYTES, decode_fipa
from caxton.messages.lifetime import parse_reply_by

if TYPE_CHECKING:
    from tests.unit.api.conftest import Answer, Api

PATH = "/api/v1/messages"
ACL = "application/fipa-acl"
TYPE = f"{ACL}; charset=utf-8"

REQUEST = """(REQUEST
 :sender (agent-identifier :name boss@elsewhere)
 :receiver (set (agent-identifier :name echo@caxton))
 :content "größe \\"3\\"" :conversation-id c :reply-with r)""".encode()


async def post(api: Api, body: bytes, kind: str = ACL, query: str = "", **headers: str) -> Answer:
    return await api("POST", PATH, body, query=query, content_type=kind, **headers)


@pytest.mark.parametrize(
    "kind",
    [
        ACL, TYPE, "Application/FIPA-ACL;charset=\"UTF-8\"", f"{ACL}; charset=US-ASCII", f"{ACL}; boundary=x",
        "application/fipa.acl.rep.string.std", "application/text; charset=utf-8",
    ],
)  # fmt: skip
async def test_a_message_in_fipas_encoding_is_accepted_with_a_receipt(kind: str, api: Api) -> None:
    answer = await post(api, REQUEST, kind)
    assert (answer.status, answer.headers["content-type"]) == (202, "application/json")
    assert msgspec.json.decode(answer.body, type=Receipt).conversation_id == "c"
    (sent, _) = map(json.loads, api.node.messages.kept["c"])
    assert (sent["performative"], sent["sender"], sent["receiver"]) == ("request", "client:tester", "echo")
    assert (sent["content"], sent["reply_with"]) == ('größe "3"', "r")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/fipa.acl.rep.xml.std", "application/fipa.acl.rep.bitefficient.std", "multipart/mixed"],
)
async def test_an_encoding_that_is_not_read_is_refused_with_those_that_are(kind: str, api: Api) -> None:
    answer = await post(api, REQUEST, kind)
    assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert answer.json["details"]["wanted"][:2] == ["application/json", ACL]


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", '"latin1"', "x" * 9000])
async def test_a_charset_that_is_not_read_is_refused(charset: str, api: Api) -> None:
    answer = await post(api, REQUEST, f"{ACL}; charset={charset}")
    assert (answer.status, answer.json["details"]["header"]) == (415, "charset")
    assert len(answer.body) < 1000
    assert api.node.messages.kept == {}


async def test_a_compressed_message_is_refused(api: Api) -> None:
    assert (await post(api, REQUEST, content_encoding="gzip")).code == "UNSUPPORTED_MEDIA_TYPE"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "INVALID_MESSAGE"),
        (b'{"performative": "inform", "receiver": "echo"}', 400, "INVALID_MESSAGE"),
        (REQUEST[:-1], 400, "INVALID_MESSAGE"),
        (REQUEST + REQUEST, 400, "INVALID_MESSAGE"),
        (REQUEST.decode().encode("latin-1"), 400, "INVALID_MESSAGE"),
        (REQUEST.replace(b"REQUEST", b"SHOUT"), 400, "INVALID_MESSAGE"),
        (b"(inform)", 400, "INVALID_MESSAGE"),
        (b"(inform :receiver (set))", 400, "INVALID_MESSAGE"),
        (REQUEST.replace(b"echo@caxton", b"echo@elsewhere"), 404, "UNKNOWN_RECEIVER"),
        (b"(inform" + b" " * MAX_STRING_BYTES + b")", 413, "MESSAGE_TOO_LARGE"),
    ],
)
async def test_what_is_no_such_message_is_refused(body: bytes, status: int, code: str, api: Api) -> None:
    answer = await post(api, body)
    assert (answer.status, answer.code) == (status, code)
    assert api.node.messages.kept == {}


async def test_a_refusal_says_where_and_what_was_expected(api: Api) -> None:
    answer = await post(api, b"(inform\n :content hello there)")
    assert "line 2, column 17: expected a parameter" in answer.json["detail"]
    answer = await post(api, b"(inform :X-Caxton-Priority 12)")
    assert answer.json["details"]["field"] == "priority"


async def test_a_relative_deadline_counts_from_the_servers_time(api: Api) -> None:
    before_us = time.time_ns() // 1000
    await post(api, REQUEST.replace(b":reply-with", b":reply-by +00000000T010000000 :reply-with"))
    (sent, _) = map(json.loads, api.node.messages.kept["c"])
    after_us = time.time_ns() // 1000
    assert before_us - 1000 <= parse_reply_by(sent["reply_by"]) - 3_600_000_000 <= after_us


async def test_the_reply_comes_in_fipas_encoding_to_those_who_ask_for_it(api: Api) -> None:
    answer = await post(api, REQUEST, query="wait=5s", accept=ACL)
    assert (answer.status, answer.headers["content-type"]) == (200, TYPE)
    reply = decode_fipa(answer.body, wall_us=0)
    assert (reply.performative, reply.sender, reply.receiver) == ("inform", "echo", "client:tester")
    assert (reply.in_reply_to, reply.conversation_id) == ("r", "c")
    assert bytes(reply.content).decode() == '"größe \\"3\\""'
    answer = await post(api, REQUEST, query="wait=5s")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (ACL, TYPE),
        (f"text/html, {ACL.upper()};Q=0.5, */*;q=0.1", TYPE),
        (f"{ACL}, */*", TYPE),
        ("application/text", TYPE),
        (f"application/json;q=0.5, {ACL}", TYPE),
        (f"application/json, {ACL}", "application/json"),
        (f"application/json, {ACL};q=0.9", "application/json"),
        (f"{ACL};q=0", "application/json"),
        (f"{ACL};q=0.0, */*", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("", "application/json"),
        (",;,;q=;=,\xff", "application/json"),
    ],
)
async def test_a_conversation_is_read_in_the_encoding_that_is_asked_for(accept: str, kind: str, api: Api) -> None:
    await post(api, REQUEST)
    answer = await api("GET", PATH, query="conversation_id=c", accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (200, kind)


async def test_a_conversation_in_fipas_encoding_is_one_message_after_another(api: Api) -> None:
    await post(api, REQUEST)
    answer = await api("GET", PATH, query="conversation_id=c", accept=ACL)
    first, second = answer.body.split(b")\n(")
    assert decode_fipa(first + b")", wall_us=0).performative == "request"
    assert decode_fipa(b"(" + second, wall_us=0).sender == "echo"
    assert (await api("GET", PATH, query="conversation_id=nobody", accept=ACL)).body == b""


async def test_an_error_is_a_problem_whatever_is_asked_for(api: Api) -> None:
    assert (await post(api, b"(", accept=ACL)).code == "INVALID_MESSAGE"


async def test_a_batch_is_json_alone(api: Api) -> None:
    answer = await api("POST", f"{PATH}/batch", REQUEST, content_type=ACL)
    assert answer.code == "UNSUPPORTED_MEDIA_TYPE"


async def test_the_description_names_the_encoding(api: Api) -> None:
    paths = (await api("GET", "/api/v1/openapi.json")).json["paths"][PATH]
    assert ACL in paths["post"]["requestBody"]["content"]
    assert ACL in paths["post"]["responses"]["200"]["content"]
    assert ACL in paths["get"]["responses"]["200"]["content"]
