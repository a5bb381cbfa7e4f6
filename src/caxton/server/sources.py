"""Makes the sources of tools that the configuration names. Nothing runs before the first call."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from caxton.core.errors.error import CaxtonError
from caxton.core.errors.server import InvalidConfig
from caxton.core.redact import redact_text
from caxton.egress.hosts import hosts_of_url, parse_hosts
from caxton.egress.placeholders import fill
from caxton.egress.policy import Policy
from caxton.egress.refused import Refused
from caxton.tools.builtin.clock import time_source
from caxton.tools.builtin.files import FilesSettings, files_source
from caxton.tools.builtin.http import HttpSource as FetchSource
from caxton.tools.builtin.sql import SqlSettings, sql_source
from caxton.tools.builtin.state import StateSettings, state_source
from caxton.tools.mcp.http import HttpSource
from caxton.tools.mcp.stdio import Command, StdioSource
from caxton.tools.mcp.supervised import Care
from caxton.tools.wasm.opening import open_wasi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx2

    from caxton.core.clock import Clock
    from caxton.egress.hosts import AllowList
    from caxton.sandbox.compile import Compiler
    from caxton.tools.settings import ToolSettings
    from caxton.tools.source import Source
    from caxton.tools.wasm.slices import Slices

logger = logging.getLogger(__name__)

MAX_SECRET_BYTES = 64 << 10

_AROUND_BYTES = 64 << 10
"""What is too large is found out by who reads answers, not by the way out, which can only say that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What sources are made of."""

    data_dir: Path
    clock: Clock
    compiler: Compiler
    slices: Slices


def make_source(settings: ToolSettings, workshop: Workshop) -> Source:
    """The source that `settings` describes. Raises `InvalidConfig`: a secret or a value of its own is not as needed."""
    where = f"tools.{settings.name}"
    try:
        secrets = {name: _secret(place) for name, place in settings.secrets.items()}
        return _MAKERS[settings.kind](settings, workshop, secrets)
    except InvalidConfig:
        raise
    except (CaxtonError, OSError, ValueError, Refused) as exc:
        raise InvalidConfig(where, redact_text(str(exc))) from exc


def _secret(place: str) -> str:
    """What stands at `env:VARIABLE` or `file:/PATH`, without the line's end. Raises `ValueError`, `OSError`."""
    kind, _, name = place.partition(":")
    if kind == "env":
        if name not in os.environ:
            raise ValueError(f"secrets: the variable {name} is not set")
        return os.environ[name]
    with Path(name).open("rb") as file:
        data = file.read(MAX_SECRET_BYTES + 1)
    if len(data) > MAX_SECRET_BYTES:
        raise ValueError(f"secrets: {name} has more than {MAX_SECRET_BYTES} bytes")
    return data.decode().rstrip("\r\n")


def _noise(name: str, where: str, text: str) -> None:
    extra = {"action": "tools.noise", "source": name, "where": where, "text": redact_text(text)}
    logger.info("a source of tools said something beside the protocol", extra=extra)


def _care(settings: ToolSettings) -> Care:
    return Care(idle_s=settings.idle_timeout_s, most_bytes=max(settings.max_result_bytes * 2, 1 << 20))


def _stdio(settings: ToolSettings, workshop: Workshop, secrets: Mapping[str, str]) -> Source:
    env = dict(fill(tuple(settings.env.items()), secrets)[0])
    command = Command(
        name=settings.command, arguments=settings.args, env=env, cwd=settings.cwd or str(workshop.data_dir)
    )
    return StdioSource(settings.name, command, workshop.clock, _care(settings), tell=partial(_noise, settings.name))


def _http(settings: ToolSettings, workshop: Workshop, secrets: Mapping[str, str]) -> Source:
    care = _care(settings)
    policy = _policy(settings, hosts_of_url(settings.url, *settings.allowed_hosts), secrets)
    headers = dict(fill(tuple(settings.headers.items()), secrets)[0])

    def open_transport() -> httpx2.AsyncBaseTransport:
        from caxton.egress.transport import capped_transport

        return capped_transport(policy, most=care.most_bytes + _AROUND_BYTES)

    return HttpSource(
        settings.name, settings.url, workshop.clock, care, headers=headers, open_transport=open_transport,
        tell=partial(_noise, settings.name),
    )  # fmt: skip


def _wasm(settings: ToolSettings, workshop: Workshop, secrets: Mapping[str, str]) -> Source:
    if settings.interface != "wasi":
        raise InvalidConfig(f"tools.{settings.name}", "this version runs modules with interface = 'wasi' only")
    if settings.allowed_hosts:
        raise InvalidConfig(f"tools.{settings.name}", "allowed_hosts: modules have no way out in this version")
    env = dict(fill(tuple(settings.env.items()), secrets)[0])
    return open_wasi(
        replace(settings, env=env), workshop.slices, workshop.compiler, hear=partial(_noise, settings.name, "module")
    )


def _builtin(settings: ToolSettings, workshop: Workshop, secrets: Mapping[str, str]) -> Source:
    name = settings.name
    texts = {key: value for key, value in settings.options.items() if isinstance(value, str)}
    options = {**settings.options, **dict(fill(tuple(texts.items()), secrets)[0])}
    match settings.builtin:
        case "time":
            return time_source(name, options, workshop.clock.wall_us)
        case "files":
            return files_source(name, FilesSettings.parse(options))
        case "state":
            return state_source(name, StateSettings.parse(options), workshop.data_dir / "tools")
        case "sql":
            return sql_source(name, SqlSettings.parse(options))
        case "http":
            return FetchSource(name, _policy(settings, parse_hosts(settings.allowed_hosts), secrets))
        case other:
            raise InvalidConfig(f"tools.{name}", f"builtin = {other!r} is not there yet")


def _policy(settings: ToolSettings, allow: AllowList, secrets: Mapping[str, str]) -> Policy:
    return Policy(allow=allow, max_bytes=settings.max_result_bytes, timeout_s=settings.timeout_s, secrets=dict(secrets))


_MAKERS: Mapping[str, Callable[[ToolSettings, Workshop, Mapping[str, str]], Source]] = {
    "stdio": _stdio, "http": _http, "wasm": _wasm, "builtin": _builtin,
}  # fmt: skip
