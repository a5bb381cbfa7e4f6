from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

import pytest
import wasmtime

from caxton.sandbox.engine import Engine
from caxton.sandbox.wasi_command import Allowed, CommandModule
from caxton.testing.guests import EXAMPLES, GUESTS
from caxton.tools.source import Call, Failure, Result
from caxton.tools.wasm.slices import Slices
from caxton.tools.wasm.wasi_source import WasiSettings, WasiSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from caxton.tools.source import Outcome

WORD_COUNT = EXAMPLES / "tools" / "word_count.wasm"
HOSTILE = GUESTS / "hostile_tool.wasm"


@pytest.fixture(scope="session")
def engine() -> Generator[Engine]:
    """One for all; the tools turn its clock on themselves."""
    engine = Engine()
    yield engine
    engine.close()


@cache
def compiled(engine: Engine, path: Path) -> bytes:
    return bytes(wasmtime.Module(engine.wasmtime_engine, path.read_bytes()).serialize())


def a_call(tool: str, *, within_s: float = 20.0, **arguments: str) -> Call:
    return Call(
        tool=tool, arguments=arguments, workspace="default", agent="a", key="k", until=time.monotonic() + within_s
    )


def text(outcome: Outcome) -> str:
    """What a tool answered, which must be one block of text."""
    assert isinstance(outcome, Result), outcome
    (block,) = outcome.content
    return block["text"]


def trouble(outcome: Outcome) -> str:
    assert isinstance(outcome, Failure), outcome
    return outcome.trouble


class Tools:
    """Makes sources and closes them after the test."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.slices = Slices(engine)
        self.heard: list[str] = []
        self._made: list[WasiSource] = []

    def new(self, path: Path = HOSTILE, allowed: Allowed | None = None, **settings: float) -> WasiSource:
        async def load() -> CommandModule:
            return CommandModule(self.engine, compiled(self.engine, path))

        all_settings = WasiSettings(allowed=allowed or Allowed(), **settings)  # type: ignore[arg-type]
        source = WasiSource("t", load, self.slices, all_settings, hear=self.heard.append)
        self._made.append(source)
        return source

    async def close(self) -> None:
        for source in self._made:
            await source.close()


@pytest.fixture
async def tools(engine: Engine) -> AsyncGenerator[Tools]:
    tools = Tools(engine)
    yield tools
    await tools.close()
