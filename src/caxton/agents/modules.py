"""Compiled modules: each is compiled and held once, however many agents have it."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from caxton.sandbox.module import Module

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable

    from caxton.sandbox.compile import Compiler
    from caxton.sandbox.engine import Engine
    from caxton.sandbox.limits import Limits


class Modules:
    """The modules of one node by SHA-256. One stays as long as an agent has it or somebody wants it."""

    def __init__(self, engine: Engine, compiler: Compiler, in_use: Callable[[], Iterable[Module]]) -> None:
        """`in_use` tells which modules agents have now."""
        self._engine, self._compiler, self._in_use = engine, compiler, in_use
        self._compiled: dict[str, Module] = {}
        self._wanted = Counter[str]()
        """By SHA-256, how often."""

    def __len__(self) -> int:
        """How many are held."""
        return len(self._compiled)

    @asynccontextmanager
    async def load(self, wasm: bytes, limits: Limits) -> AsyncGenerator[Module]:
        """`wasm` compiled. Once the block is left, it stays as long as an agent has it.

        Raises:
            InvalidWasm, WasmTooLarge, CompileLimitExceeded: it cannot be hosted, or not within `limits`.
        """
        sha256 = hashlib.sha256(wasm).hexdigest()
        with self.wanted(sha256):
            module = self._compiled.get(sha256)
            if module is None:
                compiled = await self._compiler.compile(wasm)
                module = self._compiled.get(sha256)  # another deployment may have been quicker
                if module is None:
                    module = self._compiled[sha256] = Module(self._engine, compiled, sha256=sha256)
            module.check_limits(limits)
            yield module

    @contextmanager
    def wanted(self, *sha256s: str) -> Generator[None]:
        """These stay until the block is left, though no agent may have them yet."""
        self._wanted.update(sha256s)
        try:
            yield
        finally:
            self._wanted.subtract(sha256s)
            if not all(self._wanted[sha256] for sha256 in sha256s):
                self.drop_unused()

    def drop_unused(self) -> None:
        """Free what nobody has or wants: making an instance of a module that was freed would end the process."""
        used = {id(module) for module in self._in_use()}
        self._wanted = +self._wanted
        for sha256, module in list(self._compiled.items()):
            if id(module) not in used and sha256 not in self._wanted:
                self._compiled.pop(sha256).close()

    def close(self) -> None:
        """Free all, whoever has them."""
        for module in self._compiled.values():
            module.close()
