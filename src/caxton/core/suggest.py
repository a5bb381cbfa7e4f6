"""The nearest known word to a mistyped one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, or None when nothing is like it."""
    matches = get_close_matches(word[:100].lower(), sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None
