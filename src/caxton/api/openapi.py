"""The API described for machines: OpenAPI 3.1, made from the operations and the types of their bodies."""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.api.errors import status_of
from caxton.api.operation import ACL, FORM, JSON, Answer, Operation
from caxton.api.query import WORKSPACE, Query
from caxton.api.shapes import REF
from caxton.core.errors.access import Forbidden, HostNotAllowed, Unauthorized
from caxton.core.errors.error import InternalError
from caxton.core.errors.messages import MessageTooLarge
from caxton.core.errors.requests import BodyTooLarge, InvalidRequest, RequestTimeout, UnsupportedMediaType
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.storage import StorageFailed
from caxton.core.errors.values import InvalidName, InvalidValue
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.views.agents import AgentSpec
from caxton.core.views.messages import Receipt
from caxton.core.views.problem import Problem
from caxton.security.policy import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Iterable
    from http import HTTPStatus

    from caxton.api.operation import Body

PROBLEM = "application/problem+json"

DESCRIBE = Operation(
    method="GET",
    path="/api/v1/openapi.json",
    action="openapi:read",
    summary="This description. Needs no token.",
    answers=(Answer(kind=dict[str, Any], doc="OpenAPI 3.1."),),
)

_ANYWHERE = (InvalidRequest, InvalidName, Unauthorized, HostNotAllowed, ShuttingDown, InternalError)
"""What any operation may answer; a bad token is refused where none is needed, too."""
_GUARDED = (Forbidden, WorkspaceNotFound, StorageFailed)
"""What any operation may answer that needs a token."""

_WITH_BODY = (UnsupportedMediaType, RequestTimeout)
"""What any operation may answer that reads a body."""

_NAME = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_IN_PATH = {
    "name": _NAME, "capability": _NAME, "id": "^[1-9][0-9]{0,17}$", "task": _NAME,
    "tool": "^[^/]{1,193}$", "approval": "^[0-9a-f]{12}$",
}  # fmt: skip
"""What stands in braces in a path: an agent's name, a capability, a dead letter's id, a task's id, `SOURCE.TOOL`, the
id of a call that waits for a person."""

_DESCRIPTION = """Agents are WebAssembly guests; they talk in FIPA-ACL messages over a durable bus.

Every error is a problem (RFC 9457) with a stable `code`. Every answer carries `X-Trace-Id`."""


def describe(operations: Iterable[Operation], *, version: str) -> dict[str, Any]:
    """The whole document."""
    operations = list(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    _, schemas = msgspec.json.schema_components(_kinds(operations), ref_template=REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Caxton", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def operation_id(operation: Operation) -> str:
    """A name for generated clients, like `post_agents_name_stop`."""
    words = operation.path.removeprefix("/api/v1").replace("{", "").replace("}", "").replace(".", "_")
    prefix = "server" if operation.path.startswith("/api/v1/health") else operation.method.lower()
    return f"{prefix}{words.replace('/', '_')}"


def _kinds(operations: list[Operation]) -> list[Any]:
    bodies = [operation.body.kind for operation in operations if operation.body]
    answers = [answer.kind for operation in operations for answer in operation.answers]
    return [kind for kind in (*bodies, *answers, AgentSpec, Problem, Receipt) if isinstance(kind, type | GenericAlias)]


def _schema(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=REF)
    return schema


def _operation(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "description": f"Needs `{operation.action}`.",
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.action in PUBLIC:
        found["security"] = []
    if operation.body:
        found["requestBody"] = _body(operation.body)
    return found


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, pattern in _IN_PATH.items():
        if f"{{{name}}}" in operation.path:
            schema = {"type": "string", "pattern": pattern}
            found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return [*found, *map(_parameter, (*operation.query, WORKSPACE))]


def _parameter(query: Query[Any]) -> dict[str, Any]:
    schema = dict(query.schema)
    if isinstance(query.default, int | str):
        schema["default"] = query.default
    elif isinstance(query.default, float):
        schema["default"] = f"{query.default:g}s"
    return {
        "name": query.name,
        "in": "query",
        "description": query.doc,
        "required": query.required,
        "schema": schema,
    }


def _body(body: Body) -> dict[str, Any]:
    as_json: dict[str, Any] = {"schema": {} if body.kind is Any else _schema(body.kind)}
    if body.example is not None:
        as_json["example"] = body.example
    content = {JSON: as_json}
    if body.form:
        parts = {"config": _schema(AgentSpec), "wasm": {"contentMediaType": "application/wasm"}}
        content[FORM] = {"schema": {"type": "object", "properties": parts}}
    if body.acl:
        content[ACL] = {"schema": {"type": "string"}}
    return {"required": body.required, "content": content}


def _responses(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for answer in operation.answers:
        response = found.setdefault(str(answer.status), {"description": answer.doc})
        if answer.media_type:
            schema = {"type": "string"} if answer.kind is None else _schema(answer.kind)
            response.setdefault("content", {})[answer.media_type] = {"schema": schema}
    return found | _problems(operation)


def _problems(operation: Operation) -> dict[str, Any]:
    kinds = {*operation.errors, *_ANYWHERE}
    if operation.action not in PUBLIC:
        kinds |= {*_GUARDED}
    if operation.query or operation.body:
        kinds.add(InvalidValue)
    if operation.body:
        kinds |= {*_WITH_BODY, *(() if MessageTooLarge in kinds else (BodyTooLarge,))}
    by_status: dict[HTTPStatus, list[str]] = {}
    for kind in kinds:
        by_status.setdefault(status_of(kind), []).append(kind.code)
    content = {PROBLEM: {"schema": _schema(Problem)}}
    return {
        str(status.value): {"description": " or ".join(sorted(codes)), "content": content}
        for status, codes in sorted(by_status.items())
    }
