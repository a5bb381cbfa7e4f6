"""What waits for one replica, in the order in which it is to be handed over. Pure: no clock, no journal.

Nearly every message has the default priority and a sender in good standing, so that case is one deque (`lane`), which
the pump uses directly while `is_plain`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from caxton.bus.envelope import DEFAULT_PRIORITY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.bus.envelope import Envelope


class Inbox:
    """Higher priorities first, first come first served within one; senders whose message is to be repeated pause."""

    __slots__ = ("_suspects", "is_plain", "lane", "others", "paused")

    def __init__(self) -> None:
        self.lane: deque[Envelope] = deque()
        """Messages of the default priority."""
        self.others: dict[int, deque[Envelope]] = {}
        """Messages of other priorities; no empty queues."""
        self.paused: dict[str, deque[Envelope]] = {}
        """Sender → its messages that wait until its pause is over, the one to be repeated first."""
        self._suspects = 0
        """How many of those in here are suspects, which the pump must not hand over like others."""
        self.is_plain = True
        """Nothing but `lane` needs to be looked at."""

    def __bool__(self) -> bool:
        """Whether there may be something to hand over now."""
        return bool(self.lane or self.others)

    def __iter__(self) -> Iterator[Envelope]:
        """Everything that is in here, paused or not, in no order."""
        for queue in (self.lane, *self.others.values(), *self.paused.values()):
            yield from queue

    def put(self, envelope: Envelope) -> None:
        """Behind all others of its priority."""
        self._count(envelope)
        if envelope.priority == DEFAULT_PRIORITY:
            self.lane.append(envelope)
        else:
            self._other(envelope.priority).append(envelope)

    def put_back(self, envelope: Envelope) -> None:
        """Before all others of its priority: it was taken and could not be handled."""
        self._count(envelope)
        if envelope.priority == DEFAULT_PRIORITY:
            self.lane.appendleft(envelope)
        else:
            self._other(envelope.priority).appendleft(envelope)

    def take(self) -> Envelope | None:
        """The next to be handled; None when nothing can be handed over now."""
        while (envelope := self._next()) is not None:
            waiting = self.paused.get(envelope.sender)
            if waiting is None:
                if envelope.is_suspect:
                    self._suspects -= 1
                    self._look()
                return envelope
            waiting.append(envelope)
        return None

    def pause(self, envelope: Envelope) -> deque[Envelope]:
        """Hold back everything from the sender of `envelope`, which comes first afterwards; for `resume`."""
        waiting = self.paused.setdefault(envelope.sender, deque())
        waiting.appendleft(envelope)
        self.is_plain = False
        return waiting

    def resume(self, sender: str, waiting: deque[Envelope]) -> bool:
        """End the pause that began with `waiting`; False when it has ended otherwise already."""
        if self.paused.get(sender) is not waiting:
            return False
        del self.paused[sender]
        self._suspects -= sum(envelope.is_suspect for envelope in waiting)  # `put_back` counts them again
        for envelope in reversed(waiting):
            self.put_back(envelope)
        self._look()
        return True

    def clear(self) -> list[Envelope]:
        """Empty it; what was in it, in the order of acceptance."""
        found = sorted(self, key=_by_seq)
        self.lane.clear()
        self.others.clear()
        self.paused.clear()
        self._suspects = 0
        self.is_plain = True
        return found

    def forget_settled(self) -> None:
        """Take out what has ended while it waited here."""
        rest = [envelope for envelope in self.lane if not envelope.settled_us]
        self.lane.clear()  # the pump holds on to it
        self.lane.extend(rest)
        kept = {priority: deque(e for e in queue if not e.settled_us) for priority, queue in self.others.items()}
        self.others = {priority: queue for priority, queue in kept.items() if queue}
        for waiting in self.paused.values():
            rest = [envelope for envelope in waiting if not envelope.settled_us]
            waiting.clear()
            waiting.extend(rest)
        self._suspects = sum(envelope.is_suspect for envelope in self)
        self._look()

    def _next(self) -> Envelope | None:
        if self.others:
            highest = max(self.others)
            if highest > DEFAULT_PRIORITY or not self.lane:
                queue = self.others[highest]
                envelope = queue.popleft()
                if not queue:
                    del self.others[highest]
                    self._look()
                return envelope
        return self.lane.popleft() if self.lane else None

    def _other(self, priority: int) -> deque[Envelope]:
        self.is_plain = False
        return self.others.setdefault(priority, deque())

    def _count(self, envelope: Envelope) -> None:
        if envelope.is_suspect:
            self._suspects += 1
            self.is_plain = False

    def _look(self) -> None:
        self.is_plain = not self.others and not self.paused and not self._suspects


def _by_seq(envelope: Envelope) -> int:
    return envelope.seq
