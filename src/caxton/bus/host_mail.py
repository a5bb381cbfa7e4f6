"""Messages that the node itself sends: notices of the referee, answers that it gives for somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus.envelope import CLIENT_PREFIX, Envelope
from caxton.messages.codec import encode_message

if TYPE_CHECKING:
    from caxton.bus.bus import Bus
    from caxton.bus.journal import Journal
    from caxton.messages.message import AclMessage


class HostMail:
    """Puts them into mailboxes."""

    def __init__(self, bus: Bus, journal: Journal) -> None:
        self._bus, self._journal = bus, journal

    def send(self, workspace: str, receiver: str, message: AclMessage, *, if_room: bool = False) -> None:
        """Stamp `message`, whose sender is set, and queue it, or keep it for a client. Nobody of that name: nothing.

        Args:
            workspace: of the receiver.
            receiver: an agent or `client:NAME`.
            message: is changed.
            if_room: a receiver whose mailbox is full gets nothing: for what one could be made to get any number of.
        """
        bus = self._bus
        directory = bus.names.directory(workspace)
        is_client = receiver.startswith(CLIENT_PREFIX)
        target = None if is_client else directory.find(receiver)
        if target is None and not is_client:
            return
        if if_room and target is not None and target.is_full(len(message.content)):
            return
        seq = bus.next_seq()
        message.receiver = receiver
        message.message_id = bus.message_id(seq)
        message.timestamp = bus.now_us()
        message.traceparent = f"{(message.traceparent or f'00-{bus.new_trace_id()}-')[:36]}{seq:016x}-01"
        body = encode_message(message)
        envelope = Envelope(
            seq, workspace, message.sender, receiver, message.message_id, message.conversation_id, body,
            message.timestamp, kept=target is None, trace=message.traceparent[:36],
        )  # fmt: skip
        directory.count_sent(message.performative)
        self._journal.born[seq] = envelope
        if target is None:
            directory.outside_bytes += len(body)
            bus.leave(envelope, message.timestamp)
        else:
            target.take_room(len(body))
            bus.queues.enqueue(target, envelope)
        if bus.tap.listeners:
            bus.tap.sent([envelope])
        self._journal.touch()
        bus.wake()
