"""`api.services.AgentService` in memory: no module is compiled, nothing is kept on disk."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from caxton.agents.definition import define
from caxton.agents.settings import patched, settings_of
from caxton.core.errors.agents import AgentAlreadyExists, AgentNotFound, AgentStateConflict
from caxton.core.errors.modules import InvalidWasm, WasmTooLarge
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, AgentName, WorkspaceName, parse_agent_name, parse_capability
from caxton.core.suggest import nearest
from caxton.core.units import parse_duration, parse_size
from caxton.core.views.agents import AgentSpec, AgentView, BulkheadView, CapabilitySpec, CircuitBreakerView
from caxton.testing.fakes.server import STARTED_AT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.core.views.settings import AgentPatch, AgentSettings


EMPTY_MODULE = b"\0asm\1\0\0\0"
"""The smallest WebAssembly module."""

MAX_MODULE_BYTES = 10 << 20


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

    def meant_to_run(self, workspace: WorkspaceName) -> Sequence[str]:
        """All but those that were stopped."""
        return [view.name for view in self.list(workspace) if view.status != "stopped"]

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
