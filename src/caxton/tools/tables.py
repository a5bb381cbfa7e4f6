"""Reads the tables `[tools.NAME]` of a configuration. Pure: no file is looked at, no secret fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, get_args

from caxton.core.errors.error import CaxtonError, quoted
from caxton.core.errors.server import InvalidConfig
from caxton.core.suggest import nearest
from caxton.core.units import format_duration, format_size, parse_duration, parse_size
from caxton.tools.settings import Approval, Approve, BreakerSettings, Directory, Interface, Kind, Mode, ToolSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_SOURCES = 100

MAX_ENTRIES = 1_000
"""Of one list or table."""

MIN_TIMEOUT_S, MAX_TIMEOUT_S = 0.001, 3600.0

MAX_APPROVAL_TIMEOUT_S = 7 * 86_400.0

MAX_IDLE_TIMEOUT_S = 366 * 86_400.0

MAX_CONCURRENCY = 10_000

MAX_RATE_PER_S = 1_000_000.0

MIN_RESULT_BYTES, MAX_RESULT_BYTES = 1 << 10, 64 << 20

MIN_MEMORY_BYTES, MAX_MEMORY_BYTES = 64 << 10, 512 << 20

MAX_BREAKER_THRESHOLD = 1_000

MAX_BREAKER_PROBES = 100

BUILTINS = ("state", "http", "files", "time", "sql")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_RATE = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*/\s*(s|m|h)\s*", re.ASCII)
_PER = {"s": 1, "m": 60, "h": 3600}

_ALL: frozenset[str] = frozenset(get_args(Kind))
_NEEDED = {"stdio": "command", "http": "url", "wasm": "module", "builtin": "builtin"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table."""

    field: str
    read: Callable[[object], Any]
    """Raises `ValueError` or `CaxtonError`: what it must be."""
    kinds: frozenset[str] = _ALL
    """Types of source that have it."""


def read_tools(tables: Mapping[str, object], path: str) -> list[ToolSettings]:
    """All sources that `tables`, the section `tools` of the file at `path`, has. Raises `InvalidConfig`."""
    if len(tables) > MAX_SOURCES:
        raise InvalidConfig(path, f"it has {len(tables)} tables [tools.NAME], and {MAX_SOURCES} are allowed")
    return [read_tool(name, table, path) for name, table in tables.items()]


def read_tool(name: str, table: object, path: str) -> ToolSettings:
    """One source. Raises `InvalidConfig`."""
    where = f"[tools.{name}]" if _NAME.fullmatch(name) else f"[tools.{quoted(name)}]"
    if not _NAME.fullmatch(name):
        rule = "a name has 1 to 64 letters, digits, '-' or '_', and begins with a letter or digit"
        raise InvalidConfig(path, f"{where}: {rule}")
    if not isinstance(table, dict):
        raise InvalidConfig(path, f"tools.{name} must be a table: {where}")
    values = cast("dict[str, object]", table)
    kind = values.get("type")
    if kind not in _ALL:
        raise InvalidConfig(path, f"{where}: type must be {_words(get_args(Kind))}")
    found = {_key(key, str(kind), where, path).field: _value(key, value, where, path) for key, value in values.items()}
    needed = _NEEDED[str(kind)]
    if not found.get(needed):
        raise InvalidConfig(path, f"{where}: type = {quoted(kind)} needs {needed}")
    cost = found.pop("cost", 0.0)
    if isinstance(cost, dict):
        found["costs"] = cost
    else:
        found["cost"] = cost
    settings = ToolSettings(name=name, **found)
    _check_secrets(settings, where, path)
    return settings


def _key(key: str, kind: str, where: str, path: str) -> Key:
    known = KEYS.get(key)
    if known is None:
        hint = nearest(key, KEYS)
        said = f"; did you mean {hint}?" if hint else ""
        raise InvalidConfig(path, f"{where}: there is no {quoted(key)}{said}")
    if kind not in known.kinds:
        raise InvalidConfig(path, f"{where}: {key} is for type = {_words(sorted(known.kinds))}, and this is {kind!r}")
    return known


def _value(key: str, value: object, where: str, path: str) -> Any:
    try:
        return KEYS[key].read(value)
    except (ValueError, CaxtonError) as exc:
        raise InvalidConfig(path, f"{where}: {key}: {exc}") from exc


def _check_secrets(settings: ToolSettings, where: str, path: str) -> None:
    """A placeholder without its secret would be sent as it stands."""
    for name, value in settings.headers.items():
        for secret in re.findall(r"\{\{secret:([^}]*)\}\}", value):
            if secret not in settings.secrets:
                raise InvalidConfig(path, f"{where}: headers: {quoted(name)} has a secret that is not in secrets")


# --- readers ---------------------------------------------------------------------------------------------------


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("it must be text")
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it must be true or false")
    return value


def _word(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise ValueError(f"it must be {_words(words)}")
        return str(value)

    return read


def _count(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"it must be a number from {least} to {most}")
        return value

    return read


def _seconds(least: float, most: float, *, has_off: bool = False) -> Callable[[object], float]:
    def read(value: object) -> float:
        seconds = parse_duration(value)
        if not least <= seconds <= most and not (has_off and seconds == 0):
            off = ", or 0, which turns it off" if has_off else ""
            raise ValueError(f"it must be from {format_duration(least)} to {format_duration(most)}{off}")
        return seconds

    return read


def _size(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        size = parse_size(value)
        if not least <= size <= most:
            raise ValueError(f"it must be from {format_size(least)} to {format_size(most)}")
        return size

    return read


def _rate(value: object) -> float:
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    rate = float(match[1]) / _PER[match[2]] if match else 0.0
    if not 0 < rate <= MAX_RATE_PER_S:
        raise ValueError(f"write it like '10/s', '30/m' or '1000/h', at most {MAX_RATE_PER_S:.0f}/s")
    return rate


def _texts(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    if len(items) > MAX_ENTRIES or not all(isinstance(item, str) and "\0" not in item for item in items):
        raise ValueError(f"it must be a list of at most {MAX_ENTRIES} texts")
    return tuple(cast("list[str]", items))


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict) or len(cast("dict[str, object]", value)) > MAX_ENTRIES:
        raise ValueError(f"it must be a table of at most {MAX_ENTRIES} keys")
    return cast("dict[str, object]", value)


def _variables(value: object) -> dict[str, str]:
    found = _table(value)
    for name, content in found.items():
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{quoted(name)} is no name of a variable")
        if not isinstance(content, str) or "\0" in content:
            raise ValueError(f"{name} must be text")
    return cast("dict[str, str]", found)


def _headers(value: object) -> dict[str, str]:
    found = _table(value)
    for name, content in found.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", name, re.ASCII):
            raise ValueError(f"{quoted(name)} is no name of a header")
        if not isinstance(content, str) or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", content):
            raise ValueError(f"{name} must be text on one line")
    return cast("dict[str, str]", found)


def _secrets(value: object) -> dict[str, str]:
    found = _variables(value)
    for name, place in found.items():
        kind, _, rest = place.partition(":")
        if not (kind == "env" and _VARIABLE.fullmatch(rest)) and not (kind == "file" and rest.startswith("/")):
            raise ValueError(f"{name} must say where it is: 'env:VARIABLE' or 'file:/PATH'")
    return found


def _directories(value: object) -> tuple[Directory, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    return tuple(map(_directory, items))


def _directory(value: object) -> Directory:
    found = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    path, mode = found.get("path"), found.get("mode", "ro")
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path or mode not in get_args(Mode):
        raise ValueError(
            "it must be a list like [{path = '/srv/data', mode = 'ro'}], with 'ro' or 'rw' and whole paths"
        )
    if found.keys() - {"path", "mode"}:
        raise ValueError("one of it has path and mode, and nothing else")
    return Directory(path, cast("Mode", mode))


def _breaker(value: object) -> BreakerSettings:
    found, default = _table(value), BreakerSettings()
    if unknown := found.keys() - {"threshold", "timeout", "probes"}:
        raise ValueError(f"it has threshold, timeout and probes, and no {quoted(min(unknown))}")
    return BreakerSettings(
        threshold=_count(0, MAX_BREAKER_THRESHOLD)(found.get("threshold", default.threshold)),
        timeout_s=_seconds(MIN_TIMEOUT_S, MAX_TIMEOUT_S)(found.get("timeout", default.timeout_s)),
        probes=_count(1, MAX_BREAKER_PROBES)(found.get("probes", default.probes)),
    )


def _cost(value: object) -> float | dict[str, float]:
    if isinstance(value, dict):
        return {name: _amount(one) for name, one in _table(cast("object", value)).items()}
    return _amount(value)


def _amount(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1e12:
        raise ValueError("it must be a number from 0 on, or a table of such by tool")
    return float(value)


def _words(words: tuple[str, ...] | list[str]) -> str:
    quoted_words = [repr(word) for word in words]
    return " or ".join([", ".join(quoted_words[:-1]), quoted_words[-1]]) if len(words) > 1 else quoted_words[0]


def _for(*kinds: str) -> frozenset[str]:
    return frozenset(kinds)


KEYS = {
    "type": Key("kind", _word(*get_args(Kind))),
    "command": Key("command", _text, _for("stdio")),
    "args": Key("args", _texts, _for("stdio", "wasm")),
    "cwd": Key("cwd", _text, _for("stdio")),
    "url": Key("url", _text, _for("http")),
    "headers": Key("headers", _headers, _for("http")),
    "module": Key("module", _text, _for("wasm")),
    "interface": Key("interface", _word(*get_args(Interface)), _for("wasm")),
    "builtin": Key("builtin", _word(*BUILTINS), _for("builtin")),
    "options": Key("options", _table, _for("builtin")),
    "allowed_hosts": Key("allowed_hosts", _texts, _for("http", "wasm", "builtin")),
    "allowed_dirs": Key("allowed_dirs", _directories, _for("wasm", "builtin")),
    "env": Key("env", _variables, _for("stdio", "wasm")),
    "secrets": Key("secrets", _secrets),
    "memory": Key("memory_bytes", _size(MIN_MEMORY_BYTES, MAX_MEMORY_BYTES), _for("wasm")),
    "cpu_time": Key("cpu_time_s", _seconds(MIN_TIMEOUT_S, 300.0), _for("wasm")),
    "timeout": Key("timeout_s", _seconds(MIN_TIMEOUT_S, MAX_TIMEOUT_S)),
    "concurrency": Key("concurrency", _count(0, MAX_CONCURRENCY)),
    "rate": Key("rate_per_s", _rate),
    "max_result": Key("max_result_bytes", _size(MIN_RESULT_BYTES, MAX_RESULT_BYTES)),
    "idle_timeout": Key("idle_timeout_s", _seconds(MIN_TIMEOUT_S, MAX_IDLE_TIMEOUT_S, has_off=True)),
    "retries": Key("retries", _count(0, 1)),
    "breaker": Key("breaker", _breaker),
    "approval": Key("approval", _word(*get_args(Approval))),
    "approval_timeout": Key("approval_timeout_s", _seconds(MIN_TIMEOUT_S, MAX_APPROVAL_TIMEOUT_S)),
    "approve": Key("approve", _word(*get_args(Approve))),
    "tools": Key("tools", _texts),
    "idempotent": Key("idempotent", _texts),
    "trust_annotations": Key("trust_annotations", _switch),
    "cost": Key("cost", _cost),
}
"""All keys of a table. docs/reference/tools.md lists them; a test compares."""
