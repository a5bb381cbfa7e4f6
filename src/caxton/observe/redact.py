"""Takes secrets out of what is logged: by the names of facts, and by their looks in any text. Pure.

It is a net below the rule that no secret is logged, not instead of it: text of exceptions, URLs and strangers may hold
what nobody meant to write. Every pattern takes time linear in its text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

REDACTED = "[redacted]"

SECRET_NAMES = (
    "token", "password", "passwd", "passphrase", "secret", "api_key", "apikey", "api-key", "authorization", "bearer",
    "credential", "private_key", "private-key", "access_key", "access-key", "cookie",
)  # fmt: skip
"""A fact whose name holds one of these, in any case, is not shown unless it is a number."""

MAX_TEXT_CHARS = 32_768
"""Of one text; the middle of a longer one is left out."""

MAX_DEPTH = 6
"""Of facts within facts; deeper ones are shown as text."""

MAX_ITEMS = 100
"""Of one list or mapping."""

_NAMES = "|".join(re.escape(name) for name in SECRET_NAMES)

_NAMED = re.compile(
    rf"""((?:{_NAMES}|\bpwd)[\w.\-]{{0,40}}+[\\"']{{0,4}}+\s{{0,4}}+[=:]\s{{0,4}}+)"""
    r"""(?:b?\\?"(?:[^"\\]|\\.){0,8192}+\\?"?|b?'(?:[^'\\]|\\.){0,8192}+'?|(?:bearer|basic|digest)\s++[^\s,;"'&]++|"""
    r"""[^\s,;&"'<>)\]}]++)""",
    re.IGNORECASE,
)
"""`password=…`, `"api_key": "…"`, `?token=…&`, `Authorization: Bearer …`; the name stays."""

PATTERNS = (
    (re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", re.DOTALL),
     REDACTED),
    (re.compile(r"(\b[a-z][a-z0-9+.\-]{0,20}://)[^\s/@\"']{1,512}@", re.IGNORECASE), rf"\1{REDACTED}@"),
    (_NAMED, rf"\1{REDACTED}"),
    (re.compile(r"\b(bearer)\s+[\w.~+/=\-]{8,}+", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"(?<![\w\-])eyJ[\w\-]{5,}+\.[\w\-]{5,}+(?:\.[\w\-]*+)?"), REDACTED),
    (re.compile(r"(?<![\w\-])(?:sk-|ghp_|gho_|ghs_|github_pat_|glpat-|xox[abprs]-|AKIA|ASIA|AIza)[\w\-]{12,}+"),
     REDACTED),
)  # fmt: skip
"""Private keys; names and passwords in URLs; values with a telling name; bearer tokens; JSON web tokens, of which ours
are some; keys of well-known services."""


def redact_text(text: str) -> str:
    """`text` without what looks like a secret, and of bounded length."""
    if len(text) > MAX_TEXT_CHARS:
        text = _shortened(text)
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text


def redact(facts: Mapping[Any, Any]) -> dict[str, Any]:
    """The same facts without secrets: all text in them looked through, what is neither text nor number as text."""
    return _mapping(facts, 0)


def is_secret_name(name: str) -> bool:
    """Whether what has this name is not to be shown."""
    lower = name.lower()
    return any(word in lower for word in SECRET_NAMES)


def _mapping(facts: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in list(facts.items())[:MAX_ITEMS]:
        key = name if isinstance(name, str) else repr(name)
        is_plain = value is None or isinstance(value, bool | int | float)
        shown[redact_text(key)] = REDACTED if not is_plain and is_secret_name(key) else _value(value, depth + 1)
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
