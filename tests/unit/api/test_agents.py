"""The routes about agents."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from caxton.testing.fakes.agents import EMPTY_MODULE, MAX_MODULE_BYTES

if TYPE_CHECKING:
    from tests.unit.api.conftest import Answer, Api

PATH = "/api/v1/agents"
BASE64 = base64.b64encode(EMPTY_MODULE).decode()

BAD_UPLOADS: list[tuple[dict[str, Any], str]] = [
    ({}, "INVALID_REQUEST"),
    ({"name": "a"}, "INVALID_REQUEST"),
    ({"wasm_module": BASE64}, "INVALID_REQUEST"),
    ({"name": 1, "wasm_module": BASE64}, "INVALID_REQUEST"),
    ({"name": "../a", "wasm_module": BASE64}, "INVALID_NAME"),
    ({"name": "a", "wasm_module": "not base64!"}, "INVALID_REQUEST"),
    ({"name": "a", "wasm_module": 1}, "INVALID_REQUEST"),
    ({"name": "a", "wasm_module": ""}, "INVALID_WASM"),
    ({"name": "a", "wasm_module": base64.b64encode(b"(module)").decode()}, "INVALID_WASM"),
    ({"name": "a", "wasm_module": BASE64, "replica": 1}, "INVALID_REQUEST"),
    ({"name": "a", "wasm_module": BASE64, "replicas": "many"}, "INVALID_REQUEST"),
    ({"name": "a", "wasm_module": BASE64, "resources": {"memry": 1}}, "INVALID_REQUEST"),
    ({"name": "a", "wasm_module": BASE64, "resources": {"memory": "lots"}}, "INVALID_VALUE"),
    ({"name": "a", "wasm_module": BASE64, "capabilities": ["a b"]}, "INVALID_NAME"),
]


@pytest.mark.parametrize(("body", "code"), BAD_UPLOADS)
async def test_an_upload_that_breaks_a_rule_deploys_nothing(body: dict[str, Any], code: str, api: Api) -> None:
    answer = await api("POST", PATH, body)
    assert (answer.status, answer.code) == (400, code)
    assert set(api.node.agents.views) == {"echo"}


async def test_a_body_that_is_no_object_is_refused(api: Api) -> None:
    assert (await api("POST", PATH, [])).code == "INVALID_REQUEST"


async def test_a_module_over_the_limit_is_refused(api: Api) -> None:
    module = base64.b64encode(EMPTY_MODULE + bytes(MAX_MODULE_BYTES)).decode()
    answer = await api("POST", PATH, {"name": "a", "wasm_module": module})
    assert (answer.status, answer.code) == (413, "WASM_TOO_LARGE")


async def test_a_name_that_is_taken_is_refused(api: Api) -> None:
    answer = await api("POST", PATH, {"name": "echo", "wasm_module": BASE64})
    assert (answer.status, answer.code) == (409, "AGENT_ALREADY_EXISTS")


async def test_an_agent_is_deployed_and_its_path_told(api: Api) -> None:
    body = {"name": "new", "wasm_module": BASE64, "version": "1", "replicas": 2, "capabilities": ["counting"]}
    answer = await api("POST", PATH, body)
    assert (answer.status, answer.headers["location"]) == (201, "/api/v1/agents/new")
    seen = await api("GET", answer.headers["location"])
    assert seen.json == answer.json
    facts = {name: seen.json[name] for name in ("name", "version", "replicas", "capabilities", "status")}
    assert facts == {"name": "new", "version": "1", "replicas": 2, "capabilities": ["counting"], "status": "running"}


def form(*parts: tuple[str, bytes], end: bytes = b"--frontier--\r\n") -> bytes:
    texts = [
        b'--frontier\r\nContent-Disposition: form-data; name="%b"; filename="f"\r\n\r\n%b\r\n' % (name.encode(), data)
        for name, data in parts
    ]
    return b"".join(texts) + end


async def upload(
    api: Api, body: bytes, *, method: str = "POST", path: str = PATH, boundary: str = "frontier"
) -> Answer:
    return await api(method, path, body, content_type=f"multipart/form-data; boundary={boundary}")


BAD_FORMS = {
    "nothing": b"",
    "no end": form(("config", b'{"name":"a"}'), ("wasm", EMPTY_MODULE), end=b""),
    "another boundary": form(("config", b'{"name":"a"}')).replace(b"frontier", b"border"),
    "no module": form(("config", b'{"name":"a"}')),
    "no settings": form(("wasm", EMPTY_MODULE)),
    "unknown part": form(("config", b'{"name":"a"}'), ("wasm", EMPTY_MODULE), ("other", b"")),
    "unknown part alone": form(("other", b"")),
    "settings twice": form(("config", b'{"name":"a"}'), ("config", b'{"name":"b"}')),
    "module twice": form(("wasm", EMPTY_MODULE), ("wasm", EMPTY_MODULE)),
    "part without a name": b"--frontier\r\nContent-Disposition: form-data\r\n\r\nx\r\n--frontier--\r\n",
    "part without a header": b"--frontier\r\n\r\nx\r\n--frontier--\r\n",
    "settings are no JSON": form(("config", b"name: a"), ("wasm", EMPTY_MODULE)),
    "settings with the module in them": form(("config", b'{"name":"a","wasm_module":""}'), ("wasm", EMPTY_MODULE)),
    "a thousand parts": form(*[("wasm", b"")] * 1000),
}


@pytest.mark.parametrize("body", BAD_FORMS.values(), ids=BAD_FORMS.keys())
async def test_a_form_that_breaks_a_rule_deploys_nothing(body: bytes, api: Api) -> None:
    answer = await upload(api, body)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert set(api.node.agents.views) == {"echo"}


@pytest.mark.parametrize("boundary", ["", '""', "x" * 2000, "é"])
async def test_a_form_whose_boundary_is_none_is_refused(boundary: str, api: Api) -> None:
    answer = await upload(api, form(("config", b'{"name":"a"}')), boundary=boundary)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "module", [EMPTY_MODULE, EMPTY_MODULE + b"\r\n--frontie", EMPTY_MODULE + bytes(range(256)) * 300]
)
async def test_a_form_deploys_exactly_the_bytes_in_it(module: bytes, api: Api) -> None:
    answer = await upload(api, form(("config", b'{"name":"new"}'), ("wasm", module)))
    assert answer.status == 201
    assert api.node.agents.modules["new"] == module


async def test_a_new_revision_without_a_module_keeps_the_old_one(api: Api) -> None:
    answer = await api("PUT", f"{PATH}/echo", {"replicas": 3})
    assert (answer.status, answer.json["revision"], answer.json["replicas"]) == (200, 2, 3)
    assert api.node.agents.modules["echo"] == EMPTY_MODULE


@pytest.mark.parametrize("name", [{}, {"name": "echo"}])
async def test_a_new_revision_with_a_module_replaces_the_old_one(name: dict[str, str], api: Api) -> None:
    module = EMPTY_MODULE + b"\0\1\0"
    answer = await api("PUT", f"{PATH}/echo", {"wasm_module": base64.b64encode(module).decode()} | name)
    assert answer.status == 200
    assert api.node.agents.modules["echo"] == module


async def test_a_new_revision_may_come_as_a_form(api: Api) -> None:
    body = form(("config", b'{"name":"echo","version":"2"}'))
    answer = await upload(api, body, method="PUT", path=f"{PATH}/echo")
    assert (answer.status, answer.json["version"]) == (200, "2")


async def test_a_new_revision_under_another_name_is_refused(api: Api) -> None:
    answer = await api("PUT", f"{PATH}/echo", {"name": "other"})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/nope", None),
        ("PUT", "/nope", {}),
        ("DELETE", "/nope", None),
        ("POST", "/nope/stop", None),
        ("POST", "/nope/start", None),
        ("POST", "/nope/scale", {"replicas": 1}),
        ("GET", "/nope/logs", None),
    ],
)
async def test_an_agent_that_is_not_there_is_not_found(method: str, path: str, body: object, api: Api) -> None:
    answer = await api(method, PATH + path, body)
    assert (answer.status, answer.code) == (404, "AGENT_NOT_FOUND")


async def test_the_nearest_name_is_told(api: Api) -> None:
    assert (await api("GET", f"{PATH}/ecko")).json["details"]["nearest"] == "echo"


async def test_a_stopped_agent_is_not_stopped_again(api: Api) -> None:
    assert (await api("POST", f"{PATH}/echo/stop")).json["status"] == "stopped"
    answer = await api("POST", f"{PATH}/echo/stop", {"force": True})
    assert (answer.status, answer.code) == (409, "AGENT_STATE_CONFLICT")


async def test_an_agent_is_stopped_started_scaled_and_removed(api: Api) -> None:
    assert (await api("POST", f"{PATH}/echo/stop", {"force": False})).json["status"] == "stopped"
    assert (await api("POST", f"{PATH}/echo/start")).json["status"] == "running"
    assert (await api("POST", f"{PATH}/echo/scale", {"replicas": 4})).json["healthy"] == 4
    gone = await api("DELETE", f"{PATH}/echo", query="force=true")
    assert (gone.status, gone.body) == (204, b"")
    assert "content-type" not in gone.headers
    assert (await api("GET", f"{PATH}/echo")).status == 404


@pytest.mark.parametrize("body", [{}, {"replicas": "2"}, {"replicas": 2, "x": 1}, {"replicas": None}, [], 2])
async def test_a_scale_that_says_no_number_is_refused(body: object, api: Api) -> None:
    assert (await api("POST", f"{PATH}/echo/scale", body)).code == "INVALID_REQUEST"


@pytest.mark.parametrize("value", ["yes", "2", "truee"])
async def test_a_flag_that_is_neither_true_nor_false_is_refused(value: str, api: Api) -> None:
    assert (await api("DELETE", f"{PATH}/echo", query=f"force={value}")).code == "INVALID_VALUE"
    assert "echo" in api.node.agents.views


async def test_a_state_that_no_agent_can_have_is_refused(api: Api) -> None:
    assert (await api("GET", PATH, query="status=happy")).code == "INVALID_VALUE"


async def test_agents_are_listed_by_name_in_pages(api: Api) -> None:
    for name in ("delta", "alpha", "charlie"):
        await api.deploy(name)
    answer = await api("GET", PATH, query="limit=2&offset=1")
    assert [agent["name"] for agent in answer.json["agents"]] == ["charlie", "delta"]
    assert answer.json["total"] == 4


async def test_agents_are_filtered_by_state_and_capability(api: Api) -> None:
    await api.deploy("other", capabilities=["echoing", "counting"])
    await api("POST", f"{PATH}/other/stop")

    async def names(query: str) -> list[str]:
        return [agent["name"] for agent in (await api("GET", PATH, query=query)).json["agents"]]

    assert await names("capability=echoing") == ["echo", "other"]
    assert await names("capability=counting") == ["other"]
    assert await names("status=running") == ["echo"]
    assert await names("status=running&capability=counting") == []
