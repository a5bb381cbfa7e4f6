"""Calls about the server as a whole."""

from __future__ import annotations

from typing import Any

import msgspec

from caxton.client.transport import UNAVAILABLE, ApiProblem, Transport
from caxton.core.views.server import Reason, ServerView


class ServerCalls(Transport):
    """What the server says of itself."""

    def health(self) -> ServerView:
        """The server as a whole."""
        return self._get("/api/v1/health", ServerView)

    def alive(self) -> None:
        """Return when a Caxton server answers; needs no token."""
        self._get("/health", dict[str, Any])

    def ready(self) -> bool:
        """Whether the server takes requests; False while it starts or stops."""
        try:
            self._get("/ready", dict[str, Any])
        except ApiProblem as exc:
            if exc.status == UNAVAILABLE:
                return False
            raise
        return True

    def reasons(self) -> list[Reason]:
        """Why the server takes no work; none: it does."""
        try:
            self._get("/ready", dict[str, Any])
        except ApiProblem as exc:
            if exc.status != UNAVAILABLE:
                raise
            return msgspec.convert(exc.details().get("reasons", []), list[Reason])
        return []
