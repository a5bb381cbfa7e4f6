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
    message_id: str | None = None
    """The message that was in hand. This and the following are null where none was."""
    conversation_id: str | None = None
    trace_id: str | None = None
    """32 hex digits: all that the message led to has the same."""
    span_id: str | None = None
    """16 hex digits: of the message in hand."""
    attempt: int | None = None
    """Which handing over of the message this was, from 1; of the timer, if one was in hand."""
