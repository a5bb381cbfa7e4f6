"""HTTP requests that make no sense, or are more than is read."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


class InvalidRequest(CaxtonError):
    """A request body, query or header breaks its rule."""

    code = "INVALID_REQUEST"

    def __init__(self, reason: str, *, field: str | None = None) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field


class RouteNotFound(CaxtonError):
    """The API has no such path."""

    code = "ROUTE_NOT_FOUND"

    def __init__(self, path: str) -> None:
        super().__init__(f"there is nothing at {quoted(path)}; GET /api/v1/openapi.json lists what there is")


class MethodNotAllowed(CaxtonError):
    """The path is there, and does not take this method."""

    code = "METHOD_NOT_ALLOWED"

    def __init__(self, method: str, allowed: list[str]) -> None:
        super().__init__(f"{quoted(method)} does nothing here; use {' or '.join(allowed)}")
        self.allowed = allowed


class UnsupportedMediaType(CaxtonError):
    """The body is of a kind that this route does not read."""

    code = "UNSUPPORTED_MEDIA_TYPE"

    def __init__(self, header: str, value: str, wanted: list[str]) -> None:
        super().__init__(f"{header} {quoted(value)} is not read here; send {' or '.join(wanted)}")
        self.header, self.wanted = header, wanted


class BodyTooLarge(CaxtonError):
    """The request body is over the route's limit."""

    code = "BODY_TOO_LARGE"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"the body has at least {size_bytes} bytes, the limit is {limit_bytes}; send less")
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes


class RequestTimeout(CaxtonError):
    """The request body did not arrive in time."""

    code = "REQUEST_TIMEOUT"

    def __init__(self, deadline_s: float) -> None:
        super().__init__(f"the body took longer than {deadline_s:g} s and nothing was done; send it again")
        self.deadline_s = deadline_s
