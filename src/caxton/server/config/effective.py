"""Flags before `CAXTON_*` before config.toml before defaults, each value with the place it came from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caxton.core.crash import VARIABLE as CRASH_VARIABLE
from caxton.core.errors.error import CaxtonError, quoted
from caxton.core.errors.server import InvalidConfig
from caxton.core.suggest import nearest
from caxton.server.config.catalogue import SETTINGS, setting_of
from caxton.server.config.file import read_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caxton.server.config.catalogue import Setting

_CLIENT_VARIABLES = frozenset(
    {"CAXTON_SERVER", "CAXTON_TOKEN", "CAXTON_CONTEXT", "CAXTON_CONTEXTS", "CAXTON_OUTPUT", "CAXTON_CA_FILE"}
)
"""Of the command line; the server has no use for them and does not complain."""


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """A value and where it came from: `flag`, the variable's name, the file's path, or `default`."""

    key: str
    value: Any
    source: str


def default_data_dir() -> str:
    """`$XDG_DATA_HOME/caxton`, or `~/.local/share/caxton`."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return str(Path(base) / "caxton")


def effective(overrides: Mapping[str, object], environment: Mapping[str, str] | None = None) -> list[EffectiveValue]:
    """Every setting with its value and source.

    Args:
        overrides: from flags: key, `server.` left out, → value; None counts as not given.
            `config` names the file to read.
        environment: variables; the process's own when left out.

    Raises:
        InvalidConfig: a key or variable nobody knows, or a value that breaks its rule.
    """
    environment = os.environ if environment is None else environment
    _refuse_unknown_variables(environment)
    file, from_file = read_file(overrides.get("config"), environment)
    given = {_flag_key(flag): value for flag, value in overrides.items() if value is not None and flag != "config"}
    return [_effective(setting, given, environment, file, from_file) for setting in SETTINGS]


def _effective(
    setting: Setting,
    given: dict[str, object],
    environment: Mapping[str, str],
    file: str,
    from_file: dict[str, object],
) -> EffectiveValue:
    if setting.key in given:
        return _value(setting, given[setting.key], "flag")
    if setting.variable in environment:
        return _value(setting, environment[setting.variable], setting.variable)
    if setting.key in from_file:
        return _value(setting, from_file[setting.key], file)
    default = default_data_dir() if setting.key == "server.data_dir" else setting.default
    return EffectiveValue(setting.key, default, "default")


def _value(setting: Setting, value: object, source: str) -> EffectiveValue:
    try:
        return EffectiveValue(setting.key, setting.read(value), source)
    except (ValueError, CaxtonError) as exc:
        shown = "(its value is secret)" if setting.is_secret else f"= {quoted(value)}"
        raise InvalidConfig(source, f"{setting.key} {shown}: {exc}") from exc


def _flag_key(flag: str) -> str:
    """Flags leave out the section they nearly all share."""
    return setting_of(flag if "." in flag else f"server.{flag}", "flag").key


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = {setting.variable for setting in SETTINGS} | {"CAXTON_CONFIG", CRASH_VARIABLE} | _CLIENT_VARIABLES
    for name in environment:
        if name.startswith("CAXTON_") and name not in known:
            hint = nearest(name, (other.lower() for other in known))
            spelled = f"; did you mean {hint.upper()}?" if hint else ""
            raise InvalidConfig("environment", f"there is no variable {quoted(name)}{spelled}")
