"""The one guard before every route: who is it, and may they do what the route declares?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from caxton.api.request import SCOPE_KEY, ApiRequest
from caxton.core.errors.access import Forbidden, Unauthorized
from caxton.security.policy import PUBLIC, authorize
from caxton.security.principal import ANONYMOUS, Principal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from litestar.connection import ASGIConnection
    from litestar.handlers.base import BaseRouteHandler

    from caxton.api.meter import Meter

    Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]

UNDECLARED = "use a route without an action"
"""Stands for the action of a route that declares none. In no table, so denied to everybody."""


class Verifier(Protocol):
    """Says who bears a token."""

    def verify(self, token: str) -> Principal:
        """The bearer; raises `Unauthorized`."""
        ...


def make_guard(verifier: Verifier, meter: Meter) -> Guard:
    """A guard for all routes of an application. It is async: the framework gives others a thread each."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        request = cast("ApiRequest", connection.scope[SCOPE_KEY])  # pyright: ignore[reportTypedDictNotRequiredAccess, reportGeneralTypeIssues]
        request.operation = handler.opt.get("operation")
        action = handler.opt.get("action", UNDECLARED)
        try:
            request.principal = authenticate(request, verifier)
            check(request, action)
        except Unauthorized:
            meter.unauthorized(has_token=b"authorization" in request.headers)
            raise
        except Forbidden:
            meter.forbidden(action)
            raise

    return guard


def check(request: ApiRequest, action: str) -> None:
    """Return if the request's principal may do `action`; raises `Unauthorized` or `Forbidden`."""
    if request.principal is ANONYMOUS and action not in PUBLIC:
        raise Unauthorized
    workspace = request.workspace if request.operation else None
    authorize(request.principal, action, workspace, request.scope["path_params"].get("name"))


def authenticate(request: ApiRequest, verifier: Verifier) -> Principal:
    """Who asks. No token is `ANONYMOUS`; a bad one raises `Unauthorized` even where none is needed."""
    header = request.headers.get(b"authorization")
    if header is None:
        return ANONYMOUS
    scheme, _, token = header.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized
    return verifier.verify(token.strip(" "))
