"""The outermost layer of the API: what holds for every request, whether or not there is a route for it.

Host and Origin, the trace id, the headers of every answer, what happens to a body that nobody read, and the last
wall for exceptions.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from caxton.api.body import discard_body, may_have_body
from caxton.api.errors import code_of, problem_reply, to_problem
from caxton.api.meter import CLIENT_GONE, METHODS
from caxton.api.request import SCOPE_KEY, ApiRequest, Limits
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.requests import MethodNotAllowed
from caxton.core.errors.server import ServerNotReady, ShuttingDown
from caxton.observe.context import begin

if TYPE_CHECKING:
    from caxton.api.hosts import HostPolicy
    from caxton.api.meter import Meter
    from caxton.api.reply import Asgi, Event, Header, Receive, Reply, Scope, Send

logger = logging.getLogger(__name__)

_COMMON = (
    (b"server", b"caxton"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
"""On every answer: it holds one caller's data of this moment, and is what it says it is."""


PROBES = frozenset({"/health", "/ready"})
"""Answered while the server starts and while it stops as well: whoever asks wants to know just that."""


class Edge:
    """Wraps the framework's application.

    Args:
        app: the application inside.
        hosts: the names that this server answers to.
        limits: what a request may cost.
        stopping: set when the server begins to stop; from then on everything but the probes is refused.
        meter: counts the answers.
        opened: set when the server has started; until then everything but the probes is refused. None: it has.
    """

    def __init__(
        self, app: Asgi, hosts: HostPolicy, limits: Limits, stopping: asyncio.Event, meter: Meter,
        opened: asyncio.Event | None = None,
    ) -> None:  # fmt: skip
        self._app = app
        self._hosts = hosts
        self._limits = limits
        self._stopping = stopping
        self._meter = meter
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = ApiRequest(scope, receive, self._limits)
        scope[SCOPE_KEY] = request
        answer = _Answer(request, send, self._meter)
        work = begin(request.log_facts)
        try:
            self._check(request)
            await self._app(scope, receive, answer.send)
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                answer.gone()
                raise
            await answer.problem(ShuttingDown())
        except CaxtonError as exc:
            await answer.problem(exc)
        except Exception as exc:  # the wall: nothing that goes wrong inside may reach the server's own loop
            await answer.problem(exc.__cause__ or exc)
        finally:
            # The scope holds the request and the request the scope: left alone, each request waits for the collector.
            del scope[SCOPE_KEY]
            work.end()
        answer.log()

    def _check(self, request: ApiRequest) -> None:
        if request.path not in PROBES:
            if self._stopping.is_set():
                raise ShuttingDown
            if self._opened is not None and not self._opened.is_set():
                raise ServerNotReady("starting")
        request.check_headers()
        self._hosts.check(request.headers.get(b"host"), request.headers.get(b"origin"))
        method = request.scope["method"]
        if method not in METHODS:
            raise MethodNotAllowed(method, METHODS)


class _Answer:
    """Watches one answer go out, and adds what every answer has."""

    __slots__ = ("_meter", "_request", "_send", "_started_at", "status")

    def __init__(self, request: ApiRequest, send: Send, meter: Meter) -> None:
        self._request = request
        self._send = send
        self._meter = meter
        self._started_at = time.monotonic()
        self.status = 0
        """0 until the answer has begun."""

    async def send(self, event: Event) -> None:
        """Pass one event on."""
        if event["type"] == "http.response.start":
            await self._begin(event)
        await self._send(event)

    async def problem(self, exc: BaseException) -> None:
        """Answer with an error, unless an answer has begun: then the error is only logged."""
        request = self._request
        if self.status:
            if not isinstance(exc, CaxtonError):
                self._meter.broke_off()
            to_problem(exc, trace_id=request.trace_id, path=request.path)
            return
        request.error_code = code_of(exc)
        reply: Reply = problem_reply(exc, trace_id=request.trace_id, path=request.path)
        await reply(request.scope, request.receive, self.send)

    def gone(self) -> None:
        """Nobody waits for the answer any more."""
        if not self.status:
            self._meter.answered(self._request, CLIENT_GONE, time.monotonic() - self._started_at)

    def log(self) -> None:
        """One line about the request, for those who look that closely."""
        if logger.isEnabledFor(logging.DEBUG):
            request = self._request
            facts = {
                "action": "api.request",
                "method": request.scope["method"],
                "path": request.path,
                "status": self.status,
                **request.log_facts(),
                "duration_s": time.monotonic() - self._started_at,
            }
            logger.debug("request", extra=facts)

    async def _begin(self, event: Event) -> None:
        request = self._request
        self.status = event["status"]
        self._meter.answered(request, self.status, time.monotonic() - self._started_at)
        headers = [*event["headers"], *_COMMON, *_ids(request)]
        if self.status >= 400 and not request.body_done and may_have_body(request):
            # After 408 and 503 nobody waits for more of the body, and who asks with Expect has not sent it yet.
            if self.status not in (408, 503) and b"expect" not in request.headers:
                await discard_body(request)
            if request.scope["http_version"].startswith("1"):
                headers.append((b"connection", b"close"))
        event["headers"] = headers


def _ids(request: ApiRequest) -> tuple[Header, Header]:
    return (b"x-trace-id", request.trace_id.encode()), (b"x-request-id", request.request_id.encode())
