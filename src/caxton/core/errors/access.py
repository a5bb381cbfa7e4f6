"""Who may do what, and from where."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


class Unauthorized(CaxtonError):
    """No token, or one that proves nothing. One text for all causes: it must not help a guesser."""

    code = "UNAUTHORIZED"

    def __init__(self) -> None:
        super().__init__("a valid token is needed: send 'Authorization: Bearer …' (the CLI finds it by itself)")


class Forbidden(CaxtonError):
    """The principal is known and may not do this."""

    code = "FORBIDDEN"

    def __init__(self, principal: str, action: str) -> None:
        super().__init__(f"{quoted(principal)} may not {action}; ask for a role that allows it")
        self.principal, self.action = principal, action


class HostNotAllowed(CaxtonError):
    """The Host or Origin header names another site: most likely a web page that reaches for this server."""

    code = "HOST_NOT_ALLOWED"

    def __init__(self, header: str, value: str) -> None:
        super().__init__(
            f"{header} {quoted(value)} is not this server's own; requests must come from programs or its own pages, "
            "for a host name listed in server.allowed_hosts"
        )
        self.header = header
