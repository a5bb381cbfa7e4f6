"""A program of a stranger: it gets its three pipes, its environment, a process group of its own, and nothing else.

Not asyncio's own: under uvloop that hands on every open file that is not marked, and duplicates of the pipes besides.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from asyncio import StreamReader, StreamReaderProtocol, StreamWriter
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    import signal
    from asyncio import BaseTransport
    from collections.abc import Mapping, Sequence

READ_BYTES = 64 << 10
"""Read at once, and kept at most twice of while nobody reads."""


class Child:
    """One process, from its start to its end."""

    stdin: StreamWriter
    stdout: StreamReader
    stderr: StreamReader

    def __init__(self, words: Sequence[str], env: Mapping[str, str], cwd: str | None) -> None:
        """Start it; `connect` comes next. Raises `OSError`."""
        self._process = subprocess.Popen(  # noqa: S603 - an operator wrote down what to run
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._transports: list[BaseTransport] = []
        self._loop = asyncio.get_running_loop()
        self._gone = asyncio.Event()
        threading.Thread(target=self._await, name=f"child {self.pid}", daemon=True).start()

    @property
    def code(self) -> int | None:
        """Its exit code, below 0 the signal that killed it; None while it lives."""
        return self._process.returncode if self._gone.is_set() else None

    async def connect(self) -> None:
        """Make its pipes ones of the event loop."""
        process = self._process
        self.stdout = await self._reader(cast("IO[bytes]", process.stdout))
        self.stderr = await self._reader(cast("IO[bytes]", process.stderr))
        protocol = StreamReaderProtocol(StreamReader())
        transport, _ = await self._loop.connect_write_pipe(lambda: protocol, process.stdin)
        self._transports.append(transport)
        self.stdin = StreamWriter(transport, protocol, None, self._loop)

    async def wait(self) -> None:
        """Until it has ended."""
        await self._gone.wait()

    async def is_gone(self, within_s: float) -> bool:
        """Whether it has ended by then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._gone.wait()
        return self._gone.is_set()

    def signal_group(self, number: signal.Signals) -> None:
        """To all of its group, also when it is gone itself: its number is not given away while a member lives."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Let go of the pipes, whoever holds their other ends."""
        for transport in self._transports:
            transport.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None and not self._transports:
                pipe.close()

    async def _reader(self, pipe: IO[bytes]) -> StreamReader:
        reader = StreamReader(limit=READ_BYTES)
        transport, _ = await self._loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), pipe)
        self._transports.append(transport)
        return reader

    def _await(self) -> None:
        self._process.wait()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._gone.set)
