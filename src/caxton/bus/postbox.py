"""Where messages from outside come in: addressed, stamped, journalled and queued in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus.envelope import CLIENT_PREFIX, MAX_ATTEMPTS, Envelope
from caxton.bus.turn import TOPIC_PREFIX
from caxton.core.errors import InvalidMessage, MailboxFull, UnknownReceiver
from caxton.messages.codec import encode_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.bus import Bus
    from caxton.bus.journal import Journal
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
            UnknownReceiver, MailboxFull, InvalidMessage, or whatever `waiter.admit` raises: nothing was queued.
        """
        self._bus.intake.check()
        targets = self._targets(workspace, message)
        if waiter is not None and len(targets) != 1:
            raise InvalidMessage("waiting for a reply needs exactly one receiver", field="receiver")
        if waiter is not None and waiter.admit is not None:
            waiter.admit(targets[0])
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
