"""One handling of one message: everything the handler does is staged here and happens only if it succeeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from caxton.bus.directory import TOPIC_PREFIX
from caxton.bus.envelope import Envelope, trace_of
from caxton.bus.mailbox import entry_bytes
from caxton.bus.topics import is_pattern
from caxton.core.errors.messages import InvalidMessage, MessageExpired, MessageTooLarge
from caxton.core.errors.receivers import CapabilityNotFound, UnknownReceiver
from caxton.core.ids import FACILITATOR
from caxton.messages.codec import decode_message, encode_message
from caxton.messages.lifetime import expires_us
from caxton.messages.message import AclMessage
from caxton.sandbox.codes import (
    INVALID,
    NOT_FOUND,
    OK,
    RATE_LIMITED,
    TOO_LARGE,
    UNKNOWN_RECEIVER,
    WOULD_BLOCK,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.flight import Flight
    from caxton.bus.intake import Intake
    from caxton.bus.mailbox import Mailbox, Receiver

MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 1 << 20
MAX_KV_BYTES = 16 << 20
"""The agent's own small state; more belongs into a tool."""

MAX_OUTSIDE_BYTES = 16 << 20
"""What one handler may send to clients: these have no mailbox that could be full."""

MAX_UNWRITTEN_BYTES = 64 << 20
"""To clients, of all handlers, until a commit has written it."""

MAX_TIMERS = 1000
MAX_TIMER_DELAY_US = 366 * 86_400 * 1_000_000
MAX_TOPIC_BYTES = 256
MAX_TOPICS = 1000
"""Subscriptions of one agent; each is a row and is looked at whenever somebody publishes."""


class Exchange(Protocol):
    """What a turn needs of the bus: names and numbers."""

    flight: Flight
    intake: Intake
    next_seq: Callable[[], int]
    """The number of the next message."""
    id_prefix: str
    """Of message ids; the number follows in hex."""

    def steady_us(self) -> int:
        """Time that does not jump; see `core.clock`."""
        ...

    def new_trace_id(self) -> str:
        """32 hex digits."""
        ...


class Turn:
    """Staged effects of the message in hand. One per mailbox, used again for each message.

    Room in the receivers' mailboxes is taken when a message is staged, so that staging cannot overfill them; `release`
    gives it back.
    """

    __slots__ = (
        "_bus",
        "_directory",
        "_expires_us",
        "_id_prefix",
        "_intake",
        "_kv_growth",
        "_mailbox",
        "_next_seq",
        "_outside_bytes",
        "_receiver",
        "_receivers",
        "_second",
        "_sent",
        "_sent_this_second",
        "cancelled",
        "envelope",
        "failed",
        "has_state",
        "kv",
        "now_us",
        "on_refusal",
        "sends",
        "timers",
        "tool_calls",
        "topics",
        "trace",
        "was_blocked",
    )

    def __init__(self, bus: Exchange, mailbox: Mailbox) -> None:
        self._bus = bus
        self._intake = bus.intake
        self._next_seq, self._id_prefix = bus.next_seq, bus.id_prefix
        self._mailbox = mailbox
        self._receiver = mailbox.receiver
        self._directory = mailbox.receiver.directory
        self._sent = mailbox.receiver.directory.sent
        self._receivers = self._directory.receivers
        self._outside_bytes = 0
        """Of what is staged for clients."""
        self._expires_us = 0
        """Of the message that is being staged."""
        self._second = self._sent_this_second = 0
        self._kv_growth = 0
        self.envelope: Envelope | None = None
        self.failed: Envelope | None = None
        """What was in hand, while those who supervise the handler hear that it failed."""
        self.now_us = 0
        self.trace = ""
        self.sends: list[tuple[Receiver | None, Envelope]] = []
        self.has_state = False
        """There is something in one of the next four."""
        self.kv: dict[bytes, bytes | None] = {}
        self.timers: dict[int, int] = {}
        self.cancelled: list[int] = []
        self.topics: dict[str, bool] = {}
        self.tool_calls = 0
        """Of this handling."""
        self.was_blocked = False
        """It was told that there is no room for one of its messages now."""
        self.on_refusal: Callable[[str], None] = ignore_refusal
        """Told why a message was refused, for the agent's log."""

    @property
    def receiver(self) -> Receiver:
        """The agent whose handler this turn belongs to."""
        return self._receiver

    @property
    def replica(self) -> int:
        return self._mailbox.replica

    def begin(self, envelope: Envelope | None, now_us: int) -> None:
        """Start on `envelope` (None: the handler is being started) with nothing staged."""
        self.envelope = envelope
        self.now_us = now_us
        self.trace = "" if envelope is None else envelope.trace

    # --- messages --------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> int:
        """Stage the message `data`. The host decides who sent it, when, and under which id."""
        second = self.now_us // 1_000_000
        if second != self._second:
            self._second, self._sent_this_second = second, 0
        self._sent_this_second += 1
        if self._sent_this_second > self._receiver.messages_per_s:
            return self._refuse(RATE_LIMITED)
        if not self._intake.is_open:
            self.was_blocked = True
            return self._refuse(WOULD_BLOCK)
        try:
            message = decode_message(data)
            self._expires_us = 0
            if message.ttl_ms is not None or message.reply_by is not None:
                self._expires_us = expires_us(message, self.now_us, self._bus.steady_us())
        except MessageTooLarge:
            return self._refuse(TOO_LARGE)
        except (InvalidMessage, MessageExpired) as exc:
            self.on_refusal(str(exc))
            return self._refuse(INVALID)
        name = message.receiver
        if type(name) is str and (target := self._receivers.get(name)) is not None:
            if target.is_full(len(data)):
                self.was_blocked = True
                return self._refuse(WOULD_BLOCK, message)
            self._stage(message, target, name)
            return OK
        return self._send_elsewhere(message, len(data))

    def _converse(self, message: AclMessage) -> None:
        """A message that follows a protocol belongs to a conversation, and says what its answer refers to."""
        if message.conversation_id is None:
            message.conversation_id = f"conversation-{self._id_prefix}{self._next_seq():x}"
        if message.reply_with is None:
            message.reply_with = f"{self._id_prefix}{self._next_seq():x}"

    def _send_elsewhere(self, message: AclMessage, size: int) -> int:
        """Several receivers, a topic, a group, a capability, or somebody outside: all of them or none."""
        try:
            targets = self._directory.resolve(message, self._receiver)
        except UnknownReceiver:
            return self._refuse(UNKNOWN_RECEIVER, message)
        except CapabilityNotFound:
            facilitator = self._receivers.get(FACILITATOR)
            if facilitator in (None, self._receiver):
                return self._refuse(UNKNOWN_RECEIVER, message)
            # It tells the sender. In no protocol: it is not the one that was called upon, and plays no part in it.
            message.protocol, targets = None, [(FACILITATOR, facilitator)]
        except InvalidMessage as exc:
            self.on_refusal(str(exc))
            return self._refuse(INVALID, message)
        outside = sum(target is None for _, target in targets) * size
        if self._outside_bytes + outside > MAX_OUTSIDE_BYTES:
            return self._refuse(TOO_LARGE, message)
        if (outside and self._directory.outside_bytes + outside > MAX_UNWRITTEN_BYTES) or any(
            target is not None and target.is_full(size) for _, target in targets
        ):
            self.was_blocked = True
            return self._refuse(WOULD_BLOCK, message)
        for n, (name, target) in enumerate(targets):
            self._stage(message, target, name, is_copy=n > 0)
        return OK

    def _refuse(self, result: int, message: AclMessage | None = None) -> int:
        """The handler learns of `result` by itself; the flight recorder is told."""
        said = AclMessage(performative="") if message is None else message
        said.sender, said.message_id = self._receiver.name, ""
        trace = self.trace or self._begin_trace()
        self._bus.flight.refused(self._receiver.workspace, said, name_of(result), trace=trace, sent_us=self.now_us)
        return result

    def _stage(self, message: AclMessage, target: Receiver | None, name: str, *, is_copy: bool = False) -> None:
        receiver, now_us = self._receiver, self.now_us
        self._sent[message.performative] += 1
        seq = self._next_seq()
        if not is_copy:  # all copies of a message are the same message
            message.sender = receiver.name
            message.message_id = f"{self._id_prefix}{seq:x}"
            message.timestamp = now_us
            message.traceparent = f"{self.trace or self._begin_trace()}{seq:016x}-01"
            message.attempt = 1
            message.replayed = False
            if message.protocol is not None:
                self._converse(message)
        addressed = message.receiver
        if target is None:  # a reply to the outside says whom it is for; it has one receiver even if several were named
            message.receiver = name
        body = encode_message(message)
        message.receiver = addressed
        envelope = Envelope(
            seq, receiver.workspace, receiver.name, name, message.message_id, message.conversation_id, body, now_us,
            kept=target is None, trace=self.trace,
        )  # fmt: skip
        if message.priority is not None:
            envelope.priority = message.priority
        if message.protocol is not None or message.reply_with is not None or message.in_reply_to is not None:
            envelope.said = message
        self.sends.append((target, envelope))
        if target is None:
            self._outside_bytes += len(body)
            self._directory.outside_bytes += len(body)
        else:
            envelope.expires_us = self._expires_us
            size = len(body)
            target.messages += 1  # `take_room`, without the call
            target.bytes += size
            directory = target.directory
            directory.messages += 1
            directory.bytes += size

    def _begin_trace(self) -> str:
        """Everything sent in this turn belongs to the trace of the message in hand, or begins one."""
        found = "" if self.envelope is None else trace_of(self.envelope)
        self.trace = found or f"00-{self._bus.new_trace_id()}-"
        return self.trace

    def trace_id(self) -> str:
        """Of the message in hand, 32 hex digits; what the turn sends belongs to the same."""
        return (self.trace or self._begin_trace())[3:35]

    def traceparent(self) -> str:
        """Of the message in hand, as what its handler does outside of the node says it."""
        seq = 0 if self.envelope is None else self.envelope.seq
        return f"{self.trace or self._begin_trace()}{seq or self._next_seq():016x}-01"

    def count_call(self) -> int:
        """The handler calls a tool: how many calls of this handling came before."""
        self.tool_calls += 1
        self.has_state = True  # so that the count ends with the handling
        return self.tool_calls - 1

    # --- state -----------------------------------------------------------------------------------------------

    def kv_get(self, key: bytes) -> bytes | None:
        return self.kv[key] if key in self.kv else self._receiver.kv.get(key)

    def kv_set(self, key: bytes, value: bytes) -> int:
        if not 0 < len(key) <= MAX_KEY_BYTES:
            return INVALID
        if len(value) > MAX_VALUE_BYTES:
            return TOO_LARGE
        growth = entry_bytes(key, value) - entry_bytes(key, self.kv_get(key))
        if growth > 0 and self._receiver.kv_bytes + self._kv_growth + growth > MAX_KV_BYTES:
            return TOO_LARGE
        self._kv_growth += growth
        self.kv[key] = value
        self.has_state = True
        return OK

    def kv_delete(self, key: bytes) -> int:
        value = self.kv_get(key)
        if value is None:
            return NOT_FOUND
        self._kv_growth -= entry_bytes(key, value)
        self.kv[key] = None
        self.has_state = True
        return OK

    # --- timers and topics -----------------------------------------------------------------------------------

    def set_timer(self, delay_us: int) -> int:
        if delay_us > MAX_TIMER_DELAY_US:
            return INVALID
        if len(self._receiver.timers) + len(self.timers) >= MAX_TIMERS:
            return RATE_LIMITED
        timer_id = self._receiver.next_timer_id
        self._receiver.next_timer_id = timer_id + 1 if timer_id < 0x7FFFFFFF else 1
        self.timers[timer_id] = self._bus.steady_us() + delay_us
        self.has_state = True
        return timer_id

    def cancel_timer(self, timer_id: int) -> int:
        if self.timers.pop(timer_id, None) is not None:
            return OK
        if timer_id not in self._receiver.timers or timer_id in self.cancelled:
            return NOT_FOUND
        self.cancelled.append(timer_id)
        self.has_state = True
        return OK

    def subscribe(self, topic: bytes) -> int:
        return self._change_topic(topic, subscribed=True)

    def unsubscribe(self, topic: bytes) -> int:
        return self._change_topic(topic, subscribed=False)

    def _change_topic(self, topic: bytes, *, subscribed: bool) -> int:
        try:
            name = topic.decode().removeprefix(TOPIC_PREFIX)
        except UnicodeDecodeError:
            return INVALID
        if not name or len(topic) > MAX_TOPIC_BYTES or not name.isprintable() or not is_pattern(name):
            return INVALID
        if subscribed and len(self._receiver.topics | self.topics.keys() | {name}) > MAX_TOPICS:
            return RATE_LIMITED
        if not subscribed and name not in self._receiver.topics and name not in self.topics:
            return OK  # nothing to end, and nothing to remember
        self.topics[name] = subscribed
        self.has_state = True
        return OK

    # --- end -------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Forget what was staged: the handler did not succeed."""
        for target, envelope in self.sends:
            if target is not None:
                target.give_room(len(envelope.body))
            else:
                self._directory.outside_bytes -= len(envelope.body)
        self.clear()

    def clear(self) -> None:
        """Nothing is staged any more."""
        self.envelope = None
        self.was_blocked = False
        self._outside_bytes = 0
        self.sends.clear()
        if self.has_state:
            self.clear_state()

    def clear_state(self) -> None:
        """No change of state is staged any more; messages stay."""
        self.has_state = False
        self.kv, self.timers, self.cancelled, self.topics = {}, {}, [], {}
        self._kv_growth = self.tool_calls = 0


def ignore_refusal(_reason: str) -> None:
    """Nobody keeps a log of what was refused."""
