"""An agent: what is asked of the node, and what it says of one."""

from __future__ import annotations

import msgspec

from caxton.core.ids import DEFAULT_CAPABILITY_PRIORITY


class Resources(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Limits of one agent as a person asks for them; what is left out keeps the server's default.

    Sizes and durations are numbers (bytes, seconds) or texts like `16MB` and `5s`.
    """

    memory: str | int | None = None
    """Linear memory of each instance. Default 10 MiB."""
    timeout: str | int | float | None = None
    """Wall time of one message, waiting included. Default 5 s."""
    cpu_time: str | int | float | None = None
    """Time one message may compute. Default 1 s."""
    messages_per_s: int | None = None
    """Messages each instance may send in a second."""
    log_bytes_per_s: str | int | None = None
    """Log text each instance may write in a second."""
    host_calls: int | None = None
    """Host functions one message may call."""
    table_elements: int | None = None
    mailbox_messages: int | None = None
    mailbox_bytes: str | int | None = None


class CircuitBreaker(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When an agent that fails is left alone for a while; what is left out keeps the default."""

    threshold: int | str | bool | None = None
    """Failed handlings in a row that open the circuit. `off`, false or 0: none do. Default 5."""
    timeout: str | int | float | None = None
    """How long its mail then waits before it is tried again. Default 10 s."""
    probes: int | None = None
    """How many messages must then succeed before the rest follows. Default 1."""


class Bulkhead(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How many one agent may keep busy; what is left out keeps the default."""

    max_waiting: int | None = None
    """Callers outside who wait for its replies at once. Default 1,000."""


class ToolGrant(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which tools an agent may call, and how much; without it none."""

    required: list[str] = []
    """`SOURCE.TOOL`, `SOURCE.BEGINNING*` or `SOURCE.*`."""
    calls_per_s: float | None = None
    """Of all tools together. Default 100."""
    max_calls: int | None = None
    """Since it was deployed. Default any number."""
    max_cost: float | None = None
    """Of all its calls together. Default anything."""


class CapabilitySpec(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Something that an agent offers."""

    name: str
    priority: int = DEFAULT_CAPABILITY_PRIORITY
    """0 to 1000: what `best` goes by among those who offer the same."""

    @classmethod
    def of(cls, asked: str | CapabilitySpec) -> CapabilitySpec:
        """A name alone has the usual priority."""
        return cls(name=asked) if isinstance(asked, str) else asked


class AgentSpec(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What to deploy, beside the module's bytes. Also the shape of an agent-config.yaml."""

    name: str
    version: str | None = None
    """A label of the user's own."""
    runtime: str = "wasm"
    replicas: int = 1
    capabilities: list[str | CapabilitySpec] = []
    groups: list[str] = []
    """Groups that it belongs to; `broadcast://GROUP` reaches all their members."""
    resources: Resources = Resources()
    circuit_breaker: CircuitBreaker = CircuitBreaker()
    bulkhead: Bulkhead = Bulkhead()
    tools: ToolGrant = ToolGrant()
    record: bool = False
    """Keep what its instances are given and do, for `caxton replay`."""


class CircuitBreakerView(msgspec.Struct, kw_only=True):
    """A circuit breaker as it is now."""

    state: str
    """`closed` (mail flows), `open` (it waits), `half_open` (it is tried) or `off`."""
    failures: int
    """Handlings that failed since the last that succeeded."""
    threshold: int
    """0: off."""
    timeout_s: float
    probes: int
    retry_at: str | None = None
    """When an open one lets the next message through; ISO 8601, UTC."""


class BulkheadView(msgspec.Struct, kw_only=True):
    """A bulkhead as it is now."""

    waiting: int
    """Callers who wait for a reply."""
    max_waiting: int


class AgentView(msgspec.Struct, kw_only=True):
    """One agent as it is now."""

    id: str
    name: str
    workspace: str
    type: str
    """`wasm`."""
    status: str
    """`loaded`, `running`, `draining`, `stopped` or `failed`."""
    reason: str | None
    """Why it failed or stopped, when there is something to say."""
    replicas: int
    healthy: int
    """Instances that are up."""
    revision: int
    """Counts the modules and settings deployed under this name, from 1."""
    version: str | None
    module_sha256: str
    module_bytes: int
    capabilities: list[str]
    memory_limit_bytes: int
    memory_bytes: int
    """Linear memory of all instances together."""
    timeout_s: float
    cpu_time_s: float
    mailbox_messages: int
    mailbox_bytes: int
    messages_handled: int
    messages_failed: int
    restarts: int
    deployed_at: str
    """ISO 8601, UTC."""
    uptime_s: float | None
    """Since it was last started; null unless running."""
    circuit_breaker: CircuitBreakerView
    bulkhead: BulkheadView
