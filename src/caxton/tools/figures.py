"""What all calls came to, by source: read when somebody asks for the metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from caxton.observe.metrics import DURATION_BUCKETS

if TYPE_CHECKING:
    from caxton.tools.broker import Broker


@dataclass(slots=True)
class ToolFigures:
    """Sources of one name in several workspaces are one."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Calls that are over, by source and outcome."""
    took_us: dict[str, list[int]] = field(default_factory=dict[str, "list[int]"])
    """By source: how long those took that it was asked, as `observe.metrics.powers` reads it."""
    circuits: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Sources by name and state of their circuit."""
    approvals_waiting: int = 0
    unrecorded: int = 0
    """Calls of which no record was kept."""


def figures_of(broker: Broker) -> ToolFigures:
    """As of now."""
    found = ToolFigures(
        approvals_waiting=len(broker.approvals),
        unrecorded=broker.unrecorded + (0 if broker.writer is None else broker.writer.unwritten),
    )
    for entry in broker.catalogue.entries.values():
        name = entry.settings.name
        found.circuits[name, entry.gate.phase] += 1
        for outcome, count in entry.outcomes.items():
            found.calls[name, outcome] += count
        sums = found.took_us.setdefault(name, [0] * DURATION_BUCKETS)
        for bucket, count in enumerate(entry.took_us):
            sums[bucket] += count
    return found
