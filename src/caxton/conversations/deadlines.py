"""What happens in conversations because nobody says anything: answers that did not come, conversations that go stale.

What is due within two minutes is on a heap; what is due later is found in the journal, looked through twice a minute.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from caxton.bus.timers import Timers
from caxton.conversations import notices
from caxton.conversations.conversation import IDLE, TOO_OLD, Key
from caxton.conversations.rules import move_of, moved_to
from caxton.core.errors.storage import StorageFailed
from caxton.protocols.machine import INITIATOR, after_deadline

if TYPE_CHECKING:
    from caxton.bus.bus import Bus
    from caxton.conversations.book import Waking
    from caxton.conversations.conversation import Conversation
    from caxton.conversations.table import Table
    from caxton.core.clock import Clock

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
WITHIN_US = 120 * 1_000_000
"""What is due so soon is on the heap."""

ROWS_AT_ONCE = 1000
"""Of the journal, in one look; the next ones follow at once, after what else there is to do."""

CANCEL_WITHIN_US = 30 * 1_000_000
"""For the answer to a cancel that an operator had said."""

_BEFORE_ALL: Waking = (-1, "", "")


class Deadlines:
    """See the module."""

    def __init__(self, bus: Bus, table: Table, clock: Clock) -> None:
        self._bus, self._table, self._book, self._clock = bus, table, table.book, clock
        self._timers = Timers[Key](clock, self._due, self._is_over)
        self._armed: dict[Key, int] = {}
        """What is on the heap: when, for each key the earliest."""
        self._call: asyncio.TimerHandle | None = None
        self.passed = 0
        """Answers that did not come in time."""

    @property
    def waiting(self) -> int:
        """Entries that the clock is watched for."""
        return len(self._timers)

    def start(self) -> None:
        """From now on, on the running loop."""
        self.look()

    def close(self) -> None:
        self._timers.close()
        if self._call is not None:
            self._call.cancel()

    def watch(self, key: Key, due_us: int) -> None:
        """Something is due at `due_us`, steady time."""
        if due_us - self._clock.steady_us() >= WITHIN_US or self._armed.get(key, due_us + 1) <= due_us:
            return
        self._armed[key] = due_us
        self._timers.add(due_us, key)

    def look(self, behind: Waking = _BEFORE_ALL) -> None:
        """See what the journal has that is due soon, some at a time; and again in a while."""
        found: list[Waking] = []
        try:
            found = self._book.waking(self._clock.steady_us() + WITHIN_US, behind, ROWS_AT_ONCE)
        except StorageFailed as exc:
            logger.error("conversations cannot be read", exc_info=exc, extra={"action": "conversations.error"})
        for when_us, workspace, id_ in found:
            self.watch((workspace, id_), when_us)
        is_all = len(found) < ROWS_AT_ONCE
        wait_s, behind = (LOOK_EVERY_S, _BEFORE_ALL) if is_all else (0.0, found[-1])
        self._call = asyncio.get_running_loop().call_later(wait_s, self.look, behind)

    def _is_over(self, key: Key) -> bool:
        """Whether the heap may forget `key`; if something is due for it all the same, the next look finds that."""
        if self._book.is_waited_for(key):
            return False
        self._armed.pop(key, None)
        return True

    def cancel(self, talk: Conversation, by: str) -> list[str]:
        """An operator ends a conversation: the initiator's `cancel` is said for it to all with whom something is open.

        They have `CANCEL_WITHIN_US` to answer it, as in FIPA's protocol for that; then it is over without them.

        Returns:
            Who was told; nobody who had been told before.
        """
        told: list[str] = []
        now_us = self._clock.steady_us()
        for participant, state in list(talk.pairs.items()):
            move = move_of(talk.protocol.name, state, INITIATOR, "cancel", False)
            if move is None:
                continue
            reference = notices.cancel_reference(talk)
            self._table.move(talk, participant, move, now_us)
            talk.expect_cancel(participant, reference)
            talk.set_due(participant, now_us + CANCEL_WITHIN_US)
            self._bus.mail.send(talk.workspace, participant, notices.cancel(talk, reference, by))
            told.append(participant)
        if told:
            self.watch(talk.key, now_us + CANCEL_WITHIN_US)
            self._book.changed(talk)
        return told

    def _watch_all(self, talk: Conversation) -> None:
        self.watch(talk.key, talk.wake_us(self._book.idle_us, self._book.max_age_us))

    def _due(self, key: Key) -> None:
        self._armed.pop(key, None)
        try:
            self._act(key)
        except Exception as exc:  # of one conversation; the others have their time too
            logger.error("a deadline failed", exc_info=exc, extra={"action": "conversations.error", "id": key[1]})

    def _act(self, key: Key) -> None:
        talk = self._book.find(key)
        if talk is None or talk.ended_us:
            return
        now_us = self._clock.steady_us()
        self._expire(talk, now_us)
        if talk.ended_us:
            return
        if now_us >= talk.last_us + self._book.idle_us:
            self._go_stale(talk, now_us, IDLE)
        elif now_us >= talk.started_us + self._book.max_age_us:
            self._go_stale(talk, now_us, TOO_OLD)
        else:
            self._watch_all(talk)

    def _expire(self, talk: Conversation, now_us: int) -> None:
        """Those who should have answered by now did not: their state changes, and the initiator hears of it."""
        silent: list[str] = []
        due = talk.due or {}
        for participant in [name for name, due_us in due.items() if due_us <= now_us]:
            del due[participant]
            state = talk.state(participant)
            after = after_deadline(talk.protocol, state)
            if after is not None:
                self._table.move(talk, participant, moved_to(talk.protocol, state, after), now_us)
                silent.append(participant)
        if not silent:
            return
        self.passed += len(silent)
        if not talk.ended_us:
            self._book.changed(talk)
        self._bus.mail.send(talk.workspace, talk.initiator, notices.deadline_passed(talk, silent))

    def _go_stale(self, talk: Conversation, now_us: int, outcome: str) -> None:
        """Nothing was said for too long: it is over, and those who still wait hear of it."""
        waiting = sorted({waiter for waiter, _ in talk.waits()})
        self._table.end(talk, now_us, outcome)
        for name in waiting:
            self._bus.mail.send(talk.workspace, name, notices.ended(talk, outcome))
