"""Which message was in hand when a line was logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caxton.bus.envelope import facts, trace_of
from caxton.logs.line import Context

if TYPE_CHECKING:
    from caxton.bus.envelope import Envelope
    from caxton.bus.turn import Turn
    from caxton.logs.book import LogBook


def context_of(envelope: Envelope, trace_id: str | None = None) -> Context:
    """The context of `envelope`; its trace id is read from it unless given."""
    is_message = envelope.timer_id < 0
    return Context(
        message_id=envelope.message_id,
        conversation_id=envelope.conversation_id,
        trace_id=trace_of(envelope)[3:35] if trace_id is None else trace_id,
        span_id=f"{envelope.seq:016x}" if is_message else "",
        attempt=envelope.attempt,
    )


def warn(book: LogBook, workspace: str, agent: str, text: str, about: Envelope | None) -> None:
    """A warning of the host's own, which may be about a message."""
    book.warn(workspace, agent, text, None if about is None else context_of(about))


class Contexts:
    """The contexts of one turn: made when the first line of a handling is logged, and the same for all others."""

    __slots__ = ("_last", "_seq", "_turn")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._seq = -1
        self._last: Context | None = None

    def now(self) -> Context | None:
        """Of the message in hand, or of the one whose failure is being told; None if there is none."""
        turn, last = self._turn, self._last
        envelope = turn.envelope or turn.failed
        if envelope is None:
            return None
        trace_id = turn.trace_id()
        if last is None or self._seq != envelope.seq or last[4] != envelope.attempt or last[2] != trace_id:
            self._seq, self._last = envelope.seq, context_of(envelope, trace_id)
        return self._last


def facts_of(turn: Turn) -> dict[str, Any]:
    """Whose turn it is and which message is in hand, for the server's log."""
    receiver = turn.receiver
    known: dict[str, Any] = {"workspace": receiver.workspace, "agent": receiver.name}
    return known if turn.envelope is None else {**known, **facts(turn.envelope)}
