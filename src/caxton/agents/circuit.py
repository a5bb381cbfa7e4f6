"""The circuit breaker and bulkhead around one agent: drives `core.breaker` twice, once for handlings, once for callers.

While the circuit is open the agent's mail waits, untouched, and whoever would wait for a reply is refused at once. The
bus tells of handlings only as long as `Receiver.is_watched`: an agent that works costs its circuit nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from caxton.agents.log_context import Contexts
from caxton.core import breaker
from caxton.core.breaker import Admit, Policy, Wake
from caxton.core.errors.receivers import BulkheadFull, CircuitOpen
from caxton.core.units import format_duration
from caxton.core.views.agents import BulkheadView, CircuitBreakerView

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.agents.definition import Definition
    from caxton.bus.mailbox import Mailbox, Receiver
    from caxton.bus.queues import Queues
    from caxton.core.clock import Clock
    from caxton.logs.line import Context

INFO, WARN = 2, 3


class CircuitCounts:
    """What all circuits of a node did, for the metrics."""

    def __init__(self) -> None:
        self.transitions = Counter[str]()
        """By the phase that was entered."""
        self.refused = Counter[str]()
        """Callers, by the code of the error they got."""


class Circuit:
    """See the module. `say` writes a line to the agent's log: level, text, replica, the message that it is about."""

    __slots__ = ("_callers", "_clock", "_counts", "_queues", "_receiver", "_say", "_state", "_tickets", "_timer")

    def __init__(
        self, receiver: Receiver, queues: Queues, clock: Clock, definition: Definition, counts: CircuitCounts,
        say: Callable[[int, str, int, Context | None], None],
    ) -> None:  # fmt: skip
        self._receiver, self._queues, self._clock, self._counts, self._say = receiver, queues, clock, counts, say
        self._state = breaker.State(definition.circuit)
        self._callers = breaker.State(_bulkhead(definition))
        self._tickets: dict[Mailbox, int | None] = {}
        """Handlings under way that are probes, and (None) those that began before the circuit last turned."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def phase(self) -> str:
        """`closed`, `open`, `half_open`, or `off`."""
        return self._state.phase if self._state.policy.threshold else "off"

    # --- handlings, told by the bus within the pump ----------------------------------------------------------

    def began(self, box: Mailbox) -> None:
        """A handling takes longer than a slice: as a probe it counts from now on."""
        if self._state.phase == "half_open" and box not in self._tickets:
            self._tickets[box] = self._ask()
            self._guard(in_pump=True)

    def ended(self, box: Mailbox, *, has_succeeded: bool | None) -> None:
        """A handling is over; None if that tells nothing of the agent."""
        ticket = self._tickets.pop(box) if box in self._tickets else self._ask()
        if ticket is not None:  # else it began before the circuit turned
            self._on(breaker.Ended(ticket, has_succeeded, self._clock.monotonic()), box)
        self._guard(in_pump=True)

    def _ask(self) -> int | None:
        for instruction in self._on(breaker.Asked(self._clock.monotonic())):
            if isinstance(instruction, Admit):
                return instruction.generation
        return None

    # --- callers ---------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """A caller wants to wait for a reply; `leave` follows. Raises `CircuitOpen`, `BulkheadFull`."""
        self._elapsed()
        state, now = self._state, self._clock.monotonic()
        # Half-open, a caller's message must be one of the probes: behind other mail it could wait for a closed door.
        if state.phase == "open" or (state.phase == "half_open" and self._receiver.messages >= state.policy.probes):
            self._counts.refused[CircuitOpen.code] += 1
            left_s = state.until - now if state.phase == "open" else 0.0
            raise CircuitOpen(self._receiver.name, state.failures, max(left_s, 0.0))
        self._callers, (answer,) = breaker.on_event(self._callers, breaker.Asked(now))
        if not isinstance(answer, Admit):
            self._counts.refused[BulkheadFull.code] += 1
            raise BulkheadFull(self._receiver.name, self._callers.policy.max_calls)

    def leave(self) -> None:
        """A caller who entered waits no more."""
        ended = breaker.Ended(self._callers.generation, None, self._clock.monotonic())
        self._callers, _ = breaker.on_event(self._callers, ended)

    # --- changes ---------------------------------------------------------------------------------------------

    def configure(self, definition: Definition) -> None:
        """Other settings hold from now on; an open circuit closes earlier or later accordingly."""
        now = self._clock.monotonic()
        self._callers, _ = breaker.on_event(self._callers, breaker.Changed(_bulkhead(definition), now))
        if definition.circuit != self._state.policy:
            self._on(breaker.Changed(definition.circuit, now))
            self._guard(in_pump=False)

    def renew(self) -> None:
        """The agent was stopped, or other instances took over: closed, whatever was before."""
        if self._state.phase != "closed" or self._state.failures:
            self._on(breaker.Renewed())
            self._guard(in_pump=False)
        self._tickets = {box: None for box in self._receiver.mailboxes if box.busy}

    def close(self) -> None:
        """Nothing happens any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- views -----------------------------------------------------------------------------------------------

    def view(self) -> CircuitBreakerView:
        state, policy = self._state, self._state.policy
        retry_at = None
        if state.phase == "open":
            left_s = max(state.until - self._clock.monotonic(), 0.0)
            at = datetime.fromtimestamp(self._clock.wall_us() / 1e6 + left_s, UTC)
            retry_at = at.isoformat(timespec="milliseconds")
        return CircuitBreakerView(
            state=self.phase, failures=state.failures, threshold=policy.threshold, timeout_s=policy.timeout_s,
            probes=policy.probes, retry_at=retry_at,
        )  # fmt: skip

    def bulkhead_view(self) -> BulkheadView:
        return BulkheadView(waiting=self._callers.calls, max_waiting=self._callers.policy.max_calls)

    # --- the machine -----------------------------------------------------------------------------------------

    def _on(self, event: breaker.Event, box: Mailbox | None = None) -> list[breaker.Instruction]:
        """`box` is where the handling was that the event tells of."""
        before = self._state
        self._state, instructions = breaker.on_event(before, event)
        if self._state.generation != before.generation:
            self._turned(before, box)
        for instruction in instructions:
            if isinstance(instruction, Wake):
                self._wake_after(instruction.after_s)
        return instructions

    def _turned(self, before: breaker.State, cause: Mailbox | None) -> None:
        """What is in hand now began under `before` and says nothing of what follows."""
        for box in self._receiver.mailboxes:
            if box.busy:
                self._tickets.setdefault(box, None)
        if self._state.phase != "open":
            self.close()
        if self._state.phase != before.phase:
            self._counts.transitions[self._state.phase] += 1
            self._tell(before, cause)

    def _tell(self, before: breaker.State, cause: Mailbox | None) -> None:
        state = self._state
        match state.phase:
            case "open":
                pause = format_duration(state.policy.timeout_s)
                why = "the probe failed" if before.phase == "half_open" else f"{state.failures} failures in a row"
                failed = None if cause is None or cause.turn is None else Contexts(cause.turn).now()
                text = f"circuit open: {why}; mail waits, callers are refused, next try in {pause}"
                self._say(WARN, text, 0, failed)
            case "half_open":
                text = f"circuit half-open: {state.policy.probes} let through to see whether it works again"
                self._say(INFO, text, 0, None)
            case "closed":
                self._say(INFO, f"circuit closed{': it works again' if before.phase == 'half_open' else ''}", 0, None)

    def _guard(self, *, in_pump: bool) -> None:
        """Let mail wait or go on, as the state asks for."""
        state, receiver = self._state, self._receiver
        receiver.is_watched = state.phase != "closed" or state.failures > 0
        if state.has_room == receiver.is_held:
            if state.has_room:
                self._queues.let_go(receiver, in_pump=in_pump)
            else:
                self._queues.hold(receiver)

    def _wake_after(self, seconds: float) -> None:
        self.close()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._elapsed)

    def _elapsed(self) -> None:
        if self._state.phase == "open":
            self._on(breaker.Elapsed(self._clock.monotonic()))
            self._guard(in_pump=False)


def _bulkhead(definition: Definition) -> Policy:
    """Callers are only counted: whether they succeed is the handlings' affair."""
    return Policy(threshold=0, max_calls=definition.max_waiting)
