"""The compiling child process: what it refuses, that it ends, and that it takes nobody with it."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import pytest

from caxton.core.errors.modules import CompileLimitExceeded, InvalidWasm
from caxton.sandbox.compile import Compiler
from caxton.sandbox.compile_child import CPU_S, MEMORY_BYTES
from caxton.sandbox.engine import Engine
from caxton.sandbox.guest import Guest
from caxton.sandbox.limits import Limits
from caxton.sandbox.module import Module
from caxton.testing.guests import RecordingHost, assemble, example, guest, guest_text, handle, to_end
from caxton.testing.rooms import PATIENCE_S, until

KEY = bytes(32)


def leb(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def section(number: int, content: bytes) -> bytes:
    return bytes([number]) + leb(len(content)) + content


def bomb(*, loops: int, variables: int) -> bytes:
    """A small module that is dear to compile: each of the loops carries each of the variables.

    1,000 of both take more than a gigabyte at once; 200 and 2,000 take 20 s and more, and less memory.
    """
    code = b"\x03\x40" * loops
    for n in range(variables):  # if (v0) { v[n] = v[n + 1] + 1 }
        code += b"\x20\x00\x04\x40\x20" + leb((n + 1) % variables) + b"\x41\x01\x6a\x21" + leb(n) + b"\x0b"
    code += b"\x20\x01\x0d\x00\x0b" * loops  # while (v1)
    body = b"\x01" + leb(variables) + b"\x7f" + code + b"\x0b"
    types, functions = section(1, b"\x01\x60\0\0"), section(3, b"\x01\0")
    return b"\0asm\x01\0\0\0" + types + functions + section(10, b"\x01" + leb(len(body)) + body)


SLOW = bomb(loops=200, variables=2000)


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


# --- limits ------------------------------------------------------------------------------------------------------


def test_compiler_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    wasm = bomb(loops=1000, variables=1000)
    assert len(wasm) < 30_000
    began = perf_counter()
    with pytest.raises(CompileLimitExceeded) as caught:
        asyncio.run(Compiler(tmp_path, KEY).compile(wasm))
    assert caught.value.details() == {"cpu_s": CPU_S, "memory_bytes": MEMORY_BYTES}
    assert caught.value.code == "COMPILE_LIMIT_EXCEEDED"
    assert perf_counter() - began < CPU_S
    assert list(tmp_path.iterdir()) == []


def test_compiler_that_computes_too_long_is_ended() -> None:
    """With a limit of one second instead of the real one."""
    script = (
        "import sys; import caxton.sandbox.compile_child as child; child.CPU_S = 1; child.MEMORY_BYTES = 4 << 30;"
        "sys.exit(child.main())"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(
        [sys.executable, "-c", script],
        input=SLOW,
        capture_output=True,
        timeout=50,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (run.returncode, run.stdout) == (-9, b"") or run.returncode == -24, run.stderr
    assert after.ru_utime - before.ru_utime < 3


async def test_compiler_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caxton.sandbox.compile.WALL_S", 0.3)
    compiler = Compiler(tmp_path, KEY)
    with pytest.raises(CompileLimitExceeded):
        await compiler.compile(SLOW)
    monkeypatch.undo()
    assert await compiler.compile(guest("sink"))
    assert [path.suffix for path in files(tmp_path)] == [".cwasm"]


async def test_compiler_whose_caller_leaves_is_ended_and_the_next_one_served(tmp_path: Path) -> None:
    compiler, others = Compiler(tmp_path, KEY), children()
    leaving = asyncio.create_task(compiler.compile(SLOW))
    waiting = asyncio.create_task(compiler.compile(guest("sink")))
    await until(lambda: children() - others)
    (slow,) = children() - others
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    async with asyncio.timeout(PATIENCE_S):
        assert await waiting
    assert slow not in children()


def children() -> set[int]:
    """Process ids of those whom this process has started and not yet buried."""
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
            if parent == os.getpid():
                found.add(int(stat.parent.name))
    return found


# --- modules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("memory64", "memory64 must be enabled for 64-bit memories"),
        ("threads", "threads must be enabled for shared memories"),
        ("simd", "SIMD support is not enabled"),
        ("two_memories", "multiple memories"),
        ("component", "it is a WebAssembly component"),
        ("missing_handle", "it does not export the function handle_message"),
        ("unknown_caxton_import", "it imports 'caxton.nope'"),
    ],
)
async def test_refused_module_is_named_its_reason_and_not_kept(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InvalidWasm) as caught:
        await Compiler(tmp_path, KEY).compile(guest(name))
    assert reason in caught.value.reason
    assert files(tmp_path) == []


@pytest.mark.parametrize("end", [9, 30, 60, -1])
async def test_module_cut_short_is_refused(tmp_path: Path, end: int) -> None:
    with pytest.raises(InvalidWasm):
        await Compiler(tmp_path, KEY).compile(guest("spin")[:end])


@pytest.mark.parametrize(
    ("feature", "reason"),
    [
        pytest.param("(func $f (return_call $f))", "tail calls", id="tail-call"),
        pytest.param("(tag (param i32))", "exceptions", id="exceptions"),
        pytest.param("(type (struct (field i32)))", "gc", id="gc"),
        pytest.param("(func (param (ref 0)))", "function references", id="function-references"),
        pytest.param(
            "(func (result i64 i64) (i64.add128 (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)))",
            "wide",
            id="wide-arithmetic",
        ),
        pytest.param("(func (drop (i32x4.relaxed_trunc_f32x4_s (v128.const i64x2 0 0))))", "SIMD", id="relaxed-simd"),
        pytest.param("(memory $two 1)", "multiple memories", id="multi-memory"),
    ],
)
async def test_features_that_are_switched_off_are_refused(tmp_path: Path, feature: str, reason: str) -> None:
    with pytest.raises(InvalidWasm) as caught:
        await Compiler(tmp_path, KEY).compile(assemble(guest_text(more=feature)))
    assert reason in caught.value.reason


async def test_reason_cannot_carry_control_characters(tmp_path: Path) -> None:
    text = guest_text(more=r'(func $simd (@name "\1b[2J\07bell") (drop (v128.const i64x2 0 0)))')
    with pytest.raises(InvalidWasm) as caught:
        await Compiler(tmp_path, KEY).compile(assemble(text))
    assert "bell" in caught.value.reason
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) <= 401


async def test_compiled_module_runs_and_is_found_again(tmp_path: Path) -> None:
    compiled = await Compiler(tmp_path, KEY).compile(example("echo"))
    (file,) = files(tmp_path)
    written = file.stat().st_ino  # a file that is written anew is another one
    again = await Compiler(tmp_path, KEY).compile(example("echo"))
    assert (again, file.stat().st_ino) == (compiled, written)
    assert _answers(compiled)


async def test_flipped_bit_in_the_cache_is_compiled_over(tmp_path: Path) -> None:
    compiled = await Compiler(tmp_path, KEY).compile(example("echo"))
    (file,) = files(tmp_path)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    again = await Compiler(tmp_path, KEY).compile(example("echo"))
    assert file.read_bytes() != bytes(data)
    assert _answers(again)
    assert len(again) == len(compiled)


def _answers(compiled: bytes) -> bool:
    engine = Engine()
    host = RecordingHost()
    made = Guest(Module(engine, compiled), Limits(), host)
    assert to_end(made.boot()) == 0
    assert handle(made, b'{"performative":"request","sender":"me","content":[1]}') == 0
    made.close()
    engine.close()
    return b'"content":[1]' in host.sent[0]
