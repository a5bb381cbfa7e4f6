"""The nearest known word to a mistyped one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` begins, if only one, else the one most like it; None when nothing is like it."""
    names = sorted(known)
    begun = [name for name in names if word and name.lower().startswith(word.lower())]
    if len(begun) == 1:
        return begun[0]
    matches = get_close_matches(word[:100].lower(), names, n=1, cutoff=0.6)
    return matches[0] if matches else None


def nearest_few(word: str, known: Iterable[str], limit: int) -> list[str]:
    """Up to `limit` known words that are like `word`, the likeliest first: those that it begins, then similar ones."""
    names = sorted(known)
    begun = [name for name in names if word and name.lower().startswith(word.lower())]
    similar = get_close_matches(word[:100].lower(), names, n=limit, cutoff=0.6)
    return list(dict.fromkeys([*begun, *similar]))[:limit]
