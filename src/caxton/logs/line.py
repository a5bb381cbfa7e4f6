"""One line of an agent's log as it is kept, and how a guest's text becomes one. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from sys import getsizeof
from typing import NamedTuple

from caxton.core.views.logs import LogLine

LEVELS = ("trace", "debug", "info", "warn", "error")
WARNING = LEVELS.index("warn")

MAX_LINE_CHARS = 4096

MAX_RAW_CHARS = 16 << 10
"""So much of a line is cleaned, and then cut to `MAX_LINE_CHARS`: as much as a guest may say at once, so that escape
sequences cost none of its text."""

KEPT_LINE_BYTES = 640
"""What a line takes beside its text and conversation: its tuple, its numbers, the other ids, a place in a deque; 220
without a message in hand, 610 with the longest id that a client may give one."""

_SEQUENCES = re.compile(r"\x1b\[[0-?]*+[@-~]")
"""Colours and movements of the cursor (ECMA-48, CSI). They hold no text, so nothing that was said is lost."""

_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Bidirectional controls (Unicode's Bidi_Control): they show a text in another order than it has."""

_UNWANTED = (*range(32), *range(127, 160), 0x2028, 0x2029, *range(0xD800, 0xE000), *_DIRECTIONS)
_CONTROL = {code: "\N{REPLACEMENT CHARACTER}" for code in _UNWANTED if code != 9}
"""A guest must not write into the operator's terminal (escape sequences) or forge lines. Halves of characters cannot be
written down."""


class Context(NamedTuple):
    """The message that was in hand; one tuple for all lines of its handling."""

    message_id: str
    """Empty for a timer."""
    conversation_id: str | None
    trace_id: str
    """32 hex digits."""
    span_id: str
    """Of the message, 16 hex digits; empty for a timer."""
    attempt: int


class Record(NamedTuple):
    """A line as it is kept in memory and on disk: a plain tuple, since hundreds of thousands are kept."""

    seq: int
    at_us: int
    """Wall time, µs since 1970."""
    workspace: str
    agent: str
    replica: int
    level: int
    """Index into `LEVELS`; `FORGOTTEN` for the end of all earlier lines of the agent."""
    source: str
    text: str
    context: Context | None


FORGOTTEN = -1
"""Level of a record that is no line: the agent was removed, and its lines up to this number with it."""


def split(text: str) -> list[str]:
    """The lines of `text`, clean and of bounded length. At least one."""
    return [clean(part) for part in text.rstrip("\n").split("\n")]


def clean(text: str) -> str:
    """`text` without colours, cut to `MAX_LINE_CHARS`, what is left of control characters replaced."""
    begin = text[:MAX_LINE_CHARS]
    if begin.isprintable():
        return begin
    return _SEQUENCES.sub("", text[:MAX_RAW_CHARS].rstrip("\r"))[:MAX_LINE_CHARS].translate(_CONTROL)


def cost(record: Record) -> int:
    """Bytes of memory that a record takes."""
    size = KEPT_LINE_BYTES + getsizeof(record[7])
    context = record[8]
    if context is not None and context[1] is not None:
        size += getsizeof(context[1])
    return size


def to_line(record: Record) -> LogLine:
    """The record as users see it."""
    context = record.context
    line = LogLine(
        seq=record.seq, at=iso(record.at_us), agent=record.agent, replica=record.replica, level=LEVELS[record.level],
        source=record.source, text=record.text,
    )  # fmt: skip
    if context is not None:
        line.message_id, line.span_id = context.message_id or None, context.span_id or None
        line.conversation_id, line.trace_id, line.attempt = context.conversation_id, context.trace_id, context.attempt
    return line


def iso(at_us: int) -> str:
    """ISO 8601, UTC, milliseconds."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")
