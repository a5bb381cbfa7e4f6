"""One request as the routes see it: who asks, what for, with which parameters. Knows no framework."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from caxton.api.query import WORKSPACE, parse_query
from caxton.core.errors.requests import InvalidRequest
from caxton.core.ids import AgentName, WorkspaceName, parse_agent_name, parse_capability
from caxton.security.principal import ANONYMOUS, Principal

if TYPE_CHECKING:
    from caxton.api.operation import Operation
    from caxton.api.query import Query
    from caxton.api.reply import Receive, Scope

SCOPE_KEY = "caxton.request"

_SINGLE = frozenset({b"host", b"origin", b"authorization", b"content-type", b"content-length", b"content-encoding"})
"""Headers that decide something. Given twice, two readers could believe two things."""

_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_TRACE_ID = re.compile(rb"[0-9a-f]{32}")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")
_NO_TRACE = b"0" * 32
_NO_SPAN = b"0" * 16

_chance = random.Random()  # noqa: S311 - ids need to differ, not to be secret; asking the system gives up the GIL

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may cost."""

    body_deadline_s: float = 15.0
    """From the first look at a body to its last byte."""
    discard_s: float = 2.0
    """How long a refused body is still read, so that its sender gets to see the answer."""
    heartbeat_s: float = 10.0
    """Silence on an event stream after which a comment is sent."""


class ApiRequest:
    """One request. The guard sets `principal` and `operation` before a route sees it."""

    __slots__ = (
        "_query",
        "body_done",
        "error_code",
        "headers",
        "limits",
        "operation",
        "principal",
        "receive",
        "request_id",
        "scope",
        "trace_id",
        "traceparent",
    )

    def __init__(self, scope: Scope, receive: Receive, limits: Limits) -> None:
        self.scope = scope
        self.receive = receive
        self.limits = limits
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.traceparent = _traceparent(self.headers)
        """W3C trace context of the request. The span in it is the caller's, or zeros if it named none."""
        self.trace_id = self.traceparent[3:35]
        self.request_id = _request_id(self.headers)
        self.principal: Principal = ANONYMOUS
        self.operation: Operation | None = None
        self.error_code: str | None = None
        """Of the error that it is answered with."""
        self.body_done = False
        """Whether the body was read to its end."""
        self._query: dict[str, str] | None = None

    @property
    def path(self) -> str:
        """The decoded path."""
        return self.scope["path"]

    @property
    def agent(self) -> AgentName:
        """The agent that the path names; raises `InvalidName`."""
        return parse_agent_name(self.scope["path_params"].get("name"))

    @property
    def capability(self) -> str:
        """The capability that the path names; raises `InvalidName`."""
        return parse_capability(self.scope["path_params"].get("capability"))

    @property
    def letter_id(self) -> str:
        """The dead letter that the path names, as it is written there."""
        return self.scope["path_params"].get("id", "")

    @property
    def task_id(self) -> str:
        """The task that the path names, as it is written there."""
        return self.scope["path_params"].get("task", "")

    @property
    def tool(self) -> str:
        """The tool, or source of tools, that the path names, as it is written there."""
        return self.scope["path_params"].get("tool", "")

    @property
    def approval(self) -> str:
        """The question to a person that the path names, as it is written there."""
        return self.scope["path_params"].get("approval", "")

    @property
    def workspace(self) -> WorkspaceName:
        """The workspace that is meant; raises `InvalidName`."""
        return self.read(WORKSPACE)

    def read(self, parameter: Query[T]) -> T:
        """The value of a query parameter, or its default. Raises `InvalidRequest` if any one is unknown."""
        text = self._parameters().get(parameter.name)
        if text is not None:
            return parameter.parse(text)
        if parameter.required:
            raise InvalidRequest("it is required", field=parameter.name)
        return parameter.default

    def has(self, parameter: Query[Any]) -> bool:
        """Whether the parameter was given."""
        return parameter.name in self._parameters()

    def log_facts(self) -> dict[str, Any]:
        """What each line of the server's log says that is written on behalf of this request."""
        return {"request_id": self.request_id, "trace_id": self.trace_id, "principal": self.principal.name}

    def check_headers(self) -> None:
        """Raise `InvalidRequest` if a header that decides something is given twice."""
        pairs = self.scope["headers"]
        if len(pairs) == len(self.headers):
            return
        names = [name for name, _ in pairs]
        for name in _SINGLE:
            if names.count(name) > 1:
                raise InvalidRequest("it is given twice", field=name.decode())

    def _parameters(self) -> dict[str, str]:
        if self._query is None:
            text: bytes = self.scope["query_string"]
            known = self.operation.known if self.operation else frozenset[str]()
            self._query = parse_query(text, known) if text else {}
        return self._query


def parse_traceparent(parent: bytes) -> str | None:
    """The trace and span that somebody names, in the first version's form; None if it is none."""
    match = _TRACEPARENT.fullmatch(parent)
    if match and match[2] != _NO_TRACE and match[3] != _NO_SPAN and not (match[1] == b"00" and match[5]):
        return f"00-{match[2].decode()}-{match[3].decode()}-{match[4].decode()}"
    return None


def _traceparent(headers: dict[bytes, bytes]) -> str:
    """The caller's trace if it names one (W3C trace context, or X-Trace-Id), else a new one.

    Source: W3C trace context, 3.2 and 4.3: of a later version all that the first one knows is read.
    """
    if (parent := headers.get(b"traceparent")) and (found := parse_traceparent(parent)):
        return found
    given = headers.get(b"x-trace-id")
    if given and _TRACE_ID.fullmatch(given) and given != _NO_TRACE:
        trace_id = given.decode()
    else:
        trace_id = f"{_chance.getrandbits(128) or 1:032x}"
    return f"00-{trace_id}-{_NO_SPAN.decode()}-00"


def _request_id(headers: dict[bytes, bytes]) -> str:
    """The caller's X-Request-Id if it is harmless, else a new one. Unlike a trace id it is this request's alone."""
    given = headers.get(b"x-request-id")
    return given.decode() if given and _REQUEST_ID.fullmatch(given) else f"{_chance.getrandbits(64):016x}"
