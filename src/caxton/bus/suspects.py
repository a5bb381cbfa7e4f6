"""After a crash: what was in hand is handled one at a time, each with a commit of its own.

If one of them ends the process again, it alone was in flight and it alone is counted an attempt, so that after a few
starts it is a dead letter and the rest of the node's mail was not harmed.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from caxton.core.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caxton.bus.envelope import Envelope
    from caxton.bus.mailbox import Mailbox, Receiver
    from caxton.core.clock import Clock

ALONE_S = 1.0
"""A handler that takes longer lets the others go on: they have waited long enough."""


class Node(Protocol):
    """What is needed of the bus."""

    def handle(self, box: Mailbox, envelope: Envelope) -> None:
        """Hand `envelope` over now."""
        ...

    def resume(self, box: Mailbox) -> None:
        """Let the handler of `box`, which is busy, go on for a slice."""
        ...

    def return_to_front(self, receiver: Receiver, envelopes: list[Envelope]) -> None:
        """Queue `envelopes` before everything else of `receiver`."""
        ...


class Suspects:
    """Takes the pump's place until all that was in hand is handled, or given back to the queues."""

    def __init__(self, node: Node, clock: Clock, after_commit: Callable[[Callable[[], None]], None]) -> None:
        self._node, self._clock, self._after_commit = node, clock, after_commit
        self._queue: deque[tuple[Receiver, Envelope]] = deque()
        self._box: Mailbox | None = None
        """Its handler has a suspect in hand."""
        self._since = 0.0
        self._is_committing = self._is_counted = False

    def __iter__(self) -> Iterator[tuple[Receiver, Envelope]]:
        """Those that were not handed over yet."""
        return iter(self._queue)

    def add(self, receiver: Receiver, envelope: Envelope) -> None:
        """In the order of acceptance. Room for it is taken, and it is in no queue."""
        self._queue.append((receiver, envelope))

    @property
    def is_active(self) -> bool:
        """Nothing else is to be handled now."""
        return bool(self._queue) or self._box is not None or self._is_committing

    @property
    def has_work(self) -> bool:
        """Whether `pump` would do something now."""
        return not self._is_committing and (bool(self._queue) or self._box is not None)

    def pump(self) -> None:
        """One step: hand one over, let it go on, or give up being careful."""
        if self._is_committing:
            return
        if not self._is_counted:  # their attempts must be on disk before one of them can end the process again
            self._is_counted = True
            self._commit()
        elif self._box is None:
            self._next()
        elif self._box.busy:
            self._node.resume(self._box)
        self._look()

    def give_up(self) -> None:
        """Queue the rest as if nothing had happened: the node stops, or has waited long enough."""
        while self._queue:
            self._return(self._queue[0][0])
        self._box = None

    def release(self, receiver: Receiver) -> None:
        """Its agent goes: what of its mail was not handed over yet is in the queues again."""
        if any(owner is receiver for owner, _ in self._queue):
            self._return(receiver)

    def _next(self) -> None:
        while self._queue:
            receiver, envelope = self._queue[0]
            box = receiver.choose(envelope.conversation_id) if receiver.mailboxes else None
            if box is None or not box.is_open or box.busy:
                self._return(receiver)
                continue
            self._queue.popleft()
            self._box, self._since = box, self._clock.monotonic()
            crash_point("suspect.taken")
            self._node.handle(box, envelope)
            return

    def _look(self) -> None:
        if self._box is None:
            return
        if not self._box.busy:
            self._box = None
            self._commit()
        elif self._clock.monotonic() - self._since > ALONE_S:
            self.give_up()

    def _commit(self) -> None:
        self._is_committing = True
        self._after_commit(self._committed)

    def _committed(self) -> None:
        self._is_committing = False

    def _return(self, receiver: Receiver) -> None:
        """Its agent does not run, or not now: its mail waits as ever."""
        theirs = [envelope for owner, envelope in self._queue if owner is receiver]
        self._queue = deque(entry for entry in self._queue if entry[0] is not receiver)
        self._node.return_to_front(receiver, theirs)
