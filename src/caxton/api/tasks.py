"""Routes about tasks: delegate, look, cancel."""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING

import msgspec

from caxton.api.body import read_optional, read_struct
from caxton.api.messages import MAX_WAIT_S
from caxton.api.operation import Answer, Body, Operation, Route
from caxton.api.query import choice, duration, integer
from caxton.api.reply import Reply, json_reply
from caxton.api.shapes import shape
from caxton.core.errors.messages import MessageTooLarge
from caxton.core.errors.receivers import CapabilityNotFound, MailboxFull, UnknownReceiver
from caxton.core.errors.tasks import TaskEnded, TaskIdConflict, TaskNotFound, TasksFull
from caxton.core.errors.values import InvalidName, InvalidValue
from caxton.core.views.tasks import TaskDetail, TaskList, TaskResult, TaskSpec
from caxton.natives.tasks.call import MAX_CONTENT_BYTES, MAX_PARTICIPANTS
from caxton.natives.tasks.contract import TASK_STATES

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import TaskService

PATH = "/api/v1/tasks"

MAX_BODY_BYTES = MAX_CONTENT_BYTES + 128 * MAX_PARTICIPANTS
"""The content, and a name of 64 characters for each participant."""

MAX_REASON_CHARS = 200

STATUS = choice("status", "Only tasks in this state.", TASK_STATES)
LIMIT = integer("limit", "How many at most.", default=100, low=1, high=1000)
WAIT = duration("wait", "Wait this long for the task to end.", default_s=None, low_s=0.001, high_s=MAX_WAIT_S)


class CancelOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a task is not wanted any more."""

    reason: str = ""
    """The bidders are told."""


_SPEC = shape(TaskSpec)
_DETAIL = shape(TaskDetail, results=GenericAlias(list, (shape(TaskResult),)))
_EXAMPLE = {
    "participants": ["anna", "bert"],
    "content": {"translate": "https://example.org/page", "to": "fr"},
    "deadline": "10s",
    "max_cost": 5,
    "weights": {"cost": 2, "time": 1},
}

CREATE = Operation(
    method="POST",
    path=PATH,
    action="tasks:write",
    summary=f"Call up to {MAX_PARTICIPANTS} agents for proposals; the best gets the task.",
    body=Body(kind=_SPEC, example=_EXAMPLE),
    answers=(
        Answer(status=201, kind=_DETAIL, doc="The call is out; that is on disk."),
        Answer(kind=_DETAIL, doc="The task was created before, under this id."),
    ),
    errors=(CapabilityNotFound, InvalidName, MailboxFull, MessageTooLarge, TaskIdConflict, TasksFull, UnknownReceiver),
)
LIST = Operation(
    method="GET",
    path=PATH,
    action="tasks:read",
    summary="Tasks: the open ones, then those that ended, the last first.",
    query=(STATUS, LIMIT),
    answers=(Answer(kind=TaskList, doc="Some of them."),),
)
GET = Operation(
    method="GET",
    path=f"{PATH}/{{task}}",
    action="tasks:read",
    summary="One task: bids, award, progress, result.",
    query=(WAIT,),
    answers=(Answer(kind=_DETAIL, doc="As it is, or once it has ended."),),
    errors=(TaskNotFound,),
)
CANCEL = Operation(
    method="POST",
    path=f"{PATH}/{{task}}/cancel",
    action="tasks:write",
    summary="End an open task; those who have something to do with it are told.",
    body=Body(kind=CancelOptions, required=False, example={"reason": "not needed any more"}),
    answers=(Answer(kind=_DETAIL, doc="It is cancelled, now or before."),),
    errors=(TaskEnded, TaskNotFound),
)


def task_routes(tasks: TaskService) -> list[Route]:
    """The routes of this module."""

    async def create(request: ApiRequest) -> Reply:
        spec = await read_struct(request, TaskSpec, MAX_BODY_BYTES)
        task, is_new = await tasks.create(request.workspace, request.principal, spec, traceparent=request.traceparent)
        location = f"{PATH}/{task.id}".encode()
        return json_reply(task, status=201 if is_new else 200, headers=((b"location", location),))

    async def list_(request: ApiRequest) -> Reply:
        status, limit = request.read(STATUS), request.read(LIMIT)
        found = await tasks.list(request.workspace, status=status, limit=limit)
        return json_reply(TaskList(tasks=found, total=len(found)))

    async def get(request: ApiRequest) -> Reply:
        return json_reply(await tasks.get(request.workspace, request.task_id, wait_s=request.read(WAIT)))

    async def cancel(request: ApiRequest) -> Reply:
        options = await read_optional(request, CancelOptions, CancelOptions())
        if len(options.reason) > MAX_REASON_CHARS:
            raise InvalidValue("reason", len(options.reason), f"give at most {MAX_REASON_CHARS} characters")
        return json_reply(await tasks.cancel(request.workspace, request.task_id, reason=options.reason))

    return [Route(CREATE, create), Route(LIST, list_), Route(GET, get), Route(CANCEL, cancel)]
