"""What holds for every request: Host, Origin, trace ids, common headers, the wall for exceptions."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from caxton.api.edge import Edge
from caxton.api.hosts import HostPolicy
from caxton.api.meter import Meter
from caxton.api.request import ApiRequest, Limits
from caxton.observe.log import set_up_logging
from tests.unit.api.conftest import Call

if TYPE_CHECKING:
    from caxton.core.ids import WorkspaceName
    from tests.unit.api.conftest import Api

BAD_HOSTS = [
    "",
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "evil-localhost",
    "127.0.0.1.evil.example",
    "127.0.0.2",
    "0.0.0.0",  # noqa: S104
    "[::2]",
    "::1",
    "localhost:",
    "localhost:8080:8080",
    "localhost:http",
    "localhost:999999",
    "localhost, evil.example",
    "user@localhost",
    "localhost/evil",
    "localhost.",
    "locälhost",
    "\x00",
    "a" * 5000,
]


@pytest.mark.parametrize("host", BAD_HOSTS, ids=lambda host: host[:30] or "empty")
async def test_a_request_for_another_host_is_refused(host: str, api: Api) -> None:
    answer = await api("GET", "/health", host=host)
    assert (answer.status, answer.code) == (403, "HOST_NOT_ALLOWED")


async def test_a_request_for_no_host_is_refused(api: Api) -> None:
    assert (await api.send(Call())).code == "HOST_NOT_ALLOWED"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "Caxton.Example"]
)
async def test_loopback_names_and_those_in_the_settings_are_let_in(host: str, api: Api) -> None:
    assert (await api("GET", "/health", host=host)).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost",
        "http://localhost:3000",
        "http://127.0.0.1:8080",
        "https://caxton.example",
        "null",
        "",
        "localhost:8080",
        "http://localhost:8080.evil.example",
        "http://localhost:8080/",
    ],
)
async def test_a_page_of_another_site_is_refused(origin: str, api: Api) -> None:
    answer = await api("GET", "/health", origin=origin)
    assert (answer.status, answer.code) == (403, "HOST_NOT_ALLOWED")
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_page_of_this_server_is_let_in(api: Api) -> None:
    assert (await api("GET", "/health", origin="http://localhost:8080")).status == 200


@pytest.mark.parametrize("name", ["Host", "Origin", "Authorization", "Content-Type", "Content-Length"])
async def test_a_header_that_decides_something_may_not_be_given_twice(name: str, api: Api) -> None:
    headers = [("Host", "localhost"), (name, "localhost"), (name, "evil.example")]
    answer = await api.send(Call(headers=headers))
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


async def test_other_headers_may_be_given_twice(api: Api) -> None:
    headers = [("Host", "localhost"), ("Accept", "a/b"), ("Accept", "c/d")]
    assert (await api.send(Call(headers=headers))).status == 200


PARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"


@pytest.mark.parametrize(
    ("headers", "trace_id"),
    [
        ({"traceparent": PARENT}, "ab" * 16),
        ({"x_trace_id": "ef" * 16}, "ef" * 16),
        ({"traceparent": PARENT, "x_trace_id": "ef" * 16}, "ab" * 16),
    ],
)
async def test_the_callers_trace_is_taken_up(headers: dict[str, str], trace_id: str, api: Api) -> None:
    assert (await api("GET", "/health", **headers)).headers["x-trace-id"] == trace_id


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": f"00-{'0' * 32}-{'cd' * 8}-01"},
        {"traceparent": "00-short-01"},
        {"traceparent": f"00-{'ab' * 16}-{'0' * 16}-01"},
        {"traceparent": f"{PARENT}-more"},
        {"traceparent": f"ff-{'ab' * 16}-{'cd' * 8}-01"},
        {"traceparent": f"01-{'ab' * 16}-{'cd' * 8}-01more"},
        {"traceparent": f"00-{'AB' * 16}-{'cd' * 8}-01"},
        {"x_trace_id": "0" * 32},
        {"x_trace_id": "evil\r\nset-cookie: a=b"},
        {"x_trace_id": "g" * 32},
        {},
    ],
)
async def test_a_trace_id_that_is_none_is_replaced_by_a_new_one(headers: dict[str, str], api: Api) -> None:
    first, second = [(await api("GET", "/health", **headers)).headers["x-trace-id"] for _ in range(2)]
    assert len(first) == 32
    assert int(first, 16)
    assert first != second
    assert first not in str(headers)


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [("order-4711:retry=2", True), ("x" * 128, True), ("x" * 129, False), ("", False), ("a b", False), ("é", False)],
)
async def test_the_callers_request_id_is_taken_up_if_it_is_harmless(given: str, is_taken: bool, api: Api) -> None:
    first, second = [
        (await api("GET", "/nothing", x_request_id=given, traceparent=PARENT)).headers["x-request-id"] for _ in "12"
    ]
    if is_taken:
        assert first == second == given
    else:
        assert len(first) == 16
        assert first != second


async def test_what_a_service_logs_has_the_ids_of_its_request(
    api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(workspace: WorkspaceName) -> Any:
        logging.getLogger("caxton.services").warning("looked at")
        raise RuntimeError

    set_up_logging("info", readable=False)
    monkeypatch.setattr(api.node.agents, "list", explode)
    assert (await api("GET", "/api/v1/agents", x_request_id="r-1", traceparent=PARENT)).status == 500
    logging.getLogger("caxton.services").warning("later")
    first, broken, later = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    for line in (first, broken):
        assert (line["request_id"], line["trace_id"], line["principal"]) == ("r-1", "ab" * 16, "tester")
    assert (broken["event.name"], broken["error.type"]) == ("api.internal_error", "RuntimeError")
    assert "request_id" not in later


@pytest.mark.parametrize("path", ["/health", "/nothing"])
async def test_no_answer_is_stored_or_guessed_at(path: str, api: Api) -> None:
    headers = (await api("GET", path)).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["server"] == "caxton"


NAMES = [
    "/",
    "/api",
    "/api/v1",
    "/docs",
    "/schema",
    "/schema/openapi.json",
    "/api/v1/agents/a/b/c",
    "/\x00",
    "/../etc/passwd",
]


@pytest.mark.parametrize("path", NAMES)
async def test_a_path_that_is_not_there_says_so(path: str, api: Api) -> None:
    answer = await api("GET", path)
    assert (answer.status, answer.code) == (404, "ROUTE_NOT_FOUND")


BAD_NAMES = [
    "..", ".", "...", ".hidden", "-a", "_a", "a b", "a\x00b", "\x00", "a" * 65, "a" * 300, "ä", "а",  # noqa: RUF001
    "a.b", "a\\b", "a;b", "a%2Fb", "..%2f..", "%00", "a\nb", "${x}", "<script>", "‮a", "😀",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("DELETE", ""), ("POST", "/start"), ("GET", "/logs")])
async def test_a_name_that_is_none_is_refused(name: str, method: str, suffix: str, api: Api) -> None:
    answer = await api(method, f"/api/v1/agents/{name}{suffix}")
    assert (answer.status, answer.code) == (400, "INVALID_NAME")


@pytest.mark.parametrize("path", ["/api/v1/agents/a/b", "/api/v1/agents/../../health", "/api/v1/agents/a/../b"])
async def test_a_slash_in_a_name_is_another_path(path: str, api: Api) -> None:
    """This is what arrives for `%2F` too: the server decodes a path once, and nothing here decodes it again."""
    assert (await api("GET", path)).code == "ROUTE_NOT_FOUND"


async def test_an_unknown_parameter_is_refused_with_the_nearest_known(api: Api) -> None:
    answer = await api("GET", "/api/v1/agents", query="limt=5")
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "'limit'" in answer.json["detail"]


@pytest.mark.parametrize(
    "query", ["x=1", "limit=1&limit=2", "=", "&".join(f"a{n}=1" for n in range(40)), "workspace=%FF"]
)
async def test_a_query_that_cannot_be_meant_is_refused(query: str, api: Api) -> None:
    answer = await api("GET", "/api/v1/agents", query=query)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=-1", "limit=1e3", "limit=%D9%A3", "limit=", "limit=99999999999999999999"]
)
async def test_a_number_out_of_its_bounds_is_refused(query: str, api: Api) -> None:
    answer = await api("GET", "/api/v1/agents", query=query)
    assert (answer.status, answer.code) == (400, "INVALID_VALUE")


@pytest.mark.parametrize("workspace", ["", "..", "a/b", "a%00b", "a" * 65])
async def test_a_workspace_whose_name_is_none_is_refused(workspace: str, api: Api) -> None:
    answer = await api("GET", "/api/v1/agents", query=f"workspace={workspace}")
    assert (answer.status, answer.code) == (400, "INVALID_NAME")


async def test_a_workspace_that_is_not_there_is_not_found(api: Api) -> None:
    answer = await api("GET", "/api/v1/agents", query="workspace=other")
    assert (answer.status, answer.code) == (404, "WORKSPACE_NOT_FOUND")


async def test_the_workspace_may_be_named_on_every_route(api: Api) -> None:
    for path in ("/health", "/ready", "/api/v1/health", "/metrics", "/api/v1/openapi.json", "/api/v1/agents/echo"):
        assert (await api("GET", path, query="workspace=default")).status == 200


async def test_an_unexpected_error_is_logged_once_and_kept_inside(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    def explode(workspace: WorkspaceName) -> Any:
        raise RuntimeError(f"the secret of the database of {workspace}")

    api.node.agents.list = explode
    with caplog.at_level(logging.ERROR):
        answer = await api("GET", "/api/v1/agents", x_trace_id="ab" * 16)
    assert (answer.status, answer.code) == (500, "INTERNAL_ERROR")
    assert b"secret" not in answer.body
    assert b"RuntimeError" not in answer.body
    (record,) = caplog.records
    assert getattr(record, "trace_id", "") == "ab" * 16
    assert record.exc_info


async def test_an_exception_after_the_answer_began_is_logged_and_goes_no_further(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    edge = Edge(app, HostPolicy(), Limits(), asyncio.Event(), Meter())
    call = Call(headers=[("host", "localhost")])
    with caplog.at_level(logging.ERROR):
        await edge(call.scope(), call.receive, call.send)
    assert [event["type"] for event in call.sent] == ["http.response.start"]
    assert len(caplog.records) == 1


async def test_a_server_that_stops_refuses_what_is_new_and_says_when_to_come_back(api: Api) -> None:
    api.stopping.set()
    answer = await api("GET", "/api/v1/agents")
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "SHUTTING_DOWN", "5")


async def test_probes_are_answered_while_the_server_starts_and_stops_and_nothing_else_is(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = asyncio.Event()
    monkeypatch.setattr(api.app, "_opened", opened)
    api.node.server.is_ready = False
    assert (await api("GET", "/health", token=None)).status == 200
    assert (await api("GET", "/ready", token=None)).json["details"]["reasons"]
    assert (await api("GET", "/api/v1/agents")).code == "SERVER_NOT_READY"
    opened.set()
    assert (await api("GET", "/api/v1/agents")).status == 200
    api.stopping.set()
    assert (await api("GET", "/health", token=None)).status == 200
    assert (await api("GET", "/ready", token=None)).code == "SERVER_NOT_READY"
    assert (await api("GET", "/api/v1/agents")).code == "SHUTTING_DOWN"


async def test_a_request_that_is_cancelled_by_a_stopping_server_is_answered(api: Api) -> None:
    api.node.messages.slow.add("echo")
    asking = asyncio.create_task(api("POST", "/api/v1/agents/echo/invoke", 1))
    await asyncio.wait_for(api.node.messages.asked.wait(), 5)
    api.stopping.set()
    asking.cancel()
    assert (await asking).code == "SHUTTING_DOWN"


async def test_a_request_that_is_cancelled_otherwise_stays_cancelled(api: Api) -> None:
    api.node.messages.slow.add("echo")
    asking = asyncio.create_task(api("POST", "/api/v1/agents/echo/invoke", 1))
    await asyncio.wait_for(api.node.messages.asked.wait(), 5)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_each_request_leaves_a_line_for_those_who_debug(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "caxton.api.edge"):
        await api("GET", "/nothing")
    (record,) = [record for record in caplog.records if record.name == "caxton.api.edge"]
    assert vars(record)["status"] == 404
    assert vars(record)["action"] == "api.request"


@pytest.mark.parametrize("path", ["/health", "/nothing", "/api/v1/agents/echo", "/api/v1/agents/nope"])
async def test_a_request_leaves_nothing_to_the_garbage_collector(path: str, api: Api) -> None:
    """The server runs the collector rarely; and what a request holds keeps the HTTP server's threads alive."""
    gc.collect()
    gc.disable()
    try:
        await api("GET", path)
        assert not [one for one in gc.get_objects() if isinstance(one, ApiRequest)]
    finally:
        gc.enable()


async def test_a_connection_that_is_not_http_is_left_alone(api: Api) -> None:
    call = Call()
    await api.app(call.scope() | {"type": "websocket"}, call.receive, call.send)
    assert call.sent == []
