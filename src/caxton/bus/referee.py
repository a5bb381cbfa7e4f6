"""The port of whoever watches over conversations, and the bus without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caxton.bus.envelope import Envelope
    from caxton.bus.mailbox import Receiver
    from caxton.messages.message import AclMessage


class Referee(Protocol):
    """Judges messages that name a protocol, in the moment in which they take effect."""

    def check(self, workspace: str, message: AclMessage, receivers: Iterable[str]) -> None:
        """A client is about to post `message`; raises `ProtocolViolation` if it may not say that now."""
        ...

    def passes(self, envelope: Envelope, message: AclMessage, target: Receiver | None) -> bool:
        """Whether `envelope` takes effect. If not, what becomes of it has been seen to.

        Args:
            envelope: not yet queued; room in the mailbox of `target` is taken.
            message: what it holds, as far as all receivers get the same.
            target: None for somebody outside.
        """
        ...

    def buried(self, envelope: Envelope, reason: str, error: str) -> None:
        """`envelope` became a dead letter for `reason`, one of `dead_letters.REASONS` but not `protocol`.

        Args:
            envelope: its sender may wait for an answer that will never come.
            reason: the word.
            error: what happened, for people.
        """
        ...


class NoReferee:
    """Lets everything pass."""

    def check(self, workspace: str, message: AclMessage, receivers: Iterable[str]) -> None:
        """Nothing is wrong."""

    def passes(self, envelope: Envelope, message: AclMessage, target: Receiver | None) -> bool:
        return True

    def buried(self, envelope: Envelope, reason: str, error: str) -> None:
        """Nobody is told."""
