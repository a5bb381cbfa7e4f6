"""An agent as its users see it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from caxton.core.views.agents import AgentView

if TYPE_CHECKING:
    from caxton.agents.store import AgentRow
    from caxton.agents.supervisor import Supervisor


def view_of(row: AgentRow, supervisor: Supervisor, module_bytes: int, now_s: float) -> AgentView:
    """The agent of `row`, whose module has `module_bytes`, at the monotonic time `now_s`."""
    definition, receiver, state = supervisor.definition, supervisor.receiver, supervisor.state
    since = supervisor.running_since
    return AgentView(
        id=row.id, name=row.name, workspace=row.workspace, type="wasm", status=state.phase, reason=state.reason,
        replicas=definition.replicas, healthy=supervisor.healthy, revision=row.revision, version=definition.version,
        module_sha256=row.module_sha256, module_bytes=module_bytes, capabilities=list(receiver.offers),
        memory_limit_bytes=definition.limits.memory_bytes, memory_bytes=supervisor.memory_bytes,
        timeout_s=definition.limits.wall_time_s, cpu_time_s=definition.limits.cpu_time_s,
        mailbox_messages=receiver.messages, mailbox_bytes=receiver.bytes, messages_handled=receiver.handled,
        messages_failed=receiver.failed, restarts=supervisor.restarts,
        deployed_at=datetime.fromtimestamp(row.deployed_us / 1e6, UTC).isoformat(timespec="milliseconds"),
        uptime_s=None if since is None else round(now_s - since, 3),
        circuit_breaker=supervisor.circuit.view(), bulkhead=supervisor.circuit.bulkhead_view(),
    )  # fmt: skip
