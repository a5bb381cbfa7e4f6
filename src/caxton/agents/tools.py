"""What guests call as tools: the port for whoever has some, and the door before it, which records every call."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

import msgspec

from caxton.sandbox.codes import (
    BUDGET_SPENT,
    FAILED,
    INVALID,
    NOT_APPROVED,
    NOT_FOUND,
    NOT_PERMITTED,
    RATE_LIMITED,
    TIMED_OUT,
    TOO_DEEP,
    TOO_LARGE,
    UNAVAILABLE,
    WOULD_BLOCK,
)
from caxton.tools.wanted import Wanted

if TYPE_CHECKING:
    from caxton.bus.flight import Flight
    from caxton.bus.turn import Turn
    from caxton.core.clock import Clock
    from caxton.sandbox.host import Pending

MAX_NAME_CHARS = 128

MAX_UNKNOWN_PER_S = 100
"""Calls of tools that there are not, of the whole node, that are recorded: a guest in a loop would fill the ring."""

REASONS = {
    INVALID: "invalid arguments",
    TOO_LARGE: "too large",
    NOT_PERMITTED: "not permitted",
    RATE_LIMITED: "rate limited",
    TIMED_OUT: "tool timeout",
    NOT_FOUND: "unknown tool",
    WOULD_BLOCK: "too many calls wait",
    NOT_APPROVED: "not approved",
    UNAVAILABLE: "unavailable",
    FAILED: "tool failed",
    BUDGET_SPENT: "budget spent",
    TOO_DEEP: "too deep",
}
"""What a code says to people; see `sandbox.codes`."""


class Tools(Protocol):
    """Calls tools on behalf of agents."""

    def call(self, wanted: Wanted, /) -> bytes | int | Pending:
        """The result (JSON), a code of `sandbox.codes` below 0, or either of them later. It must not raise."""
        ...


class NoTools:
    """There are none."""

    def call(self, _wanted: Wanted, /) -> bytes | int | Pending:
        """Not found."""
        return NOT_FOUND


class _Request(msgspec.Struct):
    tool: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


_decode = msgspec.json.Decoder(_Request).decode


class ToolDoor:
    """Takes what guests ask for to the tools."""

    def __init__(self, tools: Tools, flight: Flight, clock: Clock) -> None:
        self._tools, self._flight, self._clock = tools, flight, clock
        self._second = self._unknown = 0

    def call(self, turn: Turn, request: bytes) -> bytes | int | Pending:
        """Call the tool that `request` names, for the handler of `turn`: `{"tool": NAME, "arguments": {…}}`.

        What comes later is recorded before anybody else hears that it is there.
        """
        try:
            wanted = _decode(request)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return INVALID
        name = wanted.tool
        if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable() or ":" in name:
            return INVALID
        began_us = self._clock.wall_us()
        answer = self._tools.call(
            Wanted(
                workspace=turn.receiver.workspace, agent=turn.receiver.name, tool=name,
                arguments=bytes(wanted.arguments), key=self._key(turn), traceparent=turn.traceparent(),
            )
        )  # fmt: skip
        if isinstance(answer, int | bytes):
            self._record(turn, name, began_us, answer)
        else:
            answer.when_done(lambda: self._record(turn, name, began_us, answer.result))
        return answer

    @staticmethod
    def _key(turn: Turn) -> str:
        """The same for the same call of the same message, however often that is handed over.

        What is no message is never repeated as the same: its time makes it another.
        """
        envelope, receiver = turn.envelope, turn.receiver
        if envelope is None or envelope.timer_id >= 0:
            cause = f"{'' if envelope is None else envelope.timer_id}@{turn.now_us}"
        else:
            cause = envelope.message_id
        facts = (receiver.workspace, receiver.name, cause, str(turn.count_call()))
        return sha256("\0".join(facts).encode()).hexdigest()

    def _record(self, turn: Turn, name: str, began_us: int, result: bytes | int | None) -> None:
        error = REASONS.get(result, f"error {result}") if isinstance(result, int) else None
        if result != NOT_FOUND or self._may_tell(began_us // 1_000_000):
            self._flight.called(turn, name if error is None else f"{name}: {error}", began_us=began_us)

    def _may_tell(self, second: int) -> bool:
        if second != self._second:
            self._second, self._unknown = second, 0
        self._unknown += 1
        return self._unknown <= MAX_UNKNOWN_PER_S
