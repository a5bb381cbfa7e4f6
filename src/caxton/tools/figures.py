"""What the metrics tell of tools, by workspace and source: those are configured, so their number is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.observe.metrics import powers

if TYPE_CHECKING:
    from caxton.observe.metrics import Value
    from caxton.tools.catalogue import Catalogue

PHASES = ("closed", "half_open", "open", "off")


def durations(catalogue: Catalogue) -> dict[tuple[str, ...], Value]:
    """(workspace, source) → how long calls took that the source was asked, in seconds."""
    return {key: powers(entry.took_us) for key, entry in catalogue.entries.items()}


def calls(catalogue: Catalogue) -> dict[tuple[str, ...], Value]:
    """(workspace, source, outcome) → calls, refused ones included."""
    return {
        (*key, outcome): count for key, entry in catalogue.entries.items() for outcome, count in entry.outcomes.items()
    }


def circuits(catalogue: Catalogue) -> dict[tuple[str, ...], Value]:
    """(workspace, source, phase) → 1 for the phase of the source's circuit breaker, 0 for the others."""
    return {
        (*key, phase): int(entry.gate.phase == phase) for key, entry in catalogue.entries.items() for phase in PHASES
    }


def transitions(catalogue: Catalogue) -> dict[tuple[str, ...], Value]:
    """(workspace, source, phase) → how often the circuit breaker entered it."""
    return {
        (*key, phase): entry.gate.transitions[phase] for key, entry in catalogue.entries.items() for phase in PHASES[:3]
    }


def under_way(catalogue: Catalogue) -> dict[tuple[str, ...], Value]:
    """(workspace, source) → calls that the source has not answered."""
    return {key: entry.gate.under_way for key, entry in catalogue.entries.items()}


def queued(catalogue: Catalogue) -> dict[tuple[str, ...], Value]:
    """(workspace, source) → calls that wait for others to end."""
    return {key: len(entry.gate.line) for key, entry in catalogue.entries.items()}


def tools(catalogue: Catalogue) -> dict[tuple[str, ...], Value]:
    """(workspace, source, status) → tools."""
    found: dict[tuple[str, ...], Value] = {}
    for key, entry in catalogue.entries.items():
        for status in ("approved", "pending", "quarantined", "unusable"):
            found[*key, status] = sum(tool.status == status for tool in entry.tools.values())
    return found
