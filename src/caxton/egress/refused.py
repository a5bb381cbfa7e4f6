"""Why there is no answer from another machine. Texts are for people: without secrets, and nothing of the answer's."""

from __future__ import annotations

from typing import Literal, TypeAlias

Reason: TypeAlias = Literal["url", "request", "secret", "host", "address"]
"""url: it is odd or none. request: method, headers or body will not do. secret: it is unknown, or has a line break.
host: host and port are not on the list. address: the name stands for an address that is not public and not listed."""


class EgressError(Exception):
    """There is no answer. Its text is for people."""


class Refused(EgressError):
    """A rule forbids it: nothing was sent to where it should have gone."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason


class TimedOut(EgressError):
    """There was no whole answer in time."""


class Unreachable(EgressError):
    """There is no such name, nobody listens, the certificate is another's, or the connection broke."""
