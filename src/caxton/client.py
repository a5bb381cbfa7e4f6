"""A typed HTTP client for a Caxton server: what the command line uses, and what programs may use.

Synchronous, one connection pool per client; close it, or use it as a context manager. Knows the REST API and
its bodies (`caxton.core.views`), nothing of how the server works. A method returns what the server answered
or raises a `CaxtonError`: `ApiProblem` when the server refused, `ServerUnreachable` and `ServerTimeout` when
there was no answer, `UnexpectedAnswer` when something else than Caxton answers.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

import httpx
import msgspec

from caxton.core.errors import (
    CaxtonError,
    FileUnreadable,
    InvalidRequest,
    InvalidValue,
    ServerTimeout,
    ServerUnreachable,
    UnexpectedAnswer,
)
from caxton.core.ids import parse_agent_name
from caxton.core.views import AgentSpec, AgentView, LogLine, Problem, Receipt, ServerView
from caxton.messages.codec import MAX_MESSAGE_BYTES, decode_message, encode_message
from caxton.messages.message import AclMessage  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

DEFAULT_SERVER = "http://127.0.0.1:8080"
"""Where a server listens when nothing else was said. Not `localhost`: that may be ::1, another program's."""

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

MAX_EVENT_BYTES = 4 << 20
"""Longest line of an event stream that is kept; a log line has far less. Guards against a mad server."""

_CONNECT_TIMEOUT_S = 5.0
_DEPLOY_TIMEOUT_S = 120.0
"""Compiling a large module under the server's own limits takes up to half of this."""
_WAIT_MARGIN_S = 10.0
"""How much later than the server's own deadline the client gives up: its answer says more."""
_HEARTBEAT_TIMEOUT_S = 30.0
"""The server sends a sign of life each 10 s; three missed ones mean that the connection is dead."""
_RETRY_FIRST_S, _RETRY_MOST_S = 0.1, 5.0

_PEM_END = "-----END CERTIFICATE-----\n"
_UNAVAILABLE = 503
"""Starting or stopping: worth another attempt."""

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


class Reply(msgspec.Struct, kw_only=True):
    """An agent's answer to `invoke`."""

    conversation_id: str
    message_id: str
    performative: str
    """`failure`, `refuse` and `not-understood` are answers too."""
    sender: str
    content: Any = None


class _Agents(msgspec.Struct):
    agents: list[AgentView]
    total: int


class _Messages(msgspec.Struct):
    messages: list[AclMessage]
    total: int


class _Lines(msgspec.Struct):
    lines: list[LogLine]


class _Timeout(msgspec.Struct):
    """How long one request may take, for the transport and for the error that tells it."""

    read_s: float

    def for_httpx(self) -> httpx.Timeout:
        return httpx.Timeout(self.read_s, connect=min(_CONNECT_TIMEOUT_S, self.read_s))


class CaxtonClient:
    """Speaks to one server as one principal, in one workspace.

    Args:
        server: where it listens, like `http://localhost:8080`.
        token: proof of who is asking; sent to this server only. None asks as anonymous.
        workspace: the workspace of every agent and message that is named.
        timeout_s: how long to wait for an ordinary answer.
        ca_file: certificates (PEM) of authorities to trust instead of the system's.
        certificate: the server's own certificate (PEM); exactly this is accepted, whatever name it is made out to.
    """

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
            headers=_headers(token),
            params={"workspace": workspace},
            verify=_trust(ca_file, certificate) if url.scheme == "https" else True,
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

    # --- agents -------------------------------------------------------------------------------------------

    def deploy(self, spec: AgentSpec, module: bytes) -> AgentView:
        """Deploy a new agent. Refused with AGENT_ALREADY_EXISTS when the name is taken."""
        return self._upload("POST", "/api/v1/agents", spec, module)

    def replace(self, spec: AgentSpec, module: bytes | None = None) -> AgentView:
        """Put a new version in an agent's place; without `module` only its settings change."""
        return self._upload("PUT", _agent_path(spec.name), spec, module)

    def agents(
        self,
        *,
        status: str | None = None,
        capability: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[AgentView]:
        """The deployed agents, all or those of one status or capability."""
        query = {"status": status, "capability": capability, "limit": limit, "offset": offset}
        return self._get("/api/v1/agents", _Agents, query).agents

    def agent(self, name: str) -> AgentView:
        """One agent as it is now."""
        return self._get(_agent_path(name), AgentView)

    def stop(self, name: str, *, force: bool = False) -> AgentView:
        """Stop an agent after the messages it is handling, or at once with `force`. Its mail is kept."""
        return self._post(f"{_agent_path(name)}/stop", {"force": force}, AgentView)

    def start(self, name: str) -> AgentView:
        """Start an agent that was stopped or has failed."""
        return self._post(f"{_agent_path(name)}/start", None, AgentView)

    def scale(self, name: str, replicas: int) -> AgentView:
        """Give an agent this many instances."""
        return self._post(f"{_agent_path(name)}/scale", {"replicas": replicas}, AgentView)

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove an agent after the messages it is handling, or at once with `force`."""
        self._request("DELETE", _agent_path(name), query={"force": force})

    # --- messages -----------------------------------------------------------------------------------------

    @overload
    def send(self, message: AclMessage) -> Receipt: ...

    @overload
    def send(self, message: AclMessage, *, wait_s: float) -> AclMessage: ...

    def send(self, message: AclMessage, *, wait_s: float | None = None) -> Receipt | AclMessage:
        """Post a message. Returns the receipt once it is on disk or, with `wait_s`, the reply to it.

        Raises:
            ApiProblem: REPLY_TIMEOUT when no reply came within `wait_s` (the message stays accepted),
                AGENT_FAILED when the receiver failed on it, UNKNOWN_RECEIVER, MAILBOX_FULL, …
        """
        body = encode_message(message)
        if wait_s is None:
            response = self._request("POST", "/api/v1/messages", body=body)
            return self._decode(response, Receipt)
        timeout = _Timeout(wait_s + _WAIT_MARGIN_S)
        query = {"wait": f"{wait_s:g}s"}
        response = self._request("POST", "/api/v1/messages", query=query, body=body, timeout=timeout)
        return decode_message(response.content, max_bytes=2 * MAX_MESSAGE_BYTES)

    def invoke(
        self, name: str, content: object = None, *, performative: str = "request", timeout_s: float = 30.0
    ) -> Reply:
        """Send `content` (any JSON value) to an agent and return its answer."""
        response = self._request(
            "POST",
            f"{_agent_path(name)}/invoke",
            query={"timeout": f"{timeout_s:g}s", "performative": performative},
            body=msgspec.json.encode(content),
            timeout=_Timeout(timeout_s + _WAIT_MARGIN_S),
        )
        return self._decode(response, Reply)

    def conversation(self, conversation_id: str, *, limit: int | None = None) -> list[AclMessage]:
        """The kept messages of a conversation, oldest first."""
        query = {"conversation_id": conversation_id, "limit": limit}
        return self._get("/api/v1/messages", _Messages, query).messages

    # --- logs ---------------------------------------------------------------------------------------------

    def logs(
        self,
        agents: Sequence[str] | None = None,
        *,
        limit: int | None = None,
        since: str | None = None,
        level: str | None = None,
    ) -> list[LogLine]:
        """The latest log lines of these agents (None: of all), oldest first.

        Args:
            agents: names.
            limit: how many lines at most.
            since: only lines of the last while, like `1h`.
            level: the least important level wanted.
        """
        query = {"agents": _joined(agents), "limit": limit, "since": since, "level": level}
        return self._get("/api/v1/logs", _Lines, query).lines

    def follow_logs(
        self,
        agents: Sequence[str] | None = None,
        *,
        limit: int | None = None,
        since: str | None = None,
        level: str | None = None,
        after_seq: int | None = None,
        patience_s: float = 30.0,
    ) -> Iterator[LogLine]:
        """Log lines as they are written, for ever; a broken connection is taken up again where it ended.

        Args:
            agents: names; None means all.
            limit: begin with at most so many lines of the past; none of them when `since` is None as well.
            since: begin with the lines of the last while, like `1h`.
            level: the least important level wanted.
            after_seq: begin after this line instead; `limit` and `since` do not count then.
            patience_s: how long the server may be away before `ServerUnreachable` is raised.
        """
        waits = _Waits(patience_s)
        query = {"agents": _joined(agents), "limit": limit, "since": since, "level": level, "follow": True}
        while True:
            try:
                for line in self._follow_once(_said(query), after_seq, waits):
                    waits.progress()
                    after_seq = line.seq
                    yield line
                waits.next(ServerUnreachable(self.server, "the connection ended"))
            except (ServerUnreachable, ServerTimeout) as exc:
                waits.next(exc)
            except ApiProblem as exc:
                if exc.status != _UNAVAILABLE:
                    raise
                waits.next(exc)

    # --- server -------------------------------------------------------------------------------------------

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
            if exc.status == _UNAVAILABLE:
                return False
            raise
        return True

    # --- transport ----------------------------------------------------------------------------------------

    def _get(self, path: str, kind: type[T], query: dict[str, Any] | None = None) -> T:
        return self._decode(self._request("GET", path, query=query), kind)

    def _post(self, path: str, value: object, kind: type[T]) -> T:
        body = None if value is None else msgspec.json.encode(value)
        # Stopping and scaling wait for messages in work, each up to its own limit.
        return self._decode(self._request("POST", path, body=body, timeout=_Timeout(_DEPLOY_TIMEOUT_S)), kind)

    def _upload(self, method: str, path: str, spec: AgentSpec, module: bytes | None) -> AgentView:
        parts: dict[str, Any] = {"config": (None, msgspec.json.encode(spec), "application/json")}
        if module is not None:
            parts["wasm"] = (f"{spec.name}.wasm", module, "application/wasm")
        with self._errors(_DEPLOY_TIMEOUT_S):
            response = self._http.request(method, path, files=parts, timeout=_Timeout(_DEPLOY_TIMEOUT_S).for_httpx())
        return self._decode(self._checked(response), AgentView)

    def _request(
        self,
        method: Literal["GET", "POST", "DELETE"],
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: bytes | None = None,
        timeout: _Timeout | None = None,
    ) -> httpx.Response:
        timeout = timeout or _Timeout(self._timeout_s)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        with self._errors(timeout.read_s):
            response = self._http.request(
                method, path, params=_said(query), content=body, headers=headers, timeout=timeout.for_httpx()
            )
        return self._checked(response)

    def _follow_once(self, query: dict[str, Any], after_seq: int | None, waits: _Waits) -> Generator[LogLine]:
        headers = {"Accept": "text/event-stream"}
        if after_seq is not None:
            headers["Last-Event-ID"] = str(after_seq)
        timeout = _Timeout(_HEARTBEAT_TIMEOUT_S).for_httpx()
        with (
            self._errors(_HEARTBEAT_TIMEOUT_S),
            self._http.stream("GET", "/api/v1/logs", params=query, headers=headers, timeout=timeout) as response,
        ):
            if not response.is_success:
                response.read()
            self._checked(response)
            waits.connected()
            for event in read_events(response.iter_bytes()):
                if event.name == "log":
                    yield self._parse(event.data.encode(), LogLine)

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


class _Waits:
    """Pauses between attempts to reconnect: none at first, then ever longer, until patience ends."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._pause_s = 0.0
        self._gone_since: float | None = None

    def connected(self) -> None:
        """The server answers. The pause stays, for one that answers only to hang up."""
        self._gone_since = None

    def progress(self) -> None:
        """The connection is of use: the next attempt may come at once."""
        self._pause_s = 0.0

    def next(self, cause: CaxtonError) -> None:
        """Wait before the next attempt, or raise `cause` when the server has been away for too long."""
        self._gone_since = self._gone_since or time.monotonic()
        if time.monotonic() + self._pause_s > self._gone_since + self._patience_s:
            raise cause
        time.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2 or _RETRY_FIRST_S, _RETRY_MOST_S)


class ServerEvent(msgspec.Struct):
    """One event of a `text/event-stream`."""

    name: str = "message"
    data: str = ""
    id: str | None = None


def read_events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events in a stream of bytes; comments and half an event at the end are left out.

    Source: WHATWG HTML, server-sent events. Lines end at CR, LF or both, never at Unicode's other separators:
    a log line may contain those.
    """
    event, data = ServerEvent(), list[str]()
    for line in _lines(chunks):
        if not line:
            if data:
                event.data = "\n".join(data)
                yield event
            event, data = ServerEvent(), []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            event.name = value
        elif field == "id":
            event.id = value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        rest += chunk
        # A CR at the very end may be half of a CR LF: it waits for the next chunk.
        held = b"\r" if rest.endswith(b"\r") else b""
        *lines, rest = rest[: len(rest) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest += held
        if len(rest) > MAX_EVENT_BYTES:
            raise UnexpectedAnswer("the event stream", f"a line has more than {MAX_EVENT_BYTES} bytes")
        yield from (line.decode("utf-8", "replace") for line in lines)


def parse_server_url(url: str) -> str:
    """`url` as `scheme://host:port` without a path; raises `InvalidValue`."""
    rule = "write it like http://localhost:8080"
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise InvalidValue("server", url, rule) from exc
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise InvalidValue("server", url, rule)
    if parsed.path not in ("", "/") or parsed.query or parsed.fragment:
        raise InvalidValue("server", url, rule)
    return str(parsed.copy_with(path="/")).removesuffix("/")


def _headers(token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise InvalidRequest("a token is one word of ASCII letters, digits and marks", field="token")
    return {"Authorization": f"Bearer {token}"}


def _trust(ca_file: str | None, certificate: str | None) -> Any:
    """What httpx takes as `verify`. An authority that was named comes before a certificate that is known."""
    if ca_file is None and certificate is None:
        return True
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
        elif certificate is not None:
            # Only the first of the file: those behind it are authorities, which sign for others as well.
            text = Path(certificate).read_text(encoding="ascii", errors="replace")
            context.check_hostname = False
            context.load_verify_locations(cadata=text.partition(_PEM_END)[0] + _PEM_END)
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    except OSError as exc:  # SSLError, for what is no certificate, is one too
        raise FileUnreadable(str(ca_file or certificate), exc.strerror or "it holds no certificate") from exc
    return context


def _agent_path(name: str) -> str:
    return f"/api/v1/agents/{parse_agent_name(name)}"


def _joined(agents: Sequence[str] | None) -> str | None:
    return None if agents is None else ",".join(parse_agent_name(name) for name in agents)


def _said(query: dict[str, Any] | None) -> dict[str, Any]:
    """Only the parameters that say something; booleans as JSON has them."""
    said = {name: value for name, value in (query or {}).items() if value is not None}
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in said.items()}
