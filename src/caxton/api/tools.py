"""Routes about tools: which there are, what was called, what may be called, and calls that wait for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.api.body import read_optional, read_struct
from caxton.api.operation import Answer, Body, Operation, Route
from caxton.api.query import integer, word
from caxton.api.reply import Reply, json_reply
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.tools import (
    ApprovalNotFound,
    ToolChanged,
    ToolNotFound,
    ToolSourceDown,
    ToolSourceNotFound,
    ToolUnusable,
)
from caxton.core.views.tools import (
    ApprovalList,
    ApprovalView,
    ToolCallList,
    ToolDetail,
    ToolList,
    ToolSourceList,
    ToolTest,
    ToolView,
)
from caxton.tools.broker import MAX_ARGUMENT_BYTES
from caxton.tools.catalogue import KEPT_CALLS

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import ToolService

PATH = "/api/v1/tools"
APPROVALS_PATH = "/api/v1/approvals"

MAX_BODY_BYTES = MAX_ARGUMENT_BYTES + 1024
"""The arguments of a call, and what stands around them."""

SOURCE = word("source", "Only tools of this source.", str)
LIMIT = integer("limit", "The last so many.", default=KEPT_CALLS, low=1, high=1000)


class TestOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to call a tool with."""

    __test__ = False  # it is no test of pytest's
    arguments: dict[str, Any] = {}


class ApproveOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is approved."""

    sha256: str | None = None
    """Hash of what was looked at, or how it begins; null: whatever the tool is now."""


LIST = Operation(
    method="GET",
    path=PATH,
    action="tools:read",
    summary="All tools, those that may not be called too.",
    query=(SOURCE,),
    answers=(Answer(kind=ToolList, doc="By name."),),
    errors=(ToolSourceNotFound,),
)
SOURCES = Operation(
    method="GET",
    path=f"{PATH}/sources",
    action="tools:read",
    summary="What has tools: servers, modules, what is built in.",
    answers=(Answer(kind=ToolSourceList, doc="By name."),),
)
GET = Operation(
    method="GET",
    path=f"{PATH}/{{tool}}",
    action="tools:read",
    summary="One tool with its schemas, and what it was when it was approved.",
    answers=(Answer(kind=ToolDetail, doc="It."),),
    errors=(ToolNotFound, ToolSourceDown),
)
TEST = Operation(
    method="POST",
    path=f"{PATH}/{{tool}}/test",
    action="tools:test",
    summary="Call a tool. Grants, rates, budgets and approvals of agents do not concern this call.",
    body=Body(kind=TestOptions, example={"arguments": {"query": "caxton"}}),
    answers=(Answer(kind=ToolTest, doc="What came of it; `outcome` says whether there is a result."),),
    errors=(ShuttingDown, ToolNotFound, ToolSourceDown),
)
APPROVE = Operation(
    method="POST",
    path=f"{PATH}/{{tool}}/approve",
    action="tools:decide",
    summary="Let agents call a tool as it is now, or as it was looked at.",
    body=Body(kind=ApproveOptions, required=False, example={"sha256": "3f2a9c0b1d4e"}),
    answers=(Answer(kind=ToolView, doc="It may be called; that is on disk."),),
    errors=(ShuttingDown, ToolChanged, ToolNotFound, ToolSourceDown, ToolUnusable),
)
QUARANTINE = Operation(
    method="POST",
    path=f"{PATH}/{{tool}}/quarantine",
    action="tools:decide",
    summary="Let nobody call a tool until it is approved.",
    answers=(Answer(kind=ToolView, doc="It may not be called; that is on disk."),),
    errors=(ShuttingDown, ToolNotFound, ToolSourceDown, ToolUnusable),
)
CALLS = Operation(
    method="GET",
    path=f"{PATH}/{{tool}}/calls",
    action="tools:read",
    summary="The last calls of a tool, or of all tools of a source, without what was said.",
    query=(LIMIT,),
    answers=(Answer(kind=ToolCallList, doc="Oldest first."),),
    errors=(ToolNotFound,),
)
APPROVALS = Operation(
    method="GET",
    path=APPROVALS_PATH,
    action="approvals:read",
    summary="Calls of tools that wait for a person.",
    answers=(Answer(kind=ApprovalList, doc="Oldest first."),),
)
GRANT = Operation(
    method="POST",
    path=f"{APPROVALS_PATH}/{{approval}}/grant",
    action="approvals:decide",
    summary="Let a call go on.",
    answers=(Answer(kind=ApprovalView, doc="What was allowed."),),
    errors=(ApprovalNotFound, ShuttingDown),
)
DENY = Operation(
    method="POST",
    path=f"{APPROVALS_PATH}/{{approval}}/deny",
    action="approvals:decide",
    summary="Refuse a call.",
    answers=(Answer(kind=ApprovalView, doc="What was refused."),),
    errors=(ApprovalNotFound, ShuttingDown),
)


def tool_routes(tools: ToolService) -> list[Route]:
    """The routes of this module."""

    async def list_(request: ApiRequest) -> Reply:
        found = await tools.list(request.workspace, source=request.read(SOURCE))
        return json_reply(ToolList(tools=found, total=len(found)))

    async def sources(request: ApiRequest) -> Reply:
        found = tools.sources(request.workspace)
        return json_reply(ToolSourceList(sources=found, total=len(found)))

    async def get(request: ApiRequest) -> Reply:
        return json_reply(await tools.get(request.workspace, request.tool))

    async def test(request: ApiRequest) -> Reply:
        options = await read_struct(request, TestOptions, MAX_BODY_BYTES)
        arguments = msgspec.json.encode(options.arguments)
        return json_reply(await tools.test(request.workspace, request.principal, request.tool, arguments))

    async def approve(request: ApiRequest) -> Reply:
        options = await read_optional(request, ApproveOptions, ApproveOptions())
        view = await tools.approve(request.workspace, request.principal, request.tool, sha256=options.sha256)
        return json_reply(view)

    async def quarantine(request: ApiRequest) -> Reply:
        return json_reply(await tools.quarantine(request.workspace, request.principal, request.tool))

    async def calls(request: ApiRequest) -> Reply:
        found = await tools.calls(request.workspace, request.tool, limit=request.read(LIMIT))
        return json_reply(ToolCallList(calls=found, total=len(found)))

    async def approvals(request: ApiRequest) -> Reply:
        found = tools.approvals(request.workspace)
        return json_reply(ApprovalList(approvals=found, total=len(found)))

    async def grant(request: ApiRequest) -> Reply:
        return await answer(request, is_granted=True)

    async def deny(request: ApiRequest) -> Reply:
        return await answer(request, is_granted=False)

    async def answer(request: ApiRequest, *, is_granted: bool) -> Reply:
        view = await tools.answer(request.workspace, request.principal, request.approval, is_granted=is_granted)
        return json_reply(view)

    return [
        Route(LIST, list_),
        Route(SOURCES, sources),
        Route(GET, get),
        Route(TEST, test),
        Route(APPROVE, approve),
        Route(QUARANTINE, quarantine),
        Route(CALLS, calls),
        Route(APPROVALS, approvals),
        Route(GRANT, grant),
        Route(DENY, deny),
    ]
