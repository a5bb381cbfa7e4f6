"""The one place where errors become answers: a status for each class, problem+json for each body.

Text of an error that is not ours never leaves the server: it is logged once, under the answer's trace id.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING

from caxton.api.reply import Reply, encode_json
from caxton.core import errors as e
from caxton.core.views.problem import Problem

if TYPE_CHECKING:
    from caxton.api.reply import Header

logger = logging.getLogger(__name__)

PROBLEM_TYPE: Header = (b"content-type", b"application/problem+json")

STATUS: dict[type[e.CaxtonError], HTTPStatus] = {
    e.CaxtonError: HTTPStatus.INTERNAL_SERVER_ERROR,
    e.InvalidRequest: HTTPStatus.BAD_REQUEST,
    e.InvalidName: HTTPStatus.BAD_REQUEST,
    e.InvalidValue: HTTPStatus.BAD_REQUEST,
    e.InvalidMessage: HTTPStatus.BAD_REQUEST,
    e.MessageExpired: HTTPStatus.BAD_REQUEST,
    e.InvalidWasm: HTTPStatus.BAD_REQUEST,
    e.CompileLimitExceeded: HTTPStatus.BAD_REQUEST,
    e.Unauthorized: HTTPStatus.UNAUTHORIZED,
    e.Forbidden: HTTPStatus.FORBIDDEN,
    e.HostNotAllowed: HTTPStatus.FORBIDDEN,
    e.RouteNotFound: HTTPStatus.NOT_FOUND,
    e.AgentNotFound: HTTPStatus.NOT_FOUND,
    e.UnknownReceiver: HTTPStatus.NOT_FOUND,
    e.CapabilityNotFound: HTTPStatus.NOT_FOUND,
    e.DeadLetterNotFound: HTTPStatus.NOT_FOUND,
    e.ConversationNotFound: HTTPStatus.NOT_FOUND,
    e.MessageNotFound: HTTPStatus.NOT_FOUND,
    e.TaskNotFound: HTTPStatus.NOT_FOUND,
    e.RecordingNotFound: HTTPStatus.NOT_FOUND,
    e.WorkspaceNotFound: HTTPStatus.NOT_FOUND,
    e.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    e.RequestTimeout: HTTPStatus.REQUEST_TIMEOUT,
    e.AgentAlreadyExists: HTTPStatus.CONFLICT,
    e.MessageIdConflict: HTTPStatus.CONFLICT,
    e.ProtocolViolation: HTTPStatus.CONFLICT,
    e.AgentNameReserved: HTTPStatus.CONFLICT,
    e.ConversationOver: HTTPStatus.CONFLICT,
    e.AgentIsNative: HTTPStatus.CONFLICT,
    e.AgentStateConflict: HTTPStatus.CONFLICT,
    e.TaskIdConflict: HTTPStatus.CONFLICT,
    e.TaskEnded: HTTPStatus.CONFLICT,
    e.WasmTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    e.MessageTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    e.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    e.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    e.DeploymentFailed: HTTPStatus.UNPROCESSABLE_ENTITY,
    e.TooManyInstances: HTTPStatus.TOO_MANY_REQUESTS,
    e.TooManyListeners: HTTPStatus.TOO_MANY_REQUESTS,
    e.MailboxFull: HTTPStatus.TOO_MANY_REQUESTS,
    e.BulkheadFull: HTTPStatus.TOO_MANY_REQUESTS,
    e.WorkspaceFull: HTTPStatus.TOO_MANY_REQUESTS,
    e.TasksFull: HTTPStatus.TOO_MANY_REQUESTS,
    e.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    e.DeadLetterDamaged: HTTPStatus.INTERNAL_SERVER_ERROR,
    e.RecordingDamaged: HTTPStatus.INTERNAL_SERVER_ERROR,
    e.RecordingTooNew: HTTPStatus.INTERNAL_SERVER_ERROR,
    e.AgentFailed: HTTPStatus.BAD_GATEWAY,
    e.ReplyTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    e.ReplyInterrupted: HTTPStatus.GATEWAY_TIMEOUT,
    e.AgentDown: HTTPStatus.SERVICE_UNAVAILABLE,
    e.CircuitOpen: HTTPStatus.SERVICE_UNAVAILABLE,
    e.ShuttingDown: HTTPStatus.SERVICE_UNAVAILABLE,
    e.ServerNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    e.StorageFailed: HTTPStatus.SERVICE_UNAVAILABLE,
    e.DeadLettersFull: HTTPStatus.INSUFFICIENT_STORAGE,
    e.StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    e.JournalFull: HTTPStatus.INSUFFICIENT_STORAGE,
    e.JournalDamaged: HTTPStatus.INTERNAL_SERVER_ERROR,
    e.OutsideMemory: HTTPStatus.BAD_REQUEST,
    e.ProfileRunning: HTTPStatus.CONFLICT,
    e.ProfilerUnavailable: HTTPStatus.NOT_IMPLEMENTED,
}
"""A class without a line of its own has that of its nearest ancestor; at the top stands 500."""

RETRY_AFTER_S: dict[type[e.CaxtonError], int] = {
    e.MailboxFull: 1,
    e.BulkheadFull: 1,
    e.WorkspaceFull: 1,
    e.RateLimited: 1,
    e.TooManyInstances: 10,
    e.TooManyListeners: 10,
    e.TasksFull: 10,
    e.ServerNotReady: 1,
    e.ShuttingDown: 5,
    e.StorageFailed: 30,
    e.DeadLettersFull: 30,
    e.StorageFull: 30,
    e.JournalFull: 30,
}
"""When to ask again: a mailbox drains in moments, a restart takes seconds, a disk or full store needs somebody."""


def status_of(kind: type[e.CaxtonError]) -> HTTPStatus:
    """The HTTP status that goes with a class of errors."""
    return next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)


def code_of(exc: BaseException) -> str:
    """The code that an answer to `exc` has."""
    return exc.code if isinstance(exc, e.CaxtonError) else e.InternalError.code


def to_problem(exc: BaseException, *, trace_id: str, path: str | None = None) -> Problem:
    """The body of the answer to `exc`. An exception that is no `CaxtonError` is logged and hidden."""
    if not isinstance(exc, e.CaxtonError):
        facts = {"action": "api.internal_error", "trace_id": trace_id, "path": path}
        logger.error("unexpected error in a request", exc_info=exc, extra=facts)
        exc = e.InternalError()
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
    if isinstance(exc, e.Unauthorized):
        return ((b"www-authenticate", b'Bearer realm="caxton"'),)
    if isinstance(exc, e.MethodNotAllowed):
        return ((b"allow", ", ".join(exc.allowed).encode()),)
    if isinstance(exc, e.CircuitOpen):
        return ((b"retry-after", str(max(ceil(exc.retry_after_s), 1)).encode()),)
    seconds = RETRY_AFTER_S.get(type(exc)) if isinstance(exc, e.CaxtonError) else None
    return () if seconds is None else ((b"retry-after", str(seconds).encode()),)
