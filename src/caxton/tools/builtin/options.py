"""The options of a built-in tool, as its table in a configuration has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caxton.core.errors.values import InvalidValue
from caxton.core.units import parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping

_HIDDEN = "…"
"""Instead of a value that may be a secret."""


class Options:
    """Takes one option after the other; every method raises `InvalidValue`, which never repeats a secret."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._left = dict(given)

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self._left.pop(name, default)
        if value not in choices:
            raise InvalidValue(name, value, f"use one of {', '.join(choices)}")
        return value

    def text(self, name: str, default: str | None = None, *, is_secret: bool = False) -> str:
        """A text that is not empty; without a default it has to be there."""
        value = self._left.pop(name, default)
        if not isinstance(value, str) or (not value and default is None) or "\0" in value:
            raise InvalidValue(name, _HIDDEN if is_secret else value, "it has to be a text")
        return value

    def size(self, name: str, default: int, most: int) -> int:
        """Bytes, from 1 to `most`."""
        value = self._left.pop(name, default)
        size = parse_size(value, what=name)
        if not 1 <= size <= most:
            raise InvalidValue(name, value, f"use 1 to {most} bytes")
        return size

    def count(self, name: str, default: int, most: int) -> int:
        """Pieces, from 1 to `most`."""
        value = self._left.pop(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise InvalidValue(name, value, f"use a whole number from 1 to {most}")
        return value

    def done(self) -> None:
        """Refuse what is left: a mistyped option would otherwise be without effect."""
        for name in self._left:
            raise InvalidValue("option", name, "this tool has no such option")
