"""A server as a child process, spoken with through its standard input and output: a transport for the SDK's client.

Not the SDK's own, which passes on variables of the host, reads lines of any length, and dies of invalid
UTF-8. The child gets exactly the environment it is given, and a process group of its own, which is killed with it;
only what makes itself a session of its own outlives that.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

from caxton.core.token_bucket import TokenBucket
from caxton.tools.mcp.child import READ_BYTES, Child
from caxton.tools.mcp.lines import EndlessLine, Lines, TooLong, answered_id
from caxton.tools.mcp.outcomes import NO_ANSWER, TOO_LARGE
from caxton.tools.mcp.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from caxton.core.clock import Clock
    from caxton.tools.mcp.noise import Noise
    from caxton.tools.mcp.stdio import Command

MAX_SKIPPED_BYTES = 64 << 20
"""Of a line that is too long; then the server is ended."""

MAX_NOTICES_PER_S = 1000
"""Messages that answer nothing; the others are dropped, and taken for a change of the tools."""

WRITE_S = 5.0
"""How long a server may leave unread what it is sent."""

GRACE_S = 0.5
"""Between the end of its input and SIGTERM, and between that and SIGKILL."""

_MAX_UNWRITTEN = 64
"""Messages; so that who takes back a call need not wait until the server reads that."""


class Pipes:
    """One child, from its start to its end: `async with`, once. Enter raises `OSError`."""

    def __init__(
        self,
        command: Command,
        *,
        noise: Noise,
        clock: Clock,
        most_bytes: int,
        noticed: Callable[[], None],
        on_start: Callable[[int], None],
        on_end: Callable[[str], None],
    ) -> None:
        """`most_bytes`: of one answer. `on_start`: told the process id. `on_end`: told why it is over."""
        self._command, self._noise, self._clock = command, noise, clock
        self._noticed, self._on_start, self._on_end = noticed, on_start, on_end
        self._lines = Lines(most_bytes, most_bytes + MAX_SKIPPED_BYTES)
        self._notices = TokenBucket(MAX_NOTICES_PER_S, MAX_NOTICES_PER_S)
        self._pace = Pace()
        self._is_silent = self._is_leaving = False
        self._child: Child
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(
        self,
    ) -> tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]:
        command = self._command
        child = self._child = Child([command.program(), *command.arguments], dict(command.env), command.cwd)
        try:
            await child.connect()
        except BaseException:
            child.signal_group(signal.SIGKILL)
            child.close()
            raise
        self._on_start(child.pid)
        self._heard, heard = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        said, self._said = anyio.create_memory_object_stream[SessionMessage](_MAX_UNWRITTEN)
        self._streams = (self._heard, heard, said, self._said)
        reading = asyncio.create_task(self._read())
        self._tasks = [reading, *map(asyncio.create_task, (self._write(), self._read_errors(), self._watch(reading)))]
        return heard, said

    async def __aexit__(self, *_exc: object) -> None:
        child = self._child
        try:
            if self._is_silent:  # that explains whatever else went wrong
                await child.is_gone(GRACE_S)
                self._end(self._fate())
            self._is_leaving = True
            child.stdin.close()
            if not await child.is_gone(GRACE_S):
                child.signal_group(signal.SIGTERM)
                await child.is_gone(GRACE_S)
        finally:
            child.signal_group(signal.SIGKILL)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for stream in self._streams:
                stream.close()
            await child.is_gone(GRACE_S)
            child.close()

    # --- four tasks ------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        why = ""
        try:
            while chunk := await self._child.stdout.read(READ_BYTES):
                for line in self._lines.feed(chunk):
                    await self._take(line)
        except EndlessLine:
            why = "it wrote a line without end"
        except anyio.BrokenResourceError:
            pass  # nobody listens any more
        self._is_silent = True
        self._heard.close()
        await self._child.is_gone(GRACE_S)
        self._end(why or self._fate())

    async def _write(self) -> None:
        try:
            async for message in self._said:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                self._child.stdin.write(text.encode() + b"\n")
                async with asyncio.timeout(WRITE_S):
                    await self._child.stdin.drain()
        except OSError as exc:  # TimeoutError too
            if isinstance(exc, TimeoutError):
                self._end(f"it has not read for {WRITE_S:g} s what it was sent")

    async def _read_errors(self) -> None:
        lines = Lines(READ_BYTES, 1 << 62)
        while chunk := await self._child.stderr.read(READ_BYTES):
            for line in lines.feed(chunk):
                await self._note("stderr", line.head if isinstance(line, TooLong) else line)

    async def _watch(self, reading: asyncio.Task[None]) -> None:
        """The child's end is the group's, and that of its output, even if somebody else still holds it."""
        await self._child.wait()
        self._child.signal_group(signal.SIGKILL)
        await asyncio.wait({reading}, timeout=GRACE_S)
        self._end(self._fate())

    # --- what it says ----------------------------------------------------------------------------------------

    async def _take(self, line: bytes | TooLong) -> None:
        if isinstance(line, TooLong):
            await self._refuse(line.head, TOO_LARGE, "too large")
            return
        if not line.lstrip().startswith(b"{"):
            await self._note("stdout", line)
            return
        try:
            message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            await self._refuse(line, NO_ANSWER, "no message")
            return
        if isinstance(message, types.JSONRPCNotification | types.JSONRPCRequest) and not await self._may_pass(line):
            return
        await self._heard.send(SessionMessage(message))

    async def _refuse(self, line: bytes, code: int, why: str) -> None:
        """Answer a call in the place of a line that cannot be taken; if it belongs to none, it is noise."""
        answered = answered_id(line)
        if answered is None:
            await self._note("stdout", line)
            return
        error = types.ErrorData(code=code, message=why)
        await self._heard.send(SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=answered, error=error)))

    async def _may_pass(self, line: bytes) -> bool:
        now = self._clock.monotonic()
        if self._notices.wait_s(now) <= 0:
            self._notices.take(now)
            return True
        self._noticed()
        await self._wait(len(line))
        return False

    async def _note(self, where: str, line: bytes) -> None:
        self._noise.heard(where, line)
        await self._wait(len(line))

    async def _wait(self, byte_count: int) -> None:
        if (seconds := self._pace.spent(byte_count, self._clock.monotonic())) > 0:
            await asyncio.sleep(seconds)

    def _end(self, why: str) -> None:
        if not self._is_leaving:  # else it ends because we want it to
            self._on_end(why)

    def _fate(self) -> str:
        code = self._child.code
        if code is None:
            return "it closed its output"
        return f"it was killed by signal {-code}" if code < 0 else f"it exited with code {code}"
