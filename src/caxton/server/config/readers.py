"""How one value is read, from TOML, a variable or a flag alike. Each reader raises `ValueError`: what it must be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from caxton.conversations.settings import MODES
from caxton.core.units import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SIZE = 1 << 50
"""No disk has more."""


def read_text(value: object) -> str:
    """Without NUL."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("it must be text")
    return value


def read_path(value: object) -> str | None:
    """With `~` resolved; None if there is none."""
    if value in (None, ""):
        return None
    try:
        return str(Path(value if isinstance(value, Path) else read_text(value)).expanduser())
    except RuntimeError as exc:
        raise ValueError("it begins with the home of a user that this machine does not know") from exc


def read_directory(value: object) -> str:
    """A path that must be given."""
    path = read_path(value)
    if path is None:
        raise ValueError("it must be a path")
    return path


def read_port(value: object) -> int:
    """A number or its digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65535:
        raise ValueError("it must be a port number from 0 (any free one) to 65535")
    return value


def read_count(value: object) -> int:
    """A number or its digits, from 1 to a million."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
        raise ValueError("it must be a number from 1 to 1000000")
    return value


def read_switch(value: object) -> bool:
    """A truth value, or a word for one."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, str):
        value = known.get(value.lower(), value)
    if not isinstance(value, bool):
        raise ValueError("it must be true or false")
    return value


def read_names(value: object) -> list[str]:
    """A list, or a text with commas between the names."""
    parts: list[object] = list(value.split(",")) if isinstance(value, str) else cast("list[object]", value)
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("it must be a list of host names")
    return [part.strip() for part in parts if isinstance(part, str) and part.strip()]


def read_seconds(value: object) -> float:
    """A duration like `10s`, in seconds; raises `InvalidValue`."""
    return parse_duration(value)


def size_reader(least: int, *, has_off: bool = False) -> Callable[[object], int]:
    """A reader of sizes like `1GiB`, in bytes: at least `least`; if it `has_off`, also 0."""

    def read(value: object) -> int:
        size = parse_size(value)
        if not least <= size <= MAX_SIZE and not (has_off and size == 0):
            off = ", or 0, which turns it off" if has_off else ""
            raise ValueError(f"it must be a size from {least >> 20} MiB to {MAX_SIZE >> 40} TiB{off}")
        return size

    return read


def read_level(value: object) -> str:
    """The name of a log level, in small letters."""
    level = read_text(value).lower()
    if level not in ("debug", "info", "warning", "error"):
        raise ValueError("it must be debug, info, warning or error")
    return level


def read_mode(value: object) -> str:
    """One of `MODES`."""
    mode = read_text(value).lower()
    if mode not in MODES:
        raise ValueError(f"it must be {', '.join(MODES[:-1])} or {MODES[-1]}")
    return mode
