"""Counts requests for the metrics. All methods run on the event loop's thread and cost about a microsecond."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from caxton.api.errors import STATUS
from caxton.core.errors.agents import AgentDown
from caxton.core.errors.error import InternalError
from caxton.core.errors.server import ServerNotReady
from caxton.observe.metrics import Histogram
from caxton.security.policy import ACTIONS

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest

UNMATCHED = "unmatched"
"""Stands for a path that no operation has, so that strangers cannot make series."""

METHODS = ["DELETE", "GET", "PATCH", "POST", "PUT"]
"""That there are operations for."""

CLIENT_GONE = 499
"""As nginx says it: whoever asked hung up before there was an answer."""

_PROBES = frozenset({ServerNotReady.code, AgentDown.code})
"""Answers to the question whether something works, not errors of who answers."""

_FAILURES = {code: 0 for kind, status in STATUS.items() if status >= 500 and (code := kind.code) not in _PROBES}
"""A count that is not there until it is 1 has not grown, as Prometheus sees it."""


class Meter:
    """What the API did in this run."""

    def __init__(self) -> None:
        self.durations: dict[tuple[str, str, str], Histogram] = {}
        """Route, method and status → seconds from a request's head to the head of its answer."""
        self.errors = Counter(_FAILURES)
        """Answers that say that we, or an agent, failed: by code."""
        self.refusals = Counter[str]()
        """Answers that say that the request is wrong, or too much: by code."""
        self.auth_failures: dict[str, int] = dict.fromkeys(("missing", "invalid"), 0)
        """Requests that had to say who asks: without a token, and with one that is none."""
        self.denied = dict.fromkeys(ACTIONS, 0)
        """Requests of somebody who may not do this, by action."""

    def answered(self, request: ApiRequest, status: int, seconds: float) -> None:
        """An answer begins, or nobody waits for one any more (`CLIENT_GONE`)."""
        operation, method = request.operation, request.scope["method"]
        route = UNMATCHED if operation is None else operation.path
        key = route, method if method in METHODS else "other", str(status)
        histogram = self.durations.get(key)
        if histogram is None:
            histogram = self.durations[key] = Histogram()
        histogram.add(seconds)
        code = request.error_code
        if code is not None and code not in _PROBES:
            (self.errors if status >= 500 else self.refusals)[code] += 1

    def broke_off(self) -> None:
        """Something unexpected ended an answer that had begun."""
        self.errors[InternalError.code] += 1

    def unauthorized(self, *, has_token: bool) -> None:
        """It was not proven who asks."""
        self.auth_failures["invalid" if has_token else "missing"] += 1

    def forbidden(self, action: str) -> None:
        """Who asks may not do `action`."""
        if action in self.denied:
            self.denied[action] += 1
