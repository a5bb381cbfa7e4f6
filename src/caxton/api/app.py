"""Puts the API together: the routes, the guard before them, the edge around them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Self, cast

from litestar import Litestar, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Scope  # noqa: TC002  (the framework reads annotations at run time)

from caxton.api.agents import agent_routes
from caxton.api.capabilities import capability_routes
from caxton.api.conversations import conversation_routes
from caxton.api.dead_letters import dead_letter_routes
from caxton.api.debugging import debug_routes
from caxton.api.edge import Edge
from caxton.api.errors import code_of, problem_reply
from caxton.api.guard import Verifier, make_guard
from caxton.api.health import health_routes
from caxton.api.hosts import HostPolicy
from caxton.api.logs import log_routes
from caxton.api.mcp import mcp_routes
from caxton.api.messages import message_routes
from caxton.api.meter import Meter
from caxton.api.openapi import DESCRIBE, describe
from caxton.api.operation import Operation, Route
from caxton.api.recordings import recording_routes
from caxton.api.reply import Reply, encode_json
from caxton.api.request import SCOPE_KEY, ApiRequest, Limits
from caxton.api.settings import settings_routes
from caxton.api.sniff import sniff_routes
from caxton.api.stats import stats_routes
from caxton.api.storage import storage_routes
from caxton.api.targets import target_routes
from caxton.api.tasks import task_routes
from caxton.api.tools import tool_routes
from caxton.api.tracing import trace_routes
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.requests import InvalidRequest, MethodNotAllowed, RouteNotFound

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from litestar import Request

    from caxton.api.reply import Asgi
    from caxton.api.services import Services

DEFAULT_LIMITS = Limits()


def build_app(
    services: Services,
    verifier: Verifier,
    *,
    version: str,
    stopping: asyncio.Event,
    allowed_hosts: Iterable[str] = (),
    limits: Limits = DEFAULT_LIMITS,
    meter: Meter | None = None,
    opened: asyncio.Event | None = None,
) -> Asgi:
    """The API as an ASGI application.

    Args:
        services: what it calls.
        verifier: says who bears a token.
        version: of Caxton, for the description.
        stopping: set when the server begins to stop: streams end and new requests are refused.
        allowed_hosts: names and addresses that this server answers to, beside those of loopback.
        limits: what a request may cost.
        meter: counts for the metrics.
        opened: set when the server has started; None: it has. Until then only probes are answered.
    """
    meter = Meter() if meter is None else meter
    routes = all_routes(services, version=version, stopping=stopping, meter=meter)
    return Edge(build_litestar(routes, verifier, meter), HostPolicy(allowed_hosts), limits, stopping, meter, opened)


def all_routes(services: Services, *, version: str, stopping: asyncio.Event, meter: Meter | None = None) -> list[Route]:
    """Every route of the API, its own description last."""
    routes = [
        *health_routes(services.server),
        *target_routes(services.agents),
        *agent_routes(services.agents),
        *capability_routes(services.capabilities),
        *message_routes(services.messages),
        *dead_letter_routes(services.dead_letters),
        *task_routes(services.tasks),
        *log_routes(services.logs, services.agents, stopping),
        *sniff_routes(services.sniff, stopping),
        *storage_routes(services.storage),
        *conversation_routes(services.conversations),
        *settings_routes(services.workspaces),
        *recording_routes(services.recordings),
        *trace_routes(services.traces),
        *stats_routes(services.stats),
        *tool_routes(services.tools),
        *debug_routes(services.debugging, services.bundle),
        *mcp_routes(services, Meter() if meter is None else meter, version=version, stopping=stopping),
    ]

    @cache
    def document() -> bytes:
        return encode_json(describe([*(route.operation for route in routes), DESCRIBE], version=version))

    async def description(request: ApiRequest) -> Reply:
        return Reply(document())

    return [*routes, Route(DESCRIBE, description)]


def build_litestar(routes: Iterable[Route], verifier: Verifier, meter: Meter | None = None) -> Litestar:
    """The framework's part: it finds the route, runs the guard and turns exceptions into answers.

    Its own OpenAPI, logging and body parsing stay off: see docs/reference/rest.md for what is there instead.
    """
    return Litestar(
        [as_handler(route) for route in routes],
        guards=[make_guard(verifier, Meter() if meter is None else meter)],
        exception_handlers={Exception: _answer_error},
        openapi_config=None,
        logging_config=None,
    )


class _Handler(HTTPRouteHandler):
    """The framework hands each guard a copy of the handler, which took an eighth of a request; ours change nothing."""

    def __copy__(self) -> Self:
        return self


def as_handler(route: Route) -> HTTPRouteHandler:
    """`route` in the framework's words. `opt` is where the guard finds the action."""
    operation: Operation = route.operation
    handle = route.handle

    async def endpoint(scope: Scope) -> ASGIApp:
        request = cast("dict[str, Any]", scope)[SCOPE_KEY]
        return await handle(request)

    return _Handler(
        operation.path.replace("}", ":str}"),
        http_method=operation.method,
        status_code=200,  # the answer that `endpoint` gives has its own
        opt={"action": operation.action, "operation": operation},
    )(endpoint)


def _answer_error(request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
    known = cast("ApiRequest", cast("dict[str, Any]", request.scope)[SCOPE_KEY])
    exc = _ours(known, exc)
    known.error_code = code_of(exc)
    reply = problem_reply(exc, trace_id=known.trace_id, path=known.path)
    (_, media_type), *headers = reply.headers
    return Response(
        reply.body,
        status_code=reply.status,
        media_type=media_type.decode(),
        headers={name.decode(): value.decode() for name, value in headers},
    )


def _ours(request: ApiRequest, exc: Exception) -> Exception:
    """The framework's own refusals in our words."""
    if isinstance(exc, CaxtonError) or not isinstance(exc, HTTPException):
        return exc
    if isinstance(exc, NotFoundException):
        return RouteNotFound(request.path)
    if isinstance(exc, MethodNotAllowedException):
        methods = (exc.headers or {}).get("allow", "").split(", ")
        return MethodNotAllowed(request.scope["method"], sorted({*methods} - {"OPTIONS", ""}))
    return InvalidRequest("it cannot be read") if exc.status_code < 500 else exc
