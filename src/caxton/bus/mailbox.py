"""Who receives: an agent as the bus sees it, its replicas' mailboxes, and the directory of a workspace."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from zlib import crc32

from caxton.bus.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Handler, Supervisor
    from caxton.bus.turn import Turn

MAX_MESSAGES = 10_000
MAX_BYTES = 16 << 20
"""What an agent may have waiting before its senders are told to wait (delivery contract, point 5)."""

KV_ENTRY_BYTES = 64
"""What an entry of the key-value state counts beside its key and value, so that many small ones are bounded too."""


class Mailbox:
    """The queue of one replica and the handler that empties it, one message at a time."""

    __slots__ = ("busy", "handled", "handler", "inbox", "is_open", "queued", "receiver", "replica", "turn")

    def __init__(self, receiver: Receiver, replica: int) -> None:
        self.receiver = receiver
        self.replica = replica
        self.inbox = Inbox()
        self.handler: Handler | None = None
        self.turn: Turn | None = None
        self.is_open = False
        """Its handler may be given messages. Set through the bus, which then looks at the queue."""
        self.queued = False
        """It stands in the bus's line of mailboxes with work."""
        self.busy = False
        """Its handler is in the middle of a message."""
        self.handled = 0


class Receiver:
    """An agent: its replicas' mailboxes, and the state that its handlers change in transactions."""

    __slots__ = (
        "_next_replica",
        "bytes",
        "capabilities",
        "failed",
        "handled",
        "held",
        "is_removed",
        "is_running",
        "kv",
        "kv_bytes",
        "mailboxes",
        "max_bytes",
        "max_messages",
        "messages",
        "messages_per_s",
        "name",
        "next_timer_id",
        "supervisor",
        "timers",
        "tombstones",
        "topics",
        "workspace",
    )

    def __init__(self, workspace: str, name: str, supervisor: Supervisor) -> None:
        self.workspace = workspace
        self.name = name
        self.supervisor = supervisor
        self.mailboxes: list[Mailbox] = []
        self.held: deque[Envelope] = deque()
        """Mail that waits while there is no mailbox to put it in: the agent is stopped, failed or being changed."""
        self.messages = self.bytes = 0
        """Mail that was accepted (or is about to be, by a handler that still runs) and is not settled."""
        self.tombstones = 0
        """Messages that ended while they were queued, and are still in a queue."""
        self.max_messages, self.max_bytes = MAX_MESSAGES, MAX_BYTES
        self.messages_per_s = 20_000
        self.capabilities: tuple[str, ...] = ()
        self.kv: dict[bytes, bytes] = {}
        self.kv_bytes = 0
        self.timers: dict[int, tuple[int, int]] = {}
        """Timers that have not been handled: id → (due in µs, replica)."""
        self.topics: set[str] = set()
        """What it is subscribed to; `Directory.topics` has the other direction."""
        self.next_timer_id = 1
        self.is_running = False
        """Its agent is meant to handle mail now; set by its supervisor."""
        self.is_removed = False
        """Its agent is gone for ever; what is still on its way becomes a dead letter."""
        self.handled = self.failed = 0
        self._next_replica = 0

    def is_full(self, size: int) -> bool:
        """Whether one more message of `size` bytes is too much. An empty mailbox takes any message."""
        return self.messages >= self.max_messages or (self.messages > 0 and self.bytes + size > self.max_bytes)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Change the key-value state; None deletes."""
        old = self.kv.pop(key, None)
        self.kv_bytes += entry_bytes(key, value) - entry_bytes(key, old)
        if value is not None:
            self.kv[key] = value

    def choose(self, conversation_id: str | None) -> Mailbox:
        """A conversation stays with one replica; what belongs to none goes round."""
        count = len(self.mailboxes)
        if count == 1:
            return self.mailboxes[0]
        if conversation_id is not None:
            return self.mailboxes[crc32(conversation_id.encode()) % count]
        self._next_replica += 1
        return self.mailboxes[self._next_replica % count]


def entry_bytes(key: bytes, value: bytes | None) -> int:
    """What an entry counts towards an agent's key-value quota; nothing if it is absent."""
    return 0 if value is None else KV_ENTRY_BYTES + len(key) + len(value)


class Directory:
    """The receivers of one workspace by name, by capability and by topic."""

    def __init__(self, workspace: str) -> None:
        self.workspace = workspace
        self.receivers: dict[str, Receiver] = {}
        self.topics: dict[str, set[str]] = {}
        """Topic → names of subscribed agents."""
        self._turns: dict[str, int] = {}

    def offering(self, capability: str) -> Receiver | None:
        """One of the agents that offer `capability`, each in its turn; one that runs, if any does."""
        able = [receiver for receiver in self.receivers.values() if capability in receiver.capabilities]
        if not able:
            return None
        able = [receiver for receiver in able if receiver.is_running] or able
        turn = self._turns[capability] = self._turns.get(capability, -1) + 1
        return able[turn % len(able)]

    def subscribers(self, topic: str) -> Iterable[Receiver]:
        """Agents subscribed to `topic`, in order of name."""
        names = sorted(self.topics.get(topic, ()))
        return [self.receivers[name] for name in names if name in self.receivers]

    def change_topic(self, topic: str, name: str, *, subscribed: bool) -> None:
        """Subscribe the agent `name` to `topic`, or end that."""
        names = self.topics.get(topic)
        if subscribed:
            if names is None:
                names = self.topics[topic] = set()
            names.add(name)
        elif names is not None:
            names.discard(name)
            if not names:
                del self.topics[topic]
