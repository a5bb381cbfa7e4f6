"""What may be told of settings, and what may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from caxton.core.redact import REMOVED, password_of, spellings
from caxton.server.config.catalogue import BY_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from caxton.server.config.effective import EffectiveValue


def public(values: Iterable[EffectiveValue]) -> dict[str, dict[str, Any]]:
    """Values and sources by key; of a secret only whether it is set."""
    return {
        one.key: {"value": (REMOVED if one.value else None) if BY_KEY[one.key].is_secret else one.value,
                  "source": one.source}
        for one in values
    }  # fmt: skip


def secrets_of(values: Iterable[EffectiveValue]) -> set[str]:
    """All that must not be told of settings, as it may be written: secret values, and passwords in URLs of others."""
    found: set[str] = set()
    for one in values:
        texts = set(_texts(one.value))
        if not BY_KEY[one.key].is_secret:
            texts = {password for text in texts if (password := password_of(text)) is not None}
        for text in texts:
            found |= spellings(text)
    return found


def _texts(value: object) -> Iterator[str]:
    """The texts in a value, at any depth; of a table not its names."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in cast("dict[object, object]", value).values():
            yield from _texts(member)
    elif isinstance(value, list | tuple):
        for member in cast("list[object]", value):
            yield from _texts(member)
