"""An instance that records: every call in and out of it is noted, and kept when the handling ends.

It is another class, installed in the place of `WasmRunner`, so that an agent which does not record has nothing of this
on its way. What is noted is kept before the bus hears of the handling's end: nothing is acknowledged that is not
recorded. An error in recording costs the recording, never the message.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from caxton.agents.wasm_runner import WasmRunner
from caxton.core.errors.recordings import RecordingTooLarge
from caxton.replay.record import CALLS, MESSAGE, SHUTDOWN, START, TIMER, Handling, Life, Outcome
from caxton.replay.store import MAX_GONE_AT_ONCE
from caxton.sandbox.trap import Trap
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from caxton.agents.tools import ToolDoor
    from caxton.bus.turn import Turn
    from caxton.core.clock import Clock
    from caxton.logs.book import LogBook
    from caxton.replay.record import Call
    from caxton.replay.store import Beginning, Store, Writer
    from caxton.sandbox.host import Pending
    from caxton.sandbox.limits import Limits
    from caxton.sandbox.module import Module

logger = logging.getLogger(__name__)

MAX_HANDLING_BYTES = 32 << 20
"""What one handling may give to record: beyond it the recording of its instance ends."""

CALL_BYTES = 32
"""What a call counts beside its bytes."""

_LOG, _TOOL = CALLS.index("log"), CALLS.index("call_tool")
_CUT = Outcome("cut")


class RecordingRunner(WasmRunner):
    """See the module."""

    def __init__(
        self, module: Module, limits: Limits, turn: Turn, log: LogBook, clock: Clock, tools: ToolDoor, store: Store
    ) -> None:  # fmt: skip
        super().__init__(module, limits, turn, log, clock, tools)
        self._steady: dict[str, Any] = {}
        """What stood in the place of what records."""
        self._calls: list[Call] = []
        self._room = 0
        self._begun: tuple[int, int, bytes, str, str, str | None, int, int] | None = None
        """Of the handling under way: the fields of `Handling` but for the last two."""
        self._store = store
        self._writer: Writer | None = None

    async def prepare(self) -> None:
        """Begin the recording. The state, which may be large, is written in a thread, before anything is handled."""
        try:
            writer = self._store.begin(await self._write_beginning())
        except RecordingTooLarge as exc:
            self.say(3, f"this instance is not recorded: {exc}")
        except Exception as exc:  # a full disk, most likely: the agent is needed more than its recording
            logger.warning("an instance is not recorded", exc_info=exc, extra=self._facts())
            self.say(3, f"this instance is not recorded: {exc}")
        else:
            self._writer, writer.on_end = writer, self._recording_ended
            self._install()
            while self._store.prune(MAX_GONE_AT_ONCE):  # noqa: ASYNC110 - it is work, and others have turns in between
                await asyncio.sleep(0)

    async def _write_beginning(self) -> Beginning:
        receiver = self.turn.receiver
        writing = asyncio.ensure_future(
            asyncio.to_thread(self._store.write_beginning, self._new_life(), receiver.kv.copy(), receiver.next_timer_id)
        )
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:  # the thread goes on; what it writes is nobody's
            writing.add_done_callback(self._discard)
            raise

    def _discard(self, written: asyncio.Future[Beginning]) -> None:
        if not written.cancelled() and written.exception() is None:
            self._store.discard(written.result())

    def _new_life(self) -> Life:
        receiver, now_us = self.turn.receiver, self._clock.wall_us()
        return Life(
            id=f"{now_us:016x}-{os.urandom(4).hex()}", workspace=receiver.workspace, agent=receiver.name,
            replica=self.turn.replica, began_us=now_us, module_sha256=self.guest.module.sha256,
            limits=asdict(self.guest.limits), caxton=VERSION,
        )  # fmt: skip

    # --- installing ------------------------------------------------------------------------------------------

    def _install(self) -> None:
        for number, name in enumerate(CALLS):
            self._put(name, self._noting(number, getattr(self, name)))
        for name, call in (("deliver", self._deliver), ("resume", self._resume), ("fire", self._fire)):
            self._put(name, call)

    def _put(self, name: str, call: Callable[..., Any]) -> None:
        self._steady[name] = getattr(self, name)
        setattr(self, name, call)

    def stop_recording(self, why: str) -> None:
        """What the instance does is not recorded any more; it goes on as if it never had been."""
        if self._writer is not None:
            self._writer.end(why)
        self._uninstall()

    def _recording_ended(self, why: str) -> None:
        self.say(3, f"its recording has ended: {why}; 'caxton config set --agent NAME --record=true' begins a new one")
        self._uninstall()

    def _uninstall(self) -> None:
        self._writer, self._begun, self._calls = None, None, []
        for name, call in self._steady.items():
            setattr(self, name, call)
        self._steady = {}

    # --- host functions --------------------------------------------------------------------------------------

    def _noting(self, number: int, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, which notes what it was asked and what it answered."""
        is_log, is_tool = number == _LOG, number == _TOOL

        def noting(*arguments: Any) -> Any:
            answer = call(*arguments)
            if self._begun is None or (is_log and arguments[2] == "host"):
                return answer
            if is_tool and not isinstance(answer, int | bytes):
                answer.when_done(partial(self._note_answer, self._begun, arguments, answer))
            else:
                self._note(number, arguments, answer)
            return answer

        return noting

    def _note(self, number: int, arguments: tuple[Any, ...], answer: Any) -> None:
        self._calls.append((number, arguments, answer))
        room = self._room - CALL_BYTES
        for value in (*arguments, answer):
            if type(value) is bytes:
                room -= len(value)
        self._room = room
        if room < 0:
            self._give_up()

    def _note_answer(self, handling: object, arguments: tuple[Any, ...], answer: Pending) -> None:
        """What the guest waited for is there, and it does nothing before it gets it."""
        if self._begun is handling:
            self._note(_TOOL, arguments, answer.result)

    def _give_up(self) -> None:
        if self._writer is not None:
            self._writer.stop(f"one handling gave more than {MAX_HANDLING_BYTES >> 20} MiB to record")

    # --- handlings -------------------------------------------------------------------------------------------

    def _begin(self, kind: int, at_us: int, *, timer_id: int = -1) -> None:
        self._calls, self._room = [], MAX_HANDLING_BYTES
        self._begun = kind, at_us, b"", "", "", None, 1, timer_id

    def _deliver(self, body: bytes) -> int | Trap | None:
        turn = self.turn
        envelope = turn.envelope
        self._calls, self._room = [], MAX_HANDLING_BYTES - len(body)
        if envelope is None:
            self._begun = MESSAGE, turn.now_us, body, "", "", None, 1, -1
        else:  # noted now: it is another's once the handling is over
            self._begun = (
                MESSAGE, turn.now_us, body, envelope.sender, envelope.message_id, envelope.conversation_id,
                envelope.attempt, -1,
            )  # fmt: skip
        return self._step(self.guest.deliver, body)

    def _fire(self, timer_id: int) -> int | Trap | None:
        self._begin(TIMER, self.turn.now_us, timer_id=timer_id)
        return self._step(super().fire, timer_id)

    def _resume(self) -> int | Trap | None:
        return self._step(self.guest.resume)

    def _step(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            result = call(*arguments)
        except Exception as exc:
            self._keep(Outcome("trapped", text="host_error", reason=str(exc)))
            raise
        if result is not None:
            self._keep(_outcome(result))
        return result

    def boot(self) -> Generator[None, None, str | Trap]:
        """As its base, recorded."""
        if self._writer is not None:
            self._begin(START, self._clock.wall_us())
        ended = yield from super().boot()
        if isinstance(ended, Trap):
            self._keep(_outcome(ended))
        elif ended:
            self._keep(Outcome("not started", text=ended))
        else:
            self._keep(Outcome("returned", text=",".join(self.capabilities)))
        return ended

    def shut_down(self) -> Generator[None, None, int | Trap]:
        """As its base, recorded."""
        if self._writer is not None and not self.guest.is_suspended:
            self._begin(SHUTDOWN, self._clock.wall_us())
        ended = yield from super().shut_down()
        self._keep(_outcome(ended))
        return ended

    def close(self) -> None:
        """As its base; the life, and what is under way, ends here."""
        if self._writer is not None:
            self._keep(_CUT)
        if self._writer is not None:
            self._writer.end("the instance ended")
        super().close()
        self._uninstall()

    def _keep(self, outcome: Outcome) -> None:
        """The handling under way, if there is one, is over: keep it."""
        begun, writer = self._begun, self._writer
        if begun is None or writer is None:
            return
        self._begun = None
        calls, self._calls = self._calls, []
        try:
            writer.add(Handling(*begun, calls, outcome))
        except Exception as exc:
            logger.warning("a handling could not be recorded", exc_info=exc, extra=self._facts())
            writer.stop("it could not be written; the server's log has the details")

    def _facts(self) -> dict[str, str]:
        return {"action": "replay.not_recorded", "agent": self.turn.receiver.name}


def _outcome(result: int | Trap) -> Outcome:
    if isinstance(result, Trap):
        return Outcome("trapped", text=result.kind, reason=result.reason)
    return Outcome("returned", status=result)
