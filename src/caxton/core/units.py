"""Sizes and durations as people write them: `16MB`, `512KiB`, `5s`, `250ms`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from caxton.core.errors.values import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Mapping

_AMOUNT = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([A-Za-zµ]*)\s*", re.ASCII)

MAX_AMOUNT = 1 << 62
"""No size or duration is larger; beyond it numbers stop being exact or even finite."""

_SIZES = {
    "": 1, "b": 1,
    "k": 1 << 10, "kb": 1 << 10, "ki": 1 << 10, "kib": 1 << 10,
    "m": 1 << 20, "mb": 1 << 20, "mi": 1 << 20, "mib": 1 << 20,
    "g": 1 << 30, "gb": 1 << 30, "gi": 1 << 30, "gib": 1 << 30,
}  # fmt: skip
"""Memory comes in powers of two, so `16MB` and `16MiB` are the same here, as they are to WebAssembly's 64 KiB pages."""

_DURATIONS = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(value: object, *, what: str = "size") -> int:
    """Bytes from `16MB`, `64KiB` or a plain number of bytes; raises `InvalidValue`."""
    amount = _parse(value, _SIZES, what, "write it like 16MB, 512KiB or 1048576")
    return int(amount)


def parse_duration(value: object, *, what: str = "duration") -> float:
    """Seconds from `5s`, `250ms`, `2m` or a plain number of seconds; raises `InvalidValue`."""
    return _parse(value, _DURATIONS, what, "write it like 5s, 250ms or 2m")


def format_size(size_bytes: float) -> str:
    """`10485760` as `10.0 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"


def format_duration(seconds: float) -> str:
    """`93784` as `1d 2h`: the two largest parts, for people."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    parts: list[str] = []
    rest = int(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def _parse(value: object, units: Mapping[str, float], what: str, rule: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_AMOUNT:
        return value
    if isinstance(value, str) and (match := _AMOUNT.fullmatch(value)):
        factor = units.get(match[2].lower())
        if factor is not None and (amount := float(match[1]) * factor) <= MAX_AMOUNT:
            return amount
    raise InvalidValue(what, value, rule)
