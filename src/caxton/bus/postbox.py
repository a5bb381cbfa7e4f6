"""Where messages from outside come in: addressed, stamped, journalled and queued in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus.dead_letters import CAUSE
from caxton.bus.envelope import CLIENT_PREFIX, DEFAULT_PRIORITY, MAX_ATTEMPTS, Envelope
from caxton.bus.revival import revived
from caxton.bus.turn import TOPIC_PREFIX
from caxton.core.errors import InvalidMessage, MailboxFull, UnknownReceiver
from caxton.messages.codec import encode_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.bus import Bus
    from caxton.bus.journal import Journal
    from caxton.bus.letter_rows import LetterRow
    from caxton.bus.mailbox import Receiver
    from caxton.bus.replies import Waiter
    from caxton.messages.message import AclMessage

HOST_FIELD_BYTES = 512
"""What the host adds to a message, about."""


class Postbox:
    """Takes messages from clients. `on_work` is called when there is something for the pump to do."""

    def __init__(self, bus: Bus, journal: Journal, on_work: Callable[[], None]) -> None:
        self._bus, self._journal, self._on_work = bus, journal, on_work
        self.accepted = self.refused = 0

    def accept(self, workspace: str, sender: str, message: AclMessage, *, waiter: Waiter | None = None) -> AclMessage:
        """Take a message from outside and queue it. It is durable only once the journal's next commit is done.

        Args:
            workspace: where the receiver is looked up.
            sender: the principal's name; the message says `client:` and it.
            message: its sender, message_id, timestamp and trace are set here; conversation_id and reply_with if absent.
            waiter: hears of the reply or failure, and then the message is tried once only: who waits decides.

        Returns:
            The message as accepted.

        Raises:
            UnknownReceiver, MailboxFull, InvalidMessage: nothing was queued.
        """
        self._bus.intake.check()
        targets = self._targets(workspace, message)
        if waiter is not None and len(targets) != 1:
            raise InvalidMessage("waiting for a reply needs exactly one receiver", field="receiver")
        self._check_room(targets, len(message.content) + HOST_FIELD_BYTES)
        bus = self._bus
        first_seq = self._stamp(message, sender)
        body = encode_message(message)
        for n, target in enumerate(targets):
            seq = bus.next_seq() if n else first_seq  # the first has the number that is in the message's id
            envelope = Envelope(
                seq, workspace, message.sender, target.name, message.message_id, message.conversation_id, body,
                message.timestamp, max_attempts=1 if waiter else MAX_ATTEMPTS, kept=True,
            )  # fmt: skip
            target.messages += 1
            target.bytes += len(body)
            self._journal.born[envelope.seq] = envelope
            bus.enqueue(target, envelope)
        if waiter is not None:
            bus.replies.wait(workspace, message, waiter)
        self.accepted += len(targets)
        self._on_work()
        return message

    def replay(self, letter: LetterRow, body: bytes) -> Envelope:
        """Queue a dead letter as a new message: the same id and trace, its first attempt, flagged as replayed.

        A lifetime that is over is taken off, or it would expire at once. Whoever calls marks the letter in the same
        step of the event loop.

        Raises:
            UnknownReceiver, MailboxFull, or why the node takes nothing now: nothing was queued.
        """
        bus = self._bus
        bus.intake.check(but=CAUSE)  # a replay makes room among the dead letters
        target = bus.directory(letter.workspace).receivers.get(letter.receiver)
        if target is None:
            raise UnknownReceiver(letter.receiver)
        now_us = bus.now_us()
        message, expires_us = revived(body, now_us)
        body = encode_message(message)
        if target.is_full(len(body)):
            raise MailboxFull(target.name, target.max_messages, target.max_bytes)
        envelope = Envelope(
            bus.next_seq(), letter.workspace, letter.sender, letter.receiver, letter.message_id,
            letter.conversation_id, body, now_us, kept=letter.sender.startswith(CLIENT_PREFIX),
            priority=DEFAULT_PRIORITY if message.priority is None else message.priority, expires_us=expires_us,
        )  # fmt: skip
        target.messages += 1
        target.bytes += len(body)
        self._journal.born[envelope.seq] = envelope
        bus.enqueue(target, envelope)
        self._on_work()
        return envelope

    def _check_room(self, targets: list[Receiver], size: int) -> None:
        for target in targets:
            if target.is_full(size):
                self.refused += 1
                raise MailboxFull(target.name, target.max_messages, target.max_bytes)

    def _stamp(self, message: AclMessage, sender: str) -> int:
        bus = self._bus
        seq = bus.next_seq()
        message.sender = f"{CLIENT_PREFIX}{sender}"
        message.message_id = bus.message_id(seq)
        message.timestamp = bus.now_us()
        message.attempt = 1
        message.replayed = False
        message.traceparent = f"{(message.traceparent or f'00-{bus.new_trace_id()}-')[:36]}{seq:016x}-01"
        message.conversation_id = message.conversation_id or f"conversation-{message.message_id}"
        message.reply_with = message.reply_with or message.message_id
        return seq

    def _targets(self, workspace: str, message: AclMessage) -> list[Receiver]:
        directory = self._bus.directory(workspace)
        if not message.receiver and message.capability:
            target = directory.offering(message.capability)
            if target is None:
                raise UnknownReceiver(f"capability {message.capability}")
            return [target]
        names = [message.receiver] if isinstance(message.receiver, str) else list(dict.fromkeys(message.receiver))
        if not names or not all(names):
            raise InvalidMessage("it needs a receiver or a capability", field="receiver")
        targets: list[Receiver] = []
        for name in names:
            if name.startswith(TOPIC_PREFIX):
                targets += directory.subscribers(name.removeprefix(TOPIC_PREFIX))
            elif (target := directory.receivers.get(name)) is not None:
                targets.append(target)
            else:
                raise UnknownReceiver(name)
        if not targets:
            raise UnknownReceiver(", ".join(names))
        return list(dict.fromkeys(targets))  # one copy for each, however often it is named or subscribed
