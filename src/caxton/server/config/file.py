"""config.toml: where it is, how large it may be, which keys it may have."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from caxton.core.errors.error import quoted
from caxton.core.errors.server import InvalidConfig
from caxton.core.suggest import nearest
from caxton.server.config.catalogue import BY_KEY, setting_of
from caxton.server.config.readers import read_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CONFIG_BYTES = 64 * 1024

MAX_KEY_DOTS = 16
"""The parser takes quadratic time in the parts of a dotted key: 40 kB of them took 3.5 s and 1.5 GB."""

TOOLS = "tools"
"""The section of the sources of tools, `[tools.NAME]`: see `caxton.tools.tables`."""

_SECTIONS = {key.partition(".")[0] for key in BY_KEY}

_STRING = re.compile(r""" "(?:\\.?|[^"\\])*(?:"|$) | '[^']*(?:'|$) """, re.VERBOSE)
"""A text on one line. One that does not end is taken to the end of the line, so that looking for it stays linear."""


def default_config_file() -> Path:
    """`$XDG_CONFIG_HOME/caxton/config.toml`, or `~/.config/caxton/config.toml`."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "caxton" / "config.toml"


def read_file(flag: object, environment: Mapping[str, str]) -> tuple[str, dict[str, object]]:
    """The file's path, and what it says by key; sources of tools are not among that. As `read_tables`."""
    path, tables = read_tables(flag, environment)
    return path, settings_in(tables, path)


def read_tables(flag: object, environment: Mapping[str, str]) -> tuple[str, dict[str, object]]:
    """The file's path, and its tables: none if no file is named and the default one is not there.

    Args:
        flag: the path that was given on the command line, if one was.
        environment: where `CAXTON_CONFIG` names it otherwise.

    Raises:
        InvalidConfig: it cannot be read, or does not say what it should.
    """
    named = flag or environment.get("CAXTON_CONFIG")
    try:
        path = Path(read_directory(named)) if named else default_config_file()
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        if named:
            raise InvalidConfig(str(named), "there is no such file") from None
        return str(default_config_file()), {}
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
        raise InvalidConfig(str(named or default_config_file()), f"it cannot be read: {reason}") from exc
    return str(path), parse_tables(data, str(path))


def parse_config(data: bytes, path: str) -> dict[str, object]:
    """`key → value` of a config.toml, keys dotted and known. Raises `InvalidConfig`."""
    return settings_in(parse_tables(data, path), path)


def parse_tables(data: bytes, path: str) -> dict[str, object]:
    """The tables of a config.toml; what stands in them is not looked at. Raises `InvalidConfig`."""
    if len(data) > MAX_CONFIG_BYTES:
        raise InvalidConfig(path, f"it has more than {MAX_CONFIG_BYTES} bytes")
    try:
        text = data.decode()
        if any(_key_dots(line) > MAX_KEY_DOTS for line in text.split("\n")):
            raise InvalidConfig(path, f"a key has more than {MAX_KEY_DOTS} dots")
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:  # TOMLDecodeError, UnicodeDecodeError, integers of 5,000 digits
        raise InvalidConfig(path, f"it is not TOML: {exc}") from exc


def settings_in(tables: Mapping[str, object], path: str) -> dict[str, object]:
    """`key → value`, keys dotted and known. Raises `InvalidConfig`."""
    found: dict[str, object] = {}
    for section, content in tables.items():
        if not isinstance(content, dict):
            raise InvalidConfig(path, f"{quoted(section)} stands outside of a section such as [server]")
        if section == TOOLS:
            continue
        if section not in _SECTIONS and not content:
            hint = nearest(section, _SECTIONS | {TOOLS})
            raise InvalidConfig(
                path, f"there is no section {quoted(section)}{f'; did you mean [{hint}]?' if hint else ''}"
            )
        for key, value in cast("dict[str, object]", content).items():
            found[setting_of(f"{section}.{key}", path).key] = value
    return found


def _key_dots(line: str) -> int:
    """Dots that may be in keys: at least those that are, wherever keys can stand."""
    if '"""' in line or "'''" in line:  # where texts of several lines begin and end, which would take a parser to tell
        return line.count(".")
    return _STRING.sub("", line).partition("#")[0].count(".")
