"""What one agent may use, and which trap says that it wanted more."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of each instance of one agent. Defaults are the product's (facts table, row 36)."""

    memory_bytes: int = 10 * MIB
    """Linear memory; `memory.grow` beyond it fails inside the guest."""
    table_elements: int = 10_000
    wall_time_s: float = 5.0
    """From handing a message over to its handler's return, waiting included."""
    cpu_time_s: float = 1.0
    """Of that, time in which the guest computed."""
    host_calls: int = 100_000
    """Per message; more is a loop."""
    messages_per_s: int = 20_000
    """Sent by one instance; more is answered with -6."""
    log_bytes_per_s: int = 256 * 1024
    """Further lines of that second are dropped and counted; the log says how many."""


MAX_MEMORY_BYTES = 512 * MIB
"""Ceiling for `Limits.memory_bytes` (the founding documents' physical view)."""

MAX_WASM_STACK_BYTES = 512 * 1024
"""Guest frames. The host's own frames need room on the same fiber, hence the larger fiber stack."""

FIBER_STACK_BYTES = 2 * MIB
"""Reserved, not resident: Python callbacks run on this stack above the guest's frames."""
