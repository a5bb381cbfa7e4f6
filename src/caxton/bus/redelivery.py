"""What becomes of a message that was not handled: its next attempt, or its end as a dead letter."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from caxton.bus.dead_letters import EXPIRED, FAILED, PROTOCOL, REASONS
from caxton.bus.retry import retry_delay_s
from caxton.bus.timers import Timers
from caxton.core.crash import crash_point
from caxton.messages.codec import ANY_SIZE, decode_message, encode_message

if TYPE_CHECKING:
    from collections import deque

    from caxton.bus.bus import Bus
    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.bus.journal import Journal
    from caxton.bus.mailbox import Mailbox, Receiver
    from caxton.core.clock import Clock


AGAIN = HANDLER_FAILED, CRASHED, NO_ROOM, RESTARTED = "failed", "crashed", "no-room", "restarted"
"""Why a message is handed over again: its handler returned something else than 0; trapped; could not send since
somebody had no room; or the node ended with it in hand."""

MAX_BLOCKED = 25
"""So often a handler may find no room before that counts as its failure: about nine minutes."""


class Redelivery:
    """Repeats and buries. A message that is to be repeated holds up those of the same sender, and nobody else's."""

    def __init__(self, bus: Bus, journal: Journal, clock: Clock) -> None:
        self._bus, self._journal, self._clock = bus, journal, clock
        self.counted: dict[str, int] = dict.fromkeys(AGAIN, 0)
        """Attempts beyond the first in this run, by why there is one."""
        self._random = random.Random()  # noqa: S311 - jitter, not secrets
        self._lifetimes = Timers(clock, self._expire, lambda lifetime: bool(lifetime[1].settled_us))

    @property
    def waiting_lifetimes(self) -> int:
        """Entries that the clock is watched for."""
        return len(self._lifetimes)

    def close(self) -> None:
        self._lifetimes.close()

    # --- again -----------------------------------------------------------------------------------------------

    def failed(self, box: Mailbox, envelope: Envelope, error: str, crash: Crash | None) -> None:
        """The handler of `box` did not succeed with `envelope`, whose turn is over."""
        receiver = box.receiver
        if envelope.attempt - envelope.blocked >= envelope.max_attempts:
            receiver.supervisor.gave_up(box, envelope)
            self.end(receiver, envelope, FAILED, error, crash)
        elif self.is_over(envelope):
            self.end(receiver, envelope, EXPIRED, error, crash)
        else:
            self.count_attempt(receiver, envelope, HANDLER_FAILED if crash is None else CRASHED)
            self._pause(box, envelope)

    def wait(self, box: Mailbox, envelope: Envelope) -> bool:
        """The handler of `box` could not finish because somebody had no room: that is no failure, it tries again.

        Returns:
            False if it must count as a failure: somebody waits for the reply, or it has been so for too long although
            the node takes messages. Agents whose mailboxes are full of messages to each other would otherwise wait for
            ever.
        """
        too_long = envelope.blocked >= MAX_BLOCKED and self._bus.intake.is_open
        if too_long or envelope.max_attempts == 1 or self.is_over(envelope):
            return False
        envelope.blocked += 1
        self.count_attempt(box.receiver, envelope, NO_ROOM)  # it says that it comes again
        self._pause(box, envelope)
        return True

    def count_attempt(self, receiver: Receiver, envelope: Envelope, why: str) -> None:
        """The next time that `envelope` is handed over it says so. `why`: one of `AGAIN`."""
        self.counted[why] += 1
        envelope.attempt += 1
        if envelope.timer_id < 0:
            receiver.give_room(len(envelope.body))
            envelope.body = with_attempt(envelope)
            receiver.take_room(len(envelope.body))
        self._journal.set_attempt(envelope)
        crash_point("redelivery.counted")

    def _pause(self, box: Mailbox, envelope: Envelope) -> None:
        if box not in box.receiver.mailboxes:  # it was given up meanwhile
            self._bus.queues.put_back(box, envelope)
            return
        waiting = box.inbox.pause(envelope)
        delay = retry_delay_s(envelope.attempt, self._random.random())
        envelope.again_us = self._clock.wall_us() + round(delay * 1e6)
        asyncio.get_running_loop().call_later(delay, self._resume, box, envelope.sender, waiting)

    def _resume(self, box: Mailbox, sender: str, waiting: deque[Envelope]) -> None:
        if box.inbox.resume(sender, waiting):
            self._bus.queues.line_up(box)
            self._bus.wake()

    # --- the end ---------------------------------------------------------------------------------------------

    def end(
        self, receiver: Receiver, envelope: Envelope, reason: str, error: str | None, crash: Crash | None = None
    ) -> None:
        """`envelope` will not be handed over again: a message becomes a dead letter, a timer is gone."""
        if envelope.timer_id < 0:
            self.bury(receiver, envelope, reason, error, crash)
        else:
            receiver.timers.pop(envelope.timer_id, None)
            self._journal.put_timer(receiver.workspace, receiver.name, envelope.timer_id, None)

    def bury(
        self, receiver: Receiver | None, envelope: Envelope, reason: str, error: str | None, crash: Crash | None = None
    ) -> None:
        """Make a dead letter of `envelope` and tell who waits for its reply.

        Args:
            receiver: gets back the room that the message took; None when it had taken none.
            envelope: nobody has it in hand, and no queue, or it is skipped there as settled.
            reason: one of `dead_letters.REASONS`.
            error: text of the last failure, if there was one.
            crash: the last failure, if it was one.
        """
        if receiver is not None:
            receiver.give_room(len(envelope.body))
        self._bus.letters.bury(envelope, reason, error, crash)
        self._bus.flight.buried(envelope, reason, error)
        if self._bus.tap.listeners:
            self._bus.tap.buried(envelope, reason)
        crash_point("letter.buried")
        self._bus.replies.buried(envelope, error or REASONS[reason], crash)
        if reason != PROTOCOL:
            self._bus.referee.buried(envelope, reason, error or REASONS[reason])

    # --- lifetimes -------------------------------------------------------------------------------------------

    def watch(self, receiver: Receiver, envelope: Envelope) -> None:
        """Bury `envelope` when its time is over, wherever it waits then."""
        self._lifetimes.add(envelope.expires_us, (receiver, envelope))

    def is_over(self, envelope: Envelope) -> bool:
        """Whether the time of `envelope` has passed."""
        return bool(envelope.expires_us) and self._clock.steady_us() >= envelope.expires_us

    def _expire(self, lifetime: tuple[Receiver, Envelope]) -> None:
        """It stays where it is queued, and is skipped there: looking for it would cost more."""
        receiver, envelope = lifetime
        if receiver.is_vacant:  # an agent may have got the name, and the mail, since
            receiver = receiver.directory.receivers.get(receiver.name, receiver)
        if envelope.settled_us or any(
            box.busy and box.turn is not None and box.turn.envelope is envelope for box in receiver.mailboxes
        ):
            return  # it is done with, or being handled, and who fails then finds out
        self.bury(receiver, envelope, EXPIRED, None)
        self._bus.queues.bury_tombstones(receiver)
        self._journal.touch()


def with_attempt(envelope: Envelope) -> bytes:
    """The body of `envelope` as it says its attempt."""
    message = decode_message(envelope.body, max_bytes=ANY_SIZE)
    message.attempt = envelope.attempt
    return encode_message(message)
