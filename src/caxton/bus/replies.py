"""Who outside waits for a reply, and what they are told: never before the commit that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.messages.codec import decode_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.bus.journal import Journal
    from caxton.bus.mailbox import Receiver
    from caxton.messages.message import AclMessage

ANY_SIZE = 1 << 30
"""For messages that are in the node already: their size was checked when they came."""


class Waiter(msgspec.Struct, eq=False):
    """Somebody outside who waits for the reply to one message."""

    replied: Callable[[Envelope], None]
    failed: Callable[[Envelope, str, Crash | None], None]
    admit: Callable[[Receiver], None] | None = None
    """Called before the message is accepted, with who would get it; refuses by raising."""


class Replies:
    """Matches replies with those who wait for them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._by_reference: dict[tuple[str, str, str], Waiter] = {}
        """By workspace, client and what the reply may refer to: `reply_with` or the conversation."""
        self._by_message: dict[str, Waiter] = {}
        """By the id of the message whose reply is waited for."""

    def wait(self, workspace: str, message: AclMessage, waiter: Waiter) -> None:
        """Tell `waiter` of the reply to `message`, or of its failure."""
        self._by_message[message.message_id] = waiter
        for key in _references(workspace, message):
            self._by_reference[key] = waiter

    def stop(self, workspace: str, message: AclMessage) -> None:
        """Nobody waits for the reply to `message` any more. Others may, in the same conversation."""
        waiter = self._by_message.pop(message.message_id, None)
        for key in _references(workspace, message):
            if self._by_reference.get(key) is waiter:
                self._by_reference.pop(key, None)

    def arrived(self, envelope: Envelope) -> None:
        """A message to somebody outside was settled: who waits for it hears of it after the commit."""
        if not self._by_reference:
            return
        message = decode_message(envelope.body, max_bytes=ANY_SIZE)
        whose = envelope.workspace, envelope.receiver
        waiter = self._by_reference.get((*whose, message.in_reply_to or "")) or self._by_reference.get(
            (*whose, message.conversation_id or "")
        )
        if waiter is not None and message.performative != "agree":  # agree announces the answer, it is none
            self._journal.after_commit(lambda: waiter.replied(envelope))

    def buried(self, envelope: Envelope, reason: str, crash: Crash | None) -> None:
        """A message became a dead letter: who waits for its reply hears of it after the commit."""
        waiter = self._by_message.get(envelope.message_id)
        if waiter is not None:
            self._journal.after_commit(lambda: waiter.failed(envelope, reason, crash))

    @property
    def is_empty(self) -> bool:
        """Nobody waits."""
        return not self._by_reference and not self._by_message


def _references(workspace: str, message: AclMessage) -> tuple[tuple[str, str, str], ...]:
    client = message.sender
    return (workspace, client, message.reply_with or ""), (workspace, client, message.conversation_id or "")
