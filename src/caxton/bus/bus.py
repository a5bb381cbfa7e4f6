"""Hands messages over and settles them.

One handling is one transaction: `_settle` makes a turn's sends, state, timers and the settlement itself happen
together, in memory at once and on disk with the next commit. All methods run on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from functools import partial
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING

from caxton.bus.dead_letters import EXPIRED, REMOVED, DeadLetters
from caxton.bus.directory import Directory
from caxton.bus.envelope import DEFAULT_PRIORITY, Envelope
from caxton.bus.handler import HostError, failure_text
from caxton.bus.history import MAX_BODY_BYTES, History
from caxton.bus.intake import Intake
from caxton.bus.mailbox import Mailbox
from caxton.bus.redelivery import Redelivery
from caxton.bus.replies import Replies
from caxton.bus.suspects import Suspects
from caxton.bus.tap import Tap
from caxton.bus.timers import Timers
from caxton.core.crash import ARMED, crash_point
from caxton.storage.inflight import timer_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caxton.bus.handler import Crash, Handler
    from caxton.bus.journal import Journal
    from caxton.bus.mailbox import Receiver
    from caxton.bus.turn import Turn
    from caxton.core.clock import Clock

logger = logging.getLogger(__name__)

MESSAGES_PER_VISIT = 8
"""A mailbox with much mail lets the others in after so many."""

MIN_TOMBSTONES = 64
"""So many messages that ended while they were queued may stay in the queues of an agent."""

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
        self.next_seq = count(first_seq).__next__
        """The number of the next message."""
        self.id_prefix = f"{os.urandom(6).hex()}-"
        """Of message ids: unique among all nodes and runs."""
        self._trace_seed = os.urandom(8).hex()
        self._traces = 0
        self._directories: dict[str, Directory] = {}
        self._ready: deque[Mailbox] = deque()
        self._preempted: deque[Mailbox] = deque()
        self._freed: list[asyncio.Event] = []
        self.history = History()
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
        self.timers = Timers[int](clock, self._fire, lambda receiver, timer_id: timer_id not in receiver.timers)
        self.is_draining = False
        self.settled = self.failures = 0
        self.latency_us = [0] * LATENCY_BUCKETS

    def close(self) -> None:
        """Nothing happens by itself any more."""
        self.timers.close()
        self.redelivery.close()
        self.tap.close()

    def write_down(self) -> None:
        """The node stops: also what was accepted for memory only goes on with the next run."""
        for receiver in self.receivers():
            for envelope in [*receiver.held, *(e for box in receiver.mailboxes for e in box.inbox)]:
                if envelope.timer_id < 0 and not envelope.written and not envelope.settled_us:
                    self._journal.born[envelope.seq] = envelope

    # --- names -----------------------------------------------------------------------------------------------

    def directory(self, workspace: str) -> Directory:
        found = self._directories.get(workspace)
        if found is None:
            found = self._directories[workspace] = Directory(workspace)
        return found

    def receivers(self) -> list[Receiver]:
        return [r for directory in self._directories.values() for r in directory.receivers.values()]

    def add_receiver(self, receiver: Receiver) -> None:
        """An agent is there. The mail that waited for its name is its own."""
        directory = receiver.directory
        vacancy = directory.receivers.get(receiver.name)
        directory.receivers[receiver.name] = receiver
        directory.known.add(receiver.name)
        if vacancy is not None:
            for envelope in self._take_all(vacancy):
                self._pass_on(vacancy, receiver, envelope)

    def remove_receiver(self, receiver: Receiver) -> None:
        """The agent is gone with its state, its mail becomes dead letters. Later mail waits for the next agent."""
        directory = receiver.directory
        directory.receivers.pop(receiver.name, None)
        receiver.is_removed = True
        crash_point("remove.begun")
        for pattern in list(receiver.topics):
            directory.subscribe(receiver, pattern, subscribed=False)
        self._journal.forget_agent(receiver.workspace, receiver.name)
        for envelope in self._take_all(receiver):
            if envelope.timer_id < 0:
                self.redelivery.bury(receiver, envelope, REMOVED, None)
        receiver.mailboxes = []
        receiver.timers.clear()

    def forget_name(self, workspace: str, name: str) -> None:
        """Nobody shall write to `name` any more, which no agent has; mail that waits for it becomes dead letters."""
        directory = self.directory(workspace)
        directory.known.discard(name)
        self._journal.put_name(workspace, name, known=False)
        vacancy = directory.receivers.pop(name, None)
        if vacancy is not None:
            vacancy.is_removed = True
            for envelope in self._take_all(vacancy):
                self.redelivery.bury(vacancy, envelope, REMOVED, None)

    def _pass_on(self, old: Receiver, new: Receiver, envelope: Envelope) -> None:
        old.give_room(len(envelope.body))
        new.take_room(len(envelope.body))
        self.enqueue(new, envelope)

    def now_us(self) -> int:
        return self._clock.wall_us()

    def steady_us(self) -> int:
        return self._clock.steady_us()

    def message_id(self, seq: int) -> str:
        """Unique among all nodes and runs."""
        return f"{self.id_prefix}{seq:x}"

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
        boxes = receiver.mailboxes
        box = boxes[0] if len(boxes) == 1 else receiver.choose(envelope.conversation_id)
        if envelope.priority == DEFAULT_PRIORITY and not envelope.is_suspect:
            box.inbox.lane.append(envelope)
        else:
            box.inbox.put(envelope)
        if box.is_open and not box.queued and not box.busy:
            box.queued = True
            self._ready.append(box)

    def _hold(self, receiver: Receiver, envelope: Envelope) -> None:
        """There is no mailbox: the agent is stopped, or was removed or replaced while this was on its way."""
        if receiver.is_vacant and (now := receiver.directory.receivers.get(receiver.name)) not in (receiver, None):
            self._pass_on(receiver, now, envelope)
        elif not receiver.is_removed:
            receiver.held.append(envelope)
        elif envelope.timer_id < 0:
            self.redelivery.bury(receiver, envelope, REMOVED, None)

    def enqueue_timer(self, receiver: Receiver, envelope: Envelope) -> None:
        """A timer fires at the replica that set it, or at the one that has its number's place."""
        due = receiver.timers.get(envelope.timer_id)
        if not receiver.mailboxes:
            self._hold(receiver, envelope)
        elif due is not None:
            box = receiver.mailboxes[due[1] % len(receiver.mailboxes)]
            box.inbox.put(envelope)
            self.line_up(box)

    def set_mailboxes(self, receiver: Receiver, count: int) -> None:
        """Give `receiver` as many mailboxes as it has replicas; waiting mail is dealt out again, in its order."""
        waiting = self._take_all(receiver)
        for box in receiver.mailboxes[count:]:
            box.is_open = False
        receiver.mailboxes = receiver.mailboxes[:count]
        for replica in range(len(receiver.mailboxes), count):
            receiver.mailboxes.append(Mailbox(receiver, replica))
        for envelope in waiting:
            if envelope.timer_id >= 0:
                self.enqueue_timer(receiver, envelope)
            else:
                self.enqueue(receiver, envelope)
        self.wake()

    @staticmethod
    def _take_all(receiver: Receiver) -> list[Envelope]:
        """Empty every queue of `receiver`; what was in them and is not over, in the order of acceptance."""
        waiting = [*receiver.held, *(envelope for box in receiver.mailboxes for envelope in box.inbox.clear())]
        receiver.held.clear()
        receiver.tombstones = 0
        return sorted((e for e in waiting if not e.settled_us), key=lambda envelope: envelope.seq)

    def bury_tombstones(self, receiver: Receiver) -> None:
        """Take messages that ended while they were queued out of the queues, once they are the greater part."""
        receiver.tombstones += 1
        if receiver.tombstones <= max(receiver.messages, MIN_TOMBSTONES):
            return
        receiver.held = deque(envelope for envelope in receiver.held if not envelope.settled_us)
        for box in receiver.mailboxes:
            box.inbox.forget_settled()
        receiver.tombstones = 0

    def open(self, box: Mailbox, handler: Handler) -> None:
        """`handler` is ready for the mail of `box`."""
        box.handler = handler
        box.turn = handler.turn
        box.is_wanted = True
        box.is_open = not box.receiver.is_held
        self.line_up(box)
        self.wake()

    def shut(self, box: Mailbox) -> None:
        """No further message is given to the handler; one in progress goes on."""
        box.is_open = box.is_wanted = False

    def drop(self, box: Mailbox) -> None:
        """The handler is gone. A message in progress will be handed over again: it was not its fault."""
        box.is_open = box.is_wanted = False
        box.handler = None
        if not box.busy:
            return
        self._free(box)
        turn = box.turn
        assert turn is not None  # noqa: S101
        if turn.envelope is not None:
            self.put_back(box, turn.envelope)
        turn.release()
        self.wake()

    def hold(self, receiver: Receiver) -> None:
        """The agent's mail waits, whoever opens its mailboxes meanwhile; messages in progress go on."""
        receiver.is_held = True
        for box in receiver.mailboxes:
            box.is_open = False

    def let_go(self, receiver: Receiver, *, in_pump: bool) -> None:
        """The mail goes on where `hold` stopped it."""
        receiver.is_held = False
        for box in receiver.mailboxes:
            box.is_open = box.is_wanted and box.handler is not None
            self.line_up(box)
        if not in_pump:
            self.wake()

    def put_back(self, box: Mailbox, envelope: Envelope) -> None:
        """To the front of its queue; or of another's, when this mailbox was given up meanwhile."""
        receiver = box.receiver
        if envelope.expires_us:  # nobody looked while it was in hand
            self.redelivery.watch(receiver, envelope)
        if box in receiver.mailboxes:
            box.inbox.put_back(envelope)
        elif receiver.mailboxes:
            other = receiver.choose(envelope.conversation_id)
            other.inbox.put_back(envelope)
            self.line_up(other)
        else:
            self._hold(receiver, envelope)

    def line_up(self, box: Mailbox) -> None:
        """Let `box` have its turn in the pump, if there is something to do for it."""
        if box.is_open and box.inbox and not box.queued and not box.busy:
            box.queued = True
            self._ready.append(box)

    def wake(self) -> None:
        """After something outside of the pump: let it run if there is something to do."""
        if self.has_work:
            self._on_work()

    @property
    def in_line(self) -> int:
        """Mailboxes that wait for their turn."""
        return len(self._ready)

    @property
    def has_work(self) -> bool:
        if self.suspects.is_active:
            return self.suspects.has_work
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
        self._journal.touch()

    def _pump_suspects(self) -> None:
        if self.is_draining:
            self.suspects.end()
        self.suspects.pump()
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
                bucket = (now_us - envelope.accepted_us).bit_length()
                self.latency_us[bucket if bucket < LATENCY_BUCKETS else -1] += 1
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
            self._preempted.append(box)
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
            self._preempted.append(box)
            return
        self._free(box)
        if result == 0:
            self._settle(box, turn)
        else:
            self._fail(box, turn, result)
        self.line_up(box)

    def _in_hand(self) -> Iterator[int]:
        """Keys of what handlers are in the middle of, as far as it is on disk."""
        for box in self._preempted:
            envelope = None if box.turn is None else box.turn.envelope
            if envelope is not None:
                if envelope.timer_id >= 0:
                    yield timer_key(envelope.workspace, envelope.receiver, envelope.timer_id)
                elif envelope.written:
                    yield envelope.seq

    @staticmethod
    def _host_error(box: Mailbox, error: Exception) -> HostError:
        """The wall behind which an error of ours costs one handler and not the pump."""
        extra = {"action": "bus.host_error", "agent": box.receiver.name}
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
        self.settled += 1
        if receiver.is_watched:
            receiver.supervisor.succeeded(box)
        if envelope is None:
            return
        if envelope.timer_id >= 0:
            receiver.timers.pop(envelope.timer_id, None)
            self._journal.put_timer(receiver.workspace, receiver.name, envelope.timer_id, None)
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
        if size <= MAX_BODY_BYTES and envelope.conversation_id is not None:
            self.history.remember(envelope)

    def apply(self, turn: Turn) -> None:
        """Make what a handler did while it was started or ended happen."""
        self._apply(turn)
        self.wake()
        self._journal.touch()

    def _apply(self, turn: Turn) -> None:
        born = self._journal.born
        for target, envelope in turn.sends:
            born[envelope.seq] = envelope
            if target is not None:
                self.enqueue(target, envelope)
                if envelope.expires_us:
                    self.redelivery.watch(target, envelope)
            else:
                self._leave(envelope, turn.now_us)
        if self._listeners:
            self.tap.sent(turn.sends)
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
            self.timers.add(due_us, receiver, timer_id)
        for topic, subscribed in turn.topics.items():
            receiver.directory.subscribe(receiver, topic, subscribed=subscribed)
            journal.put_topic(workspace, topic, name, subscribed=subscribed)

    def _leave(self, envelope: Envelope, now_us: int) -> None:
        """A message to somebody outside is settled by being kept for them; who waits hears of it after the commit."""
        self._journal.settle(envelope, now_us)
        self._journal.with_commit(partial(self.directory(envelope.workspace).written, len(envelope.body)))
        crash_point("reply.kept")
        if len(envelope.body) <= MAX_BODY_BYTES:
            self.history.remember(envelope)
        self.replies.arrived(envelope)

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
        receiver.failed += 1
        if isinstance(result, int):
            error, crash = failure_text(result), None
            receiver.supervisor.failed(box, result)
        else:
            error, crash = result.reason, result
            box.handler = None
            box.is_open = False
            receiver.supervisor.crashed(box, crash)
        if envelope is not None:
            self.redelivery.failed(box, envelope, error, crash)

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

    def _fire(self, receiver: Receiver, timer_id: int) -> None:
        due = receiver.timers.get(timer_id)
        if due is None:
            return
        crash_point("timer.due")
        envelope = Envelope(
            0, receiver.workspace, receiver.name, receiver.name, "", None, b"", due[0], timer_id=timer_id
        )
        self.enqueue_timer(receiver, envelope)
        self.wake()
