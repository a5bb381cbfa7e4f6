"""Takes secrets out of what leaves the machine, such as an archive for a bug report. Pure.

Three ways, since each alone misses some: values that are known, values whose name says what they are, and values that
look like a kind of secret. Better too much is removed than too little.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

REMOVED = "[removed]"

MIN_KNOWN_CHARS = 6
"""A known secret that is shorter would blank out ordinary words."""

SECRET_NAMES = (
    "password", "passwd", "passphrase", "secret", "token", "api_key", "authorization", "bearer", "credential",
    "private_key", "signing_key", "access_key", "cookie", "session_id",
)  # fmt: skip
"""What has a name with one of these in it is a secret, in any case, with `_`, `-` or nothing between the words."""

_WORDS = "|".join(name.replace("_", "[_-]?") for name in SECRET_NAMES)
_NAME = re.compile(_WORDS, re.IGNORECASE)

_PEM = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[^-]|-(?!----END)){0,20000}(?:-----END [A-Z ]{0,60}-----)?"
)
_HEADER = re.compile(r"\b((?:set-)?cookie|(?:proxy-)?authorization)(\s{0,8}[:=]\s{0,8})[^\r\n\"'\\]+", re.IGNORECASE)
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]*+\.?[\w-]*+")
_BEARER = re.compile(r"\b(bearer|basic)(\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
_IN_URL = re.compile(r"(://)[^\s/@\"']{1,400}@")
_PLAIN = re.compile(r"null|true|false|-?\d{1,15}(?:\.\d{1,15})?[\]]*")
_VENDORS = re.compile(
    r"\b(?:sk-[\w-]{16,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}"
    r"|A[KS]IA[0-9A-Z]{16}|AIza[\w-]{30,}|hf_\w{20,}|npm_\w{20,}|pypi-[\w-]{16,})"
)
_NAMED = re.compile(
    rf"""((?:{_WORDS})[\w.-]{{0,60}}(?:\\?["'])?\s{{0,8}}(?:=>|[:=])\s{{0,8}})"""
    r"""(\\"(?:[^"\\]|\\[^"]){0,20000}\\"|"(?:[^"\\]|\\.){0,20000}"|'(?:[^'\\]|\\.){0,20000}'|[^\s,;}&"'\\]+)""",
    re.IGNORECASE | re.DOTALL,
)


def redact_text(text: str, known: Iterable[str] = ()) -> str:
    """`text` without secrets.

    Args:
        text: anything: lines of a log, JSON, the text of an error.
        known: secrets themselves, as they might appear.
    """
    for secret in sorted({secret for secret in known if len(secret) >= MIN_KNOWN_CHARS}, key=len, reverse=True):
        text = text.replace(secret, REMOVED)
    text = _PEM.sub(REMOVED, text)
    text = _BEARER.sub(rf"\1\2{REMOVED}", text)
    text = _HEADER.sub(rf"\1\2{REMOVED}", text)
    text = _NAMED.sub(_without_value, text)
    text = _JWT.sub(REMOVED, text)
    text = _IN_URL.sub(rf"\1{REMOVED}@", text)
    return _VENDORS.sub(REMOVED, text)


def redact(value: Any) -> Any:
    """JSON-ready `value` without what stands under a name that says secret, at any depth. Numbers and flags stay."""
    if isinstance(value, dict):
        members = cast("dict[Any, Any]", value)
        return {
            name: REMOVED if _NAME.search(str(name)) and _may_be_secret(member) else redact(member)
            for name, member in members.items()
        }
    if isinstance(value, list | tuple):
        return [redact(member) for member in cast("list[Any]", value)]
    return value


def is_secret_name(name: str) -> bool:
    """Whether what has this name is a secret."""
    return _NAME.search(name) is not None


def _may_be_secret(value: object) -> bool:
    return value is not None and not isinstance(value, bool | int | float)


def _without_value(found: re.Match[str]) -> str:
    """Quotes stay, so that JSON stays JSON."""
    name, value = found[1], found[2]
    for quote in ('\\"', '"', "'"):
        if value.startswith(quote):
            return f"{name}{quote}{REMOVED}{quote}"
    is_json = '"' in name  # whose numbers and flags tell nothing
    is_kept = value in ("[", "{", REMOVED) or (is_json and _PLAIN.fullmatch(value))
    return f"{name}{value if is_kept else REMOVED}"
