"""What was done with agents in this run, for the metrics: all of it rare."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from caxton.agents.circuit import CircuitCounts
from caxton.core.errors.agents import AgentAlreadyExists, AgentStateConflict, DeploymentFailed
from caxton.core.errors.error import CaxtonError
from caxton.observe.metrics import Histogram

if TYPE_CHECKING:
    from collections.abc import Generator

CRASHED, BOOT_FAILED = "crashed", "boot-failed"
"""Why an instance was made again: it crashed at its work, or the one that was to replace it did not come up."""

DEPLOYED, FAILED, CONFLICT, REFUSED = "deployed", "failed", "conflict", "refused"
"""How deployments end: it runs; it did not start; its name or state was in the way; it was wrong or too much."""


class AgentCounts:
    """See the module."""

    def __init__(self) -> None:
        self.circuits = CircuitCounts()
        self.restarts: dict[str, int] = dict.fromkeys((CRASHED, BOOT_FAILED), 0)
        self.escalations = 0
        """Agents that crashed too often and were given up."""
        self.traps = Counter[str]()
        """Ends of instances by `sandbox.trap.Trap.kind`."""
        self.deployments = {outcome: Histogram() for outcome in (DEPLOYED, FAILED, CONFLICT, REFUSED)}
        """Seconds that they took; a new version of an agent is one too."""

    @contextmanager
    def deployment(self) -> Generator[None]:
        """Count what is done within the block as one deployment."""
        began = time.monotonic()
        outcome = FAILED
        try:
            yield
            outcome = DEPLOYED
        except CaxtonError as exc:
            outcome = _outcome(exc)
            raise
        finally:
            self.deployments[outcome].add(time.monotonic() - began)


def _outcome(error: CaxtonError) -> str:
    if isinstance(error, DeploymentFailed):
        return FAILED
    return CONFLICT if isinstance(error, AgentAlreadyExists | AgentStateConflict) else REFUSED
