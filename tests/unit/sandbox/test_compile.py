"""The cache. What the child process does is in tests/integration/test_guests_compile.py."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from caxton.core.errors.modules import InvalidWasm
from caxton.sandbox.compile import Compiler
from caxton.testing.guests import guest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WASM = guest("sink")
KEY = bytes(32)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was compiled; native code is the module spelled backwards."""
    asked: list[bytes] = []

    async def in_no_child(wasm: bytes) -> bytes:
        asked.append(wasm)
        return wasm[::-1]

    monkeypatch.setattr("caxton.sandbox.compile._compile_in_child", in_no_child)
    return asked


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def keep(start: int, end: int | None) -> Callable[[bytes], bytes]:
    def kept(data: bytes) -> bytes:
        return data[start:end]

    return kept


def append(data: bytes) -> bytes:
    return data + b"\0"


def flip(position: int) -> Callable[[bytes], bytes]:
    def flipped(data: bytes) -> bytes:
        return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]

    return flipped


@pytest.mark.parametrize(
    "damage",
    [
        *(pytest.param(flip(n), id=f"bit-in-byte-{n}") for n in (0, 31, 32, 40, len(WASM) + 31)),
        pytest.param(keep(0, -1), id="cut-short"),
        pytest.param(append, id="longer"),
        pytest.param(keep(0, 32), id="mac-only"),
        pytest.param(keep(0, 0), id="empty"),
        pytest.param(keep(32, None), id="no-mac"),
    ],
)
async def test_damaged_cache_file_is_compiled_again_not_loaded(
    tmp_path: Path, compiled: list[bytes], damage: Callable[[bytes], bytes]
) -> None:
    await Compiler(tmp_path, KEY).compile(WASM)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert await Compiler(tmp_path, KEY).compile(WASM) == WASM[::-1]
    assert (len(compiled), file.read_bytes()) == (2, whole)


async def test_cache_file_made_with_another_key_is_not_loaded(tmp_path: Path, compiled: list[bytes]) -> None:
    await Compiler(tmp_path, b"x" * 32).compile(WASM)
    await Compiler(tmp_path, KEY).compile(WASM)
    assert len(compiled) == 2


async def test_cache_file_of_another_module_under_this_name_is_not_loaded(
    tmp_path: Path, compiled: list[bytes]
) -> None:
    """Its signature is good, but says what it was made for."""
    compiler, other = Compiler(tmp_path, KEY), guest("spin")
    await compiler.compile(WASM)
    (file,) = files(tmp_path)
    await compiler.compile(other)
    (other_file,) = set(files(tmp_path)) - {file}
    file.write_bytes(other_file.read_bytes())
    assert await compiler.compile(WASM) == WASM[::-1]
    assert len(compiled) == 3


async def test_code_of_another_engine_is_not_loaded(
    tmp_path: Path, compiled: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    await Compiler(tmp_path, KEY).compile(WASM)
    monkeypatch.setattr("caxton.sandbox.compile.fingerprint", lambda: "another")
    await Compiler(tmp_path, KEY).compile(WASM)
    assert len(compiled) == 2


async def test_what_is_no_module_never_reaches_the_compiler(tmp_path: Path, compiled: list[bytes]) -> None:
    with pytest.raises(InvalidWasm):
        await Compiler(tmp_path, KEY).compile(b"(module)")
    assert (compiled, files(tmp_path)) == ([], [])


async def test_module_is_compiled_once_and_found_again(tmp_path: Path, compiled: list[bytes]) -> None:
    assert await Compiler(tmp_path / "new", KEY).compile(WASM) == WASM[::-1]
    assert await Compiler(tmp_path / "new", KEY).compile(WASM) == WASM[::-1]
    assert compiled == [WASM]
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in files(tmp_path / "new")] == [0o600]


async def test_what_was_not_used_for_longest_is_let_go_when_there_is_too_much(
    tmp_path: Path, compiled: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = Compiler(tmp_path, KEY)
    wasms = [WASM + bytes([0, 2, 1, n]) for n in range(3)]
    for age, wasm in zip((100, 300, 200), wasms, strict=True):
        await compiler.compile(wasm)
        newest = max(files(tmp_path), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (time.time() - age, time.time() - age))
    size = files(tmp_path)[0].stat().st_size
    monkeypatch.setattr("caxton.sandbox.compile.MAX_CACHE_BYTES", 3 * size)
    await compiler.compile(WASM + bytes([0, 2, 1, 9]))
    compiled.clear()
    for wasm in wasms:
        await compiler.compile(wasm)
    assert compiled[0] == wasms[1]
