"""One instance of a WebAssembly agent at work: what its host functions do, and how it is started and stopped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from caxton.agents.log_context import Contexts
from caxton.bus.turn import ignore_refusal
from caxton.logs.meter import Meter
from caxton.sandbox.capabilities import ask_capabilities
from caxton.sandbox.guest import Guest
from caxton.sandbox.trap import Trap

if TYPE_CHECKING:
    from collections.abc import Generator

    from caxton.agents.tools import ToolDoor
    from caxton.bus.turn import Turn
    from caxton.core.clock import Clock
    from caxton.logs.book import LogBook
    from caxton.sandbox.host import Pending
    from caxton.sandbox.limits import Limits
    from caxton.sandbox.module import Module


class WasmRunner:
    """Handler of one mailbox (`bus.handler.Handler`) and host of one guest (`sandbox.host.Host`)."""

    def __init__(self, module: Module, limits: Limits, turn: Turn, log: LogBook, clock: Clock, tools: ToolDoor) -> None:
        self.turn = turn
        self.capabilities: tuple[str, ...] = ()
        self._limits = limits
        self._log = log
        self._clock = clock
        self._tools = tools
        self._workspace, self._name = turn.receiver.workspace, turn.receiver.name
        self._meter = Meter(limits.log_bytes_per_s)
        self._contexts = Contexts(turn)
        self.guest = Guest(module, limits, self)
        # The hottest calls go straight to the guest and the turn, without a frame of ours in between.
        self.deliver = self.guest.deliver
        self.resume = self.guest.resume
        self.send_message = turn.send
        self.kv_get, self.kv_set, self.kv_delete = turn.kv_get, turn.kv_set, turn.kv_delete
        self.set_timer, self.cancel_timer = turn.set_timer, turn.cancel_timer
        self.subscribe, self.unsubscribe = turn.subscribe, turn.unsubscribe
        self.now_us = clock.wall_us
        self.random = os.urandom
        turn.on_refusal = self._refused

    @property
    def waits_for(self) -> Pending | None:
        """The tool's answer that its guest waits for."""
        wait = self.guest.waits
        return None if wait is None else wait.pending

    # --- life ------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Whatever has to be done before `boot`: nothing, unless it records (see `agents.recording`)."""

    def boot(self) -> Generator[None, None, str | Trap]:
        """Start the guest; yields at the end of each slice. Returns "" once it is up, else why it is not.

        What `agent_init` sends and sets is staged in `turn`; whoever booted applies or releases it.
        """
        self.turn.begin(None, self._clock.wall_us())
        ended = yield from self.guest.boot()
        if isinstance(ended, Trap):
            return ended
        if ended != 0:
            return f"agent_init returned {ended}"
        if "get_capabilities" in self.guest.module.exports:
            found = yield from ask_capabilities(self.guest)
            if isinstance(found, str | Trap):
                return found
            self.capabilities = found
        return ""

    def shut_down(self) -> Generator[None, None, int | Trap]:
        """Tell the guest that it ends; yields at the end of each slice."""
        if "agent_shutdown" not in self.guest.module.exports or self.guest.is_suspended:
            return 0
        self.turn.begin(None, self._clock.wall_us())
        return (yield from self.guest.run("agent_shutdown"))

    def fire(self, timer_id: int) -> int | Trap | None:
        """Run `handle_timer`; a guest without one has nothing to do."""
        if "handle_timer" not in self.guest.module.exports:
            self.say(3, f"timer {timer_id} fired, but the module does not export handle_timer")
            return 0
        return self.guest.call("handle_timer", timer_id)

    def stop_recording(self, why: str) -> None:
        """It does not record: see `agents.recording`."""

    def close(self) -> None:
        self.turn.on_refusal = ignore_refusal  # the turn stays with its mailbox, and must not keep this
        self.guest.close()

    # --- host functions --------------------------------------------------------------------------------------

    def _refused(self, reason: str) -> None:
        self.log(3, f"send_message: {reason}".encode(), "host")

    def call_tool(self, request: bytes) -> int | bytes | Pending:
        return self._tools.call(self.turn, request)

    def log(self, level: int, text: bytes, source: str) -> None:
        """Append to the agent's log, within its bytes a second."""
        meter = self._meter
        if not meter.admits(text, self._clock.wall_us()):
            if meter.dropped == 1:  # at once: it may never log again
                self.say(3, "it logs more than it may in a second: the next lines are dropped")
            return
        if meter.dropped:
            self.tell_dropped()
        self._append(level, source, text.decode("utf-8", "replace"))

    def tell_dropped(self) -> None:
        """Say how many lines were dropped, if that was not said yet."""
        told = self._meter.tell()
        if told is not None:
            self.say(3, told)

    def say(self, level: int, text: str) -> None:
        """A line of the host's own in the agent's log."""
        self._append(level, "host", text)

    def _append(self, level: int, source: str, text: str) -> None:
        self._log.append(self._workspace, self._name, self.turn.replica, level, source, text, self._contexts.now())
