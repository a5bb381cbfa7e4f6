"""One request and its answer: what every group of calls stands on. Knows no route."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import httpx
import msgspec

from caxton.client.address import DEFAULT_SERVER, LOOPBACK_HOSTS, parse_server_url, token_headers, trust
from caxton.client.stream import read_events
from caxton.core.errors.client import ServerTimeout, ServerUnreachable, UnexpectedAnswer
from caxton.core.errors.error import CaxtonError
from caxton.core.ids import parse_agent_name
from caxton.core.views.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from caxton.client.stream import ServerEvent

DEPLOY_TIMEOUT_S = 120.0
"""Compiling a large module under the server's own limits takes up to half of this."""

HEARTBEAT_TIMEOUT_S = 30.0
"""On an event stream the server sends a sign of life each 10 s; three missed ones mean that the connection is dead."""

UNAVAILABLE = 503
"""Starting or stopping: worth another attempt."""

_CONNECT_TIMEOUT_S = 5.0

T = TypeVar("T")


class ApiProblem(CaxtonError):
    """The server refused, and said why. `code` is the server's stable code, `status` the HTTP status."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.code = problem.code
        self.status = problem.status
        self.trace_id = problem.trace_id
        self.problem = problem

    def details(self) -> dict[str, Any]:
        """The facts that the server gave with its refusal."""
        return self.problem.details


class Timeout(msgspec.Struct):
    """How long one request may take, for the transport and for the error that tells it."""

    read_s: float

    def for_httpx(self) -> httpx.Timeout:
        """The same in httpx's words; connecting alone takes at most 5 s."""
        return httpx.Timeout(self.read_s, connect=min(_CONNECT_TIMEOUT_S, self.read_s))


class Transport:
    """A connection pool to one server, for one principal in one workspace."""

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        token: str | None = None,
        *,
        workspace: str = "default",
        timeout_s: float = 30.0,
        ca_file: str | None = None,
        certificate: str | None = None,
    ) -> None:
        self.server = parse_server_url(server)
        self.workspace = workspace
        self._timeout_s = timeout_s
        url = httpx.URL(self.server)
        self._http = httpx.Client(
            base_url=url,
            headers=token_headers(token),
            params={"workspace": workspace},
            verify=trust(ca_file, certificate) if url.scheme == "https" else True,
            # A proxy from the environment must not see what goes to this machine's own server.
            trust_env=url.host not in LOOPBACK_HOSTS,
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Closing twice is allowed."""
        self._http.close()

    def _get(self, path: str, kind: type[T], query: dict[str, Any] | None = None) -> T:
        return self._decode(self._request("GET", path, query=query), kind)

    def _post(self, path: str, value: object, kind: type[T]) -> T:
        body = None if value is None else msgspec.json.encode(value)
        # Stopping and scaling wait for messages in work, each up to its own limit.
        return self._decode(self._request("POST", path, body=body, timeout=Timeout(DEPLOY_TIMEOUT_S)), kind)

    def _request(
        self,
        method: Literal["GET", "POST", "PATCH", "DELETE"],
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: bytes | None = None,
        timeout: Timeout | None = None,
    ) -> httpx.Response:
        timeout = timeout or Timeout(self._timeout_s)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        with self._errors(timeout.read_s):
            response = self._http.request(
                method, path, params=said(query), content=body, headers=headers, timeout=timeout.for_httpx()
            )
        return self._checked(response)

    @contextmanager
    def _events(
        self, path: str, query: dict[str, Any], headers: dict[str, str] | None = None
    ) -> Generator[Iterator[ServerEvent]]:
        """An event stream that the server has begun; left with the block."""
        wanted = {"Accept": "text/event-stream", **(headers or {})}
        timeout = Timeout(HEARTBEAT_TIMEOUT_S).for_httpx()
        with (
            self._errors(HEARTBEAT_TIMEOUT_S),
            self._http.stream("GET", path, params=query, headers=wanted, timeout=timeout) as response,
        ):
            if not response.is_success:
                response.read()
            self._checked(response)
            yield read_events(response.iter_bytes())

    @contextmanager
    def _errors(self, timeout_s: float) -> Generator[None]:
        """Turn the transport's exceptions into ours."""
        try:
            yield
        except httpx.ConnectTimeout as exc:
            raise ServerUnreachable(self.server, "no connection in time") from exc
        except httpx.TimeoutException as exc:
            raise ServerTimeout(self.server, timeout_s) from exc
        except httpx.TransportError as exc:
            raise ServerUnreachable(self.server, str(exc) or type(exc).__name__) from exc

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        try:
            problem = msgspec.json.decode(response.content, type=Problem)
        except msgspec.DecodeError as exc:
            raise UnexpectedAnswer(self.server, f"it said {response.status_code} and no reason") from exc
        raise ApiProblem(problem)

    def _decode(self, response: httpx.Response, kind: type[T]) -> T:
        return self._parse(response.content, kind)

    def _parse(self, data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise UnexpectedAnswer(self.server, str(exc)) from exc


def agent_path(name: str) -> str:
    """Where the agent `name` is; raises `InvalidName`."""
    return f"/api/v1/agents/{parse_agent_name(name)}"


def said(query: dict[str, Any] | None) -> dict[str, Any]:
    """Only the parameters that say something; booleans as JSON has them."""
    values = {name: value for name, value in (query or {}).items() if value is not None}
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
