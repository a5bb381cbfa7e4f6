"""Bodies: too long, too slow, of the wrong kind, no JSON."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from caxton.api.body import UPLOAD_BODY_BYTES
from caxton.messages.codec import MAX_MESSAGE_BYTES
from tests.unit.api.conftest import Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.api.conftest import Answer, Api

MESSAGES, AGENTS, INVOKE = "/api/v1/messages", "/api/v1/agents", "/api/v1/agents/echo/invoke"
SCALE, STOP, BATCH = "/api/v1/agents/echo/scale", "/api/v1/agents/echo/stop", "/api/v1/messages/batch"

GOOD = json.dumps({"performative": "request", "receiver": "echo", "content": 1}).encode()


def call(api: Api, path: str, chunks: Sequence[bytes], *, ends: str = "http.request", **headers: str) -> Call:
    found = {"host": "localhost", "authorization": f"Bearer {api.token}", "content-type": "application/json"}
    found |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Call("POST", path, "", [*found.items()], chunks, ends)


LARGE = [(MESSAGES, MAX_MESSAGE_BYTES, "MESSAGE_TOO_LARGE"), (INVOKE, 1 << 20, "MESSAGE_TOO_LARGE"),
         (AGENTS, UPLOAD_BODY_BYTES, "BODY_TOO_LARGE"), (BATCH, UPLOAD_BODY_BYTES, "BODY_TOO_LARGE"),
         (SCALE, 64 << 10, "BODY_TOO_LARGE"), (STOP, 64 << 10, "BODY_TOO_LARGE")]  # fmt: skip


@pytest.mark.parametrize(("path", "limit", "code"), LARGE)
async def test_a_body_that_says_it_is_too_long_is_refused_before_any_of_it_is_kept(
    path: str, limit: int, code: str, api: Api
) -> None:
    asked = call(api, path, [b"x"] * 3, content_length=str(limit + 1), expect="100-continue")
    answer = await api.send(asked)
    assert (answer.status, answer.code) == (413, code)
    assert answer.json["details"] == {"size_bytes": limit + 1, "limit_bytes": limit}
    assert asked.taken == 0


@pytest.mark.parametrize(("path", "limit", "code"), LARGE)
async def test_a_body_that_turns_out_too_long_is_refused_on_the_way(path: str, limit: int, code: str, api: Api) -> None:
    chunk = b"x" * (1 << 18)
    asked = call(api, path, [chunk] * 200, transfer_encoding="chunked", expect="100-continue")
    answer = await api.send(asked)
    assert (answer.status, answer.code) == (413, code)
    assert asked.taken * len(chunk) <= limit + len(chunk)
    assert answer.headers["connection"] == "close"


async def test_the_rest_of_a_refused_body_is_taken_so_that_its_sender_sees_the_answer(api: Api) -> None:
    asked = call(api, MESSAGES, [b"x" * (1 << 20)] * 4, content_length=str(4 << 20))
    assert (await api.send(asked)).status == 413
    assert asked.taken == 4


async def test_a_refused_body_without_end_is_not_taken_for_ever(api: Api) -> None:
    asked = call(api, MESSAGES, [b"x" * (1 << 20)] * 100, transfer_encoding="chunked", ends="never")
    assert (await api.send(asked)).status == 413
    assert asked.taken <= 20


async def test_a_body_of_somebody_unknown_is_not_kept_either(api: Api) -> None:
    asked = call(api, AGENTS, [b"x"] * 3, content_length="3", authorization="Bearer x")
    assert (await api.send(asked)).status == 401


@pytest.mark.parametrize("path", [MESSAGES, INVOKE, AGENTS, SCALE, BATCH])
async def test_a_body_that_does_not_end_in_time_is_refused_and_the_connection_closed(path: str, api: Api) -> None:
    asked = call(api, path, [b"{"], transfer_encoding="chunked", ends="never")
    answer = await api.send(asked)
    assert (answer.status, answer.code) == (408, "REQUEST_TIMEOUT")
    assert answer.headers["connection"] == "close"


async def test_half_a_body_is_never_acted_upon(api: Api) -> None:
    await api.send(call(api, MESSAGES, [GOOD], content_length=str(len(GOOD)), ends="http.disconnect"))
    assert api.node.messages.kept == {}


@pytest.mark.parametrize("size", [0, 1, 7, len(GOOD)])
async def test_a_body_in_pieces_is_put_together(size: int, api: Api) -> None:
    pieces = [GOOD[:size], GOOD[size:]]
    assert (await api.send(call(api, MESSAGES, pieces))).status == 202


KINDS = ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json5", "json"]


@pytest.mark.parametrize("kind", [*KINDS, "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", [MESSAGES, INVOKE, SCALE, BATCH])
async def test_a_body_that_does_not_call_itself_json_is_refused(kind: str, path: str, api: Api) -> None:
    answer = await api("POST", path, GOOD, content_type=kind)
    assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("kind", KINDS)
async def test_an_agent_that_is_neither_json_nor_a_form_is_refused(kind: str, api: Api) -> None:
    assert (await api("POST", AGENTS, GOOD, content_type=kind)).code == "UNSUPPORTED_MEDIA_TYPE"


@pytest.mark.parametrize("path", [MESSAGES, INVOKE, AGENTS])
async def test_a_compressed_body_is_refused(path: str, api: Api) -> None:
    answer = await api("POST", path, GOOD, content_encoding="gzip")
    assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
async def test_json_may_be_called_so_in_all_the_usual_ways(kind: str, api: Api) -> None:
    assert (await api("POST", MESSAGES, GOOD, content_type=kind)).status == 202


NO_JSON = {
    "nothing": b"",
    "a word": b"hello",
    "half": b'{"a":',
    "two": b"1 2",
    "NaN": b"NaN",
    "Infinity": b'{"a":-Infinity}',
    "duplicate keys": b'{"a":1,"a":2}',
    "duplicate keys deep inside": b'{"a":[{"b":{"c":1,"c":1}}]}',
    "depth 65": b"[" * 65 + b"]" * 65,
    "depth 100,000": b"[" * 100_000 + b"]" * 100_000,
    "open to depth 100,000": b"[" * 100_000,
    "objects to depth 100,000": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number of 5,000 digits": b"1" * 5_000,
    "single quotes": b"{'a':1}",
    "trailing comma": b"[1,]",
    "comment": b"[1 /* one */]",
    "control character": b'"\x01"',
    "not UTF-8": b'"\xff"',
    "half a surrogate": b'"\xed\xa0\x80"',
    "UTF-16": '"a"'.encode("utf-16-le"),
    "byte order mark": b"\xef\xbb\xbf1",
    "zero byte": b'"a"\x00',
}


async def refuse(api: Api, path: str, body: bytes, *, method: str = "POST") -> Answer:
    started_at = time.perf_counter()
    answer = await api(method, path, body)
    assert time.perf_counter() - started_at < 1
    assert answer.status == 400
    assert len(answer.body) < 2000
    return answer


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
async def test_content_that_is_no_json_is_refused(body: bytes, api: Api) -> None:
    assert (await refuse(api, INVOKE, body)).code == "INVALID_MESSAGE"
    assert api.node.messages.kept == {}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
async def test_a_message_whose_content_is_no_json_is_refused(body: bytes, api: Api) -> None:
    whole = b'{"performative":"inform","receiver":"echo","content":%b}' % body
    assert (await refuse(api, MESSAGES, whole)).code == "INVALID_MESSAGE"


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
async def test_settings_that_are_no_json_are_refused(body: bytes, api: Api) -> None:
    assert (await refuse(api, AGENTS, body)).code == "INVALID_REQUEST"
    assert (await refuse(api, AGENTS + "/echo", b'{"replicas":%b}' % body, method="PUT")).code == "INVALID_REQUEST"


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
async def test_a_batch_that_is_no_json_is_refused(body: bytes, api: Api) -> None:
    assert (await refuse(api, BATCH, b'{"messages":%b}' % body)).code == "INVALID_REQUEST"


async def test_an_error_repeats_only_the_beginning_of_what_it_was_given(api: Api) -> None:
    answer = await refuse(api, SCALE, b'{"replicas":1,"%b":1}' % (b"x" * 5000))
    assert answer.code == "INVALID_REQUEST"
    assert len(answer.json["detail"]) < 300
