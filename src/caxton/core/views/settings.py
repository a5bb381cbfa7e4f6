"""What can be set while the node runs, and what is set."""

from __future__ import annotations

import msgspec


class CircuitBreakerPatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """As `CircuitBreaker`: what is left out stays, null is the default again."""

    threshold: int | str | bool | msgspec.UnsetType | None = msgspec.UNSET
    timeout: str | int | float | msgspec.UnsetType | None = msgspec.UNSET
    probes: int | msgspec.UnsetType | None = msgspec.UNSET


class BulkheadPatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """As `Bulkhead`: what is left out stays, null is the default again."""

    max_waiting: int | msgspec.UnsetType | None = msgspec.UNSET


class ResourcesPatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Those of `Resources` that need no new instance: what is left out stays, null is the default again."""

    messages_per_s: int | msgspec.UnsetType | None = msgspec.UNSET
    mailbox_messages: int | msgspec.UnsetType | None = msgspec.UNSET
    mailbox_bytes: str | int | msgspec.UnsetType | None = msgspec.UNSET


class AgentPatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Settings of an agent to change while it runs."""

    circuit_breaker: CircuitBreakerPatch = msgspec.field(default_factory=CircuitBreakerPatch)
    bulkhead: BulkheadPatch = msgspec.field(default_factory=BulkheadPatch)
    resources: ResourcesPatch = msgspec.field(default_factory=ResourcesPatch)
    record: bool | msgspec.UnsetType | None = msgspec.UNSET
    """Switched on, its instances are replaced by new ones: what is replayed must be known from its start."""


class LiveCircuitBreaker(msgspec.Struct, kw_only=True):
    """Settings of a circuit breaker as they hold."""

    threshold: int
    """0: off."""
    timeout_s: float
    probes: int


class LiveBulkhead(msgspec.Struct, kw_only=True):
    """Settings of a bulkhead as they hold."""

    max_waiting: int


class LiveResources(msgspec.Struct, kw_only=True):
    """Those limits that can be changed while an agent runs, as they hold."""

    messages_per_s: int
    mailbox_messages: int
    mailbox_bytes: int


class AgentSettings(msgspec.Struct, kw_only=True):
    """The settings of an agent that can be changed while it runs, as they hold."""

    name: str
    circuit_breaker: LiveCircuitBreaker
    bulkhead: LiveBulkhead
    resources: LiveResources
    record: bool


class ConversationsPatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How the conversations of a workspace are watched: what is left out stays, null is the default again."""

    mode: str | msgspec.UnsetType | None = msgspec.UNSET
    """`strict`, `enforce`, `warn` or `off`; the default is what the server's own configuration says."""


class McpPatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a workspace exposes to MCP clients: what is left out stays, null is the default again."""

    expose: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    """`agent:NAME` and `capability:NAME`: each is a tool of that name. The default is none."""


class WorkspacePatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Settings of a workspace to change while the server runs."""

    conversations: ConversationsPatch = msgspec.field(default_factory=ConversationsPatch)
    mcp: McpPatch = msgspec.field(default_factory=McpPatch)


class LiveConversations(msgspec.Struct, kw_only=True):
    """How the conversations of a workspace are watched."""

    mode: str | None
    """The workspace's own; null: it has none."""
    effective_mode: str
    """What holds: its own, or else that of the server."""


class LiveMcp(msgspec.Struct, kw_only=True):
    """What a workspace exposes to MCP clients."""

    expose: list[str]


class WorkspaceSettings(msgspec.Struct, kw_only=True):
    """The settings of a workspace, all of which can be changed while the server runs."""

    workspace: str
    conversations: LiveConversations
    mcp: LiveMcp
