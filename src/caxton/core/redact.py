"""Takes secrets out of what leaves the machine, such as an archive for a bug report. Pure.

Three ways, since each alone misses some: values that are known, values whose name says what they are, and values that
look like a kind of secret. Better too much is removed than too little.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

REMOVED = "[removed]"

PIECE_CHARS = 16 << 10
"""What is looked through at once: the interpreter serves nobody else meanwhile, which hostile text makes 4 ms."""

MAX_PEM_CHARS = 20_000
"""Of a private key; the longest have 12,000."""

MIN_KNOWN_CHARS = 6
"""A known secret that is shorter would blank out ordinary words."""

SECRET_NAMES = (
    "password", "passwd", "passphrase", "secret", "token", "api_key", "authorization", "bearer", "credential",
    "private_key", "signing_key", "access_key", "cookie", "session_id", "pwd", "passcode", "account_key", "master_key",
    "encryption_key", "signature",
)  # fmt: skip
"""What has a name with one of these in it is a secret, in any case, with `_`, `-` or nothing between the words."""

SHORT_NAMES = ("pass", "otp", "sig")
"""The same where they are words of their own, as in `DB_PASS`: `passed`, `compass` and `signal` are none."""

_SHORT = rf"(?<![a-z])(?:{'|'.join(SHORT_NAMES)})(?![a-z])"
_WORDS = "|".join((*(name.replace("_", "[_-]?") for name in SECRET_NAMES), _SHORT))
_NAME = re.compile(_WORDS, re.IGNORECASE)

_PEM = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
    rf"(?:[^-]|-(?!----END)){{0,{MAX_PEM_CHARS}}}(?:-----END [A-Z ]{{0,60}}-----)?"
)
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?!.*-----END)", re.DOTALL)
_PEM_END = re.compile(r"-----END [A-Z ]{0,60}-----")
_PARAMETERS = (
    r"""(?:(?:[ \t]{0,8},[ \t]{0,8}|[ \t]{1,8})?[\w-]{1,40}[ \t]{0,4}=[ \t]{0,4}"""
    r"""(?:(?P<quote>\\{0,3}["'])(?![,}\]])[^"'\\\r\n]{0,4000}(?P=quote)(?=[\s,;"'\\}\])]|$)|[^\s,"'\\]{1,4000})){1,30}+"""
)
"""`username="me", response="…"`: their quotes do not end the header, as those of the JSON that it stands in do."""
_HEADER = re.compile(
    rf"""\b((?:set-)?cookie|(?:proxy-)?authorization)(\s{{0,8}}[:=]\s{{0,8}})"""
    rf"""(?:(?:[\w-]{{1,40}}[ \t]{{1,4}})?{_PARAMETERS}[^\r\n"'\\]*|[^\r\n"'\\]+)""",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"""\b(pass(?:word|wd|phrase|code)|pwd|otp)((?:\s{1,4}(?:is|was))?\s{1,4})"""
    r"""(?:(\\{0,3}["'`])[^"'`\\\r\n]{1,200}\3|(?=\S{0,60}\d)[^\s,;"'`<>\\]{4,})""",
    re.IGNORECASE,
)
"""`password hunter2`, with nothing between: only what is quoted or has a digit, since the rest is prose."""
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]*+\.?[\w-]*+")
_BEARER = re.compile(r"\b(bearer|basic)(\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
_IN_URL = re.compile(r"(://)[^\s/@\"']{1,400}@")
_PLAIN = re.compile(r"null|true|false|-?\d{1,15}(?:\.\d{1,15})?[\]]*")
_VENDORS = re.compile(
    r"\b(?:sk-[\w-]{16,}|[prs]k_(?:live|test)_\w{8,}|whsec_\w{16,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}"
    r"|A[KS]IA[0-9A-Z]{16}|AIza[\w-]{30,}|hf_\w{20,}|npm_\w{20,}|pypi-[\w-]{16,})"
)
_NAMED = re.compile(
    rf"""((?:{_WORDS})[\w.-]{{0,60}}+(?:\\?["'])?\s{{0,8}}+(?:=>|[:=])\s{{0,8}})"""
    r"""(\\"(?:[^"\\]|\\[^"]){0,20000}\\"|"(?:[^"\\]|\\.){0,20000}(?:"|\Z)|'(?:[^'\\]|\\.){0,20000}'|[^\s,;}&"'\\]+)""",
    re.IGNORECASE | re.DOTALL,
)
_HANGING = re.compile(rf"""(?:{_WORDS})[\w.-]{{0,60}}+(?:\\?["'])?\s{{0,8}}+(?:=>|[:=])\s*\Z""", re.IGNORECASE)
"""What begins on the next line."""


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
    text = _SAID.sub(rf"\1\2{REMOVED}", text)
    text = _JWT.sub(REMOVED, text)
    text = _IN_URL.sub(rf"\1{REMOVED}@", text)
    return _VENDORS.sub(REMOVED, text)


def redact_pieces(text: str, known: Collection[str] = ()) -> Iterator[str]:
    """As `redact_text`, in pieces of whole lines between which others have a turn; a very long line loses its end."""
    open_chars = 0
    for piece in pieces(text):
        rest = piece
        if open_chars > 0:  # in the middle of a private key
            end = _PEM_END.search(piece)
            open_chars = 0 if end else open_chars - len(piece)
            rest = piece[end.end() :] if end else ""
        if _PEM_BEGIN.search(rest):
            open_chars = MAX_PEM_CHARS
        yield redact_text(rest, known)


def pieces(text: str, most: int = PIECE_CHARS) -> Iterator[str]:
    """`text` in pieces of at most `most` characters, each of whole lines; the end of a longer line is left out."""
    at = 0
    while len(text) - at > most:
        cut = text.rfind("\n", at, at + most) + 1
        if cut > at:
            before = text.rfind("\n", at, cut - 1) + 1
            if before > at and _HANGING.search(text, before, cut):
                cut = before
            yield text[at:cut]
            at = cut
        else:
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            yield _beginning(text, at, end, most) + text[end : end + 1]
            at = end + 1
    if at < len(text):
        yield text[at:]


def _beginning(text: str, at: int, end: int, most: int) -> str:
    """Of one line. A word that the cut goes through is left out: it might be a secret, of which nobody knows."""
    head = text[at : at + most - _ROOM_CHARS]
    kept = len(head) - len(re.split(r"\s", head)[-1])
    return f"{head[:kept]}… {end - at - kept} characters are left out …"


_ROOM_CHARS = 64
"""For saying how much is left out."""


def spellings(secret: str) -> set[str]:
    """The ways in which `secret` may be written: as it is, in a URL, in JSON (also in JSON); without its `Bearer`."""
    in_json = json.dumps(secret)[1:-1]
    found = {secret, quote(secret, safe=""), in_json, json.dumps(in_json)[1:-1]}
    _, _, bare = secret.partition(" ")
    return found | (spellings(bare) if bare else set())


def password_of(url: str) -> str | None:
    """The password in a URL; None if there is none, or no URL."""
    try:
        return urlsplit(url).password if "://" in url else None
    except ValueError:
        return None


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
    for mark in ('\\"', '"', "'"):
        if value.startswith(mark):
            return f"{name}{mark}{REMOVED}{mark}"
    is_json = '"' in name  # whose numbers and flags tell nothing
    is_kept = value in ("[", "{", REMOVED) or (is_json and _PLAIN.fullmatch(value))
    return f"{name}{value if is_kept else REMOVED}"
