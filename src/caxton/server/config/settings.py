"""The settings as the server uses them, checked against each other."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from caxton.core.errors.server import InvalidConfig
from caxton.server.config.effective import effective
from caxton.server.config.file import TOOLS, read_tables
from caxton.telemetry.settings import TelemetrySettings
from caxton.tools.tables import read_tools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caxton.conversations.settings import Mode
    from caxton.server.config.effective import EffectiveValue
    from caxton.tools.settings import ToolSettings


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
    tools: tuple[ToolSettings, ...] = ()
    effective: tuple[EffectiveValue, ...] = ()
    """All of them by key, with where they came from."""


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
        tools=_tools(overrides, os.environ if environment is None else environment),
        effective=found,
    )


def _tools(overrides: Mapping[str, object], environment: Mapping[str, str]) -> tuple[ToolSettings, ...]:
    path, tables = read_tables(overrides.get("config"), environment)
    return tuple(read_tools(cast("dict[str, object]", tables.get(TOOLS, {})), path))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    name = host.removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"
