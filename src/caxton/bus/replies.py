"""Who outside waits for a reply, and what they are told: never before the commit that holds it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from caxton.messages.codec import ANY_SIZE, decode_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.bus.journal import Journal
    from caxton.messages.message import AclMessage


ANNOUNCEMENT = "agree"
"""An act that announces the answer and is none."""


Key: TypeAlias = "tuple[str, str, str]"
"""Workspace, client, and a message's id or what a reply refers to."""


class Waiter(msgspec.Struct, eq=False):
    """Somebody outside who waits for the reply to one message."""

    replied: Callable[[Envelope], None]
    failed: Callable[[Envelope, str, Crash | None], None]


class Replies:
    """Matches replies with those who wait for them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiters: dict[Key, list[Waiter]] = {}
        """By the message whose reply is waited for; several wait for one that was posted again."""
        self._by_reference: dict[Key, Key] = {}
        """By workspace, client and what the reply may refer to, `reply_with` or the conversation: which message."""

    def wait(self, workspace: str, message: AclMessage, waiter: Waiter) -> None:
        """Tell `waiter` of the reply to `message`, or of its failure."""
        key = workspace, message.sender, message.message_id
        self._waiters.setdefault(key, []).append(waiter)
        for reference in _references(workspace, message):
            self._by_reference[reference] = key

    def stop(self, workspace: str, message: AclMessage, waiter: Waiter) -> None:
        """`waiter` does not wait for the reply to `message` any more. Others may, in the same conversation."""
        key = workspace, message.sender, message.message_id
        waiters = self._waiters.get(key, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(key, None)
            for reference in _references(workspace, message):
                if self._by_reference.get(reference) == key:
                    del self._by_reference[reference]

    def arrived(self, envelope: Envelope) -> None:
        """A message to somebody outside was settled: who waits for it hears of it after the commit."""
        if not self._by_reference:
            return
        message = decode_message(envelope.body, max_bytes=ANY_SIZE)
        if message.performative == ANNOUNCEMENT:
            return
        whose = envelope.workspace, envelope.receiver
        key = self._by_reference.get((*whose, message.in_reply_to or "")) or self._by_reference.get(
            (*whose, message.conversation_id or "")
        )
        for waiter in self._waiters.get(key, ()) if key else ():
            self._journal.after_commit(partial(waiter.replied, envelope))

    def buried(self, envelope: Envelope, reason: str, crash: Crash | None) -> None:
        """A message became a dead letter: who waits for its reply hears of it after the commit."""
        for waiter in self._waiters.get((envelope.workspace, envelope.sender, envelope.message_id), ()):
            self._journal.after_commit(partial(waiter.failed, envelope, reason, crash))

    @property
    def is_empty(self) -> bool:
        """Nobody waits."""
        return not self._by_reference and not self._waiters


def _references(workspace: str, message: AclMessage) -> tuple[Key, ...]:
    client = message.sender
    return (workspace, client, message.reply_with or ""), (workspace, client, message.conversation_id or "")


def is_reply(answer: AclMessage, message: AclMessage) -> bool:
    """Whether `answer`, a message of the same conversation to its sender, is what `message` waits for."""
    return answer.performative != ANNOUNCEMENT and answer.in_reply_to in (None, message.reply_with)
