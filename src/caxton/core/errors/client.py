"""A program that asks and gets no answer of a server."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError


class ServerUnreachable(CaxtonError):
    """The CLI or client found no server at the address."""

    code = "SERVER_UNREACHABLE"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"no Caxton server answers at {url} ({reason}); start one with 'caxton server start'")
        self.url = url


class ServerTimeout(CaxtonError):
    """The server took the request and gave no answer in time. What was asked may still be done."""

    code = "SERVER_TIMEOUT"

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(
            f"{url} gave no answer within {timeout_s:g} s; it may still do what was asked: look, then retry"
        )
        self.url, self.timeout_s = url, timeout_s


class UnexpectedAnswer(CaxtonError):
    """Something answers at the address, and not as a Caxton server does."""

    code = "UNEXPECTED_ANSWER"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"what answers at {url} is no Caxton server: {reason}; check the address")
        self.url = url
