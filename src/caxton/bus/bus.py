"""Hands messages over and settles them.

One handling is one transaction: `_settle` makes a turn's sends, state, timers and the settlement itself happen
together, in memory at once and on disk with the next commit. All methods run on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

from caxton.bus.dead_letters import FAILED, REASONS, REMOVED, DeadLetters
from caxton.bus.envelope import Envelope
from caxton.bus.handler import HostError, failure_text
from caxton.bus.history import MAX_BODY_BYTES, History
from caxton.bus.intake import Intake
from caxton.bus.mailbox import Directory, Mailbox, Receiver
from caxton.bus.replies import ANY_SIZE, Replies
from caxton.bus.retry import retry_delay_s
from caxton.bus.timers import Timers
from caxton.messages.codec import decode_message, encode_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.handler import Crash, Handler
    from caxton.bus.journal import Journal
    from caxton.bus.turn import Turn
    from caxton.core.clock import Clock

logger = logging.getLogger(__name__)

MESSAGES_PER_VISIT = 8
"""A mailbox with much mail lets the others in after so many."""

LATENCY_BUCKETS = 32
"""Bucket n counts messages that waited from 2^(n-1) to 2^n µs from acceptance to handing over."""


class Bus:
    """See the module. `pump` is called by the node's loop whenever `on_work` said that there is something to do.

    `on_work` is never called within `pump`, which leaves `has_work` behind instead.
    """

    def __init__(self, journal: Journal, clock: Clock, on_work: Callable[[], None], *, first_seq: int = 1) -> None:
        self._journal = journal
        self._clock = clock
        self._on_work = on_work
        self._seq = first_seq - 1
        self._boot = os.urandom(6).hex()
        self._trace_seed = os.urandom(8).hex()
        self._traces = 0
        self._directories: dict[str, Directory] = {}
        self._ready: deque[Mailbox] = deque()
        self._preempted: deque[Mailbox] = deque()
        self._freed: list[asyncio.Event] = []
        self._random = random.Random()  # noqa: S311 - jitter, not secrets
        self.history = History()
        self.replies = Replies(journal)
        self.intake = Intake()
        self.letters = DeadLetters(journal, clock, self.intake)
        self.timers = Timers(clock, self._fire)
        self.is_draining = False
        self.settled = self.failures = self.dead_letters = 0
        self.latency_us = [0] * LATENCY_BUCKETS

    # --- names -----------------------------------------------------------------------------------------------

    def directory(self, workspace: str) -> Directory:
        found = self._directories.get(workspace)
        if found is None:
            found = self._directories[workspace] = Directory(workspace)
        return found

    def receivers(self) -> list[Receiver]:
        return [r for directory in self._directories.values() for r in directory.receivers.values()]

    def add_receiver(self, receiver: Receiver) -> None:
        self.directory(receiver.workspace).receivers[receiver.name] = receiver

    def remove_receiver(self, receiver: Receiver) -> None:
        """The agent is gone with its state; its mail becomes dead letters."""
        directory = self.directory(receiver.workspace)
        directory.receivers.pop(receiver.name, None)
        receiver.is_removed = True
        for topic in list(directory.topics):
            directory.change_topic(topic, receiver.name, subscribed=False)
        self._journal.forget_agent(receiver.workspace, receiver.name)
        for envelope in [*receiver.held, *(e for box in receiver.mailboxes for e in box.inbox)]:
            if envelope.timer_id < 0:
                self._bury(receiver, envelope, REMOVED, None)
        receiver.held.clear()
        receiver.mailboxes = []
        receiver.timers.clear()

    def now_us(self) -> int:
        return self._clock.wall_us()

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def message_id(self, seq: int) -> str:
        """Unique among all nodes and runs."""
        return f"{self._boot}-{seq:x}"

    def new_trace_id(self) -> str:
        """32 hex digits, unique; half of them random for the whole run, which is enough and costs no system call."""
        self._traces += 1
        return f"{self._trace_seed}{self._traces:016x}"

    # --- queues ----------------------------------------------------------------------------------------------

    def enqueue(self, receiver: Receiver, envelope: Envelope) -> None:
        """Put `envelope` where it will be handled. Room for it was taken before."""
        if not receiver.mailboxes:
            self._hold(receiver, envelope)
            return
        box = receiver.choose(envelope.conversation_id)
        box.inbox.append(envelope)
        if box.is_open and not box.queued and not box.busy:
            box.queued = True
            self._ready.append(box)

    def _hold(self, receiver: Receiver, envelope: Envelope) -> None:
        """There is no mailbox: the agent is stopped, or was removed while this was on its way."""
        if not receiver.is_removed:
            receiver.held.append(envelope)
        elif envelope.timer_id < 0:
            self._bury(receiver, envelope, REMOVED, None)

    def _enqueue_timer(self, receiver: Receiver, envelope: Envelope) -> None:
        """A timer fires at the replica that set it, or at the one that has its number's place."""
        due = receiver.timers.get(envelope.timer_id)
        if not receiver.mailboxes:
            self._hold(receiver, envelope)
        elif due is not None:
            box = receiver.mailboxes[due[1] % len(receiver.mailboxes)]
            box.inbox.append(envelope)
            self._line_up(box)

    def set_mailboxes(self, receiver: Receiver, count: int) -> None:
        """Give `receiver` as many mailboxes as it has replicas; waiting mail is dealt out again, in its order."""
        waiting = [*receiver.held, *(e for box in receiver.mailboxes for e in box.inbox)]
        waiting.sort(key=lambda envelope: envelope.seq)
        receiver.held.clear()
        for box in receiver.mailboxes:
            box.inbox.clear()
        for box in receiver.mailboxes[count:]:
            box.is_open = False
        receiver.mailboxes = receiver.mailboxes[:count]
        for replica in range(len(receiver.mailboxes), count):
            receiver.mailboxes.append(Mailbox(receiver, replica))
        for envelope in waiting:
            if envelope.timer_id < 0:
                self.enqueue(receiver, envelope)
            else:
                self._enqueue_timer(receiver, envelope)
        self._wake()

    def open(self, box: Mailbox, handler: Handler) -> None:
        """`handler` is ready for the mail of `box`."""
        box.handler = handler
        box.turn = handler.turn
        box.is_open = True
        self._line_up(box)
        self._wake()

    def shut(self, box: Mailbox) -> None:
        """No further message is given to the handler; one in progress goes on."""
        box.is_open = False

    def drop(self, box: Mailbox) -> None:
        """The handler is gone. A message in progress will be handed over again: it was not its fault."""
        box.is_open = False
        box.handler = None
        if not box.busy:
            return
        self._free(box)
        turn = box.turn
        assert turn is not None  # noqa: S101
        if turn.envelope is not None:
            self._put_back(box, turn.envelope)
        turn.release()
        self._wake()

    def _put_back(self, box: Mailbox, envelope: Envelope) -> None:
        """To the front of its queue; or of another's, when this mailbox was given up meanwhile."""
        receiver = box.receiver
        if box in receiver.mailboxes:
            box.inbox.appendleft(envelope)
        elif receiver.mailboxes:
            other = receiver.choose(envelope.conversation_id)
            other.inbox.appendleft(envelope)
            self._line_up(other)
        else:
            self._hold(receiver, envelope)

    def _line_up(self, box: Mailbox) -> None:
        """Let `box` have its turn in the pump, if there is something to do for it."""
        if box.is_open and box.inbox and not box.queued and not box.busy:
            box.queued = True
            self._ready.append(box)

    def _wake(self) -> None:
        """After something outside of the pump: let it run if there is something to do."""
        if self._ready:
            self._on_work()

    @property
    def has_work(self) -> bool:
        return bool(self._ready or self._preempted)

    async def wait_until_free(self, boxes: list[Mailbox]) -> None:
        """Wait until no handler of `boxes` is in the middle of a message."""
        while any(box.busy for box in boxes):
            freed = asyncio.Event()
            self._freed.append(freed)
            await freed.wait()

    def _free(self, box: Mailbox) -> None:
        box.busy = False
        for freed in self._freed:
            freed.set()
        self._freed.clear()

    # --- the pump --------------------------------------------------------------------------------------------

    def pump(self, budget_s: float) -> None:
        """Handle messages for about `budget_s` seconds. Guests that compute long get one slice in each call."""
        ready = self._ready
        until = perf_counter() + budget_s
        while ready:
            box = ready.popleft()
            box.queued = False
            for _ in range(MESSAGES_PER_VISIT):
                if not box.inbox or not box.is_open or box.busy or self.is_draining:
                    break
                self._handle(box, box.inbox.popleft())
            if box.inbox and box.is_open and not box.busy and not self.is_draining:
                box.queued = True
                ready.append(box)
            if perf_counter() > until:
                break
        if self._preempted:
            self._resume(self._preempted.popleft())
        self._journal.touch()

    def _handle(self, box: Mailbox, envelope: Envelope) -> None:
        turn, handler = box.turn, box.handler
        assert turn is not None and handler is not None  # noqa: S101, PT018
        now_us = self._clock.wall_us()
        turn.begin(envelope, now_us)
        try:
            if envelope.timer_id < 0:
                self.latency_us[min((now_us - envelope.accepted_us).bit_length(), LATENCY_BUCKETS - 1)] += 1
                result = handler.deliver(envelope.body)
            elif envelope.timer_id in box.receiver.timers:
                result = handler.fire(envelope.timer_id)
            else:  # cancelled since it fired
                turn.clear()
                return
        except Exception as exc:
            result = self._host_error(box, exc)
        if result == 0:
            self._settle(box, turn)
        elif result is None:
            box.busy = True
            self._preempted.append(box)
        else:
            self._fail(box, turn, result)

    def _resume(self, box: Mailbox) -> None:
        if not box.busy or box.handler is None:  # it was dropped meanwhile
            return
        try:
            result = box.handler.resume()
        except Exception as exc:
            result = self._host_error(box, exc)
        if result is None:
            self._preempted.append(box)
            return
        self._free(box)
        turn = box.turn
        assert turn is not None  # noqa: S101
        if result == 0:
            self._settle(box, turn)
        else:
            self._fail(box, turn, result)
        self._line_up(box)

    @staticmethod
    def _host_error(box: Mailbox, error: Exception) -> HostError:
        """The wall behind which an error of ours costs one handler and not the pump."""
        extra = {"action": "bus.host_error", "agent": box.receiver.name}
        logger.error("handling raised", exc_info=error, extra=extra)
        return HostError()

    def _settle(self, box: Mailbox, turn: Turn) -> None:
        """The handler succeeded: all that it did happens now."""
        receiver, envelope = box.receiver, turn.envelope
        self._apply(turn)
        box.handled += 1
        receiver.handled += 1
        self.settled += 1
        if envelope is None:
            return
        if envelope.timer_id >= 0:
            receiver.timers.pop(envelope.timer_id, None)
            self._journal.put_timer(receiver.workspace, receiver.name, envelope.timer_id, None)
            return
        receiver.messages -= 1
        receiver.bytes -= len(envelope.body)
        self._journal.settle(envelope, turn.now_us)
        if len(envelope.body) <= MAX_BODY_BYTES:
            self.history.remember(envelope)

    def apply(self, turn: Turn) -> None:
        """Make what a handler did while it was started or ended happen."""
        self._apply(turn)
        self._wake()
        self._journal.touch()

    def _apply(self, turn: Turn) -> None:
        born = self._journal.born
        for target, envelope in turn.sends:
            born[envelope.seq] = envelope
            if target is not None:
                self.enqueue(target, envelope)
            else:
                self._leave(envelope, turn.now_us)
        if turn.kv or turn.timers or turn.cancelled or turn.topics:
            self._apply_state(turn)
        turn.clear()

    def _apply_state(self, turn: Turn) -> None:
        receiver, journal = turn.receiver, self._journal
        workspace, name = receiver.workspace, receiver.name
        for key, value in turn.kv.items():
            receiver.put(key, value)
            journal.put_kv(workspace, name, key, value)
        for timer_id in turn.cancelled:
            receiver.timers.pop(timer_id, None)
            journal.put_timer(workspace, name, timer_id, None)
        for timer_id, due_us in turn.timers.items():
            receiver.timers[timer_id] = due = (due_us, turn.replica)
            journal.put_timer(workspace, name, timer_id, due)
            self.timers.add(due_us, receiver, timer_id)
        directory = self.directory(workspace)
        for topic, subscribed in turn.topics.items():
            directory.change_topic(topic, name, subscribed=subscribed)
            (receiver.topics.add if subscribed else receiver.topics.discard)(topic)
            journal.put_topic(workspace, topic, name, subscribed=subscribed)

    def _leave(self, envelope: Envelope, now_us: int) -> None:
        """A message to somebody outside is settled by being kept for them; who waits hears of it after the commit."""
        self._journal.settle(envelope, now_us)
        if len(envelope.body) <= MAX_BODY_BYTES:
            self.history.remember(envelope)
        self.replies.arrived(envelope)

    # --- failure ---------------------------------------------------------------------------------------------

    def _fail(self, box: Mailbox, turn: Turn, result: int | Crash) -> None:
        """Nothing of the turn happens; the message waits for its next attempt, or is buried."""
        receiver, envelope = box.receiver, turn.envelope
        turn.release()
        self.failures += 1
        receiver.failed += 1
        crash = None if isinstance(result, int) else result
        reason = failure_text(result) if isinstance(result, int) else result.reason
        if crash is not None:
            box.handler = None
            box.is_open = False
        if crash is None:
            receiver.supervisor.failed(box, result if isinstance(result, int) else 0)
        else:
            receiver.supervisor.crashed(box, crash)
        if envelope is not None:
            self._again(box, envelope, reason, crash)

    def _again(self, box: Mailbox, envelope: Envelope, reason: str, crash: Crash | None) -> None:
        receiver = box.receiver
        if envelope.attempt >= envelope.max_attempts:
            receiver.supervisor.gave_up(box, envelope)
            if envelope.timer_id >= 0:
                receiver.timers.pop(envelope.timer_id, None)
                self._journal.put_timer(receiver.workspace, receiver.name, envelope.timer_id, None)
            else:
                self._bury(receiver, envelope, FAILED, reason, crash)
            return
        envelope.attempt += 1
        if envelope.timer_id < 0:
            message = decode_message(envelope.body, max_bytes=ANY_SIZE)
            message.attempt = envelope.attempt
            receiver.bytes -= len(envelope.body)
            envelope.body = encode_message(message)
            receiver.bytes += len(envelope.body)
            self._journal.set_attempt(envelope)
        if crash is None:
            box.is_open = False
        self._put_back(box, envelope)
        if crash is None:  # after a crash it is the new handler that the message waits for
            delay = retry_delay_s(envelope.attempt, self._random.random())
            asyncio.get_running_loop().call_later(delay, self._reopen, box)

    def _reopen(self, box: Mailbox) -> None:
        if box.handler is not None and box in box.receiver.mailboxes and box.receiver.is_running:
            box.is_open = True
            self._line_up(box)
            self._wake()

    def _bury(
        self,
        receiver: Receiver,
        envelope: Envelope,
        reason: str,
        error: str | None,
        crash: Crash | None = None,
    ) -> None:
        """Make a dead letter of `envelope` and tell who waits for its reply."""
        receiver.messages -= 1
        receiver.bytes -= len(envelope.body)
        self.dead_letters += 1
        self.letters.bury(envelope, reason, error, crash)
        self.replies.buried(envelope, error or REASONS[reason], crash)

    # --- timers ----------------------------------------------------------------------------------------------

    def _fire(self, receiver: Receiver, timer_id: int) -> None:
        due = receiver.timers.get(timer_id)
        if due is None:
            return
        envelope = Envelope(
            0, receiver.workspace, receiver.name, receiver.name, "", None, b"", due[0], timer_id=timer_id
        )
        self._enqueue_timer(receiver, envelope)
        self._wake()

    def bury_orphan(self, envelope: Envelope) -> None:
        """A message in the journal whose receiver is not there any more."""
        self.dead_letters += 1
        self.letters.bury(envelope, REMOVED)
