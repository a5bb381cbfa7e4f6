"""From a module's bytes to native code: a child process compiles, a signed cache remembers.

A cache file is code that will run in this process, and wasmtime accepts most damaged ones: each carries an HMAC made
with a key of this data directory, and a file that does not verify is as good as absent.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from caxton.core.errors.modules import CompileLimitExceeded, InvalidWasm
from caxton.observe.metrics import Histogram
from caxton.sandbox.compile_child import CPU_S, MEMORY_BYTES, REFUSED
from caxton.sandbox.engine import fingerprint
from caxton.sandbox.module import check_header

logger = logging.getLogger(__name__)

WALL_S = 60.0
"""A machine that is busy with other things may take longer than the CPU limit, but not for ever."""

MAX_CACHE_BYTES = 1 << 30
"""Of compiled modules on disk; what is let go is compiled again when it is needed."""

_MAC_BYTES = 32


class Compiler:
    """Compiles modules, one at a time, and keeps the results in a directory of its own."""

    def __init__(self, directory: Path, key: bytes) -> None:
        self._directory = directory
        self._key = key
        self._fingerprint = fingerprint()
        self._one_at_a_time = asyncio.Lock()
        self.durations = {outcome: Histogram() for outcome in ("compiled", "refused", "limit")}
        """Seconds in the child, by how that ended: not what the cache knew, which costs next to nothing."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def compile(self, wasm: bytes, *, command: bool = False) -> bytes:
        """Native code of `wasm`, from the cache if it is there; an agent's, or a WASI command's.

        Raises:
            InvalidWasm, WasmTooLarge: it is no module that can be hosted.
            CompileLimitExceeded: the compiler ran out of time or memory.
        """
        check_header(wasm)
        path = self._directory / f"{hashlib.sha256(wasm).hexdigest()}.{self._fingerprint}.cwasm"
        compiled = self._load(path)  # before waiting: a module that keeps the compiler busy delays only new ones
        if compiled is None:
            async with self._one_at_a_time:
                compiled = self._load(path)
                if compiled is None:
                    compiled = await self._compile(wasm, command=command)
                    try:
                        self._save(path, compiled)
                    except OSError as exc:  # a full disk, most likely: it is compiled again at the next start
                        facts = {"action": "sandbox.not_cached", "path": str(path)}
                        logger.warning("a compiled module was not kept", exc_info=exc, extra=facts)
        return compiled

    async def _compile(self, wasm: bytes, *, command: bool) -> bytes:
        began, outcome = time.monotonic(), "limit"
        try:
            compiled = await (_compile_in_child(wasm, "command") if command else _compile_in_child(wasm))
            outcome = "compiled"
        except InvalidWasm:
            outcome = "refused"
            raise
        finally:
            self.durations[outcome].add(time.monotonic() - began)
        return compiled

    def _load(self, path: Path) -> bytes | None:
        try:
            data = path.read_bytes()
        except OSError:
            return None
        mac, compiled = data[:_MAC_BYTES], data[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(path.name, compiled)):
            return None
        with suppress(OSError):
            os.utime(path)  # it is in use
        return compiled

    def _save(self, path: Path, compiled: bytes) -> None:
        """Whole or not at all: a crash in between leaves a temporary file, which nobody reads."""
        with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as file:
            try:
                file.write(self._mac(path.name, compiled) + compiled)
                file.flush()
                os.replace(file.name, path)
            except OSError:
                Path(file.name).unlink(missing_ok=True)
                raise
        self._prune()

    def _prune(self) -> None:
        """Let go of what was not used for longest, once there is too much."""
        files = sorted(((f.stat().st_mtime, f) for f in self._directory.iterdir() if f.is_file()), reverse=True)
        total = 0
        for _, file in files:
            total += file.stat().st_size
            if total > MAX_CACHE_BYTES:
                file.unlink(missing_ok=True)

    def _mac(self, name: str, compiled: bytes) -> bytes:
        return hmac.digest(self._key, name.encode() + b"\0" + compiled, hashlib.sha256)


async def _compile_in_child(wasm: bytes, kind: str = "agent") -> bytes:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "caxton.sandbox.compile_child", kind,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ.get("PATH", "")},
    )  # fmt: skip
    try:
        out, reason = await asyncio.wait_for(child.communicate(wasm), WALL_S)
    except TimeoutError:
        raise CompileLimitExceeded(CPU_S, MEMORY_BYTES) from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode == 0:
        return out
    if child.returncode == REFUSED:
        raise InvalidWasm(reason.decode("utf-8", "replace"))
    raise CompileLimitExceeded(CPU_S, MEMORY_BYTES)
