"""Whose mail waits where, and which mailboxes have their turn next. When mail is handled is the pump's affair."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from caxton.bus.dead_letters import REMOVED
from caxton.bus.envelope import DEFAULT_PRIORITY
from caxton.bus.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Handler
    from caxton.bus.mailbox import Receiver
    from caxton.bus.redelivery import Redelivery
    from caxton.sandbox.host import Pending

MIN_TOMBSTONES = 64
"""So many messages that ended while they were queued may stay in the queues of an agent."""


class Queues:
    """The queues of all receivers. Room for what enters them was taken before."""

    def __init__(self, redelivery: Redelivery, wake: Callable[[], None]) -> None:
        """`wake` is called after a change from outside of the pump."""
        self._redelivery, self._wake = redelivery, wake
        self.ready: deque[Mailbox] = deque()
        """Mailboxes that wait for their turn in the pump."""
        self.waiting: dict[Mailbox, Pending] = {}
        """Mailboxes whose handler waits for something outside, and what for."""
        self._freed: list[asyncio.Event] = []

    # --- mail ------------------------------------------------------------------------------------------------

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
            self.ready.append(box)

    def enqueue_timer(self, receiver: Receiver, envelope: Envelope) -> None:
        """A timer fires at the replica that set it, or at the one that has its number's place."""
        due = receiver.timers.get(envelope.timer_id)
        if not receiver.mailboxes:
            self._hold(receiver, envelope)
        elif due is not None:
            box = receiver.mailboxes[due[1] % len(receiver.mailboxes)]
            box.inbox.put(envelope)
            self.line_up(box)

    def _hold(self, receiver: Receiver, envelope: Envelope) -> None:
        """There is no mailbox: the agent is stopped, or was removed or replaced while this was on its way."""
        if receiver.is_vacant and (now := receiver.directory.receivers.get(receiver.name)) not in (receiver, None):
            self.pass_on(receiver, now, envelope)
        elif not receiver.is_removed:
            receiver.held.append(envelope)
        elif envelope.timer_id < 0:
            self._redelivery.bury(receiver, envelope, REMOVED, None)

    def put_back(self, box: Mailbox, envelope: Envelope) -> None:
        """To the front of its queue; or of another's, when this mailbox was given up meanwhile."""
        receiver = box.receiver
        if envelope.expires_us:  # nobody looked while it was in hand
            self._redelivery.watch(receiver, envelope)
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
            self.ready.append(box)

    # --- all mail of an agent --------------------------------------------------------------------------------

    def set_mailboxes(self, receiver: Receiver, count: int) -> None:
        """Give `receiver` as many mailboxes as it has replicas; waiting mail is dealt out again, in its order."""
        waiting = self.take_all(receiver)
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
        self._wake()

    @staticmethod
    def take_all(receiver: Receiver) -> list[Envelope]:
        """Empty every queue of `receiver`; what was in them and is not over, in the order of acceptance."""
        waiting = [*receiver.held, *(envelope for box in receiver.mailboxes for envelope in box.inbox.clear())]
        receiver.held.clear()
        receiver.tombstones = 0
        return sorted((e for e in waiting if not e.settled_us), key=lambda envelope: envelope.seq)

    def pass_on(self, old: Receiver, new: Receiver, envelope: Envelope) -> None:
        """What waited for `old` waits for `new`."""
        old.give_room(len(envelope.body))
        new.take_room(len(envelope.body))
        self.enqueue(new, envelope)

    def bury_tombstones(self, receiver: Receiver) -> None:
        """Take messages that ended while they were queued out of the queues, once they are the greater part."""
        receiver.tombstones += 1
        if receiver.tombstones <= max(receiver.messages, MIN_TOMBSTONES):
            return
        receiver.held = deque(envelope for envelope in receiver.held if not envelope.settled_us)
        for box in receiver.mailboxes:
            box.inbox.forget_settled()
        receiver.tombstones = 0

    # --- handlers --------------------------------------------------------------------------------------------

    def open(self, box: Mailbox, handler: Handler) -> None:
        """`handler` is ready for the mail of `box`."""
        box.handler = handler
        box.turn = handler.turn
        box.is_wanted = True
        box.is_open = not box.receiver.is_held
        self.line_up(box)
        self._wake()

    def shut(self, box: Mailbox) -> None:
        """No further message is given to the handler; one in progress goes on."""
        box.is_open = box.is_wanted = False

    def drop(self, box: Mailbox) -> None:
        """The handler is gone. A message in progress will be handed over again: it was not its fault."""
        box.is_open = box.is_wanted = False
        box.handler = None
        if not box.busy:
            return
        self.free(box)
        turn = box.turn
        assert turn is not None  # noqa: S101
        if turn.envelope is not None:
            self.put_back(box, turn.envelope)
        turn.release()
        self._wake()

    def give_back(self) -> None:
        """Those that wait for something outside wait no longer: their messages are handed over again, uncounted."""
        for box in list(self.waiting):
            self.drop(box)

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
            self._wake()

    async def wait_until_free(self, boxes: list[Mailbox]) -> None:
        """Wait until no handler of `boxes` is in the middle of a message."""
        while any(box.busy for box in boxes):
            freed = asyncio.Event()
            self._freed.append(freed)
            await freed.wait()

    def free(self, box: Mailbox) -> None:
        """The handler of `box` is not in the middle of a message any more."""
        box.busy = False
        self.waiting.pop(box, None)
        for freed in self._freed:
            freed.set()
        self._freed.clear()
