"""What tests of MCP clients share: calls, what servers were heard to say, and processes that must be gone."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caxton.bus.retry import MAX_DELAY_S
from caxton.observe.time import SystemClock
from caxton.tools.mcp.stdio import Command, StdioSource
from caxton.tools.mcp.supervised import Care
from caxton.tools.source import Call, Failure, Result

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from caxton.tools.mcp.supervised import SupervisedSource
    from caxton.tools.source import Outcome

HERE = Path(__file__).parent
LONG_S = 30.0
"""For what must happen."""


class JumpingClock(SystemClock):
    """The machine's, but for the time that tests do not want to wait."""

    skipped_s = 0.0

    def monotonic(self) -> float:  # type: ignore[override]
        return time.monotonic() + self.skipped_s

    def skip_back_off(self) -> None:
        self.skipped_s += MAX_DELAY_S


CLOCK = JumpingClock()


class Heard:
    """Lines of a server."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._more = asyncio.Event()

    def __call__(self, where: str, text: str) -> None:
        self.lines.append((where, text))
        self._more.set()

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.lines]

    async def wait_for(self, text: str) -> str:
        """The first line with `text` in it, that is or will be there."""
        async with asyncio.timeout(LONG_S):
            while True:
                for line in self.texts:
                    if text in line:
                        return line
                self._more.clear()
                await self._more.wait()


def care(**changed: Any) -> Care:
    changed.setdefault("mode", "legacy")
    return Care(**changed)


def source(
    script: str, *words: str, heard: Heard | None = None, env: dict[str, str] | None = None, **changed: Any
) -> StdioSource:
    """A source that runs one of the servers here."""
    jitter = changed.pop("jitter", lambda: 0.0)
    command = Command(name=sys.executable, arguments=(str(HERE / script), *words), env=env or {})
    return StdioSource("it", command, CLOCK, care(**changed), tell=heard or Heard(), jitter=jitter)


@asynccontextmanager
async def hostile(*habits: str, heard: Heard | None = None, **changed: Any) -> AsyncGenerator[StdioSource]:
    it = source("mcp_hostile.py", *habits, heard=heard, **changed)
    try:
        yield it
    finally:
        await it.close()


@asynccontextmanager
async def kind(*words: str, heard: Heard | None = None, **changed: Any) -> AsyncGenerator[StdioSource]:
    it = source("mcp_kind.py", *words, heard=heard, **changed)
    try:
        yield it
    finally:
        await it.close()


async def call(
    it: SupervisedSource, tool: str, /, *, within: float = LONG_S, traceparent: str = "", **arguments: Any
) -> Outcome:
    made = it.call(
        Call(
            tool=tool,
            arguments=arguments,
            workspace="default",
            agent="a",
            key="k1",
            until=CLOCK.monotonic() + within,
            traceparent=traceparent,
        )
    )
    assert not isinstance(made, Result | Failure)
    async with asyncio.timeout(LONG_S):
        return await made


def text_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Result), outcome
    return str(outcome.content[0]["text"])


def is_alive(pid: int) -> bool:
    """Whether there is such a process, one that only waits to be buried aside."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False
