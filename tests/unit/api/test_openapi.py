"""The description of the API is whole, and true as far as a test can see."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from caxton.api.errors import STATUS, status_of
from caxton.core.errors.error import CaxtonError, InternalError
from caxton.security.policy import PUBLIC
from tests.unit.api.test_guard import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.api.conftest import Api


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    answer = await api("GET", "/api/v1/openapi.json", token=None)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return answer.json


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
            if name == "$ref":
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:  # pyright: ignore[reportUnknownVariableType]
            yield from references(inner)


async def test_every_operation_is_in_it_and_nothing_else(document: dict[str, Any]) -> None:
    found = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert found == {(operation.path, operation.method) for operation in OPERATIONS}
    assert document["openapi"] == "3.1.0"


async def test_every_schema_that_is_referred_to_is_there(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known
    assert {"AgentView", "AgentUpload", "AclMessage", "Receipt", "LogLine", "ServerView", "Problem"} <= {
        name.rpartition("/")[2] for name in known
    }


async def test_every_operation_has_a_name_of_its_own_and_its_path_parameters(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            in_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path))


async def test_only_what_is_public_needs_no_token(document: dict[str, Any]) -> None:
    assert document["security"] == [{"bearer": []}]
    open_to_all = {
        path for path, methods in document["paths"].items() for found in methods.values() if found.get("security") == []
    }
    assert open_to_all == {operation.path for operation in OPERATIONS if operation.action in PUBLIC}


async def test_every_refusal_is_described_as_a_problem(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        of_mcp = ("405", "406") if path == "/mcp" else ()  # those are said in MCP's own words
        for operation in methods.values():
            refusals = {status: found for status, found in operation["responses"].items() if int(status) >= 400}
            refusals = {status: found for status, found in refusals.items() if status not in of_mcp}
            assert {"400", "403", "500", "503"} <= set(refusals)
            for found in refusals.values():
                schema = found["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}


async def test_examples_and_defaults_are_json(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document)) == document


def test_each_class_of_error_finds_the_status_of_its_nearest_ancestor() -> None:
    class OddWasm(next(kind for kind in STATUS if kind.code == "INVALID_WASM")):
        pass

    assert status_of(OddWasm) == 400
    assert status_of(InternalError) == 500
    assert status_of(CaxtonError) == 500
