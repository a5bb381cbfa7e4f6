"""Settings that change while an agent runs: a patch onto its spec, and what then holds. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from caxton.core.views.settings import AgentSettings, LiveBulkhead, LiveCircuitBreaker, LiveResources

if TYPE_CHECKING:
    from caxton.agents.definition import Definition
    from caxton.core.views.agents import AgentSpec
    from caxton.core.views.settings import AgentPatch

Group = TypeVar("Group", bound=msgspec.Struct)


def patched(spec: AgentSpec, patch: AgentPatch) -> AgentSpec:
    """`spec` with what `patch` says; what it leaves out stays, None is the default again. Values are not checked."""
    return msgspec.structs.replace(
        spec,
        circuit_breaker=_with(spec.circuit_breaker, patch.circuit_breaker),
        bulkhead=_with(spec.bulkhead, patch.bulkhead),
        resources=_with(spec.resources, patch.resources),
        record=spec.record if patch.record is msgspec.UNSET else bool(patch.record),
    )


def _with(group: Group, patch: msgspec.Struct) -> Group:
    said = {name: getattr(patch, name) for name in patch.__struct_fields__}
    return msgspec.structs.replace(group, **{name: value for name, value in said.items() if value is not msgspec.UNSET})


def settings_of(definition: Definition) -> AgentSettings:
    """The settings that hold for `definition`, those that a patch can change."""
    circuit = definition.circuit
    return AgentSettings(
        name=definition.name,
        circuit_breaker=LiveCircuitBreaker(
            threshold=circuit.threshold, timeout_s=circuit.timeout_s, probes=circuit.probes
        ),
        bulkhead=LiveBulkhead(max_waiting=definition.max_waiting),
        resources=LiveResources(
            messages_per_s=definition.limits.messages_per_s,
            mailbox_messages=definition.mailbox_messages,
            mailbox_bytes=definition.mailbox_bytes,
        ),
        record=definition.record,
    )
