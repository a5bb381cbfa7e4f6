"""Takes secrets out of what is logged (`core.redact` knows which), and bounds it. Pure.

It is a net below the rule that no secret is logged, not instead of it: text of exceptions, URLs and strangers may hold
what nobody meant to write.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from caxton.core.redact import REMOVED, is_secret_name
from caxton.core.redact import redact_text as without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TEXT_CHARS = 32_768
"""Of one text; the middle of a longer one is left out."""

MAX_DEPTH = 6
"""Of facts within facts; deeper ones are shown as text."""

MAX_ITEMS = 100
"""Of one list or mapping."""


def redact_text(text: str) -> str:
    """`text` without what looks like a secret, and of bounded length."""
    return without_secrets(_shortened(text) if len(text) > MAX_TEXT_CHARS else text)


def redact(facts: Mapping[Any, Any]) -> dict[str, Any]:
    """The same facts without secrets: all text in them looked through, what is neither text nor number as text."""
    return _mapping(facts, 0)


def _mapping(facts: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in list(facts.items())[:MAX_ITEMS]:
        key = name if isinstance(name, str) else repr(name)
        is_plain = value is None or isinstance(value, bool | int | float)
        shown[redact_text(key)] = REMOVED if not is_plain and is_secret_name(key) else _value(value, depth + 1)
    return shown


def _value(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact_text(value)
    if depth < MAX_DEPTH:
        if isinstance(value, dict):
            return _mapping(value, depth)  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(value, list | tuple | set | frozenset):
            return [_value(item, depth + 1) for item in list(value)[:MAX_ITEMS]]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return redact_text(_repr(value))


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as exc:  # a stranger's __repr__ must not cost the line
        return f"<{type(value).__name__}: its repr raised {type(exc).__name__}>"


def _shortened(text: str) -> str:
    """Beginning and end. A word that the cut goes through is left out: it might be a secret without its name."""
    half = MAX_TEXT_CHARS // 2
    head, tail = text[:half], text[-half:]
    head = head[: len(head) - len(re.split(r"\s", head)[-1])]
    tail = tail[len(re.split(r"\s", tail, maxsplit=1)[0]) :]
    return f"{head} … {len(text) - len(head) - len(tail)} characters are left out … {tail}"
