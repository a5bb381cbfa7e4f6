"""The port of whoever handles messages, and what the bus tells those who supervise it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from caxton.sandbox.host import NO_ROOM

if TYPE_CHECKING:
    from caxton.bus.envelope import Envelope
    from caxton.bus.mailbox import Mailbox
    from caxton.bus.turn import Turn
    from caxton.sandbox.host import Pending


class Crash(Protocol):
    """The end of a handler: it must be replaced before it gets another message."""

    @property
    def kind(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def functions(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class HostError:
    """A crash that is our own fault: handling raised."""

    kind: str = "host_error"
    reason: str = "the host failed on this message; the server log has the details"
    functions: list[str] = field(default_factory=list[str])


def failure_text(status: int) -> str:
    """Why a handling failed that returned `status`, in a few words."""
    if status == NO_ROOM:
        return "it had no room for the message (caxton_alloc returned 0)"
    return f"its handler returned {status}"


class Handler(Protocol):
    """Handles one message at a time. Each call returns 0 (done), another int (failed), a `Crash`, or None (not yet)."""

    @property
    def turn(self) -> Turn:
        """Where its effects are staged."""
        ...

    @property
    def waits_for(self) -> Pending | None:
        """What it waits for, if it does: there is no use in letting it go on before that is there."""
        ...

    def deliver(self, body: bytes) -> int | Crash | None:
        """Begin to handle the message `body`."""
        ...

    def fire(self, timer_id: int) -> int | Crash | None:
        """Begin to handle a timer."""
        ...

    def resume(self) -> int | Crash | None:
        """Go on for about a millisecond."""
        ...


class Supervisor(Protocol):
    """Hears what happens to the handler of a mailbox, in the middle of pumping: must not handle messages itself."""

    def crashed(self, mailbox: Mailbox, crash: Crash) -> None:
        """The mailbox is paused and has no handler any more."""
        ...

    def failed(self, mailbox: Mailbox, status: int) -> None:
        """The handler returned `status`, which is not 0; it stays in place."""
        ...

    def succeeded(self, mailbox: Mailbox) -> None:
        """A handling succeeded. Told only while `Receiver.is_watched`: mostly nobody has to hear of it."""
        ...

    def began(self, mailbox: Mailbox) -> None:
        """A handling goes on after its first slice. Told only while `Receiver.is_watched`."""
        ...

    def found_no_room(self, mailbox: Mailbox) -> None:
        """A handling ended without a result: there was no room for what it sends. Told only while `is_watched`."""
        ...

    def gave_up(self, mailbox: Mailbox, envelope: Envelope) -> None:
        """`envelope` failed on its last attempt: it is a dead letter, or a timer that is gone."""
        ...
