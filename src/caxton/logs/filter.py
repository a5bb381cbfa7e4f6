"""Which lines of the logs somebody wants. Pure, and linear in the text that it looks at.

Patterns are RE2's: no pattern takes more than linear time, which Python's own would, and the server must not.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from caxton.core.errors.values import InvalidValue
from caxton.logs.line import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.core.views.logs import LogLine
    from caxton.logs.line import Record

MAX_PATTERN_CHARS = 200
MAX_PROGRAM = 500
"""Instructions of a compiled pattern: each may cost a step for each character, 15 ms for the longest line."""

_PATTERN_MEMORY_BYTES = 1 << 20
"""For one pattern's automaton; what does not fit is computed step by step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """What a line must be to be shown; None means anything."""

    agents: frozenset[str] | None = None
    since_s: float | None = None
    """How far back at most, in seconds from now. Of no meaning for lines to come."""
    level: str | None = None
    """The least grave of `LEVELS` that is wanted."""
    conversation_id: str | None = None
    grep: str | None = None
    """A pattern that is found in the text; see `pattern`."""

    def test(self) -> Callable[[Record], bool]:
        """A test for all but agents and age. Raises `InvalidValue`."""
        gravest = 0 if self.level is None else LEVELS.index(self.level)
        search = None if self.grep is None else pattern(self.grep)
        conversation = self.conversation_id

        def matches(record: Record) -> bool:
            if record[5] < gravest:
                return False
            context = record[8]
            if conversation is not None and (context is None or context[1] != conversation):
                return False
            return search is None or search(record[7])

        return matches

    def shows(self, line: LogLine) -> bool:
        """The same for a line as users see it, its agent included."""
        return (
            (self.agents is None or line.agent in self.agents)
            and (self.level is None or LEVELS.index(line.level) >= LEVELS.index(self.level))
            and (self.conversation_id is None or line.conversation_id == self.conversation_id)
            and (self.grep is None or pattern(self.grep)(line.text))
        )


@lru_cache(maxsize=64)
def pattern(text: str) -> Callable[[str], bool]:
    """A function that says whether `text`, an RE2 pattern, is found in a line. Raises `InvalidValue`.

    Source: https://github.com/google/re2/wiki/Syntax
    """
    if not 0 < len(text) <= MAX_PATTERN_CHARS:
        raise InvalidValue("grep", text[:MAX_PATTERN_CHARS], f"give a pattern of 1 to {MAX_PATTERN_CHARS} characters")
    re2: Any = importlib.import_module("re2")  # has no types; loaded when the first pattern comes
    options = re2.Options()
    options.max_mem, options.never_capture, options.log_errors = _PATTERN_MEMORY_BYTES, True, False
    try:
        compiled: Any = re2.compile(text, options)
        size: int = compiled.programsize
    except UnicodeEncodeError as exc:
        raise InvalidValue("grep", ascii(text), "give text that is Unicode") from exc
    except re2.error as exc:
        said = cast("tuple[bytes, ...]", exc.args)[0].decode("utf-8", "replace")
        rule = f"{said}; write it like 'timeout', 'order-[0-9]+ failed' or '(?i)error|refused' (RE2, no look-around)"
        raise InvalidValue("grep", text, rule) from exc
    if size > MAX_PROGRAM:
        raise InvalidValue("grep", text, f"it compiles to {size} steps, the limit is {MAX_PROGRAM}: repeat less")

    def found(line: str) -> bool:
        return compiled.search(line) is not None

    return found
