"""The API over services in memory, called without a socket."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from caxton.api.app import all_routes, build_app
from caxton.api.openapi import describe
from caxton.api.request import Limits
from caxton.api.services import Services
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.agents import AgentSpec
from caxton.security.keys import SigningKey, load_or_create_key
from caxton.security.tokens import TokenVerifier, issue_token
from caxton.testing.fakes.agents import EMPTY_MODULE
from caxton.testing.fakes.clock import FakeClock
from caxton.testing.fakes.node import FakeNode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.api.reply import Asgi


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error code, once the answer is seen to be a whole problem."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json
        assert problem["status"] == self.status
        assert problem["trace_id"] == self.headers["x-trace-id"]
        assert problem["type"] == f"urn:caxton:error:{problem['code']}"
        return problem["code"]


@dataclass
class Call:
    """One request in parts, for those who want to be odd about them."""

    method: str = "GET"
    path: str = "/health"
    query: str = ""
    headers: Sequence[tuple[str, str]] = ()
    chunks: Sequence[bytes] = ()
    ends: str = "http.request"
    """Type of the event after the chunks: the end of the body, or `http.disconnect`."""
    sent: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    taken: int = 0
    """Chunks that the application took."""

    def scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "scheme": "http",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers],
            "client": ("127.0.0.1", "50000"),
            "server": ("127.0.0.1", "8080"),
            "state": {},
            "extensions": {},
        }

    async def receive(self) -> dict[str, Any]:
        if self.taken < len(self.chunks):
            self.taken += 1
            more = self.taken < len(self.chunks) or self.ends != "http.request"
            return {"type": "http.request", "body": self.chunks[self.taken - 1], "more_body": more}
        if not self.chunks and not self.taken and self.ends == "http.request":
            self.taken = 1
            return {"type": "http.request", "body": b"", "more_body": False}
        if self.ends == "never" or not self.chunks:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, event: dict[str, Any]) -> None:
        self.sent.append(event)

    def answer(self) -> Answer:
        start, *rest = self.sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(int(start["status"]), headers, b"".join(event["body"] for event in rest))


def described() -> dict[str, dict[re.Pattern[str], set[int]]]:
    """The statuses that the API's description has, by method and path."""
    routes = all_routes(FakeNode().services, version="0", stopping=asyncio.Event())
    found: dict[str, dict[re.Pattern[str], set[int]]] = {}
    for path, methods in describe([route.operation for route in routes], version="0")["paths"].items():
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path.replace(".", "[.]")))
        for method, operation in methods.items():
            found.setdefault(method.upper(), {})[pattern] = {int(status) for status in operation["responses"]}
    return found


DESCRIBED = described()


class Current:
    """Stands for something of the present test. Building an application takes 10 ms, too long for each test."""

    def __init__(self, api: Api, name: str) -> None:
        self._api, self._name = api, name

    def __getattr__(self, name: str) -> Any:
        owner = self._api if self._name in ("verifier", "stopping") else self._api.node
        return getattr(getattr(owner, self._name), name)


class Api:
    """An API with one agent named `echo`, called with the admin's token unless told otherwise."""

    def __init__(self, key: SigningKey, limits: Limits) -> None:
        self.key = key
        self.clock = FakeClock()
        self.node = FakeNode()
        self.stopping = asyncio.Event()
        names = (
            "agents",
            "capabilities",
            "messages",
            "conversations",
            "dead_letters",
            "tasks",
            "logs",
            "sniff",
            "storage",
            "server",
            "workspaces",
            "recordings",
            "traces",
            "stats",
            "debugging",
            "bundle",
            "tools",
        )
        rooms = {name: cast("Any", Current(self, name)) for name in names}
        self._app: Asgi = build_app(
            Services(**rooms),
            cast("Any", Current(self, "verifier")),
            version="0.0.0",
            stopping=cast("Any", Current(self, "stopping")),
            allowed_hosts=["caxton.example"],
            limits=limits,
        )
        self.reset()

    def reset(self) -> None:
        """Begin a new test: the application stays, all that it calls is new."""
        self.clock = FakeClock()
        self.verifier = TokenVerifier([self.key], self.clock)
        self.node = FakeNode()
        self.stopping = asyncio.Event()
        self.app = self._app
        self.token = self.token_for("admin")

    def token_for(self, *roles: str) -> str:
        return issue_token(self.key, "tester", roles, now_s=int(self.clock.wall_s), lifetime_s=3600)

    async def deploy(self, name: str, **settings: Any) -> None:
        await self.node.agents.deploy(DEFAULT_WORKSPACE, AgentSpec(name=name, **settings), EMPTY_MODULE)

    async def send(self, call: Call) -> Answer:
        async with asyncio.timeout(5):
            await self.app(call.scope(), call.receive, call.send)
        answer = call.answer()
        described = DESCRIBED.get(call.method, {})
        for path, statuses in described.items():
            if path.fullmatch(call.path):
                assert answer.status in statuses, "the description does not have this status"
        return answer

    async def __call__(
        self,
        method: str,
        path: str,
        body: bytes | object = None,
        *,
        query: str = "",
        token: str | None = "",
        **headers: str,
    ) -> Answer:
        """`body` is sent as it is if it is bytes, else as JSON. `token` None sends none."""
        found = {"host": "localhost:8080"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            found["authorization"] = f"Bearer {token or self.token}"
        chunks: list[bytes] = []
        if body is not None:
            chunks = [body if isinstance(body, bytes) else json.dumps(body).encode()]
            found = {"content-type": "application/json", "content-length": str(len(chunks[0]))} | found
        return await self.send(Call(method, path, query, [*found.items()], chunks))


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return load_or_create_key(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def built(key: SigningKey) -> Api:
    return Api(key, Limits(body_deadline_s=0.05, discard_s=0.05, heartbeat_s=0.02))


@pytest.fixture
async def api(built: Api) -> Api:
    built.reset()
    await built.deploy("echo", capabilities=["echoing"])
    return built
