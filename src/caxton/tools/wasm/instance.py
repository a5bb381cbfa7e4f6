"""One running command and the conversation with it: one question at a time, answered or ended.

It is driven by `Slices`; all its guest's code runs there. What the guest writes is only gathered on its fiber, and read
when its slice is over.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from caxton.sandbox.host import GuestStop
from caxton.sandbox.trap import Trap
from caxton.sandbox.wasi_command import Allowed, CommandGuest, CommandModule
from caxton.tools.source import Failure
from caxton.tools.wasm import mcp
from caxton.tools.wasm.noise import Noise

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.tools.wasm.slices import Slices

MAX_REPLIES = 100
"""To questions of the tool's own, for one piece of work; further ones stay without."""


class Instance:
    """Started as soon as it is made. `close()` frees it at any time."""

    def __init__(
        self,
        module: CommandModule,
        allowed: Allowed,
        slices: Slices,
        *,
        max_line_bytes: int,
        hear: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        """Raises `OSError` if a granted directory is not there.

        Args:
            module: what it runs.
            allowed: what it gets.
            slices: whose turn it is.
            max_line_bytes: a longer line ends it.
            hear: is told what it writes beside the protocol.
            changed: is called when it says that its tools are others.
        """
        self._guest = CommandGuest(module, allowed, self._tell)
        self._steps = self._guest.start()
        self._slices = slices
        self._max_line_bytes = max_line_bytes
        self._changed = changed
        self._noise = Noise(hear)
        self._out = bytearray()
        self._number = 0
        self._asked: asyncio.Future[mcp.Line | Failure] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._replies_left = MAX_REPLIES
        self.ended: Failure | None = None
        """Why it runs no more."""
        self.idle_since = time.monotonic()
        slices.add(self)

    # --- talking ---------------------------------------------------------------------------------------------

    def next_number(self) -> int:
        """The id of the next question."""
        self._number += 1
        return self._number

    async def ask(self, line: bytes) -> mcp.Line | Failure:
        """The answer to the question of the last number. Cancelled, the instance must be closed."""
        if self.ended is not None:
            return self.ended
        self._asked = asyncio.get_running_loop().create_future()
        self._replies_left = MAX_REPLIES
        self._noise.renew()
        self._guest.renew()
        self.say(line)
        return await self._asked

    def say(self, line: bytes) -> None:
        """More input, to which no answer is awaited."""
        self._guest.feed(line)
        self._slices.add(self)

    def close(self) -> None:
        """End it. May be called twice."""
        self._end(Failure("unavailable", "it was stopped"))

    @property
    def is_free(self) -> bool:
        """It waits for a question, or has ended."""
        return self.ended is not None or self._guest.wants_input

    def memory_bytes(self) -> int:
        return 0 if self.ended else self._guest.memory_now()

    # --- running ---------------------------------------------------------------------------------------------

    def run_slice(self) -> bool:
        """See `slices.Runs`."""
        if self.ended is not None:
            return False
        try:
            next(self._steps)
        except StopIteration as end:
            self._read_lines()
            self._end(_why(end.value))
            return False
        self._read_lines()
        if not self._guest.is_waiting:
            return True
        self._set_alarm(self._guest.wakes_ns)
        return False

    def _set_alarm(self, wakes_ns: int | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if wakes_ns is not None:
            delay_s = max(wakes_ns - time.monotonic_ns(), 0) / 1e9
            self._alarm = asyncio.get_running_loop().call_later(delay_s, self._slices.add, self)

    def _tell(self, fd: int, data: bytes) -> None:
        if fd != 1:
            self._noise.write(data)
            return
        self._out += data
        if len(self._out) > self._max_line_bytes:
            raise GuestStop("too_large", f"it wrote a line of more than {self._max_line_bytes} bytes")

    def _read_lines(self) -> None:
        if b"\n" not in self._out:
            return
        *lines, rest = bytes(self._out).split(b"\n")
        self._out = bytearray(rest)
        for data in lines:
            line = mcp.parse(data)
            if line is not None:
                self._take(line)
            elif data.strip():
                self._noise.line(data)

    def _take(self, line: mcp.Line) -> None:
        if line.method is None:
            if line.id == self._number:
                self._answer(line)
            return
        if line.is_change:
            self._changed()
        reply = mcp.reply_to(line)
        if reply is not None and self._replies_left > 0:
            self._replies_left -= 1
            self._guest.feed(reply)

    def _answer(self, answer: mcp.Line | Failure) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(answer)

    def _end(self, why: Failure) -> None:
        if self.ended is None:
            self.ended = why
            self._set_alarm(None)
            self._answer(why)
            self._guest.close()


def _why(ended: int | Trap) -> Failure:
    if not isinstance(ended, Trap):
        return Failure("unavailable", "it ended itself")
    if ended.kind == "too_large":
        return Failure("too_large", ended.reason)
    return Failure("timeout" if ended.kind == "cpu_time" else "unavailable", ended.reason)
