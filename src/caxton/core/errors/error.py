"""What every error is: a code, a sentence, and facts for a machine."""

from __future__ import annotations

from typing import Any

MAX_QUOTED = 80
"""Longest piece of somebody else's text that an error repeats; a terminal line."""


def quoted(value: object) -> str:
    """`value` as `repr`, cut to `MAX_QUOTED` characters: safe to print, never a flood."""
    text = repr(value[: MAX_QUOTED + 1] if isinstance(value, str | bytes) else value)
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"


class CaxtonError(Exception):
    """Base of all deliberate errors. `details()` gives the facts for a machine to read."""

    code: str = "INTERNAL_ERROR"

    def details(self) -> dict[str, Any]:
        """The facts of this error as JSON-ready values; the names are those of its attributes."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class InternalError(CaxtonError):
    """Something went wrong that is our fault."""

    def __init__(self) -> None:
        super().__init__("internal error; the server log has the details under this trace id")
