"""A sandboxed tool as it is configured: from `[tools.NAME]` with `type = "wasm"` to its source."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from caxton.sandbox.wasi_command import Allowed, CommandModule
from caxton.sandbox.wasi_files import Granted
from caxton.tools.wasm.wasi_source import WasiSettings, WasiSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from caxton.sandbox.compile import Compiler
    from caxton.tools.wasm.slices import Slices


class ConfiguredDirectory(Protocol):
    """A directory that it may use, under the name it has here."""

    @property
    def path(self) -> str: ...

    @property
    def mode(self) -> str:
        """`ro` or `rw`."""
        ...


class Configured(Protocol):
    """What is asked of the configuration (`tools.settings.ToolSettings`)."""

    @property
    def name(self) -> str: ...

    @property
    def module(self) -> str: ...

    @property
    def args(self) -> Sequence[str]: ...

    @property
    def env(self) -> Mapping[str, str]: ...

    @property
    def allowed_dirs(self) -> Sequence[ConfiguredDirectory]: ...

    @property
    def memory_bytes(self) -> int: ...

    @property
    def cpu_time_s(self) -> float: ...

    @property
    def concurrency(self) -> int: ...

    @property
    def max_result_bytes(self) -> int: ...

    @property
    def idle_timeout_s(self) -> float: ...


def open_wasi(configured: Configured, slices: Slices, compiler: Compiler, *, hear: Callable[[str], None]) -> WasiSource:
    """The source; its module is read and compiled at the first call. `hear` is told what it writes beside MCP."""

    async def load() -> CommandModule:
        wasm = await asyncio.to_thread(Path(configured.module).read_bytes)
        return CommandModule(slices.engine, await compiler.compile(wasm, command=True))

    return WasiSource(configured.name, load, slices, settings_of(configured), hear=hear)


def settings_of(configured: Configured) -> WasiSettings:
    """What is granted, and how much."""
    directories = tuple(
        Granted(path=Path(directory.path), name=directory.path, is_writable=directory.mode == "rw")
        for directory in configured.allowed_dirs
    )
    allowed = Allowed(
        arguments=tuple(configured.args),
        environment=dict(configured.env),
        directories=directories,
        memory_bytes=configured.memory_bytes,
        cpu_time_s=configured.cpu_time_s,
    )
    return WasiSettings(
        allowed=allowed,
        concurrency=configured.concurrency,
        max_result_bytes=configured.max_result_bytes,
        idle_timeout_s=configured.idle_timeout_s,
    )
