"""Deploy, change, stop and show agents. Every change is on disk before its caller hears of it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import msgspec

from caxton.agents.counts import AgentCounts
from caxton.agents.definition import Definition, check_replicas, define
from caxton.agents.modules import Modules
from caxton.agents.settings import patched, settings_of
from caxton.agents.store import (
    AgentRow,
    delete_agent,
    delete_unused_modules,
    load_agents,
    load_module,
    put_agent,
    put_module,
)
from caxton.agents.supervisor import BootError, Supervisor
from caxton.agents.tools import NoTools, ToolDoor
from caxton.agents.views import view_of
from caxton.bus.mailbox import Receiver
from caxton.bus.recovery import load_state
from caxton.core.crash import crash_point
from caxton.core.errors.agents import (
    AgentAlreadyExists,
    AgentNotFound,
    AgentStateConflict,
    DeploymentFailed,
    TooManyInstances,
)
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.storage import StorageFailed
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, RESERVED_NAMES, AgentName, WorkspaceName
from caxton.core.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from caxton.agents.circuit import Circuit
    from caxton.agents.tools import Tools
    from caxton.bus.bus import Bus
    from caxton.bus.journal import Journal
    from caxton.core.clock import Clock
    from caxton.core.views.agents import AgentSpec, AgentView
    from caxton.core.views.settings import AgentPatch, AgentSettings
    from caxton.logs.book import LogBook
    from caxton.replay.store import Store
    from caxton.sandbox.compile import Compiler
    from caxton.sandbox.engine import Engine
    from caxton.sandbox.module import Module
    from caxton.storage.database import Database
    from caxton.tools.grants import Grant

logger = logging.getLogger(__name__)

MAX_INSTANCES = 10_000
"""Each holds six memory maps once it has run, and Linux gives a process 65,530 of them by default."""

LOG_LINES_IN_ERRORS = 10

TOOLS_S = 2.0
"""How long a stop waits for tools, and for people who have to allow a call; then their messages come again in the next
run."""


class _Agent:
    """A deployed agent: its row and who supervises it."""

    def __init__(self, row: AgentRow, supervisor: Supervisor, module_bytes: int) -> None:
        self.row = row
        self.supervisor = supervisor
        self.module_bytes = module_bytes


class AgentService:
    """The agents of one node. Changes of one agent wait for each other; those of different agents do not."""

    def __init__(
        self, *, engine: Engine, compiler: Compiler, bus: Bus, journal: Journal, log: LogBook, clock: Clock,
        max_instances: int = MAX_INSTANCES, recordings: Store | None = None,
        stored_module: Callable[[str], bytes | None] = lambda _sha256: None,
        tools: Tools | None = None,
    ) -> None:  # fmt: skip
        """`stored_module` reads a module that was deployed, by its SHA-256."""
        self._bus, self._journal = bus, journal
        self._log, self._clock, self._max_instances = log, clock, max_instances
        self._recordings, self._stored_module = recordings, stored_module
        self._tools = ToolDoor(NoTools() if tools is None else tools, bus.flight, clock)
        self._agents: dict[tuple[str, str], _Agent] = {}
        self._booting = 0
        self.counted = AgentCounts()
        self.on_removed: Callable[[str, str], None] = lambda _workspace, _name: None
        self.on_granted: Callable[[str, str, Grant], None] = lambda _workspace, _name, _grant: None
        """Told which tools an agent may call from now on."""
        """An agent, or its name, is gone; what this changes is on disk together with it."""
        self._modules = Modules(engine, compiler, self._modules_in_use)
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    # --- reading ---------------------------------------------------------------------------------------------

    def list(self, workspace: WorkspaceName) -> list[AgentView]:
        """All agents of a workspace in order of name."""
        self._check_workspace(workspace)
        return [self._view(agent) for key, agent in sorted(self._agents.items()) if key[0] == workspace]

    def get(self, workspace: WorkspaceName, name: AgentName) -> AgentView:
        """Raises `AgentNotFound`."""
        return self._view(self._find(workspace, name))

    def supervisor(self, workspace: WorkspaceName, name: AgentName) -> Supervisor:
        """Who has its instances, for those who look into them. Raises `AgentNotFound`."""
        return self._find(workspace, name).supervisor

    def counts(self) -> dict[str, int]:
        """Agents by status."""
        counts: dict[str, int] = {}
        for agent in self._agents.values():
            phase = agent.supervisor.state.phase
            counts[phase] = counts.get(phase, 0) + 1
        return counts

    @property
    def instances(self) -> int:
        return sum(agent.supervisor.healthy for agent in self._agents.values())

    @property
    def memory_bytes(self) -> int:
        return sum(agent.supervisor.memory_bytes for agent in self._agents.values())

    @property
    def restarts(self) -> int:
        return sum(self.counted.restarts.values())

    def circuit_states(self) -> dict[str, int]:
        """Agents by the state of their circuit breaker."""
        return Counter(agent.supervisor.circuit.phase for agent in self._agents.values())

    def all_supervisors(self) -> list[Supervisor]:
        """Of all agents, in no order."""
        return [agent.supervisor for agent in self._agents.values()]

    def meant_to_run(self, workspace: WorkspaceName) -> list[str]:
        """Names of the agents that nobody has stopped, whether or not they run."""
        self._check_workspace(workspace)
        ended = ("stopped", "draining")
        agents = self._agents.items()
        return sorted(
            name for (w, name), agent in agents if w == workspace and agent.supervisor.state.phase not in ended
        )

    def supervisors(self, workspace: WorkspaceName) -> dict[str, Supervisor]:
        """Who looks after each agent of a workspace, by name."""
        return {name: agent.supervisor for (where, name), agent in self._agents.items() if where == workspace}

    def circuit(self, workspace: str, name: str) -> Circuit | None:
        """What guards it, or None when there is no such agent."""
        agent = self._agents.get((workspace, name))
        return None if agent is None else agent.supervisor.circuit

    def settings(self, workspace: WorkspaceName, name: AgentName) -> AgentSettings:
        """Those of its settings that `configure` changes. Raises `AgentNotFound`."""
        return settings_of(self._find(workspace, name).supervisor.definition)

    def state(self, workspace: str, name: str) -> str | None:
        """Its phase, or None when there is no such agent."""
        agent = self._agents.get((workspace, name))
        return None if agent is None else agent.supervisor.state.phase

    # --- changing --------------------------------------------------------------------------------------------

    async def deploy(self, workspace: WorkspaceName, spec: AgentSpec, module: bytes) -> AgentView:
        """Compile, start and keep a new agent. If anything fails, nothing has changed.

        Raises:
            InvalidName, InvalidValue: `spec` breaks a rule.
            AgentAlreadyExists: the name is taken.
            InvalidWasm, WasmTooLarge, CompileLimitExceeded: `module` cannot be hosted.
            DeploymentFailed: it did not start.
        """
        with self.counted.deployment():
            return await self._deploy(workspace, spec, module)

    async def _deploy(self, workspace: WorkspaceName, spec: AgentSpec, module: bytes) -> AgentView:
        self._check_workspace(workspace)
        self._bus.intake.check()
        definition = define(spec)
        async with self._turn(workspace, definition.name):
            if (workspace, definition.name) in self._agents:
                raise AgentAlreadyExists(definition.name)
            with self._room(definition.replicas):
                async with self._modules.load(module, definition.limits) as compiled:
                    row = self._row(workspace, spec, module, revision=1)
                    await self._keep_for_replay(definition, row.module_sha256, module)
                    agent = self._make(row, definition, compiled, len(module))
                    await self._start_new(agent, module)
            crash_point("deploy.started")
            await self._journal.commit()
            crash_point("deploy.committed")
            return self._view(agent)

    async def replace(self, workspace: WorkspaceName, spec: AgentSpec, module: bytes | None) -> AgentView:
        """Put a new version: module, settings or both. If it does not start, the old one has never stopped."""
        with self.counted.deployment():
            return await self._replace(workspace, spec, module)

    async def _replace(self, workspace: WorkspaceName, spec: AgentSpec, module: bytes | None) -> AgentView:
        self._bus.intake.check()
        definition = define(spec)
        async with self._turn(workspace, definition.name):
            agent = self._find(workspace, definition.name)
            with self._room(definition.replicas):
                if module is None:
                    await self._replace_settings(agent, definition)
                else:
                    await self._replace_module(agent, definition, module)
            crash_point("replace.swapped")
            self._configure(agent.supervisor.receiver, definition)
            agent.row = msgspec.structs.replace(
                agent.row, spec=spec, revision=agent.row.revision + 1, deployed_us=self._clock.wall_us()
            )
            await self._keep(agent)
            return self._view(agent)

    async def _replace_settings(self, agent: _Agent, definition: Definition) -> None:
        supervisor = agent.supervisor
        if not supervisor.has_module:
            error = BootError(supervisor.state.reason or "its module is missing; put it again")
            raise self._deployment_failed(agent.row.workspace, definition.name, error)
        supervisor.module.check_limits(definition.limits)
        await self._keep_for_replay(definition, agent.row.module_sha256)
        await self._swap(agent, definition, supervisor.module)

    async def _replace_module(self, agent: _Agent, definition: Definition, module: bytes) -> None:
        async with self._modules.load(module, definition.limits) as compiled:
            await self._keep_for_replay(definition, compiled.sha256, module)
            await self._swap(agent, definition, compiled)
        agent.row.module_sha256, agent.module_bytes = hashlib.sha256(module).hexdigest(), len(module)
        put_module(self._journal, agent.row.module_sha256, module)
        put_agent(self._journal, agent.row)
        delete_unused_modules(self._journal)

    async def _keep_for_replay(self, definition: Definition, sha256: str, wasm: bytes | None = None) -> None:
        """An agent that records needs its module for replays, also when it has another one by then."""
        recordings = self._recordings
        if not definition.record or recordings is None or not recordings.wants_module(sha256):
            return
        try:
            if (wasm := wasm or self._stored_module(sha256)) is not None:
                await _write_module(recordings, sha256, wasm)
        except (OSError, StorageFailed) as exc:  # it is needed more than its recording
            facts = {"action": "replay.no_module", "agent": definition.name, "sha256": sha256}
            logger.warning("a module could not be kept for replays", exc_info=exc, extra=facts)

    async def _swap(self, agent: _Agent, definition: Definition, module: Module) -> None:
        try:
            await agent.supervisor.replace(definition, module)
        except BootError as exc:
            raise self._deployment_failed(agent.row.workspace, definition.name, exc) from exc

    async def stop(self, workspace: WorkspaceName, name: AgentName, *, force: bool) -> AgentView:
        """Stop it; its mail waits. Stopping a stopped agent changes nothing."""
        agent = self._find(workspace, name)
        if force:  # not behind a drain that may be under way
            await agent.supervisor.stop(force=True)
        async with self._turn(workspace, name):
            agent = self._find(workspace, name)  # it may have been removed meanwhile
            await agent.supervisor.stop(force=force)
            await self._keep(agent)
            return self._view(agent)

    async def start(self, workspace: WorkspaceName, name: AgentName) -> AgentView:
        """Start a stopped or failed agent. Raises `AgentStateConflict`, `DeploymentFailed`."""
        async with self._turn(workspace, name):
            agent = self._find(workspace, name)
            if agent.supervisor.state.phase not in ("stopped", "failed"):
                raise AgentStateConflict(
                    name, agent.supervisor.state.phase, "only a stopped or failed agent can be started"
                )
            try:
                with self._room(agent.supervisor.definition.replicas):
                    await agent.supervisor.start()
            except BootError as exc:
                await self._keep(agent)
                raise self._deployment_failed(workspace, name, exc) from exc
            await self._keep(agent)
            return self._view(agent)

    async def scale(self, workspace: WorkspaceName, name: AgentName, replicas: int) -> AgentView:
        """Raises `InvalidValue`, `DeploymentFailed`; then nothing has changed."""
        check_replicas(replicas)
        async with self._turn(workspace, name):
            agent = self._find(workspace, name)
            spec = msgspec.structs.replace(agent.row.spec, replicas=replicas)
            try:
                with self._room(replicas - agent.supervisor.definition.replicas):
                    await agent.supervisor.scale(define(spec))
            except BootError as exc:
                raise self._deployment_failed(workspace, name, exc) from exc
            agent.row = msgspec.structs.replace(agent.row, spec=spec)
            await self._keep(agent)
            return self._view(agent)

    async def configure(self, workspace: WorkspaceName, name: AgentName, patch: AgentPatch) -> AgentSettings:
        """Change settings; they hold at once, and until another revision is put.

        None of them needs a new instance but `record`: switched on, new instances take over between two messages,
        since what is replayed must be known from its start. Once more on, it begins new recordings.

        Raises: AgentNotFound, InvalidValue, DeploymentFailed; then nothing has changed.
        """
        async with self._turn(workspace, name):
            agent = self._find(workspace, name)
            spec = patched(agent.row.spec, patch)
            definition = define(spec)
            if patch.record is True and agent.supervisor.has_module:
                with self._room(definition.replicas):
                    await self._replace_settings(agent, definition)
            else:
                agent.supervisor.configure(definition)
            self._configure(agent.supervisor.receiver, definition)
            agent.row = msgspec.structs.replace(agent.row, spec=spec)
            await self._keep(agent)
            return settings_of(definition)

    async def remove(self, workspace: WorkspaceName, name: AgentName, *, force: bool, forget: bool = False) -> None:
        """Stop it and forget it with its state; unhandled mail becomes dead letters.

        Later mail waits for the next agent of the name, unless the name is to be forgotten too (`forget`), which can
        also be asked for when the agent is gone already.
        """
        is_known = name in self._bus.names.directory(workspace).known and name not in RESERVED_NAMES
        if forget and (workspace, name) not in self._agents and is_known:
            self._bus.names.forget(workspace, name)
            self.on_removed(workspace, name)
            await self._journal.commit()
            return
        agent = self._find(workspace, name)
        if force:
            await agent.supervisor.stop(force=True)
        async with self._turn(workspace, name):
            agent = self._find(workspace, name)
            await agent.supervisor.stop(force=force)
            agent.supervisor.close()
            self._bus.names.remove(agent.supervisor.receiver)
            self.on_removed(workspace, name)
            if forget:
                self._bus.names.forget(workspace, name)
            del self._agents[workspace, name]
            self._log.forget(workspace, name)
            delete_agent(self._journal, workspace, name)
            delete_unused_modules(self._journal)
            crash_point("remove.done")
            await self._journal.commit()
            self._modules.drop_unused()

    # --- start and end of the node ---------------------------------------------------------------------------

    def recover(self, database: Database) -> dict[str, bytes]:
        """Read the agents back, each stopped as yet; returns the modules they need: SHA-256 → WebAssembly."""
        modules: dict[str, bytes] = {}
        for row in load_agents(database):
            if row.module_sha256 not in modules:
                modules[row.module_sha256] = load_module(database, row.module_sha256) or b""
            definition = define(row.spec)
            supervisor = self._supervisor(row.workspace, definition, None)
            agent = _Agent(row, supervisor, len(modules[row.module_sha256]))
            load_state(database, supervisor.receiver)
            self._agents[row.workspace, row.name] = agent
            self._bus.names.add(supervisor.receiver)
        return modules

    async def start_recovered(self, modules: dict[str, bytes]) -> None:
        """Start again what ran when the node last stopped. An agent that does not start has failed; the others do."""
        with self._modules.wanted(*modules):  # until all have theirs: to look who uses one takes a look at all
            for agent in list(self._agents.values()):
                await self._start_recovered(agent, modules[agent.row.module_sha256])

    async def _start_recovered(self, agent: _Agent, wasm: bytes) -> None:
        definition = agent.supervisor.definition
        try:
            async with self._modules.load(wasm, definition.limits) as module:
                agent.supervisor.module = module
            await self._keep_for_replay(definition, agent.row.module_sha256, wasm)
            if agent.row.phase in ("running", "draining", "loaded"):
                await agent.supervisor.start()
            else:
                agent.supervisor.restore(agent.row.phase, agent.row.reason)
        except (BootError, CaxtonError) as exc:
            agent.supervisor.restore("failed", str(exc))

    async def drain(self) -> None:
        """Let every message in hand come to its end, then tell the guests (`agent_shutdown`)."""
        queues = self._bus.queues
        boxes = [box for receiver in self._bus.names.receivers() for box in receiver.mailboxes]
        try:
            async with asyncio.timeout(TOOLS_S):
                await queues.wait_until_free(boxes)
        except TimeoutError:
            queues.give_back()
            await queues.wait_until_free(boxes)
        running = [a.supervisor for a in self._agents.values() if a.supervisor.state.phase == "running"]
        await asyncio.gather(*(supervisor.say_goodbye() for supervisor in running))

    def close(self) -> None:
        """Free all instances. Their agents are not stopped: they start with the next node."""
        for agent in self._agents.values():
            agent.supervisor.close()
        self._modules.close()

    # --- inside ----------------------------------------------------------------------------------------------

    def _find(self, workspace: str, name: str) -> _Agent:
        self._check_workspace(workspace)
        agent = self._agents.get((workspace, name))
        if agent is None:
            raise AgentNotFound(name, nearest=nearest(name, (n for w, n in self._agents if w == workspace)))
        return agent

    def _turn(self, workspace: str, name: str) -> asyncio.Lock:
        """The lock of one agent's changes; it is there as long as somebody holds it or waits for it."""
        return self._turns.setdefault((workspace, name), asyncio.Lock())

    def _check_workspace(self, workspace: str) -> None:
        if workspace != DEFAULT_WORKSPACE:
            raise WorkspaceNotFound(workspace)

    @contextmanager
    def _room(self, more: int) -> Generator[None]:
        """Room for `more` instances while they are being made; once they are up they count by themselves."""
        if self.instances + self._booting + more > self._max_instances:
            raise TooManyInstances(self._max_instances)
        self._booting += max(more, 0)
        try:
            yield
        finally:
            self._booting -= max(more, 0)

    def _row(self, workspace: str, spec: AgentSpec, module: bytes, *, revision: int) -> AgentRow:
        return AgentRow(
            workspace=workspace, name=spec.name, id=str(uuid.uuid4()), revision=revision, spec=spec,
            module_sha256=hashlib.sha256(module).hexdigest(), phase="running", reason=None,
            deployed_us=self._clock.wall_us(),
        )  # fmt: skip

    def _make(self, row: AgentRow, definition: Definition, module: Module, module_bytes: int) -> _Agent:
        return _Agent(row, self._supervisor(row.workspace, definition, module), module_bytes)

    def _supervisor(self, workspace: str, definition: Definition, module: Module | None) -> Supervisor:
        def receiver_of(supervisor: Supervisor) -> Receiver:
            directory = self._bus.names.directory(workspace)
            return self._configure(Receiver(directory, definition.name, supervisor), definition)

        return Supervisor(
            receiver_of, self._bus, self._log, self._clock, definition, module, self._phase_changed, self.counted,
            self._tools, recordings=self._recordings,
        )  # fmt: skip

    def _configure(self, receiver: Receiver, definition: Definition) -> Receiver:
        receiver.max_messages, receiver.max_bytes = definition.mailbox_messages, definition.mailbox_bytes
        receiver.messages_per_s = definition.limits.messages_per_s
        receiver.groups = definition.groups
        self.on_granted(receiver.workspace, receiver.name, definition.tools)
        if not receiver.deployed:
            receiver.offer(deployed=definition.capabilities)
        return receiver

    async def _start_new(self, agent: _Agent, module: bytes) -> None:
        """Start an agent that is not yet known; it is, and kept, from the moment in which its first effects happen."""
        key = agent.row.workspace, agent.row.name

        def keep() -> None:
            self._agents[key] = agent
            self._bus.names.add(agent.supervisor.receiver)
            put_module(self._journal, agent.row.module_sha256, module)
            put_agent(self._journal, agent.row)
            self._journal.put_name(*key, known=True)
            crash_point("deploy.kept")

        try:
            await agent.supervisor.start(keep)
        except BootError as exc:
            error = self._deployment_failed(agent.row.workspace, agent.row.name, exc)
            self._undo(agent)
            raise error from exc
        except BaseException:  # whoever asked for it is gone
            if key not in self._agents:
                self._undo(agent)
            raise

    def _undo(self, agent: _Agent) -> None:
        agent.supervisor.close()
        self._log.forget(agent.row.workspace, agent.row.name)

    def _deployment_failed(self, workspace: str, name: str, error: BootError) -> DeploymentFailed:
        return DeploymentFailed(name, error.reason, log=self.last_lines(workspace, name))

    def last_lines(self, workspace: str, name: str) -> list[str]:
        """The end of an agent's log, for errors that its caller gets to see."""
        return [line.text for line in self._log.tail(workspace, [name], limit=LOG_LINES_IN_ERRORS)]

    async def _keep(self, agent: _Agent) -> None:
        state = agent.supervisor.state
        agent.row.phase, agent.row.reason = state.phase, state.reason
        put_agent(self._journal, agent.row)
        crash_point("change.kept")
        await self._journal.commit()

    def _phase_changed(self, supervisor: Supervisor) -> None:
        """A failure must outlive a restart of the node, though nobody asked for it."""
        agent = self._agents.get((supervisor.receiver.workspace, supervisor.name))
        if agent is not None and supervisor.state.phase == "failed" and agent.row.phase != "failed":
            agent.row.phase, agent.row.reason = "failed", supervisor.state.reason
            put_agent(self._journal, agent.row)
            self._journal.touch()

    def _view(self, agent: _Agent) -> AgentView:
        return view_of(agent.row, agent.supervisor, agent.module_bytes, self._clock.monotonic())

    def _modules_in_use(self) -> list[Module]:
        supervisors = [agent.supervisor for agent in self._agents.values()]
        return [supervisor.module for supervisor in supervisors if supervisor.has_module]


async def _write_module(recordings: Store, sha256: str, wasm: bytes) -> None:
    """In a thread: it may have megabytes. Raises OSError. If cancelled, what is written is still known to the store."""
    writing = asyncio.ensure_future(asyncio.to_thread(recordings.write_module, sha256, wasm))

    def written(done: asyncio.Future[None]) -> None:
        if not done.cancelled() and done.exception() is None:
            recordings.keep_module(sha256, len(wasm))

    writing.add_done_callback(written)
    await asyncio.shield(writing)
