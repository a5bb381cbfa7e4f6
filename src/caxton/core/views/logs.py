"""Lines of the agents' logs."""

from __future__ import annotations

import msgspec


class LogLine(msgspec.Struct, kw_only=True):
    """One line of an agent's log."""

    seq: int
    """Grows over all agents of the server: the order in which lines were written."""
    at: str
    """ISO 8601, UTC."""
    agent: str
    replica: int
    level: str
    """`trace`, `debug`, `info`, `warn`, `error`."""
    source: str
    """`guest` (log), `stdout`, `stderr`, or `host` for what Caxton says about the agent."""
    text: str
