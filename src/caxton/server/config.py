"""Settings: flags before `CAXTON_*` before config.toml before defaults, each value with the place it came from."""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from caxton.conversations.settings import MODES
from caxton.core.crash import VARIABLE as CRASH_VARIABLE
from caxton.core.errors.error import CaxtonError, quoted
from caxton.core.errors.server import InvalidConfig
from caxton.core.redact import REMOVED, password_of, spellings
from caxton.core.suggest import nearest
from caxton.core.units import parse_duration, parse_size
from caxton.telemetry.settings import (
    DEFAULT_SPANS_PER_S,
    SIGNALS,
    Headers,
    TelemetrySettings,
    read_endpoint,
    read_headers,
    read_protocol,
    read_ratio,
    read_signals,
    read_spans_per_s,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from caxton.conversations.settings import Mode

MAX_CONFIG_BYTES = 64 * 1024
MAX_KEY_DOTS = 16
"""The parser takes quadratic time in the parts of a dotted key: 40 kB of them took 3.5 s and 1.5 GB."""

MIN_DEAD_LETTER_BYTES = 1 << 20
"""A store that one letter fills would refuse messages all the time."""
MAX_SIZE = 1 << 50
"""No disk has more."""

MIN_LOG_BYTES = 1 << 20
"""Some two thousand lines."""

MIN_JOURNAL_BYTES = 16 << 20
"""A module may have 10 MiB."""

MIN_RECORDING_BYTES = 16 << 20
"""One life may take a quarter of it, and a module has up to 10 MiB."""

MIN_RECORDER_BYTES = 2 << 20
"""A segment that is written and one that is read."""

_STRING = re.compile(r""" "(?:\\.?|[^"\\])*(?:"|$) | '[^']*(?:'|$) """, re.VERBOSE)
"""A text on one line. One that does not end is taken to the end of the line, so that looking for it stays linear."""

_CLIENT_VARIABLES = frozenset(
    {"CAXTON_SERVER", "CAXTON_TOKEN", "CAXTON_CONTEXT", "CAXTON_CONTEXTS", "CAXTON_OUTPUT", "CAXTON_CA_FILE"}
)
"""Of the command line; the server has no use for them and does not complain."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its key in config.toml, its variable, what it is for and how a value is read."""

    key: str
    variable: str
    default: object
    read: Callable[[object], object]
    purpose: str
    is_secret: bool = False
    """Its value is in no message."""


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """A value and where it came from: `flag`, the variable's name, the file's path, or `default`."""

    key: str
    value: Any
    source: str


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("it must be text")
    return value


def _path(value: object) -> str | None:
    if value in (None, ""):
        return None
    try:
        return str(Path(value if isinstance(value, Path) else _text(value)).expanduser())
    except RuntimeError as exc:
        raise ValueError("it begins with the home of a user that this machine does not know") from exc


def _directory(value: object) -> str:
    path = _path(value)
    if path is None:
        raise ValueError("it must be a path")
    return path


def _port(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65535:
        raise ValueError("it must be a port number from 0 (any free one) to 65535")
    return value


def _count(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
        raise ValueError("it must be a number from 1 to 1000000")
    return value


def _switch(value: object) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, str):
        value = known.get(value.lower(), value)
    if not isinstance(value, bool):
        raise ValueError("it must be true or false")
    return value


def _names(value: object) -> list[str]:
    parts: list[object] = list(value.split(",")) if isinstance(value, str) else cast("list[object]", value)
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("it must be a list of host names")
    return [part.strip() for part in parts if isinstance(part, str) and part.strip()]


def _seconds(value: object) -> float:
    return parse_duration(value)


def _size(least: int, *, has_off: bool = False) -> Callable[[object], int]:
    def read(value: object) -> int:
        size = parse_size(value)
        if not least <= size <= MAX_SIZE and not (has_off and size == 0):
            off = ", or 0, which turns it off" if has_off else ""
            raise ValueError(f"it must be a size from {least >> 20} MiB to {MAX_SIZE >> 40} TiB{off}")
        return size

    return read


def _level(value: object) -> str:
    level = _text(value).lower()
    if level not in ("debug", "info", "warning", "error"):
        raise ValueError("it must be debug, info, warning or error")
    return level


def _mode(value: object) -> str:
    mode = _text(value).lower()
    if mode not in MODES:
        raise ValueError(f"it must be {', '.join(MODES[:-1])} or {MODES[-1]}")
    return mode


def default_data_dir() -> str:
    """`$XDG_DATA_HOME/caxton`, or `~/.local/share/caxton`."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return str(Path(base) / "caxton")


def default_config_file() -> Path:
    """`$XDG_CONFIG_HOME/caxton/config.toml`, or `~/.config/caxton/config.toml`."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "caxton" / "config.toml"


SETTINGS = (
    Setting("server.host", "CAXTON_HOST", "127.0.0.1", _text, "Address to listen on."),
    Setting("server.port", "CAXTON_PORT", 8080, _port, "Port to listen on; 0 takes a free one."),
    Setting("server.data_dir", "CAXTON_DATA_DIR", None, _directory, "Where everything is kept; made with mode 0700."),
    Setting(
        "server.allowed_hosts",
        "CAXTON_ALLOWED_HOSTS",
        [],
        _names,
        "Further host names that requests may be for.",
    ),
    Setting(
        "server.tls_cert",
        "CAXTON_TLS_CERT_PATH",
        None,
        _path,
        "Certificate chain (PEM); with it, TLS 1.3 only.",
    ),
    Setting("server.tls_key", "CAXTON_TLS_KEY_PATH", None, _path, "Private key of the certificate (PEM)."),
    Setting("server.insecure", "CAXTON_INSECURE", False, _switch, "Listen beyond this machine without TLS."),
    Setting(
        "server.drain_timeout",
        "CAXTON_DRAIN_TIMEOUT",
        10.0,
        _seconds,
        "How long a stop waits for work in hand.",
    ),
    Setting("server.max_instances", "CAXTON_MAX_INSTANCES", 10_000, _count, "Sandboxes this server may hold."),
    Setting(
        "storage.max_dead_letters",
        "CAXTON_MAX_DEAD_LETTERS",
        1 << 30,
        _size(MIN_DEAD_LETTER_BYTES),
        "How much dead letters may take before new messages are refused.",
    ),
    Setting(
        "storage.max_journal",
        "CAXTON_MAX_JOURNAL",
        8 << 30,
        _size(MIN_JOURNAL_BYTES),
        "How much the journal may hold before new messages are refused.",
    ),
    Setting(
        "storage.max_logs",
        "CAXTON_MAX_LOGS",
        64 << 20,
        _size(MIN_LOG_BYTES),
        "How much all agents' logs may take before the oldest lines go.",
    ),
    Setting(
        "storage.max_recordings",
        "CAXTON_MAX_RECORDINGS",
        256 << 20,
        _size(MIN_RECORDING_BYTES),
        "How much recordings for replays may take; the oldest of who takes most go first.",
    ),
    Setting(
        "recorder.size",
        "CAXTON_RECORDER_SIZE",
        64 << 20,
        _size(MIN_RECORDER_BYTES, has_off=True),
        "How much disk the flight recorder may take for what happened to messages; 0 turns it off.",
    ),
    Setting(
        "recorder.bodies",
        "CAXTON_RECORDER_BODIES",
        64 << 20,
        _size(0),
        "How many bytes of what was said are kept for each workspace, by whole conversations; 0: none.",
    ),
    Setting(
        "conversations.mode",
        "CAXTON_CONVERSATIONS_MODE",
        "enforce",
        _mode,
        "What happens to messages out of place: strict, enforce, warn or off; unless a workspace has its own.",
    ),
    Setting(
        "conversations.idle_timeout",
        "CAXTON_CONVERSATIONS_IDLE_TIMEOUT",
        86_400.0,
        _seconds,
        "After so long without a message a conversation is over.",
    ),
    Setting(
        "conversations.max_age",
        "CAXTON_CONVERSATIONS_MAX_AGE",
        7 * 86_400.0,
        _seconds,
        "So long a conversation may last.",
    ),
    Setting(
        "telemetry.endpoint",
        "CAXTON_TELEMETRY_ENDPOINT",
        None,
        read_endpoint,
        "Base URL of an OpenTelemetry collector; without it nothing is exported.",
    ),
    Setting("telemetry.protocol", "CAXTON_TELEMETRY_PROTOCOL", "grpc", read_protocol, "OTLP by grpc or http."),
    Setting(
        "telemetry.headers",
        "CAXTON_TELEMETRY_HEADERS",
        Headers(),
        read_headers,
        "Sent with each export, as authorization. Secret.",
        is_secret=True,
    ),
    Setting("telemetry.signals", "CAXTON_TELEMETRY_SIGNALS", list(SIGNALS), read_signals, "What is exported."),
    Setting(
        "telemetry.sample_ratio",
        "CAXTON_TELEMETRY_SAMPLE_RATIO",
        1.0,
        read_ratio,
        "Of traces that are kept whole, at most; what goes wrong or is slow is kept beside them.",
    ),
    Setting(
        "telemetry.max_spans_per_s",
        "CAXTON_TELEMETRY_MAX_SPANS_PER_S",
        DEFAULT_SPANS_PER_S,
        read_spans_per_s,
        "How many spans may be exported in a second.",
    ),
    Setting("log.level", "CAXTON_LOG_LEVEL", "info", _level, "Least grave lines in the server's own log."),
)
"""All settings there are. docs/reference/configuration.md lists them; a test compares."""

_BY_KEY = {setting.key: setting for setting in SETTINGS}
_SECTIONS = {key.partition(".")[0] for key in _BY_KEY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings as the server uses them."""

    host: str
    port: int
    data_dir: Path
    allowed_hosts: list[str]
    tls_cert: Path | None
    tls_key: Path | None
    insecure: bool
    drain_timeout_s: float
    max_instances: int
    max_dead_letter_bytes: int
    max_journal_bytes: int
    max_log_bytes: int
    max_recording_bytes: int
    recorder_bytes: int
    body_bytes: int
    conversation_mode: Mode
    conversation_idle_s: float
    conversation_max_age_s: float
    telemetry: TelemetrySettings
    log_level: str
    effective: tuple[EffectiveValue, ...] = ()
    """All of them by key, with where they came from."""


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
    file, from_file = _read_file(overrides.get("config"), environment)
    given = {_flag_key(flag): value for flag, value in overrides.items() if value is not None and flag != "config"}
    return [_effective(setting, given, environment, file, from_file) for setting in SETTINGS]


def load(overrides: Mapping[str, object], environment: Mapping[str, str] | None = None) -> Settings:
    """The settings, checked against each other as well. Raises `InvalidConfig`."""
    found = tuple(effective(overrides, environment))
    values = {value.key: value.value for value in found}
    cert, key = values["server.tls_cert"], values["server.tls_key"]
    if (cert is None) != (key is None):
        raise InvalidConfig("server.tls_cert and server.tls_key", "give both or neither")
    host = values["server.host"]
    if not is_loopback(host) and cert is None and not values["server.insecure"]:
        raise InvalidConfig(
            "server.host",
            f"{host!r} can be reached from other machines, so a certificate is needed (server.tls_cert, server.tls_key); "  # noqa: E501
            "behind a proxy that has one, set server.insecure",
        )
    return Settings(
        host=host,
        port=values["server.port"],
        data_dir=Path(values["server.data_dir"]),
        allowed_hosts=values["server.allowed_hosts"],
        tls_cert=Path(cert) if cert else None,
        tls_key=Path(key) if key else None,
        insecure=values["server.insecure"],
        drain_timeout_s=values["server.drain_timeout"],
        max_instances=values["server.max_instances"],
        max_dead_letter_bytes=values["storage.max_dead_letters"],
        max_journal_bytes=values["storage.max_journal"],
        max_log_bytes=values["storage.max_logs"],
        max_recording_bytes=values["storage.max_recordings"],
        recorder_bytes=values["recorder.size"],
        body_bytes=values["recorder.bodies"],
        conversation_mode=values["conversations.mode"],
        conversation_idle_s=values["conversations.idle_timeout"],
        conversation_max_age_s=values["conversations.max_age"],
        telemetry=TelemetrySettings(
            endpoint=values["telemetry.endpoint"],
            protocol=values["telemetry.protocol"],
            headers=values["telemetry.headers"],
            signals=tuple(values["telemetry.signals"]),
            sample_ratio=values["telemetry.sample_ratio"],
            max_spans_per_s=values["telemetry.max_spans_per_s"],
        ),
        log_level=values["log.level"],
        effective=found,
    )


def public(values: Iterable[EffectiveValue]) -> dict[str, dict[str, Any]]:
    """Values and sources by key; of a secret only whether it is set."""
    return {
        one.key: {"value": (REMOVED if one.value else None) if _BY_KEY[one.key].is_secret else one.value,
                  "source": one.source}
        for one in values
    }  # fmt: skip


def secrets_of(values: Iterable[EffectiveValue]) -> set[str]:
    """All that must not be told of settings, as it may be written: secret values, and passwords in URLs of others."""
    found: set[str] = set()
    for one in values:
        texts = set(_texts(one.value))
        if not _BY_KEY[one.key].is_secret:
            texts = {password for text in texts if (password := password_of(text)) is not None}
        for text in texts:
            found |= spellings(text)
    return found


def _texts(value: object) -> Iterator[str]:
    """The texts in a value, at any depth; of a table not its names."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in cast("dict[object, object]", value).values():
            yield from _texts(member)
    elif isinstance(value, list | tuple):
        for member in cast("list[object]", value):
            yield from _texts(member)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    name = host.removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


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
    return _setting(flag if "." in flag else f"server.{flag}", "flag").key


def _setting(key: str, source: str) -> Setting:
    setting = _BY_KEY.get(key)
    if setting is None:
        hint = nearest(key, _BY_KEY)
        raise InvalidConfig(source, f"there is no setting {quoted(key)}{f'; did you mean {hint}?' if hint else ''}")
    return setting


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = {setting.variable for setting in SETTINGS} | {"CAXTON_CONFIG", CRASH_VARIABLE} | _CLIENT_VARIABLES
    for name in environment:
        if name.startswith("CAXTON_") and name not in known:
            hint = nearest(name, (other.lower() for other in known))
            spelled = f"; did you mean {hint.upper()}?" if hint else ""
            raise InvalidConfig("environment", f"there is no variable {quoted(name)}{spelled}")


def _read_file(flag: object, environment: Mapping[str, str]) -> tuple[str, dict[str, object]]:
    named = flag or environment.get("CAXTON_CONFIG")
    try:
        path = Path(_directory(named)) if named else default_config_file()
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        if named:
            raise InvalidConfig(str(named), "there is no such file") from None
        return str(default_config_file()), {}
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
        raise InvalidConfig(str(named or default_config_file()), f"it cannot be read: {reason}") from exc
    return str(path), parse_config(data, str(path))


def parse_config(data: bytes, path: str) -> dict[str, object]:
    """`key → value` of a config.toml, keys dotted and known. Raises `InvalidConfig`."""
    if len(data) > MAX_CONFIG_BYTES:
        raise InvalidConfig(path, f"it has more than {MAX_CONFIG_BYTES} bytes")
    try:
        text = data.decode()
        if any(_key_dots(line) > MAX_KEY_DOTS for line in text.split("\n")):
            raise InvalidConfig(path, f"a key has more than {MAX_KEY_DOTS} dots")
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:  # TOMLDecodeError, UnicodeDecodeError, integers of 5,000 digits
        raise InvalidConfig(path, f"it is not TOML: {exc}") from exc
    found: dict[str, object] = {}
    for section, content in tables.items():
        if not isinstance(content, dict):
            raise InvalidConfig(path, f"{quoted(section)} stands outside of a section such as [server]")
        if section not in _SECTIONS and not content:
            hint = nearest(section, _SECTIONS)
            raise InvalidConfig(
                path, f"there is no section {quoted(section)}{f'; did you mean [{hint}]?' if hint else ''}"
            )
        for key, value in cast("dict[str, object]", content).items():
            found[_setting(f"{section}.{key}", path).key] = value
    return found


def _key_dots(line: str) -> int:
    """Dots that may be in keys: at least those that are, wherever keys can stand."""
    if '"""' in line or "'''" in line:  # where texts of several lines begin and end, which would take a parser to tell
        return line.count(".")
    return _STRING.sub("", line).partition("#")[0].count(".")
