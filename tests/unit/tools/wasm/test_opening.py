from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caxton.sandbox.compile import Compiler
from caxton.sandbox.wasi_command import Allowed
from caxton.sandbox.wasi_files import Granted
from caxton.tools.source import SourceDown
from caxton.tools.wasm.opening import open_wasi, settings_of
from caxton.tools.wasm.wasi_source import WasiSettings
from tests.unit.tools.wasm.conftest import WORD_COUNT, a_call, text, trouble

if TYPE_CHECKING:
    from tests.unit.tools.wasm.conftest import Tools


@dataclass(frozen=True)
class Directory:
    path: str
    mode: str


@dataclass(frozen=True)
class Configuration:
    module: str = str(WORD_COUNT)
    name: str = "words"
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict[str, str])
    allowed_dirs: tuple[Directory, ...] = ()
    memory_bytes: int = 64 << 20
    cpu_time_s: float = 5.0
    concurrency: int = 10
    max_result_bytes: int = 1 << 20
    idle_timeout_s: float = 300.0


def test_nothing_is_granted_that_is_not_written() -> None:
    assert settings_of(Configuration()) == WasiSettings(allowed=Allowed())


def test_what_is_written_is_granted() -> None:
    configured = Configuration(
        args=("-v",),
        env={"A": "b"},
        allowed_dirs=(Directory("/data", "ro"), Directory("/out", "rw")),
        memory_bytes=1 << 20,
        cpu_time_s=0.5,
        concurrency=3,
        max_result_bytes=7,
        idle_timeout_s=0,
    )
    assert settings_of(configured) == WasiSettings(
        allowed=Allowed(
            arguments=("-v",),
            environment={"A": "b"},
            directories=(
                Granted(path=Path("/data"), name="/data"),
                Granted(path=Path("/out"), name="/out", is_writable=True),
            ),
            memory_bytes=1 << 20,
            cpu_time_s=0.5,
        ),
        concurrency=3,
        max_result_bytes=7,
        idle_timeout_s=0,
    )


@pytest.mark.slow
async def test_configured_module_is_compiled_at_its_first_call(tmp_path: Path, tools: Tools) -> None:
    compiler = Compiler(tmp_path, b"key")
    source = open_wasi(Configuration(), tools.slices, compiler, hear=tools.heard.append)
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 - one look
    assert text(await source.call(a_call("count", text="a b"))) == "0 lines, 2 words, 3 bytes"
    await source.close()


async def test_module_that_is_not_there_or_is_none_is_told(tmp_path: Path, tools: Tools) -> None:
    compiler = Compiler(tmp_path, b"key")
    missing = open_wasi(Configuration(module="/no/such.wasm"), tools.slices, compiler, hear=tools.heard.append)
    with pytest.raises(SourceDown, match=r"/no/such\.wasm"):
        await missing.list_tools()
    text_file = open_wasi(Configuration(module=__file__), tools.slices, compiler, hear=tools.heard.append)
    with pytest.raises(SourceDown, match="WebAssembly"):
        await text_file.list_tools()
    assert trouble(await text_file.call(a_call("count"))) == "unavailable"
