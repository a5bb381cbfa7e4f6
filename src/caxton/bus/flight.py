"""Tells the flight recorder of what is rarer than a message that was handled; of those the bus tells it itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from caxton.bus.envelope import trace_of
from caxton.recorder.record import ACT_AT, ACT_END, CRASHED, DEAD, FAILED, LOST, MAX_DETAIL_CHARS, REFUSED, TOOL

if TYPE_CHECKING:
    from caxton.bus.envelope import Envelope
    from caxton.bus.history import History
    from caxton.bus.turn import Turn
    from caxton.core.clock import Clock
    from caxton.messages.message import AclMessage
    from caxton.recorder.bodies import Bodies
    from caxton.recorder.recorder import Recorder

SLOW_US = 100_000
"""A handling that takes longer makes its conversation notable."""

_NOTABLE = frozenset({FAILED, CRASHED, DEAD, LOST})

MAX_REFUSALS_PER_S = 100
"""Of the whole node: an agent that ignores refusals would fill the ring with them."""


class Flight:
    """All methods run on the event loop's thread, inside of the pump or not."""

    def __init__(self, recorder: Recorder, clock: Clock, history: History) -> None:
        self.recorder, self._clock, self._history = recorder, clock, history
        self.bodies: Bodies | None = None
        """Who keeps what was said; None: nobody does."""
        self._second = self._refusals = 0
        self.refusals = Counter[str]()
        """In this run, by code; every one counts."""

    def end_round(self) -> None:
        """The pump's round ends: what it was told is kept."""
        self.recorder.flush()
        if self._history.said:
            if self.bodies is not None:
                self.bodies.offer(self._history.said)
            self._history.end_round(self._clock.monotonic())

    def slow(self, envelope: Envelope) -> None:
        """The handling of `envelope` took longer than `SLOW_US`."""
        if self.bodies is not None and envelope.timer_id < 0:
            self.bodies.notable(envelope)

    def note(
        self, kind: int, envelope: Envelope, *, handed_us: int = 0, detail: str | None = None, trace: str = ""
    ) -> None:
        """Something happened to `envelope`; `handed_us`: when the handler began to which it happened.

        `trace`: of what the handler sent; that of the envelope if it sent nothing.
        """
        if kind in _NOTABLE and self.bodies is not None:
            self.bodies.notable(envelope)
        if self.recorder.is_on:
            self.recorder.note(
                (
                    kind, envelope.seq, envelope.workspace, envelope.sender, envelope.receiver, envelope.message_id,
                    envelope.conversation_id, envelope.body[ACT_AT:ACT_END],
                    trace or trace_of(envelope), envelope.attempt,
                    envelope.accepted_us, handed_us, self._clock.wall_us(), len(envelope.body),
                    None if detail is None else detail[:MAX_DETAIL_CHARS],
                )
            )  # fmt: skip

    def buried(self, envelope: Envelope, reason: str, error: str | None) -> None:
        """`envelope` became a dead letter."""
        if self.bodies is not None and envelope.conversation_id is not None:
            self.bodies.offer([envelope])
        self.note(DEAD, envelope, detail=reason if error is None else f"{reason}: {error}")

    def refused(self, workspace: str, message: AclMessage, code: str, *, trace: str = "", sent_us: int = 0) -> None:
        """`message` was not taken; `code` tells why. Its sender is the one that it really had.

        `sent_us`: when the handling began that wanted to send it, if one did.
        """
        self.refusals[code] += 1
        now_us = self._clock.wall_us()
        if now_us // 1_000_000 != self._second:
            self._second, self._refusals = now_us // 1_000_000, 0
        self._refusals += 1
        if self._refusals > MAX_REFUSALS_PER_S or not self.recorder.is_on:
            return
        named = message.receiver if isinstance(message.receiver, str) else ", ".join(message.receiver)
        receiver = named[:MAX_DETAIL_CHARS] or f"capability {message.capability or ''}"
        self.recorder.note(
            (
                REFUSED, 0, workspace, message.sender, receiver, message.message_id, message.conversation_id,
                message.performative.encode(), trace, 1, sent_us or now_us, 0, now_us, len(message.content), code,
            )
        )  # fmt: skip

    def called(self, turn: Turn, detail: str, *, began_us: int) -> None:
        """The handler of `turn` called a tool, and has its result."""
        if self.recorder.is_on:
            envelope, receiver = turn.envelope, turn.receiver
            message_id, conversation_id, attempt = (
                ("", None, 1) if envelope is None else (envelope.message_id, envelope.conversation_id, envelope.attempt)
            )
            self.recorder.note(
                (
                    TOOL, 0, receiver.workspace, receiver.name, receiver.name, message_id, conversation_id, b"",
                    turn.trace, attempt, turn.now_us, began_us, self._clock.wall_us(), 0, detail[:MAX_DETAIL_CHARS],
                )
            )  # fmt: skip
