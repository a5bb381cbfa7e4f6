"""Routes about agents: deploy, look, stop, start, scale, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.api.body import (
    UPLOAD_BODY_BYTES,
    check_media_type,
    decode,
    read_body,
    read_optional,
    read_struct,
)
from caxton.api.form import parse_form
from caxton.api.operation import FORM, JSON, Answer, Body, Operation, Route
from caxton.api.query import choice, flag, integer, word
from caxton.api.reply import NO_CONTENT, Reply, json_reply
from caxton.core.errors.agents import (
    AgentAlreadyExists,
    AgentNameReserved,
    AgentNotFound,
    AgentStateConflict,
    DeploymentFailed,
    TooManyInstances,
)
from caxton.core.errors.modules import CompileLimitExceeded, InvalidWasm, WasmTooLarge
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.values import InvalidName
from caxton.core.ids import DEFAULT_WORKSPACE, parse_agent_name, parse_capability
from caxton.core.views.agents import AgentSpec, AgentView
from caxton.core.views.settings import AgentPatch, AgentSettings

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import AgentService

PATH = "/api/v1/agents"

STATUSES = ("loaded", "running", "draining", "stopped", "failed")

STATUS = choice("status", "Only agents in this state.", STATUSES)
CAPABILITY = word("capability", "Only agents that offer this.", parse_capability)
LIMIT = integer("limit", "How many at most.", default=100, low=1, high=1000)
OFFSET = integer("offset", "How many to leave out first.", default=0, low=0, high=10**9)
FORCE = flag("force", "At once, without waiting for the messages in work.")
FORGET = flag(
    "forget", "Forget the name too: no mail waits for the next agent of that name. Also when it is gone already."
)


class AgentUpload(AgentSpec, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """An agent to deploy, with its module."""

    wasm_module: bytes
    """Base64."""


class AgentUpdate(AgentSpec, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A new revision of an agent; without a module it keeps the one it has."""

    name: str = ""
    """May be left out; if given, it must be the one in the path."""
    wasm_module: bytes | None = None
    """Base64."""


class AgentList(msgspec.Struct, kw_only=True):
    """Some of the agents."""

    agents: list[AgentView]
    total: int
    """How many there are, whatever `limit` and `offset` left of them."""


class StopOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to stop."""

    force: bool = False
    """At once, without waiting for the messages in work."""


class ScaleOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How large to be."""

    replicas: int


_UPLOAD_ERRORS = (
    InvalidName,
    AgentNameReserved,
    InvalidWasm,
    WasmTooLarge,
    CompileLimitExceeded,
    DeploymentFailed,
    TooManyInstances,
)
_EXAMPLE = {"name": "echo", "wasm_module": "AGFzbQEAAAA=", "resources": {"memory": "16MB"}}

DEPLOY = Operation(
    method="POST",
    path=PATH,
    action="agents:write",
    summary="Deploy an agent.",
    body=Body(kind=AgentUpload, form=True, example=_EXAMPLE),
    answers=(Answer(status=201, kind=AgentView, doc="It runs. `Location` is its path."),),
    errors=(*_UPLOAD_ERRORS, AgentAlreadyExists),
)
LIST = Operation(
    method="GET",
    path=PATH,
    action="agents:read",
    summary="The agents, by name.",
    query=(STATUS, CAPABILITY, LIMIT, OFFSET),
    answers=(Answer(kind=AgentList, doc="One page of them."),),
)
GET = Operation(
    method="GET",
    path=f"{PATH}/{{name}}",
    action="agents:read",
    summary="One agent as it is now.",
    answers=(Answer(kind=AgentView, doc="It."),),
    errors=(AgentNotFound, InvalidName),
)
REPLACE = Operation(
    method="PUT",
    path=f"{PATH}/{{name}}",
    action="agents:write",
    summary="Put a new revision in an agent's place: a new module, new settings, or both.",
    body=Body(kind=AgentUpdate, form=True, example=_EXAMPLE),
    answers=(Answer(kind=AgentView, doc="The new revision runs."),),
    errors=(*_UPLOAD_ERRORS, AgentNotFound, AgentStateConflict),
)
REMOVE = Operation(
    method="DELETE",
    path=f"{PATH}/{{name}}",
    action="agents:write",
    summary="Remove an agent, after the messages in work.",
    query=(FORCE, FORGET),
    answers=(Answer(status=204, media_type=None, doc="It is gone."),),
    errors=(AgentNotFound, AgentStateConflict, InvalidName),
)
STOP = Operation(
    method="POST",
    path=f"{PATH}/{{name}}/stop",
    action="agents:write",
    summary="Stop an agent, after the messages in work. Its mail is kept.",
    body=Body(kind=StopOptions, required=False, example={"force": False}),
    answers=(Answer(kind=AgentView, doc="It is stopped."),),
    errors=(AgentNotFound, AgentStateConflict, InvalidName),
)
START = Operation(
    method="POST",
    path=f"{PATH}/{{name}}/start",
    action="agents:write",
    summary="Start an agent that is stopped or failed.",
    answers=(Answer(kind=AgentView, doc="It runs."),),
    errors=(AgentNotFound, AgentStateConflict, DeploymentFailed, InvalidName, TooManyInstances),
)
SCALE = Operation(
    method="POST",
    path=f"{PATH}/{{name}}/scale",
    action="agents:write",
    summary="Give an agent this many instances.",
    body=Body(kind=ScaleOptions, example={"replicas": 3}),
    answers=(Answer(kind=AgentView, doc="It has them."),),
    errors=(AgentNotFound, AgentStateConflict, InvalidName, TooManyInstances),
)
SETTINGS = Operation(
    method="GET",
    path=f"{PATH}/{{name}}/config",
    action="agents:read",
    summary="The settings of an agent that can be changed while it runs.",
    answers=(Answer(kind=AgentSettings, doc="As they hold, defaults included."),),
    errors=(AgentNotFound, InvalidName),
)
CONFIGURE = Operation(
    method="PATCH",
    path=f"{PATH}/{{name}}/config",
    action="agents:write",
    summary="Change settings of an agent while it runs; it is not restarted and keeps its revision.",
    body=Body(kind=AgentPatch, example={"circuit_breaker": {"threshold": 3, "timeout": "10s"}}),
    answers=(Answer(kind=AgentSettings, doc="They hold, and are on disk."),),
    errors=(AgentNotFound, InvalidName),
)


def agent_routes(agents: AgentService) -> list[Route]:
    """The routes of this module."""

    async def deploy(request: ApiRequest) -> Reply:
        spec, module = await read_upload(request)
        if module is None:
            raise InvalidRequest("the form has no such part", field="wasm")
        view = await agents.deploy(request.workspace, spec, module)
        return json_reply(view, status=201, headers=((b"location", _location(view)),))

    async def list_(request: ApiRequest) -> Reply:
        found = [view for view in agents.list(request.workspace) if _is_wanted(request, view)]
        offset = request.read(OFFSET)
        page = found[offset : offset + request.read(LIMIT)]
        return json_reply(AgentList(agents=page, total=len(found)))

    async def get(request: ApiRequest) -> Reply:
        return json_reply(agents.get(request.workspace, request.agent))

    async def replace(request: ApiRequest) -> Reply:
        spec, module = await read_upload(request, name=request.agent)
        return json_reply(await agents.replace(request.workspace, spec, module))

    async def remove(request: ApiRequest) -> Reply:
        await agents.remove(request.workspace, request.agent, force=request.read(FORCE), forget=request.read(FORGET))
        return NO_CONTENT

    async def stop(request: ApiRequest) -> Reply:
        name = request.agent
        options = await read_optional(request, StopOptions, StopOptions())
        return json_reply(await agents.stop(request.workspace, name, force=options.force))

    async def start(request: ApiRequest) -> Reply:
        return json_reply(await agents.start(request.workspace, request.agent))

    async def scale(request: ApiRequest) -> Reply:
        name = request.agent
        options = await read_struct(request, ScaleOptions)
        return json_reply(await agents.scale(request.workspace, name, options.replicas))

    async def settings(request: ApiRequest) -> Reply:
        return json_reply(agents.settings(request.workspace, request.agent))

    async def configure(request: ApiRequest) -> Reply:
        name = request.agent
        patch = await read_struct(request, AgentPatch)
        return json_reply(await agents.configure(request.workspace, name, patch))

    return [
        Route(DEPLOY, deploy),
        Route(LIST, list_),
        Route(GET, get),
        Route(REPLACE, replace),
        Route(REMOVE, remove),
        Route(STOP, stop),
        Route(START, start),
        Route(SCALE, scale),
        Route(SETTINGS, settings),
        Route(CONFIGURE, configure),
    ]


async def read_upload(request: ApiRequest, *, name: str | None = None) -> tuple[AgentSpec, bytes | None]:
    """The settings and the module in the body, JSON or a form.

    Args:
        request: where to read.
        name: the agent's name if the path has it; the body may repeat it and need have no module.
    """
    found = check_media_type(request, JSON, FORM)
    data = await read_body(request, UPLOAD_BODY_BYTES)
    kind: Any = AgentUpload if name is None else AgentUpdate
    module: bytes | None
    if found == JSON:
        upload = decode(data, kind)
        module = upload.wasm_module
    else:
        parts = parse_form(request, data)
        upload = decode(parts.get("config", b"{}"), AgentSpec if name is None else AgentUpdate)
        module = parts.get("wasm", getattr(upload, "wasm_module", None))
    return _spec(upload, name), module


def _spec(upload: AgentSpec, name: str | None) -> AgentSpec:
    """Only what a spec has, its name checked."""
    fields = {field: getattr(upload, field) for field in AgentSpec.__struct_fields__}
    if name is not None:
        if upload.name not in ("", name):
            raise InvalidRequest(f"it must be the one in the path, {name!r}, or be left out", field="name")
        fields["name"] = name
    parse_agent_name(fields["name"])
    return AgentSpec(**fields)


def _is_wanted(request: ApiRequest, view: AgentView) -> bool:
    status, capability = request.read(STATUS), request.read(CAPABILITY)
    return status in (None, view.status) and (capability is None or capability in view.capabilities)


def _location(view: AgentView) -> bytes:
    suffix = "" if view.workspace == DEFAULT_WORKSPACE else f"?workspace={view.workspace}"
    return f"{PATH}/{view.name}{suffix}".encode()
