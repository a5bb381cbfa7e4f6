"""Secrets in requests: who asks writes `{{secret:NAME}}` and never sees the value. Pure.

The value is put in when the request leaves for a listed host, and taken out again of an answer that repeats it. That
stops an echo, not a host that is bent on telling: one that encodes the value some other way is not understood.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from caxton.core.errors.error import quoted
from caxton.egress.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caxton.egress.request import Headers

_PLACEHOLDER = re.compile(r"\{\{secret:([A-Za-z0-9_-]{1,64})\}\}")
_VALUE = re.compile(r"[\x20-\x7e]+")


def has_secret(value: str) -> bool:
    """Whether something would be put in."""
    return _PLACEHOLDER.search(value) is not None


def fill(headers: Headers, secrets: Mapping[str, str]) -> tuple[Headers, dict[str, str]]:
    """Headers with the values of secrets, and the secrets that were put in. Raises `Refused`."""
    used: dict[str, str] = {}

    def value_of(found: re.Match[str]) -> str:
        name = found[1]
        if name not in secrets:
            raise Refused("secret", f"there is no secret {quoted(name)} for this tool; name it in its secrets")
        if not _VALUE.fullmatch(secrets[name]):
            raise Refused("secret", f"the secret {quoted(name)} is empty or has characters that no header may have")
        used[name] = secrets[name]
        return secrets[name]

    return tuple((name, _PLACEHOLDER.sub(value_of, value)) for name, value in headers), used


def room_for(secrets: Mapping[str, str]) -> int:
    """How many bytes beyond a cut must be known to see a secret that begins before it."""
    return max((len(value) for value in secrets.values()), default=1) - 1


def masked(data: bytes, most: int, secrets: Mapping[str, str]) -> bytes:
    """At most the first `most` bytes of `data`, with placeholders for secrets, also for one that the cut goes through.

    `data` must go on for `room_for(secrets)` bytes after the cut, if there is so much. Placeholders may make it longer.
    """
    parts: list[bytes] = []
    at = 0
    for found in _any_of(secrets.values()).finditer(data) if secrets else ():
        if found.start() >= most:
            break
        parts += (data[at : found.start()], _placeholder(found[0].decode("ascii"), secrets))
        at = found.end()
    parts.append(data[at : max(at, most)])
    return b"".join(parts)


def _any_of(values: Iterable[str]) -> re.Pattern[bytes]:
    longest_first = sorted(set(values), key=len, reverse=True)
    return re.compile(b"|".join(re.escape(value.encode("ascii")) for value in longest_first))


def _placeholder(value: str, secrets: Mapping[str, str]) -> bytes:
    name = next(name for name, known in secrets.items() if known == value)
    return b"{{secret:%s}}" % name.encode("ascii")
