"""After a crash: what was in hand is handled alone, between two commits of its own.

Suspects stand in their queues like all other mail, flagged. When the pump comes to one, it stops for the others until
that one is handled and committed. If it ends the process again, it alone was in flight and it alone is counted an
attempt, so that after a few starts it is a dead letter, and the rest of the node's mail was not harmed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from caxton.core.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.envelope import Envelope
    from caxton.bus.mailbox import Mailbox
    from caxton.core.clock import Clock

ALONE_S = 1.0
"""A handler that takes longer lets the others go on: they have waited long enough. One that waits for a tool lets them
at once: what it computed until then did no harm."""

Phase: TypeAlias = Literal["nothing", "commit before", "ready", "in hand", "commit after"]


class Node(Protocol):
    """What is needed of the bus."""

    def handle(self, box: Mailbox, envelope: Envelope) -> None:
        """Hand `envelope` over now."""
        ...

    def resume(self, box: Mailbox) -> None:
        """Let the handler of `box`, which is busy, go on for a slice."""
        ...

    def is_waiting(self, box: Mailbox) -> bool:
        """Whether the handler of `box` waits for something outside."""
        ...


class Suspects:
    """Takes the pump's place while a suspect is next."""

    def __init__(self, node: Node, clock: Clock, after_commit: Callable[[Callable[[], None]], None]) -> None:
        self._node, self._clock, self._after_commit = node, clock, after_commit
        self._phase: Phase = "nothing"
        self._box: Mailbox | None = None
        self._since = 0.0

    @property
    def is_active(self) -> bool:
        """Nothing else is to be handled now."""
        return self._phase != "nothing"

    @property
    def has_work(self) -> bool:
        """Whether `pump` would do something now."""
        return self._phase in ("ready", "in hand")

    def begin(self, box: Mailbox) -> None:
        """A suspect is next in `box`. What was handled until now is committed first, its own attempt included."""
        self._box = box
        self._commit("commit before")

    def pump(self) -> None:
        """One step: hand the suspect over, or let it go on."""
        box = self._box
        if box is None or not self.has_work:
            return
        if self._phase == "ready":
            self._hand_over(box)
        elif box.busy:
            self._node.resume(box)
        if self._phase == "in hand":
            if not box.busy:
                self._commit("commit after")
            elif self._node.is_waiting(box) or self._clock.monotonic() - self._since > ALONE_S:
                self.end()

    def end(self) -> None:
        """Let the others go on."""
        self._phase, self._box = "nothing", None

    def _hand_over(self, box: Mailbox) -> None:
        envelope = box.inbox.take() if box.is_open and not box.busy else None
        if envelope is None or not envelope.is_suspect:  # none is next, or not now: the agent may have been stopped
            if envelope is not None:
                box.inbox.put_back(envelope)
            self.end()
            return
        crash_point("suspect.taken")
        envelope.is_suspect = False
        self._phase, self._since = "in hand", self._clock.monotonic()
        self._node.handle(box, envelope)

    def _commit(self, phase: Phase) -> None:
        self._phase = phase
        self._after_commit(self._committed)

    def _committed(self) -> None:
        if self._phase.startswith("commit"):
            self._phase = "ready"
