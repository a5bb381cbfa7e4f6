"""The one place where errors become answers: a status for each class, problem+json for each body.

Text of an error that is not ours never leaves the server: it is logged once, under the answer's trace id.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING

from caxton.api.reply import Reply, encode_json
from caxton.core.errors import (
    access,
    agents,
    conversations,
    dead_letters,
    debugging,
    limits,
    messages,
    modules,
    receivers,
    recordings,
    requests,
    server,
    storage,
    tasks,
    tools,
    traces,
    values,
    workspaces,
)
from caxton.core.errors.error import CaxtonError, InternalError
from caxton.core.views.problem import Problem

if TYPE_CHECKING:
    from caxton.api.reply import Header

logger = logging.getLogger(__name__)

PROBLEM_TYPE: Header = (b"content-type", b"application/problem+json")

STATUS: dict[type[CaxtonError], HTTPStatus] = {
    CaxtonError: HTTPStatus.INTERNAL_SERVER_ERROR,
    requests.InvalidRequest: HTTPStatus.BAD_REQUEST,
    values.InvalidName: HTTPStatus.BAD_REQUEST,
    values.InvalidValue: HTTPStatus.BAD_REQUEST,
    messages.InvalidMessage: HTTPStatus.BAD_REQUEST,
    messages.MessageExpired: HTTPStatus.BAD_REQUEST,
    modules.InvalidWasm: HTTPStatus.BAD_REQUEST,
    modules.CompileLimitExceeded: HTTPStatus.BAD_REQUEST,
    access.Unauthorized: HTTPStatus.UNAUTHORIZED,
    access.Forbidden: HTTPStatus.FORBIDDEN,
    access.HostNotAllowed: HTTPStatus.FORBIDDEN,
    requests.RouteNotFound: HTTPStatus.NOT_FOUND,
    agents.AgentNotFound: HTTPStatus.NOT_FOUND,
    receivers.UnknownReceiver: HTTPStatus.NOT_FOUND,
    receivers.CapabilityNotFound: HTTPStatus.NOT_FOUND,
    dead_letters.DeadLetterNotFound: HTTPStatus.NOT_FOUND,
    conversations.ConversationNotFound: HTTPStatus.NOT_FOUND,
    traces.MessageNotFound: HTTPStatus.NOT_FOUND,
    tasks.TaskNotFound: HTTPStatus.NOT_FOUND,
    tools.ToolNotFound: HTTPStatus.NOT_FOUND,
    tools.ToolSourceNotFound: HTTPStatus.NOT_FOUND,
    tools.ApprovalNotFound: HTTPStatus.NOT_FOUND,
    recordings.RecordingNotFound: HTTPStatus.NOT_FOUND,
    workspaces.WorkspaceNotFound: HTTPStatus.NOT_FOUND,
    requests.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    requests.RequestTimeout: HTTPStatus.REQUEST_TIMEOUT,
    agents.AgentAlreadyExists: HTTPStatus.CONFLICT,
    messages.MessageIdConflict: HTTPStatus.CONFLICT,
    conversations.ProtocolViolation: HTTPStatus.CONFLICT,
    agents.AgentNameReserved: HTTPStatus.CONFLICT,
    conversations.ConversationOver: HTTPStatus.CONFLICT,
    agents.AgentIsNative: HTTPStatus.CONFLICT,
    agents.AgentStateConflict: HTTPStatus.CONFLICT,
    tasks.TaskIdConflict: HTTPStatus.CONFLICT,
    tasks.TaskEnded: HTTPStatus.CONFLICT,
    tools.ToolSourceAlreadyExists: HTTPStatus.CONFLICT,
    tools.ToolChanged: HTTPStatus.CONFLICT,
    tools.ToolUnusable: HTTPStatus.CONFLICT,
    modules.WasmTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    messages.MessageTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    requests.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    requests.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    agents.DeploymentFailed: HTTPStatus.UNPROCESSABLE_ENTITY,
    agents.TooManyInstances: HTTPStatus.TOO_MANY_REQUESTS,
    limits.TooManyListeners: HTTPStatus.TOO_MANY_REQUESTS,
    receivers.MailboxFull: HTTPStatus.TOO_MANY_REQUESTS,
    receivers.BulkheadFull: HTTPStatus.TOO_MANY_REQUESTS,
    workspaces.WorkspaceFull: HTTPStatus.TOO_MANY_REQUESTS,
    tasks.TasksFull: HTTPStatus.TOO_MANY_REQUESTS,
    limits.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    dead_letters.DeadLetterDamaged: HTTPStatus.INTERNAL_SERVER_ERROR,
    recordings.RecordingDamaged: HTTPStatus.INTERNAL_SERVER_ERROR,
    recordings.RecordingTooNew: HTTPStatus.INTERNAL_SERVER_ERROR,
    agents.AgentFailed: HTTPStatus.BAD_GATEWAY,
    messages.ReplyTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    messages.ReplyInterrupted: HTTPStatus.GATEWAY_TIMEOUT,
    agents.AgentDown: HTTPStatus.SERVICE_UNAVAILABLE,
    receivers.CircuitOpen: HTTPStatus.SERVICE_UNAVAILABLE,
    tools.ToolSourceDown: HTTPStatus.SERVICE_UNAVAILABLE,
    server.ShuttingDown: HTTPStatus.SERVICE_UNAVAILABLE,
    server.ServerNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    storage.StorageFailed: HTTPStatus.SERVICE_UNAVAILABLE,
    dead_letters.DeadLettersFull: HTTPStatus.INSUFFICIENT_STORAGE,
    storage.StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    storage.JournalFull: HTTPStatus.INSUFFICIENT_STORAGE,
    storage.JournalDamaged: HTTPStatus.INTERNAL_SERVER_ERROR,
    debugging.OutsideMemory: HTTPStatus.BAD_REQUEST,
    debugging.ProfileRunning: HTTPStatus.CONFLICT,
    debugging.ProfilerUnavailable: HTTPStatus.NOT_IMPLEMENTED,
}
"""A class without a line of its own has that of its nearest ancestor; at the top stands 500."""

RETRY_AFTER_S: dict[type[CaxtonError], int] = {
    receivers.MailboxFull: 1,
    receivers.BulkheadFull: 1,
    workspaces.WorkspaceFull: 1,
    limits.RateLimited: 1,
    agents.TooManyInstances: 10,
    limits.TooManyListeners: 10,
    tasks.TasksFull: 10,
    server.ServerNotReady: 1,
    server.ShuttingDown: 5,
    storage.StorageFailed: 30,
    dead_letters.DeadLettersFull: 30,
    storage.StorageFull: 30,
    storage.JournalFull: 30,
}
"""When to ask again: a mailbox drains in moments, a restart takes seconds, a disk or full store needs somebody."""


def status_of(kind: type[CaxtonError]) -> HTTPStatus:
    """The HTTP status that goes with a class of errors."""
    return next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)


def code_of(exc: BaseException) -> str:
    """The code that an answer to `exc` has."""
    return exc.code if isinstance(exc, CaxtonError) else InternalError.code


def to_problem(exc: BaseException, *, trace_id: str, path: str | None = None) -> Problem:
    """The body of the answer to `exc`. An exception that is no `CaxtonError` is logged and hidden."""
    if not isinstance(exc, CaxtonError):
        facts = {"action": "api.internal_error", "trace_id": trace_id, "path": path}
        logger.error("unexpected error in a request", exc_info=exc, extra=facts)
        exc = InternalError()
    return Problem(
        type=f"urn:caxton:error:{exc.code}",
        title=exc.code.replace("_", " ").capitalize(),
        status=status_of(type(exc)),
        detail=str(exc),
        code=exc.code,
        trace_id=trace_id,
        instance=path,
        details=exc.details(),
    )


def problem_reply(exc: BaseException, *, trace_id: str, path: str | None = None) -> Reply:
    """The whole answer to `exc`."""
    problem = to_problem(exc, trace_id=trace_id, path=path)
    return Reply(encode_json(problem), status=problem.status, headers=(PROBLEM_TYPE, *_headers(exc)))


def _headers(exc: BaseException) -> tuple[Header, ...]:
    if isinstance(exc, access.Unauthorized):
        return ((b"www-authenticate", b'Bearer realm="caxton"'),)
    if isinstance(exc, requests.MethodNotAllowed):
        return ((b"allow", ", ".join(exc.allowed).encode()),)
    if isinstance(exc, receivers.CircuitOpen):
        return ((b"retry-after", str(max(ceil(exc.retry_after_s), 1)).encode()),)
    seconds = RETRY_AFTER_S.get(type(exc)) if isinstance(exc, CaxtonError) else None
    return () if seconds is None else ((b"retry-after", str(seconds).encode()),)
