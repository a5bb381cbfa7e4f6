"""One recorded life again, in a fresh sandbox: handling after handling, as recorded or freely."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caxton.replay.divergence import Divergence, call_text, outcome_text, same_end
from caxton.replay.record import MESSAGE, SHUTDOWN, START, TIMER, Handling, Outcome
from caxton.replay.tape import AS_RECORDED, Scene, Tape, World
from caxton.sandbox.capabilities import ask_capabilities
from caxton.sandbox.guest import Guest
from caxton.sandbox.limits import Limits
from caxton.sandbox.trap import Trap

if TYPE_CHECKING:
    from collections.abc import Generator

    from caxton.replay.file import Recording
    from caxton.replay.record import Call
    from caxton.sandbox.module import Module

PATIENCE_S = 60.0
"""A handling that was recorded to end by itself, and has not after this, does not."""

NO_END = Outcome("trapped", text="no_end", reason=f"it did not end within {PATIENCE_S:g} s")


@dataclass(frozen=True, slots=True)
class Played:
    """One handling, run again."""

    handling: Handling
    outcome: Outcome
    calls: list[Call]
    """What it did; as recorded, if it was compared and did not diverge."""
    divergence: Divergence | None
    """None: it did what was recorded, byte for byte; or it ran freely."""
    is_free: bool = False


class Instance:
    """A fresh instance of a recorded one. `close()` frees it. The engine's ticks must be held while it runs."""

    def __init__(self, recording: Recording, module: Module, *, is_same_module: bool) -> None:
        self.recording = recording
        self._is_same_module = is_same_module
        self._limits = Limits(**recording.life.limits)  # type: ignore[arg-type]
        self._scene = Scene()
        # The clock of another day must not end it; `_to_end` has one of its own.
        limits = {**recording.life.limits, "wall_time_s": 1e6, "cpu_time_s": 1e6}
        self._guest = Guest(module, Limits(**limits), self._scene)  # type: ignore[arg-type]
        self._world = World(recording.life.id, recording.state)
        self._is_over = False

    def close(self) -> None:
        """Free it. Closing twice is allowed."""
        self._guest.close()

    @property
    def is_over(self) -> bool:
        """It trapped, or did not start: nothing more can be run in it."""
        return self._is_over

    def compare(self, handling: Handling) -> Played:
        """Run `handling` with the answers of the recording, and say where it first differs."""
        tape = Tape(handling)
        self._scene.act = tape.act
        outcome = self._run(handling, handling.body, tape)
        divergence = tape.divergence
        if divergence is None and not self._ended_alike(handling.outcome, outcome, tape):
            divergence = _end_differs(handling, outcome, tape)
        self._world.learn(handling)
        return Played(handling, outcome, handling.calls[: tape.at], divergence)

    def go_on(self, handling: Handling, body: bytes | None = None) -> Played:
        """Run `handling` freely: nothing is compared, and the answers are those of a model (`tape.World`).

        `body` is what is handed over in the place of the recorded message.
        """
        self._world.begin(handling.at_us)
        self._scene.act = self._world.act
        outcome = self._run(handling, handling.body if body is None else body, None)
        self._world.end(succeeded=outcome.kind == "returned" and outcome.status == 0)
        return Played(handling, outcome, self._world.calls, None, is_free=True)

    def _ended_alike(self, expected: Outcome, got: Outcome, tape: Tape) -> bool:
        if not tape.is_at_its_end:
            return False
        if expected.is_by_the_host:  # a faster machine gets further in its time, so with the same module that is all
            return got == expected or self._is_same_module
        return same_end(expected, got)

    # --- running ---------------------------------------------------------------------------------------------

    def _run(self, handling: Handling, body: bytes, tape: Tape | None) -> Outcome:
        guest, exports = self._guest, self._guest.module.exports
        match handling.kind:
            case _ if handling.kind == START:
                return self._start(tape)
            case _ if handling.kind == MESSAGE:
                result = guest.deliver(body)
            case _ if handling.kind == TIMER and "handle_timer" in exports:
                result = guest.call("handle_timer", handling.timer_id)
            case _ if handling.kind == SHUTDOWN and "agent_shutdown" in exports:
                result = guest.call("agent_shutdown")
            case _:
                result = 0
        return self._judge(self._to_end(result, tape), tape)

    def _start(self, tape: Tape | None) -> Outcome:
        ended = self._steps(self._guest.boot(), tape)
        if isinstance(ended, Outcome | Trap):
            return self._judge(ended, tape)
        if ended != 0:
            self._is_over = True
            return Outcome("not started", text=f"agent_init returned {ended}")
        if "get_capabilities" not in self._guest.module.exports:
            return Outcome("returned")
        found = self._steps(ask_capabilities(self._guest), tape)
        if isinstance(found, Outcome | Trap):
            return self._judge(found, tape)
        if isinstance(found, str):
            self._is_over = True
            return Outcome("not started", text=found)
        return Outcome("returned", text=",".join(found))

    def _judge(self, result: int | Trap | Outcome, tape: Tape | None) -> Outcome:
        if isinstance(result, Outcome):
            self._is_over = True
            return result
        if isinstance(result, Trap):
            self._is_over = True
            if result.kind == AS_RECORDED and tape is not None:
                return tape.handling.outcome
            return Outcome("trapped", text=result.kind, reason=result.reason)
        return Outcome("returned", status=result)

    def _steps(self, steps: Generator[None, None, Any], tape: Tape | None) -> Any:
        """Run a long call to its end, or until its time is over."""
        watch = _Watch(self._limits, tape)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            if (over := watch.over()) is not None:
                return over

    def _to_end(self, result: int | Trap | None, tape: Tape | None) -> int | Trap | Outcome:
        watch = _Watch(self._limits, tape)
        while result is None:
            if (over := watch.over()) is not None:
                return over
            result = self._guest.resume()
        return result


class _Watch:
    """Says when a handling has run for long enough."""

    def __init__(self, limits: Limits, tape: Tape | None) -> None:
        self._limits, self._tape = limits, tape
        self._since = time.monotonic()
        self._at: int = -1

    def over(self) -> Outcome | None:
        """How it ended, if it is to be ended now."""
        now, tape = time.monotonic(), self._tape
        if tape is None:
            if now - self._since > self._limits.cpu_time_s:
                return Outcome("trapped", text="cpu_time", reason="it computed for more than its CPU time")
            return None
        if tape.at != self._at:  # it got on
            self._at, self._since = tape.at, now
        expected = tape.handling.outcome
        if tape.is_at_its_end and expected.is_by_the_host:
            limit_s = 0.0 if expected.kind == "cut" else self._limits.cpu_time_s
            return expected if now - self._since > limit_s else None
        return NO_END if now - self._since > PATIENCE_S else None


def _end_differs(handling: Handling, outcome: Outcome, tape: Tape) -> Divergence:
    expected = outcome_text(handling.outcome)
    if not tape.is_at_its_end:
        number, arguments, _ = handling.calls[tape.at]
        expected = call_text(number, arguments)
    return Divergence(call=tape.at + 1, expected=expected, got=outcome_text(outcome))
