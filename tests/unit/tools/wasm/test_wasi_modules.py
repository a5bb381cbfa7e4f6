"""Which modules are hosted as tools, and that the committed ones are what their sources say."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import wasmtime

from caxton.core.errors.modules import InvalidWasm
from caxton.sandbox.compile import Compiler
from caxton.sandbox.wasi_command import CommandModule
from caxton.testing.guests import EXAMPLES, GUESTS, assemble, guest_text
from tests.unit.tools.wasm.conftest import HOSTILE, WORD_COUNT

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.sandbox.engine import Engine

WASI = "wasi_snapshot_preview1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(guest_text(), "_start", id="agent"),
        pytest.param('(module (memory (export "memory") 1))', "_start", id="library"),
        pytest.param('(module (func (export "_start")))', "memory", id="no-memory"),
        pytest.param('(module (func (export "_start") (param i32)) (memory (export "memory") 1))', "_start", id="type"),
        pytest.param(f'(module (import "{WASI}" "sock_send" (func)))', "sock_send", id="socket"),
        pytest.param('(module (import "caxton" "send_message" (func)))', "send_message", id="agents-import"),
        pytest.param(f'(module (import "{WASI}" "fd_read" (func)))', "another type", id="import-type"),
        pytest.param(f'(module (import "{WASI}" "fd_read" (memory 1)))', "no function", id="import-kind"),
    ],
)
def test_module_that_is_no_command_is_refused(engine: Engine, text: str, reason: str) -> None:
    compiled = bytes(wasmtime.Module(engine.wasmtime_engine, assemble(text)).serialize())
    with pytest.raises(InvalidWasm, match=reason):
        CommandModule(engine, compiled)


@pytest.mark.slow
async def test_command_is_compiled_in_the_child_and_no_agent_is_taken_for_one(tmp_path: Path, engine: Engine) -> None:
    compiler = Compiler(tmp_path, b"key")
    module = CommandModule(engine, await compiler.compile(WORD_COUNT.read_bytes(), command=True))
    module.close()
    with pytest.raises(InvalidWasm, match="_start"):
        await compiler.compile(assemble(guest_text()), command=True)
    with pytest.raises(InvalidWasm, match="not offered to guests"):
        await compiler.compile(HOSTILE.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "committed"),
    [(EXAMPLES / "build-tools", WORD_COUNT), (GUESTS / "build", HOSTILE)],
    ids=["word_count", "hostile_tool"],
)
async def test_example_tool_is_built_from_its_source(tmp_path: Path, script: Path, committed: Path) -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    await asyncio.to_thread(subprocess.run, [script, tmp_path], check=True, env=environment, timeout=300)
    built = await asyncio.to_thread((tmp_path / committed.name).read_bytes)
    assert built == await asyncio.to_thread(committed.read_bytes)
