"""Lines of the server's log and of agents' logs, on their way to a collector. Knows nothing of OpenTelemetry."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from caxton.logs.line import LEVELS
from caxton.observe.log import fields
from caxton.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.logs.line import Record

MAX_LINES_PER_S = 1_000
"""Of everybody together. Agents may log far more; it can all be read with `caxton logs`."""

MAX_TEXT_CHARS = 8_192
MAX_ATTRIBUTES = 64

_OUR_OWN = ("caxton.telemetry", "opentelemetry", "grpc", "urllib3", "requests")
"""Loggers of the export itself: a line about a failed export must not cause the next one."""

_OF_THE_LINE = frozenset(
    {"timestamp", "severity_text", "body", "event.name", "trace_id", "span_id", "service.instance.id"}
)
"""Facts that are no attributes: they have fields of their own, or are the server's."""

_AGENT_SEVERITY = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line."""

    at_ns: int
    """Unix time."""
    severity: int
    """OpenTelemetry's severity number."""
    severity_text: str
    text: str
    event: str = ""
    """`event.name`; the server's own lines have one."""
    trace_id: str = ""
    """32 hex digits, if it was written while a message or request was in hand."""
    span_id: str = ""
    attributes: dict[str, str | int | float | bool] = field(default_factory=dict[str, "str | int | float | bool"])


class LineIntake(logging.Handler):
    """Takes lines from the server's log, as a handler of its root logger, and from the agents' (`of_agent`).

    Args:
        put: where they go.
        miss: told that a line was left out, since there were too many in this second.
    """

    def __init__(self, put: Callable[[list[Line]], None], miss: Callable[[int], None]) -> None:
        super().__init__()
        self._put, self._miss = put, miss
        self._second = self._taken = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One line of the server's own."""
        if record.name.startswith(_OUR_OWN):
            return
        if not self._has_room():
            self._miss(1)
            return
        try:
            facts = fields(record)
        except Exception:  # wrong arguments: the handler that writes the log tells where
            self._miss(1)
            return
        self._put([server_line(facts, record.levelno, int(record.created * 1e9))])

    def of_agent(self, record: Record) -> None:
        """One line of an agent's log."""
        if self._has_room():
            self._put([agent_line(record)])
        else:
            self._miss(1)

    def _has_room(self) -> bool:
        second = time.monotonic_ns() // 1_000_000_000
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        return self._taken <= MAX_LINES_PER_S


def server_line(facts: dict[str, Any], level: int, at_ns: int) -> Line:
    """A line of the server's log; `facts` as it is written, without secrets (`observe.log.fields`)."""
    rest = {key: value for key, value in facts.items() if key not in _OF_THE_LINE}
    attributes = {key: _plain(value) for key, value in list(rest.items())[:MAX_ATTRIBUTES]}
    return Line(
        at_ns=at_ns, severity=_severity(level), severity_text=facts["severity_text"],
        text=str(facts["body"])[:MAX_TEXT_CHARS], event=str(facts.get("event.name", "")),
        trace_id=str(facts.get("trace_id", "")), span_id=str(facts.get("span_id", "")), attributes=attributes,
    )  # fmt: skip


def agent_line(record: Record) -> Line:
    """A line of an agent's log."""
    level, context = LEVELS[record.level], record.context
    attributes: dict[str, str | int | float | bool] = {
        names.WORKSPACE: record.workspace,
        names.AGENT: record.agent,
        names.REPLICA: record.replica,
        names.LOG_SOURCE: record.source,
    }
    if context is not None:
        attributes[names.ATTEMPT] = context.attempt
        if context.message_id:
            attributes[names.MESSAGING_MESSAGE_ID] = context.message_id
        if context.conversation_id is not None:
            attributes[names.MESSAGING_MESSAGE_CONVERSATION_ID] = context.conversation_id
    return Line(
        at_ns=record.at_us * 1000, severity=_AGENT_SEVERITY[level], severity_text=level.upper(), text=record.text,
        trace_id="" if context is None else context.trace_id, span_id="" if context is None else context.span_id,
        attributes=attributes,
    )  # fmt: skip


def _severity(level: int) -> int:
    """10 → 5 (DEBUG), 20 → 9 (INFO), 30 → 13 (WARN), 40 → 17 (ERROR), 50 → 21 (FATAL)."""
    return min(max(level // 10 * 4 + 1, 1), 21)


def _plain(value: object) -> str | int | float | bool:
    return value if isinstance(value, (int, float)) else str(value)[:MAX_TEXT_CHARS]
