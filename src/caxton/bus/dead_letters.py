"""The account of the dead letters: how many wait, how large they are, and whether there is room for more.

Letters stand in the journal, not in memory; this knows only their sum. Those that were replayed do not count: their
body went into the message that they became. When the limit is reached the node takes no new messages; a letter that
arises all the same is kept. All methods run on the event loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus import letter_rows
from caxton.core.errors.dead_letters import DeadLettersFull

if TYPE_CHECKING:
    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.bus.intake import Intake
    from caxton.bus.journal import Journal
    from caxton.bus.letter_rows import LetterRow
    from caxton.core.clock import Clock
    from caxton.storage.database import Database

FAILED, EXPIRED, REMOVED, POISON, PROTOCOL = "failed", "expired", "removed", "poison", "protocol"

REASONS = {
    FAILED: "its handler failed on every attempt",
    EXPIRED: "its time was over before it was handled",
    REMOVED: "the agent was removed",
    POISON: "the server died with it in hand, again and again",
    PROTOCOL: "it was out of place in its conversation, and was not delivered",
}
"""Why a message became a dead letter: the word that programs go by, and what it means."""

MAX_BYTES = 1 << 30
"""What may wait; unless configured."""

LETTER_BYTES = 512
"""What a letter counts beside its body, about what its row takes, so that many small ones are bounded too."""

REOPEN_RATIO = 0.9
"""Of the limit: below it new messages are taken again. A little room keeps the gate from flapping."""

CAUSE = "dead-letters-full"
"""Under which the intake is closed."""


class DeadLetters:
    """See the module."""

    def __init__(self, journal: Journal, clock: Clock, intake: Intake) -> None:
        self._journal, self._clock, self._intake = journal, clock, intake
        self.max_bytes = MAX_BYTES
        self.count = self.bytes = 0
        """Of the letters that wait."""
        self.buried: dict[str, int] = dict.fromkeys(REASONS, 0)
        """In this run, by reason."""
        self.replayed = 0
        """In this run."""

    def load(self, database: Database) -> None:
        """Count what is in the journal; once, at start, before anything is buried."""
        ((count, size),) = database.query(letter_rows.WAITING)
        self._change(count, size)

    def bury(self, envelope: Envelope, reason: str, error: str | None = None, crash: Crash | None = None) -> None:
        """Make a dead letter of `envelope`, in one transaction with its settlement.

        Args:
            envelope: nobody has it in hand or in a queue any more.
            reason: one of `REASONS`.
            error: text of the last failure, if there was one.
            crash: the last failure, if it was one.
        """
        self._journal.add_dead_letter(envelope, reason, error, self._clock.steady_us(), crash)
        self.buried[reason] += 1
        self._change(1, len(envelope.body))

    def mark_replayed(self, letter: LetterRow, *, by: str, now_us: int, seq: int) -> None:
        """`letter` became the message `seq`, which must be journalled in the same step of the event loop."""
        row = (now_us, by, seq, letter.checksum(b""), letter.seq)
        self._journal.add(letter_rows.REPLAYED, *row)
        self.replayed += 1
        self._change(-1, -letter.body_bytes)

    def gone(self, count: int, body_bytes: int) -> None:
        """So many letters that waited, and the bytes of their bodies, were deleted."""
        self._change(-count, -body_bytes)

    def _change(self, count: int, body_bytes: int) -> None:
        self.count += count
        self.bytes += body_bytes + count * LETTER_BYTES
        if self.bytes >= self.max_bytes:
            self._intake.close(CAUSE, lambda: DeadLettersFull(self.count, self.bytes, self.max_bytes))
        elif self.bytes < self.max_bytes * REOPEN_RATIO:
            self._intake.open(CAUSE)
