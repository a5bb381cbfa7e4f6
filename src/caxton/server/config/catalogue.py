"""Which settings there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caxton.core.errors.error import quoted
from caxton.core.errors.server import InvalidConfig
from caxton.core.suggest import nearest
from caxton.server.config.readers import (
    read_count,
    read_directory,
    read_level,
    read_mode,
    read_names,
    read_path,
    read_port,
    read_seconds,
    read_switch,
    read_text,
    size_reader,
)
from caxton.telemetry.settings import (
    DEFAULT_SPANS_PER_S,
    SIGNALS,
    Headers,
    read_endpoint,
    read_headers,
    read_protocol,
    read_ratio,
    read_signals,
    read_spans_per_s,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_DEAD_LETTER_BYTES = 1 << 20
"""A store that one letter fills would refuse messages all the time."""

MIN_LOG_BYTES = 1 << 20
"""Some two thousand lines."""

MIN_JOURNAL_BYTES = 16 << 20
"""A module may have 10 MiB."""

MIN_RECORDING_BYTES = 16 << 20
"""One life may take a quarter of it, and a module has up to 10 MiB."""

MIN_RECORDER_BYTES = 2 << 20
"""A segment that is written and one that is read."""


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


SETTINGS = (
    Setting("server.host", "CAXTON_HOST", "127.0.0.1", read_text, "Address to listen on."),
    Setting("server.port", "CAXTON_PORT", 8080, read_port, "Port to listen on; 0 takes a free one."),
    Setting(
        "server.data_dir", "CAXTON_DATA_DIR", None, read_directory, "Where everything is kept; made with mode 0700."
    ),
    Setting(
        "server.allowed_hosts",
        "CAXTON_ALLOWED_HOSTS",
        [],
        read_names,
        "Further host names that requests may be for.",
    ),
    Setting(
        "server.tls_cert",
        "CAXTON_TLS_CERT_PATH",
        None,
        read_path,
        "Certificate chain (PEM); with it, TLS 1.3 only.",
    ),
    Setting("server.tls_key", "CAXTON_TLS_KEY_PATH", None, read_path, "Private key of the certificate (PEM)."),
    Setting("server.insecure", "CAXTON_INSECURE", False, read_switch, "Listen beyond this machine without TLS."),
    Setting(
        "server.drain_timeout",
        "CAXTON_DRAIN_TIMEOUT",
        10.0,
        read_seconds,
        "How long a stop waits for work in hand.",
    ),
    Setting("server.max_instances", "CAXTON_MAX_INSTANCES", 10_000, read_count, "Sandboxes this server may hold."),
    Setting(
        "storage.max_dead_letters",
        "CAXTON_MAX_DEAD_LETTERS",
        1 << 30,
        size_reader(MIN_DEAD_LETTER_BYTES),
        "How much dead letters may take before new messages are refused.",
    ),
    Setting(
        "storage.max_journal",
        "CAXTON_MAX_JOURNAL",
        8 << 30,
        size_reader(MIN_JOURNAL_BYTES),
        "How much the journal may hold before new messages are refused.",
    ),
    Setting(
        "storage.max_logs",
        "CAXTON_MAX_LOGS",
        64 << 20,
        size_reader(MIN_LOG_BYTES),
        "How much all agents' logs may take before the oldest lines go.",
    ),
    Setting(
        "storage.max_recordings",
        "CAXTON_MAX_RECORDINGS",
        256 << 20,
        size_reader(MIN_RECORDING_BYTES),
        "How much recordings for replays may take; the oldest of who takes most go first.",
    ),
    Setting(
        "recorder.size",
        "CAXTON_RECORDER_SIZE",
        64 << 20,
        size_reader(MIN_RECORDER_BYTES, has_off=True),
        "How much disk the flight recorder may take for what happened to messages; 0 turns it off.",
    ),
    Setting(
        "recorder.bodies",
        "CAXTON_RECORDER_BODIES",
        64 << 20,
        size_reader(0),
        "How many bytes of what was said are kept for each workspace, by whole conversations; 0: none.",
    ),
    Setting(
        "conversations.mode",
        "CAXTON_CONVERSATIONS_MODE",
        "enforce",
        read_mode,
        "What happens to messages out of place: strict, enforce, warn or off; unless a workspace has its own.",
    ),
    Setting(
        "conversations.idle_timeout",
        "CAXTON_CONVERSATIONS_IDLE_TIMEOUT",
        86_400.0,
        read_seconds,
        "After so long without a message a conversation is over.",
    ),
    Setting(
        "conversations.max_age",
        "CAXTON_CONVERSATIONS_MAX_AGE",
        7 * 86_400.0,
        read_seconds,
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
    Setting("log.level", "CAXTON_LOG_LEVEL", "info", read_level, "Least grave lines in the server's own log."),
)
"""All settings there are. docs/reference/configuration.md lists them; a test compares."""

BY_KEY = {setting.key: setting for setting in SETTINGS}


def setting_of(key: str, source: str) -> Setting:
    """The setting of that key, which `source` names. Raises `InvalidConfig`."""
    setting = BY_KEY.get(key)
    if setting is None:
        hint = nearest(key, BY_KEY)
        raise InvalidConfig(source, f"there is no setting {quoted(key)}{f'; did you mean {hint}?' if hint else ''}")
    return setting
