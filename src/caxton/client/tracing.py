"""Calls about what happened."""

from __future__ import annotations

from typing import Any

import msgspec

from caxton.client.transport import Transport, said
from caxton.core.views.traces import TraceFilter, TraceView


class TraceCalls(Transport):
    """What happened to messages."""

    def trace(self, wanted: TraceFilter, *, limit: int | None = None) -> TraceView:
        """What happened in a conversation or because of a message; see `TraceFilter`.

        Raises: ApiProblem: CONVERSATION_NOT_FOUND, MESSAGE_NOT_FOUND when nothing at all is known of it.
        """
        query: dict[str, Any] = msgspec.to_builtins(wanted)
        last_s = query.pop("last_s")
        query |= {"last": None if last_s is None else f"{last_s:f}s", "errors": wanted.errors or None, "limit": limit}
        query["bodies"] = wanted.bodies or None
        return self._get("/api/v1/trace", TraceView, said(query))
