"""The server's own log: JSON lines on stderr, or readable ones on a terminal. Agents' logs are `caxton.logs`.

Names of fields are OpenTelemetry's where it has one; docs/reference/logs.md lists them. Whoever logs uses the
short names of this code (`agent`, `conversation_id`, …) as `extra`; they are translated here and nowhere else.
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import structlog

from caxton.observe.context import facts_now
from caxton.observe.redact import redact

INSTANCE_ID = str(uuid4())
"""Of this process, as telemetry has it too."""

NAMES = {
    "action": "event.name",
    "workspace": "caxton.workspace.id",
    "agent": "caxton.agent.id",
    "message_id": "messaging.message.id",
    "conversation_id": "messaging.message.conversation_id",
    "attempt": "caxton.delivery.attempt",
}
"""What the code calls a fact, and what the log does."""

SEVERITIES = {"DEBUG": "DEBUG", "INFO": "INFO", "WARNING": "WARN", "ERROR": "ERROR", "CRITICAL": "FATAL"}
"""OpenTelemetry's words."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

_CONTROL = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)},
    **{code: f"\\u{code:04x}" for code in (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))},
}
"""What a terminal would obey, and what reorders text. In JSON, json escapes them."""


def set_up_logging(level: str, *, readable: bool | None = None) -> None:
    """Send everything logged to stderr. `readable`: for people instead of programs; None: if stderr is a terminal."""
    handler = _Handler()
    handler.setFormatter(_Formatter(readable=sys.stderr.isatty() if readable is None else readable))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "granian.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """A line of the log as it is written: names as in the module's page, secrets taken out."""
    found: dict[str, Any] = {
        "timestamp": _timestamp(record.created),
        "severity_text": SEVERITIES.get(record.levelname, record.levelname),
        "body": record.getMessage(),
        "logger": record.name,
        "service.instance.id": INSTANCE_ID,
    }
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD and not key.startswith("_")}
    for name, value in {**facts_now(), **extra}.items():
        if value is not None:
            found.setdefault(NAMES.get(name, name), value)
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        found["error.type"] = type(error).__qualname__
        found["exception.stacktrace"] = "".join(traceback.format_exception(error)).rstrip("\n")
    return redact(found)


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class _Formatter(logging.Formatter):
    def __init__(self, *, readable: bool) -> None:
        super().__init__()
        self._readable = readable
        self._json = structlog.processors.JSONRenderer()
        self._console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)

    def format(self, record: logging.LogRecord) -> str:
        found = fields(record)
        if self._readable:
            return self._console(None, "", _for_people(found))
        return str(self._json(None, "", found))


def _for_people(event: dict[str, Any]) -> dict[str, Any]:
    """Under the names that structlog's renderer knows, and without what every line has."""
    shown = {
        name: value.translate(_CONTROL) if isinstance(value, str) else value
        for name, value in event.items()
        if name not in ("severity_text", "body", "service.instance.id", "exception.stacktrace")
    }
    severity = event["severity_text"]
    shown["level"] = {"WARN": "warning", "FATAL": "critical"}.get(severity, severity.lower())
    shown["event"] = event["body"].translate(_CONTROL).replace("\n", "\\n")
    if "exception.stacktrace" in event:
        shown["exception"] = event["exception.stacktrace"].translate(_CONTROL)
    return shown


class _Handler(logging.StreamHandler[Any]):
    """A line that cannot be written is told as one; Python's own way would print its arguments, secrets and all."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        facts = {"event.name": "log.broken", "place": f"{record.pathname}:{record.lineno}"}
        broken = logging.makeLogRecord(
            {"levelname": "ERROR", "name": __name__, "msg": "a line could not be logged", **facts}
        )
        try:
            vars(broken)["error.type"] = type(error).__qualname__
            self.stream.write(self.format(broken) + self.terminator)
        except Exception:  # noqa: S110 - stderr is gone; there is nobody to tell
            pass
