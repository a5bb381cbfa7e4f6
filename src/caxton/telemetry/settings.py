"""The section `[telemetry]`: what its values may be. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import urlsplit

Protocol = Literal["grpc", "http"]
Signal = Literal["traces", "metrics", "logs"]

PROTOCOLS: tuple[Protocol, ...] = ("grpc", "http")
SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")

MAX_HEADERS = 20
MAX_HEADER_CHARS = 4096
"""Of a value: a token fits in, a file given by mistake does not."""

DEFAULT_SPANS_PER_S = 200
"""Under 1 % of a core: making a span takes some 7 µs, encoding it 36, on other threads."""
MAX_SPANS_PER_S = 100_000

_HEADER_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")


class Headers(dict[str, str]):
    """Headers of the collector's requests: names in lower case, values that are nobody's business."""

    def __str__(self) -> str:
        return ", ".join(f"{name}=***" for name in self)

    __repr__ = __str__


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """The settings as the room uses them."""

    endpoint: str | None = None
    """Base URL of a collector; without it nothing is exported."""
    protocol: Protocol = "grpc"
    headers: Headers = field(default_factory=Headers)
    sample_ratio: float = 1.0
    """Of traces, at most: fewer are kept while there are more than `max_spans_per_s` allows."""
    max_spans_per_s: int = DEFAULT_SPANS_PER_S
    signals: tuple[Signal, ...] = SIGNALS


def read_endpoint(value: object) -> str | None:
    """An `http` or `https` URL; raises `ValueError`."""
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise ValueError("it must be a URL")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must be a URL such as http://localhost:4317")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it must have no user and password: give them in telemetry.headers, as authorization")
    if parts.query or parts.fragment:
        raise ValueError("it must end with its path")
    _ = parts.port  # raises if it is none
    return value.rstrip("/")


def read_protocol(value: object) -> Protocol:
    """Raises `ValueError`."""
    if value not in PROTOCOLS:
        raise ValueError("it must be grpc or http")
    return value


def read_headers(value: object) -> Headers:
    """A table, or a text like `authorization=Bearer abc,x-team=ops`. Raises `ValueError`, which tells no value."""
    if value in (None, ""):
        return Headers()
    pairs: list[tuple[object, object]]
    if isinstance(value, str):
        pairs = [(name, text) for name, _, text in (part.partition("=") for part in value.split(","))]
    elif isinstance(value, dict):
        pairs = list(cast("dict[object, object]", value).items())
    else:
        raise ValueError("it must be a table, or a text like name=value,name=value")
    if len(pairs) > MAX_HEADERS:
        raise ValueError(f"it has {len(pairs)} headers, the limit is {MAX_HEADERS}")
    return Headers(_header(n, name, text) for n, (name, text) in enumerate(pairs, 1))


def _header(n: int, name: object, text: object) -> tuple[str, str]:
    """Errors do not even tell a name: after a slip it may be part of a value."""
    key = name.strip().lower() if isinstance(name, str) else ""
    if not _HEADER_NAME.fullmatch(key):
        raise ValueError(f"header {n} must begin with a name of letters, digits, '-', '_' and '.', and '=' after it")
    value = text.strip() if isinstance(text, str) else ""
    if not value or len(value) > MAX_HEADER_CHARS or not value.isascii() or not value.isprintable():
        raise ValueError(f"the value of header {n} must be 1 to {MAX_HEADER_CHARS} printable ASCII characters")
    return key, value


def read_ratio(value: object) -> float:
    """A number from 0 to 1; raises `ValueError`."""
    try:
        ratio = -1.0 if isinstance(value, bool) else float(cast("str | float", value))
    except (TypeError, ValueError, OverflowError):
        ratio = -1.0
    if not 0 <= ratio <= 1:  # nor is NaN
        raise ValueError("it must be a number from 0 to 1")
    return ratio


def read_spans_per_s(value: object) -> int:
    """Raises `ValueError`."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_SPANS_PER_S:
        raise ValueError(f"it must be a number from 1 to {MAX_SPANS_PER_S}")
    return value


def read_signals(value: object) -> list[str]:
    """A list, or a text with commas, of `SIGNALS`; raises `ValueError`."""
    parts: object = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    known = cast("list[object]", parts) if isinstance(parts, list) else []
    if not known or any(part not in SIGNALS for part in known):
        raise ValueError(f"it must be a list of {', '.join(SIGNALS)}, or some of them")
    return [signal for signal in SIGNALS if signal in known]
