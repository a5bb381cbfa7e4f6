"""Hands messages over and settles them.

One handling is one transaction: `_settle` makes a turn's sends, state, timers and the settlement itself happen
together, in memory at once and on disk with the next commit. All methods run on the event loop's thread.

Who is there is a question for `Bus.names`; who waits where, and which mailboxes are open, one for `Bus.queues`.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from functools import partial
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING

from caxton.bus.dead_letters import EXPIRED, DeadLetters
from caxton.bus.envelope import Envelope, facts, trace_of
from caxton.bus.flight import SLOW_US, Flight
from caxton.bus.handler import HostError, failure_text
from caxton.bus.history import MAX_BODY_BYTES, History
from caxton.bus.host_mail import HostMail
from caxton.bus.intake import Intake
from caxton.bus.mailbox import Receiver
from caxton.bus.names import Names
from caxton.bus.queues import Queues
from caxton.bus.redelivery import Redelivery
from caxton.bus.referee import NoReferee
from caxton.bus.replies import Replies
from caxton.bus.suspects import Suspects
from caxton.bus.tap import Tap
from caxton.bus.timers import Timers
from caxton.core.crash import ARMED, crash_point
from caxton.observe.metrics import DURATION_BUCKETS
from caxton.recorder.record import ACT_AT, ACT_END, CRASHED, FAILED, REPLIED, SETTLED, TIMER
from caxton.recorder.recorder import Recorder
from caxton.storage.inflight import timer_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caxton.bus.handler import Crash, Handler
    from caxton.bus.journal import Journal
    from caxton.bus.mailbox import Mailbox
    from caxton.bus.referee import Referee
    from caxton.bus.turn import Turn
    from caxton.core.clock import Clock
    from caxton.messages.message import AclMessage
    from caxton.sandbox.host import Pending

logger = logging.getLogger(__name__)

MESSAGES_PER_VISIT = 8
"""A mailbox with much mail lets the others in after so many."""


_LOW_HALF = (1 << 64) - 1
_STRIDE = 0x9E3779B97F4A7C15
"""2^64 by the golden ratio: odd, so that no value comes twice, and any run of its multiples is spread evenly."""


class Bus:
    """See the module. `pump` is called by the node's loop whenever `on_work` said that there is something to do.

    `on_work` is never called within `pump`, which leaves `has_work` behind instead.
    """

    def __init__(
        self, journal: Journal, clock: Clock, on_work: Callable[[], None], *, first_seq: int = 1,
        recorder: Recorder | None = None,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._clock = clock
        self._on_work = on_work
        self.next_seq = count(first_seq).__next__
        """The number of the next message."""
        self.id_prefix = f"{os.urandom(6).hex()}-"
        """Of message ids: unique among all nodes and runs."""
        self._trace_seed = os.urandom(8).hex()
        self._traces = int.from_bytes(os.urandom(8), "big")
        self._preempted: deque[Mailbox] = deque()
        self.history = History()
        self.recorder = Recorder() if recorder is None else recorder
        self._record = self.recorder.add if self.recorder.is_on else None
        self.flight = Flight(self.recorder, clock, self.history)
        self._said = self.history.said.append
        self.replies = Replies(journal)
        self.intake = Intake()
        self._note = journal.in_flight.note
        self._wall_us = clock.wall_us
        journal.in_hand = self._in_hand
        self.suspects = Suspects(self, clock, self._after_suspect)
        self.letters = DeadLetters(journal, clock, self.intake)
        self.tap = Tap(journal, clock)
        self._listeners = self.tap.listeners
        self.redelivery = Redelivery(self, journal, clock)
        self.queues = Queues(self.redelivery, self.wake)
        self.names = Names(self.queues, self.redelivery, journal)
        self._ready, self._enqueue = self.queues.ready, self.queues.enqueue
        self.timers = Timers[tuple[Receiver, int]](clock, self._fire, lambda timer: timer[1] not in timer[0].timers)
        self.mail = HostMail(self, journal)
        self.referee: Referee = NoReferee()
        self.is_draining = False
        self.failures = self.crashes = 0
        """Handlings that failed, and those of them that ended their handler."""
        self.latency_us = [0] * DURATION_BUCKETS
        """How long messages waited from acceptance to handing over, as `observe.metrics.powers` reads it."""
        self.handled_us = [0] * DURATION_BUCKETS
        self.failed_us = [0] * DURATION_BUCKETS
        """How long handlings took that succeeded, and that failed."""
        self.timers_handled = 0

    def close(self) -> None:
        """Nothing happens by itself any more."""
        self.timers.close()
        self.redelivery.close()
        self.tap.close()

    def write_down(self) -> None:
        """The node stops: also what was accepted for memory only goes on with the next run."""
        for receiver in self.names.receivers():
            for envelope in [*receiver.held, *(e for box in receiver.mailboxes for e in box.inbox)]:
                if envelope.timer_id < 0 and not envelope.written and not envelope.settled_us:
                    self._journal.born[envelope.seq] = envelope

    @property
    def settled(self) -> int:
        """Handlings that succeeded, of messages and timers."""
        return sum(self.handled_us)

    # --- numbers and times -----------------------------------------------------------------------------------

    def now_us(self) -> int:
        return self._clock.wall_us()

    def steady_us(self) -> int:
        return self._clock.steady_us()

    def message_id(self, seq: int) -> str:
        """Unique among all nodes and runs."""
        return f"{self.id_prefix}{seq:x}"

    def new_trace_id(self) -> str:
        """32 hex digits, unique; half of them random for the whole run, which is enough and costs no system call.

        The other half goes evenly through all values, since samplers decide by it (W3C trace context: random flag).
        """
        self._traces = (self._traces + _STRIDE) & _LOW_HALF
        return f"{self._trace_seed}{self._traces:016x}"

    # --- the pump --------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """After something outside of the pump: let it run if there is something to do."""
        if self.has_work:
            self._on_work()

    @property
    def has_work(self) -> bool:
        if self.suspects.is_active:
            return self.suspects.has_work
        return bool(self._ready or self._preempted)

    def pump(self, budget_s: float) -> None:
        """Handle messages for about `budget_s` seconds. Guests that compute long get one slice in each call."""
        if self.suspects.is_active:
            self._pump_suspects()
            return
        ready = self._ready
        until = perf_counter() + budget_s
        while ready:
            box = ready.popleft()
            box.queued = False
            inbox = box.inbox
            lane = inbox.lane
            for _ in range(MESSAGES_PER_VISIT):
                if not box.is_open or box.busy or self.is_draining:
                    break
                if inbox.is_plain:
                    if not lane:
                        break
                    self.handle(box, lane.popleft())
                elif (envelope := inbox.take()) is None:
                    break
                elif not envelope.is_suspect:
                    self.handle(box, envelope)
                else:
                    inbox.put_back(envelope)
                    self.suspects.begin(box)
                    break
            if (lane or inbox.others) and box.is_open and not box.busy and not box.queued and not self.is_draining:
                box.queued = True
                ready.append(box)
            if perf_counter() > until or self.suspects.is_active:
                break
        if self._preempted and not self.suspects.is_active:
            self._resume(self._preempted.popleft())
        self.flight.end_round()
        self._journal.touch()

    def _pump_suspects(self) -> None:
        if self.is_draining:
            self.suspects.end()
        self.suspects.pump()
        self.flight.end_round()
        self._journal.touch()

    def _after_suspect(self, call: Callable[[], None]) -> None:
        def committed() -> None:
            call()
            self.wake()

        self._journal.after_commit(committed)

    def resume(self, box: Mailbox) -> None:
        """Let the handler of `box`, which is busy, go on for a slice."""
        self._preempted.remove(box)
        self._resume(box)

    def handle(self, box: Mailbox, envelope: Envelope) -> None:
        """Hand `envelope`, which is in no queue, over to the handler of `box`, which is free."""
        turn, handler = box.turn, box.handler
        assert turn is not None and handler is not None  # noqa: S101, PT018
        if envelope.expires_us and self._has_ended(box, envelope):
            return
        now_us = self._wall_us()
        turn.envelope, turn.now_us, turn.trace = envelope, now_us, envelope.trace  # `begin`, without the call
        try:
            if envelope.timer_id < 0:
                if envelope.written:
                    self._note(envelope.seq)
                self.latency_us[(now_us - envelope.accepted_us).bit_length()] += 1
                result = handler.deliver(envelope.body)
            elif envelope.timer_id in box.receiver.timers:
                self._note(timer_key(envelope.workspace, envelope.receiver, envelope.timer_id))
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
            self._suspend(box, handler)
            if box.receiver.is_watched:
                box.receiver.supervisor.began(box)
        else:
            self._fail(box, turn, result)

    def _resume(self, box: Mailbox) -> None:
        turn = box.turn
        if not box.busy or box.handler is None or turn is None:  # it was dropped meanwhile
            return
        try:
            result = box.handler.resume()
        except Exception as exc:
            result = self._host_error(box, exc)
        if result is None:
            self._suspend(box, box.handler)
            return
        self.queues.free(box)
        if result == 0:
            self._settle(box, turn)
        else:
            self._fail(box, turn, result)
        self.queues.line_up(box)

    def _suspend(self, box: Mailbox, handler: Handler) -> None:
        """The handler of `box` goes on later: in its turn, or when it has what it waits for."""
        pending = handler.waits_for
        if pending is None:
            self._preempted.append(box)
        else:
            self.queues.waiting[box] = pending
            pending.when_done(partial(self._go_on, box, pending))

    def _go_on(self, box: Mailbox, pending: Pending) -> None:
        if self.queues.waiting.get(box) is pending:  # else it was dropped meanwhile
            del self.queues.waiting[box]
            self._preempted.append(box)
            self.wake()

    def is_waiting(self, box: Mailbox) -> bool:
        """Whether the handler of `box` waits for something outside."""
        return box in self.queues.waiting

    def _in_hand(self) -> Iterator[int]:
        """Keys of what handlers are in the middle of, as far as it is on disk."""
        for box in (*self._preempted, *self.queues.waiting):
            envelope = None if box.turn is None else box.turn.envelope
            if envelope is not None:
                if envelope.timer_id >= 0:
                    yield timer_key(envelope.workspace, envelope.receiver, envelope.timer_id)
                elif envelope.written:
                    yield envelope.seq

    @staticmethod
    def _host_error(box: Mailbox, error: Exception) -> HostError:
        """The wall behind which an error of ours costs one handler and not the pump."""
        extra = {"action": "bus.host_error", "workspace": box.receiver.workspace, "agent": box.receiver.name}
        if box.turn is not None and box.turn.envelope is not None:
            extra |= facts(box.turn.envelope)
        logger.error("handling raised", exc_info=error, extra=extra)
        return HostError()

    def _settle(self, box: Mailbox, turn: Turn) -> None:
        """The handler succeeded: all that it did happens now."""
        receiver, envelope = box.receiver, turn.envelope
        if ARMED:
            crash_point("settle.before")
        self._apply(turn)
        if ARMED:
            crash_point("settle.applied")
        box.handled += 1
        receiver.handled += 1
        ended_us = self._wall_us()
        self.handled_us[(ended_us - turn.now_us).bit_length()] += 1
        if receiver.is_watched:
            receiver.supervisor.succeeded(box)
        if envelope is None:
            return
        if envelope.timer_id >= 0:
            receiver.timers.pop(envelope.timer_id, None)
            self._journal.put_timer(receiver.workspace, receiver.name, envelope.timer_id, None)
            self.timers_handled += 1
            self.flight.note(TIMER, envelope, handed_us=turn.now_us, trace=turn.trace)
            return
        size = len(envelope.body)
        receiver.messages -= 1  # `give_room`, without the call
        receiver.bytes -= size
        directory = receiver.directory
        directory.messages -= 1
        directory.bytes -= size
        if envelope.written or envelope.kept:
            self._journal.settle(envelope, turn.now_us)
        else:  # the same, for what was never written
            envelope.settled_us = turn.now_us
            self._journal.born.pop(envelope.seq, None)
        if self._record is not None:
            if ended_us - turn.now_us > SLOW_US:
                self.flight.slow(envelope)
            self._record(
                (
                    SETTLED, envelope.seq, envelope.workspace, envelope.sender, envelope.receiver, envelope.message_id,
                    envelope.conversation_id, envelope.body[ACT_AT:ACT_END],
                    turn.trace or trace_of(envelope), envelope.attempt,
                    envelope.accepted_us, turn.now_us, ended_us, size, None,
                )
            )  # fmt: skip
        if envelope.conversation_id is not None:
            self._said(envelope)
            if size > MAX_BODY_BYTES:
                self.history.has_large = True

    def apply(self, turn: Turn) -> None:
        """Make what a handler did while it was started or ended happen."""
        self._apply(turn)
        self.wake()
        self._journal.touch()

    def _apply(self, turn: Turn) -> None:
        born, enqueue = self._journal.born, self._enqueue  # bound once: no call or look-up more for each message
        for target, envelope in turn.sends:
            if envelope.said is not None:
                message, envelope.said = envelope.said, None
                if not self.passes(envelope, message, target):
                    continue
            born[envelope.seq] = envelope
            if target is not None:
                enqueue(target, envelope)
                if envelope.expires_us:
                    self.redelivery.watch(target, envelope)
            else:
                self.leave(envelope, turn.now_us)
        if self._listeners:
            self.tap.sent(e for _, e in turn.sends if e.seq in born)  # but for what the referee kept back
        if ARMED:
            crash_point("settle.sent")
        if turn.has_state:
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
            self.timers.add(due_us, (receiver, timer_id))
        for topic, subscribed in turn.topics.items():
            receiver.directory.subscribe(receiver, topic, subscribed=subscribed)
            journal.put_topic(workspace, topic, name, subscribed=subscribed)

    def leave(self, envelope: Envelope, now_us: int) -> None:
        """A message to somebody outside is settled by being kept for them; who waits hears of it after the commit."""
        self._journal.settle(envelope, now_us)
        self._journal.with_commit(partial(self.names.directory(envelope.workspace).written, len(envelope.body)))
        self.flight.note(REPLIED, envelope, handed_us=now_us)
        crash_point("reply.kept")
        if envelope.conversation_id is not None:
            self._said(envelope)
            self.history.has_large |= len(envelope.body) > MAX_BODY_BYTES
        self.replies.arrived(envelope)

    def passes(self, envelope: Envelope, message: AclMessage, target: Receiver | None) -> bool:
        """What the referee says. An error of ours must not cost a message, so with one it passes."""
        try:
            return self.referee.passes(envelope, message, target)
        except Exception as exc:
            logger.error("the referee failed", exc_info=exc, extra={"action": "bus.referee_error"})
            return True

    def withhold(self, envelope: Envelope, target: Receiver | None) -> None:
        """`envelope` was staged and does not take effect: the room that it took is free again."""
        size = len(envelope.body)
        if target is not None:
            target.give_room(size)
        else:
            self.names.directory(envelope.workspace).outside_bytes -= size
            envelope.kept = False

    # --- failure ---------------------------------------------------------------------------------------------

    def _fail(self, box: Mailbox, turn: Turn, result: int | Crash) -> None:
        """Nothing of the turn happens; the message waits for its next attempt, or is buried."""
        receiver, envelope, was_blocked = box.receiver, turn.envelope, turn.was_blocked
        crash_point("fail.before")
        turn.release()
        if was_blocked and isinstance(result, int) and envelope is not None and self.redelivery.wait(box, envelope):
            if receiver.is_watched:
                receiver.supervisor.found_no_room(box)
            return
        self.failures += 1
        self.failed_us[(self._wall_us() - turn.now_us).bit_length()] += 1
        receiver.failed += 1
        turn.failed = envelope
        if isinstance(result, int):
            error, crash = failure_text(result), None
            receiver.supervisor.failed(box, result)
        else:
            error, crash = result.reason, result
            self.crashes += 1
            box.handler = None
            box.is_open = False
            receiver.supervisor.crashed(box, crash)
        if envelope is not None:
            kind = FAILED if crash is None else CRASHED
            self.flight.note(kind, envelope, handed_us=turn.now_us, detail=error, trace=turn.trace)
            self.redelivery.failed(box, envelope, error, crash)
        turn.failed = None

    def _has_ended(self, box: Mailbox, envelope: Envelope) -> bool:
        """Whether `envelope`, which has a time to live, ended while it waited."""
        if envelope.settled_us:
            box.receiver.tombstones -= 1
            return True
        if self.redelivery.is_over(envelope):
            self.redelivery.bury(box.receiver, envelope, EXPIRED, None)
            return True
        return False

    # --- timers ----------------------------------------------------------------------------------------------

    def _fire(self, timer: tuple[Receiver, int]) -> None:
        receiver, timer_id = timer
        due = receiver.timers.get(timer_id)
        if due is None:
            return
        crash_point("timer.due")
        envelope = Envelope(
            0, receiver.workspace, receiver.name, receiver.name, "", None, b"", due[0], timer_id=timer_id
        )
        self.queues.enqueue_timer(receiver, envelope)
        self.wake()
