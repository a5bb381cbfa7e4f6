"""Where messages from outside come in: addressed, stamped, journalled and queued in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from caxton.bus.dead_letters import CAUSE
from caxton.bus.envelope import CLIENT_PREFIX, DEFAULT_PRIORITY, MAX_ATTEMPTS, TRACE_CHARS, Envelope
from caxton.bus.receipts import check_message_id, digest_of
from caxton.bus.revival import revived
from caxton.core.crash import crash_point
from caxton.core.errors.messages import InvalidMessage
from caxton.core.errors.receivers import MailboxFull, UnknownReceiver
from caxton.core.errors.workspaces import WorkspaceFull
from caxton.messages.codec import encode_message
from caxton.messages.lifetime import expires_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.bus import Bus
    from caxton.bus.directory import Directory
    from caxton.bus.journal import Journal
    from caxton.bus.letter_rows import LetterRow
    from caxton.bus.mailbox import Receiver
    from caxton.bus.receipts import Receipts
    from caxton.bus.replies import Waiter
    from caxton.messages.message import AclMessage

NO_SPAN = "0" * 16
"""In a `traceparent` whose sender has no span of its own."""

HOST_FIELD_BYTES = 512
"""What the host adds to a message, about."""


class Accepted(NamedTuple):
    """What became of a post."""

    is_new: bool
    """It was queued now; else the same message was accepted before."""
    durable: bool
    """As it was accepted then or now."""


class Postbox:
    """Takes messages from clients. `on_work` is called when there is something for the pump to do."""

    def __init__(self, bus: Bus, journal: Journal, receipts: Receipts, on_work: Callable[[], None]) -> None:
        self._bus, self._journal, self._receipts, self._on_work = bus, journal, receipts, on_work
        self.accepted = self.duplicates = 0
        self.on_traced: Callable[[str, str], None] | None = None
        """Told the id of a message and the `traceparent` of who posted it, if that names a span."""

    def accept(
        self, workspace: str, sender: str, message: AclMessage, *, waiter: Waiter | None = None, durable: bool = True
    ) -> Accepted:
        """Take a message from outside and queue it. It is durable only once the journal's next commit is done.

        Args:
            workspace: where the receiver is looked up.
            sender: the principal's name; the message says `client:` and it.
            message: as posted. Its sender, timestamp and trace are set here; message_id, conversation_id and
                reply_with if absent.
            waiter: hears of the reply or failure, and then the message is tried once only: who waits decides.
            durable: without it, the message is not written: it is lost if the node ends other than by a stop.

        Returns:
            What was accepted: now, or before, under the id that its sender gave it. Then `message` has the
            conversation that it had.

        Raises:
            UnknownReceiver, MailboxFull, WorkspaceFull, InvalidMessage, MessageExpired, MessageIdConflict, or whatever
                `waiter.admit` raises: nothing was queued.
        """
        message.sender = f"{CLIENT_PREFIX}{sender}"
        key, digest = (workspace, message.sender, message.message_id), b""
        if message.message_id:
            check_message_id(message.message_id)
            digest = digest_of(message)
            if (earlier := self._receipts.find(key, digest)) is not None:
                self.duplicates += 1
                _address(message, earlier.conversation_id)
                if waiter is not None:
                    self._bus.replies.wait(workspace, message, waiter)
                return Accepted(is_new=False, durable=earlier.durable)
        self._bus.intake.check()
        directory = self._bus.names.directory(workspace)
        targets = directory.targets(message)
        if waiter is not None and len(targets) != 1:
            raise InvalidMessage("waiting for a reply needs exactly one receiver", field="receiver")
        if waiter is not None and waiter.admit is not None:
            waiter.admit(targets[0])
        self._check_room(directory, targets, len(message.content) + HOST_FIELD_BYTES)
        if message.protocol is not None:
            self._bus.referee.check(workspace, message, [target.name for target in targets])
        ends_us = 0
        if message.ttl_ms is not None or message.reply_by is not None:
            ends_us = expires_us(message, self._bus.now_us(), self._bus.steady_us())
        crash_point("accept.checked")
        caller = message.traceparent
        seq = self._stamp(message, targets)
        if self.on_traced is not None and caller is not None and caller[TRACE_CHARS:-3] != NO_SPAN:
            self.on_traced(message.message_id, caller)
        self._queue(workspace, message, seq, targets, ends_us, 1 if waiter else MAX_ATTEMPTS, durable=durable)
        if digest:
            self._receipts.remember(key, digest, message.conversation_id or "", durable=durable)
        if waiter is not None:
            self._bus.replies.wait(workspace, message, waiter)
        crash_point("accept.queued")
        self.accepted += len(targets)
        directory.count_sent(message.performative, len(targets))
        self._on_work()
        return Accepted(is_new=True, durable=durable)

    def _queue(
        self, workspace: str, message: AclMessage, first_seq: int, targets: list[Receiver], ends_us: int,
        max_attempts: int, *, durable: bool,
    ) -> None:  # fmt: skip
        bus, body = self._bus, encode_message(message)
        for n, target in enumerate(targets):
            seq = bus.next_seq() if n else first_seq  # the first has the number that is in the message's id
            envelope = Envelope(
                seq, workspace, message.sender, target.name, message.message_id, message.conversation_id, body,
                message.timestamp, max_attempts=max_attempts, kept=durable, expires_us=ends_us,
                priority=DEFAULT_PRIORITY if message.priority is None else message.priority,
                trace=(message.traceparent or "")[:36],
            )  # fmt: skip
            target.take_room(len(body))
            if message.protocol is not None and not bus.passes(envelope, message, target):
                continue
            if durable:
                self._journal.born[seq] = envelope
            bus.queues.enqueue(target, envelope)
            if ends_us:
                bus.redelivery.watch(target, envelope)
            if bus.tap.listeners:
                bus.tap.sent([envelope])

    def replay(self, letter: LetterRow, body: bytes) -> Envelope:
        """Queue a dead letter as a new message: the same id and trace, its first attempt, flagged as replayed.

        A lifetime that is over is taken off, or it would expire at once. Whoever calls marks the letter in the same
        step of the event loop.

        Raises:
            UnknownReceiver, MailboxFull, or why the node takes nothing now: nothing was queued.
        """
        bus = self._bus
        bus.intake.check(but=CAUSE)  # a replay makes room among the dead letters
        target = bus.names.directory(letter.workspace).find(letter.receiver)
        if target is None:
            raise UnknownReceiver(letter.receiver)
        now_us = bus.now_us()
        message, ends_us = revived(body, now_us, bus.steady_us())
        body = encode_message(message)
        if target.is_full(len(body)):
            raise MailboxFull(target.name, target.max_messages, target.max_bytes)
        envelope = Envelope(
            bus.next_seq(), letter.workspace, letter.sender, letter.receiver, letter.message_id,
            letter.conversation_id, body, now_us, kept=letter.sender.startswith(CLIENT_PREFIX),
            priority=DEFAULT_PRIORITY if message.priority is None else message.priority, expires_us=ends_us,
        )  # fmt: skip
        target.take_room(len(body))
        self._journal.born[envelope.seq] = envelope
        bus.queues.enqueue(target, envelope)
        if ends_us:
            bus.redelivery.watch(target, envelope)
        if bus.tap.listeners:
            bus.tap.sent([envelope])
        crash_point("replay.queued")
        self._on_work()
        return envelope

    def _check_room(self, directory: Directory, targets: list[Receiver], size: int) -> None:
        if directory.is_full:
            raise WorkspaceFull(directory.workspace, directory.max_messages, directory.max_bytes)
        for target in targets:
            if target.is_full(size):
                raise MailboxFull(target.name, target.max_messages, target.max_bytes)

    def _stamp(self, message: AclMessage, targets: list[Receiver]) -> int:
        bus = self._bus
        seq = bus.next_seq()
        message.message_id = message.message_id or bus.message_id(seq)
        message.timestamp = bus.now_us()
        message.attempt = 1
        message.replayed = False
        message.traceparent = f"{(message.traceparent or f'00-{bus.new_trace_id()}-')[:36]}{seq:016x}-01"
        _address(
            message,
            message.conversation_id or targets[0].conversation_of_its_own(f"conversation-{message.message_id}"),
        )
        return seq


def _address(message: AclMessage, conversation_id: str) -> None:
    """Give `message` what its answer refers to."""
    message.conversation_id = conversation_id
    message.reply_with = message.reply_with or message.message_id
