"""The server's own log: JSON lines on stderr, or readable ones on a terminal. Agents' logs are `agents.logs`."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def set_up_logging(level: str, *, readable: bool | None = None) -> None:
    """Send everything logged to stderr. `readable`: for people instead of programs; None: if stderr is a terminal."""
    readable = sys.stderr.isatty() if readable is None else readable
    renderer: Any = structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_extra,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "granian.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _add_extra(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """What was given as `extra=` becomes keys of the line."""
    record: logging.LogRecord = event["_record"]
    for key, value in vars(record).items():
        if key not in _STANDARD and not key.startswith("_"):
            event.setdefault(key, value)
    return event
