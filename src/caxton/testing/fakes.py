"""The API's services in memory: small, and honest where a caller can tell.

They keep the contracts of `caxton.api.services`: the same errors, orders and side effects. What they leave out
is the machinery: no module is compiled, a deployed agent echoes every message, nothing is kept on disk.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from caxton.agents.definition import define
from caxton.agents.settings import patched, settings_of
from caxton.api.services import Services
from caxton.core.errors import (
    AgentAlreadyExists,
    AgentFailed,
    AgentNotFound,
    AgentStateConflict,
    CapabilityNotFound,
    CaxtonError,
    InvalidMessage,
    InvalidWasm,
    MailboxFull,
    ReplyTimeout,
    UnknownReceiver,
    WasmTooLarge,
    WorkspaceNotFound,
)
from caxton.core.ids import DEFAULT_WORKSPACE, AgentName, WorkspaceName, parse_agent_name, parse_capability
from caxton.core.suggest import nearest
from caxton.core.units import parse_duration, parse_size
from caxton.core.views.agents import AgentSpec, AgentView, BulkheadView, CapabilitySpec, CircuitBreakerView
from caxton.core.views.logs import LogLine
from caxton.core.views.messages import Receipt
from caxton.core.views.server import ServerView
from caxton.core.views.storage import CompactReport, StorageView, VerifyReport
from caxton.messages.codec import encode_message
from caxton.testing.fake_capabilities import FakeCapabilities
from caxton.testing.fake_conversations import FakeConversations
from caxton.testing.fake_letters import FakeDeadLetters
from caxton.testing.fake_sniff import FakeSniff
from caxton.testing.fake_tasks import FakeTasks
from caxton.testing.fake_workspaces import FakeWorkspaces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from caxton.core.views.settings import AgentPatch, AgentSettings
    from caxton.messages.message import AclMessage
    from caxton.security.principal import Principal

EMPTY_MODULE = b"\0asm\1\0\0\0"
"""The smallest WebAssembly module."""

MAX_MODULE_BYTES = 10 << 20

STARTED_AT = "2026-01-01T00:00:00Z"

LEVELS = ("trace", "debug", "info", "warn", "error")


class FakeClock:
    """A clock that stands still until it is turned."""

    def __init__(self, wall_s: float = 1_800_000_000.0) -> None:
        self.wall_s = wall_s
        self.monotonic_s = 0.0

    def wall_us(self) -> int:
        """Microseconds since 1970."""
        return int(self.wall_s * 1_000_000)

    def steady_us(self) -> int:
        """As if nobody ever set the clock."""
        return self.wall_us()

    def monotonic(self) -> float:
        """Seconds."""
        return self.monotonic_s

    def advance(self, seconds: float) -> None:
        """Turn both times forward."""
        self.wall_s += seconds
        self.monotonic_s += seconds


def check_workspace(workspace: WorkspaceName) -> None:
    """There is one workspace."""
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)


class FakeAgents:
    """Agents that are only views."""

    def __init__(self) -> None:
        self.views: dict[str, AgentView] = {}
        self.modules: dict[str, bytes] = {}
        self.specs: dict[str, AgentSpec] = {}

    async def deploy(self, workspace: WorkspaceName, spec: AgentSpec, module: bytes) -> AgentView:
        """Take any module that begins like one."""
        check_workspace(workspace)
        if spec.name in self.views:
            raise AgentAlreadyExists(spec.name)
        view = _view(spec, module, revision=1)
        self.views[spec.name], self.modules[spec.name], self.specs[spec.name] = view, module, spec
        return view

    async def replace(self, workspace: WorkspaceName, spec: AgentSpec, module: bytes | None) -> AgentView:
        """As deploy, over an agent that is there."""
        old = self.get(workspace, AgentName(spec.name))
        module = self.modules[old.name] if module is None else module
        view = _view(spec, module, revision=old.revision + 1)
        self.views[spec.name], self.modules[spec.name], self.specs[spec.name] = view, module, spec
        return view

    def list(self, workspace: WorkspaceName) -> list[AgentView]:
        """All of them, by name."""
        check_workspace(workspace)
        return [self.views[name] for name in sorted(self.views)]

    def get(self, workspace: WorkspaceName, name: AgentName) -> AgentView:
        """One of them."""
        check_workspace(workspace)
        if name not in self.views:
            raise AgentNotFound(name, nearest=nearest(name, self.views))
        return self.views[name]

    async def stop(self, workspace: WorkspaceName, name: AgentName, *, force: bool) -> AgentView:
        """Nothing is ever in work here, so `force` changes nothing."""
        del force
        view = self.get(workspace, name)
        if view.status == "stopped":
            raise AgentStateConflict(name, view.status, "start it first")
        view.status, view.healthy, view.uptime_s = "stopped", 0, None
        return view

    async def start(self, workspace: WorkspaceName, name: AgentName) -> AgentView:
        """Back to running."""
        view = self.get(workspace, name)
        if view.status == "running":
            raise AgentStateConflict(name, view.status, "stop it first")
        view.status, view.healthy, view.uptime_s = "running", view.replicas, 0.0
        return view

    async def scale(self, workspace: WorkspaceName, name: AgentName, replicas: int) -> AgentView:
        """Change a number."""
        view = self.get(workspace, name)
        view.replicas = replicas
        view.healthy = replicas if view.status == "running" else 0
        return view

    def settings(self, workspace: WorkspaceName, name: AgentName) -> AgentSettings:
        """What its spec says, and the defaults."""
        self.get(workspace, name)
        return settings_of(define(self.specs[name]))

    async def configure(self, workspace: WorkspaceName, name: AgentName, patch: AgentPatch) -> AgentSettings:
        """Checked as ever, and remembered."""
        view = self.get(workspace, name)
        spec = patched(self.specs[name], patch)
        settings = settings_of(define(spec))
        self.specs[name] = spec
        view.circuit_breaker, view.bulkhead = _guards(spec)
        return settings

    async def remove(self, workspace: WorkspaceName, name: AgentName, *, force: bool, forget: bool = False) -> None:
        """Forget it."""
        del force, forget
        self.get(workspace, name)
        del self.views[name], self.modules[name], self.specs[name]


def _view(spec: AgentSpec, module: bytes, *, revision: int) -> AgentView:
    name = parse_agent_name(spec.name)
    if len(module) > MAX_MODULE_BYTES:
        raise WasmTooLarge(len(module), MAX_MODULE_BYTES)
    if not module.startswith(EMPTY_MODULE[:4]):
        raise InvalidWasm("it does not begin like a WebAssembly module")
    resources = spec.resources
    circuit_breaker, bulkhead = _guards(spec)
    return AgentView(
        id=f"agent-{name}",
        name=name,
        workspace=DEFAULT_WORKSPACE,
        type="wasm",
        status="running",
        reason=None,
        replicas=spec.replicas,
        healthy=spec.replicas,
        revision=revision,
        version=spec.version,
        module_sha256=hashlib.sha256(module).hexdigest(),
        module_bytes=len(module),
        capabilities=[parse_capability(CapabilitySpec.of(capability).name) for capability in spec.capabilities],
        memory_limit_bytes=parse_size("10MiB" if resources.memory is None else resources.memory),
        memory_bytes=65536 * spec.replicas,
        timeout_s=parse_duration(5 if resources.timeout is None else resources.timeout),
        cpu_time_s=parse_duration(1 if resources.cpu_time is None else resources.cpu_time),
        mailbox_messages=0,
        mailbox_bytes=0,
        messages_handled=0,
        messages_failed=0,
        restarts=0,
        deployed_at=STARTED_AT,
        uptime_s=0.0,
        circuit_breaker=circuit_breaker,
        bulkhead=bulkhead,
    )


def _guards(spec: AgentSpec) -> tuple[CircuitBreakerView, BulkheadView]:
    """Nothing ever failed and nobody waits."""
    definition = define(spec)
    circuit = definition.circuit
    breaker = CircuitBreakerView(
        state="closed" if circuit.threshold else "off",
        failures=0,
        threshold=circuit.threshold,
        timeout_s=circuit.timeout_s,
        probes=circuit.probes,
    )
    return breaker, BulkheadView(waiting=0, max_waiting=definition.max_waiting)


class FakeMessages:
    """A bus on which every running agent answers `inform` with the content it was sent.

    Attributes:
        full: receivers whose mailbox is full.
        silent: receivers that never answer.
        failing: receivers that fail on every message.
        answered: set it to let an `ask` to a receiver in `slow` go on.
    """

    def __init__(self, agents: FakeAgents) -> None:
        self._agents = agents
        self._count = 0
        self.kept: dict[str, list[bytes]] = {}
        self.full: set[str] = set()
        self.silent: set[str] = set()
        self.failing: set[str] = set()
        self.slow: set[str] = set()
        self.asked, self.answered = asyncio.Event(), asyncio.Event()

    async def post(
        self, workspace: WorkspaceName, principal: Principal, message: AclMessage, *, durable: bool = True
    ) -> Receipt:
        """Keep it, and the answer of each agent that it reaches."""
        _, receipt = self._accept(workspace, principal, message)
        return receipt

    async def post_batch(
        self, workspace: WorkspaceName, principal: Principal, messages: list[AclMessage], *, durable: bool = True
    ) -> list[Receipt | CaxtonError]:
        """Each for itself."""
        return [self._try(workspace, principal, message) for message in messages]

    async def ask(
        self, workspace: WorkspaceName, principal: Principal, message: AclMessage, *, timeout_s: float
    ) -> bytes:
        """The answer of the first agent; time does not pass here, so a silent one times out at once."""
        names, receipt = self._accept(workspace, principal, message)
        self.asked.set()
        if names[0] in self.slow:
            await self.answered.wait()
        if names[0] in self.silent:
            raise ReplyTimeout(names[0], timeout_s, receipt.conversation_id)
        if names[0] in self.failing:
            reason = "it trapped"
            raise AgentFailed(names[0], reason, trap="unreachable", functions=["handle_message"], log=[])
        return self.kept[receipt.conversation_id][-1]

    async def conversation(self, workspace: WorkspaceName, conversation_id: str, *, limit: int) -> list[bytes]:
        """The last `limit`, oldest first."""
        check_workspace(workspace)
        return self.kept.get(conversation_id, [])[-limit:]

    def _try(self, workspace: WorkspaceName, principal: Principal, message: AclMessage) -> Receipt | CaxtonError:
        try:
            return self._accept(workspace, principal, message)[1]
        except CaxtonError as exc:
            return exc

    def _accept(self, workspace: WorkspaceName, principal: Principal, message: AclMessage) -> tuple[list[str], Receipt]:
        names = self._receivers(workspace, message)
        self._count += 1
        message.sender = f"client:{principal.name}"
        message.message_id = f"m-{self._count}"
        message.conversation_id = message.conversation_id or f"c-{self._count}"
        kept = self.kept.setdefault(message.conversation_id, [])
        kept.append(encode_message(message))
        for name in names:
            if name not in self.silent | self.failing:
                kept.append(encode_message(self._answer(name, message)))
                self._agents.views[name].messages_handled += 1
        return names, Receipt(message_id=message.message_id, conversation_id=message.conversation_id)

    def _receivers(self, workspace: WorkspaceName, message: AclMessage) -> list[str]:
        views = self._agents.list(workspace)
        if message.capability is not None:
            names = [view.name for view in views if message.capability in view.capabilities][:1]
            if not names:
                raise CapabilityNotFound(message.capability, [])
        else:
            names = [message.receiver] if isinstance(message.receiver, str) else message.receiver
        if not names or names == [""]:
            raise InvalidMessage("it names no receiver", field="receiver")
        known = {view.name for view in views}
        for name in names:
            if name not in known:
                raise UnknownReceiver(name)
            if name in self.full:
                raise MailboxFull(name, 10_000, 16 << 20)
        return names

    def _answer(self, name: str, message: AclMessage) -> AclMessage:
        self._count += 1
        return msgspec.structs.replace(
            message,
            performative="inform",
            sender=name,
            receiver=message.sender,
            capability=None,
            message_id=f"m-{self._count}",
            in_reply_to=message.reply_with,
            reply_with=None,
        )


class FakeLogs:
    """Log lines in a list. `write` adds one and wakes those who follow."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.followers = 0
        self._changed = asyncio.Event()

    def write(self, agent: str, text: str, *, level: str = "info", source: str = "guest") -> LogLine:
        """Add a line."""
        seq = len(self.lines) + 1
        line = LogLine(seq=seq, at=STARTED_AT, agent=agent, replica=0, level=level, source=source, text=text)
        self.lines.append(line)
        self._changed.set()
        self._changed = asyncio.Event()
        return line

    def tail(
        self,
        workspace: WorkspaceName,
        agents: list[str] | None,
        *,
        limit: int,
        since_s: float | None,
        level: str | None,
    ) -> list[LogLine]:
        """The clock stands still here: `since_s` cuts nothing off unless it is 0."""
        check_workspace(workspace)
        gravest = 0 if level is None else LEVELS.index(level)
        lines = [line for line in self._of(agents) if LEVELS.index(line.level) >= gravest]
        return [] if since_s == 0 else lines[-limit:]

    async def follow(
        self, workspace: WorkspaceName, agents: list[str] | None, *, after_seq: int
    ) -> AsyncIterator[LogLine]:
        """Never skips: a fake has room for all lines."""
        check_workspace(workspace)
        self.followers += 1
        try:
            while True:
                changed = self._changed
                for line in [line for line in self._of(agents) if line.seq > after_seq]:
                    after_seq = line.seq
                    yield line
                if changed is self._changed:
                    await changed.wait()
        finally:
            self.followers -= 1

    def _of(self, agents: list[str] | None) -> list[LogLine]:
        return [line for line in self.lines if agents is None or line.agent in agents]


class FakeServer:
    """A server that is whatever the test says."""

    def __init__(self, agents: FakeAgents, letters: FakeDeadLetters) -> None:
        self._agents, self._letters = agents, letters
        self.is_ready = True

    def letters_waiting(self) -> int:
        """Those that were not replayed."""
        return sum(letter.replayed_at is None for letter in self._letters.letters.values())

    def view(self) -> ServerView:
        """Facts, some of them counted."""
        counts: dict[str, int] = {}
        for agent in self._agents.views.values():
            counts[agent.status] = counts.get(agent.status, 0) + 1
        return ServerView(
            status="ready" if self.is_ready else "starting",
            version="0.0.0",
            pid=1,
            started_at=STARTED_AT,
            uptime_s=1.0,
            data_dir="/nowhere",
            agents=counts,
            instances=sum(agent.healthy for agent in self._agents.views.values()),
            messages_handled=sum(agent.messages_handled for agent in self._agents.views.values()),
            messages_pending=0,
            dead_letters=self.letters_waiting(),
        )

    def ready(self) -> bool:
        """As set."""
        return self.is_ready

    def metrics(self) -> bytes:
        """One gauge."""
        return f"# TYPE caxton_agents gauge\ncaxton_agents {len(self._agents.views)}\n".encode()


class FakeStorage:
    """A journal that says what the test says."""

    def __init__(self) -> None:
        self.report = VerifyReport(ok=True, rows={"messages": 3}, unchecked=0, findings=[])
        self.is_full = False

    async def view(self) -> StorageView:
        """Round figures."""
        return StorageView(
            path="/nowhere/journal.db", status="read-only" if self.is_full else "writable",
            causes=["disk-full"] if self.is_full else [], journal_bytes=1 << 20, file_bytes=2 << 20, wal_bytes=4096,
            ballast_bytes=0 if self.is_full else 32 << 20, free_bytes=1 << 30, limits={"journal": 8 << 30},
            rows={"pending": 2, "kept": 3, "dead_letters": 0}, oldest={"pending": STARTED_AT}, commits=7,
            failures={"full": 0, "io": 0, "other": 0},
        )  # fmt: skip

    async def verify(self) -> VerifyReport:
        """As set."""
        return self.report

    async def compact(self) -> CompactReport:
        """Half of it is gone."""
        return CompactReport(pruned=1, before_bytes=2 << 20, after_bytes=1 << 20)


@dataclass
class FakeNode:
    """All fakes, joined. Make it inside the event loop that uses it."""

    agents: FakeAgents = field(default_factory=FakeAgents)
    capabilities: FakeCapabilities = field(default_factory=FakeCapabilities)
    messages: FakeMessages = field(init=False)
    conversations: FakeConversations = field(init=False)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    tasks: FakeTasks = field(init=False)
    workspaces: FakeWorkspaces = field(default_factory=FakeWorkspaces)
    logs: FakeLogs = field(default_factory=FakeLogs)
    sniff: FakeSniff = field(init=False)
    storage: FakeStorage = field(default_factory=FakeStorage)
    server: FakeServer = field(init=False)

    def __post_init__(self) -> None:
        self.messages = FakeMessages(self.agents)
        self.sniff = FakeSniff(lambda: self.agents.views)
        self.conversations = FakeConversations(self.messages.kept)
        self.tasks = FakeTasks(lambda name: name in self.agents.views)
        self.server = FakeServer(self.agents, self.dead_letters)

    @property
    def services(self) -> Services:
        """As the API takes them."""
        return Services(
            conversations=self.conversations,
            agents=self.agents, capabilities=self.capabilities, messages=self.messages,
            dead_letters=self.dead_letters, tasks=self.tasks,
            logs=self.logs, sniff=self.sniff, storage=self.storage, server=self.server,
            workspaces=self.workspaces,
        )  # fmt: skip
