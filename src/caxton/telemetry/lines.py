"""Lines of the server's log and of agents' logs, on their way to a collector. Knows nothing of OpenTelemetry."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from caxton.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.core.views.logs import LogLine

MAX_LINES_PER_S = 1_000
"""Of everybody together. Agents may log far more; it can all be read with `caxton logs`."""

MAX_TEXT_CHARS = 8_192
MAX_ATTRIBUTES = 64

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_OUR_OWN = ("caxton.telemetry", "opentelemetry", "grpc", "urllib3", "requests")
"""Loggers of the export itself: a line about a failed export must not cause the next one."""

_AGENT_SEVERITY = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17}

_IN_HAND = {
    names.MESSAGING_MESSAGE_ID: "message_id",
    names.MESSAGING_MESSAGE_CONVERSATION_ID: "conversation_id",
    names.ATTEMPT: "attempt",
}
"""What a line says of the message that was in hand when it was written."""


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
        clean: takes out of a line's extra facts what nobody should see.
    """

    def __init__(
        self, put: Callable[[list[Line]], None], miss: Callable[[int], None],
        clean: Callable[[dict[str, object]], dict[str, object]] = dict,
    ) -> None:  # fmt: skip
        super().__init__()
        self._put, self._miss, self._clean = put, miss, clean
        self._second = self._taken = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One line of the server's own."""
        if record.name.startswith(_OUR_OWN):
            return
        if not self._has_room():
            self._miss(1)
            return
        facts = {key: value for key, value in vars(record).items() if key not in _STANDARD and not key.startswith("_")}
        try:
            text = record.getMessage()
        except Exception:  # wrong arguments; logging itself has complained
            text = str(record.msg)
        self._put([server_line(record, text[:MAX_TEXT_CHARS], self._clean(facts))])

    def of_agent(self, workspace: str, line: LogLine) -> None:
        """One line of an agent's log."""
        if self._has_room():
            self._put([agent_line(workspace, line, time.time_ns())])
        else:
            self._miss(1)

    def _has_room(self) -> bool:
        second = time.monotonic_ns() // 1_000_000_000
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        return self._taken <= MAX_LINES_PER_S


def server_line(record: logging.LogRecord, text: str, facts: dict[str, object]) -> Line:
    """A line of the server's log; `facts` are what was given as `extra`."""
    attributes = {key: _plain(value) for key, value in list(facts.items())[:MAX_ATTRIBUTES] if value is not None}
    event = str(attributes.pop("event.name", "") or attributes.pop("action", ""))
    trace_id, span_id = str(attributes.pop("trace_id", "")), str(attributes.pop("span_id", ""))
    attributes[names.LOGGER] = record.name
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        attributes[names.EXCEPTION_TYPE] = type(error).__name__
        attributes[names.EXCEPTION_MESSAGE] = str(error)[:MAX_TEXT_CHARS]
        attributes[names.EXCEPTION_STACKTRACE] = logging.Formatter().formatException(record.exc_info)[-MAX_TEXT_CHARS:]
    return Line(
        at_ns=int(record.created * 1e9), severity=_severity(record.levelno), severity_text=record.levelname, text=text,
        event=event, trace_id=trace_id, span_id=span_id, attributes=attributes,
    )  # fmt: skip


def agent_line(workspace: str, line: LogLine, at_ns: int) -> Line:
    """A line of an agent's log."""
    attributes: dict[str, str | int | float | bool] = {
        names.WORKSPACE: workspace,
        names.AGENT: line.agent,
        names.REPLICA: line.replica,
        names.LOG_SOURCE: line.source,
    }
    for key, name in _IN_HAND.items():
        if (value := getattr(line, name, None)) is not None:
            attributes[key] = value
    return Line(
        at_ns=at_ns, severity=_AGENT_SEVERITY.get(line.level, 9), severity_text=line.level.upper(), text=line.text,
        trace_id=getattr(line, "trace_id", None) or "", span_id=getattr(line, "span_id", None) or "",
        attributes=attributes,
    )  # fmt: skip


def _severity(level: int) -> int:
    """10 → 5 (DEBUG), 20 → 9 (INFO), 30 → 13 (WARN), 40 → 17 (ERROR), 50 → 21 (FATAL)."""
    return min(max(level // 10 * 4 + 1, 1), 21)


def _plain(value: object) -> str | int | float | bool:
    return value if isinstance(value, (str, int, float, bool)) else str(value)[:MAX_TEXT_CHARS]
