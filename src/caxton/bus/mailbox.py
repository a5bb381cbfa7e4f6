"""Who receives: an agent as the bus sees it, and its replicas' mailboxes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from zlib import crc32

from caxton.bus.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caxton.bus.directory import Directory
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

    __slots__ = ("busy", "handled", "handler", "inbox", "is_open", "is_wanted", "queued", "receiver", "replica", "turn")

    def __init__(self, receiver: Receiver, replica: int) -> None:
        self.receiver = receiver
        self.replica = replica
        self.inbox = Inbox()
        self.handler: Handler | None = None
        self.turn: Turn | None = None
        self.is_open = False
        """Its handler may be given messages. Set through the bus, which then looks at the queue."""
        self.is_wanted = False
        """Its supervisor wants it open; it may be held shut nevertheless (`Receiver.is_held`)."""
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
        "deployed",
        "directory",
        "failed",
        "groups",
        "handled",
        "held",
        "is_held",
        "is_removed",
        "is_running",
        "is_vacant",
        "is_watched",
        "kv",
        "kv_bytes",
        "mailboxes",
        "max_bytes",
        "max_messages",
        "messages",
        "messages_per_s",
        "name",
        "next_timer_id",
        "offers",
        "registered",
        "supervisor",
        "timers",
        "tombstones",
        "topics",
        "workspace",
    )

    def __init__(self, directory: Directory, name: str, supervisor: Supervisor) -> None:
        self.directory = directory
        self.workspace = directory.workspace
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
        self.deployed: Mapping[str, int] = {}
        """Capabilities that it was deployed with or named when it started, with their priorities."""
        self.registered: Mapping[str, int] = {}
        """Those that it registered with the directory facilitator."""
        self.offers: dict[str, int] = {}
        """Both; a priority that it registered counts."""
        self.groups: tuple[str, ...] = ()
        self.kv: dict[bytes, bytes] = {}
        self.kv_bytes = 0
        self.timers: dict[int, tuple[int, int]] = {}
        """Timers that have not been handled: id → (due in µs, replica)."""
        self.topics: set[str] = set()
        """Patterns that it is subscribed to; `Directory.topics` has the other direction."""
        self.next_timer_id = 1
        self.is_running = False
        """Its agent is meant to handle mail now; set by its supervisor."""
        self.is_held = False
        """Its mail waits although it runs: its circuit is open. Set through `Queues.hold` and `Queues.let_go`."""
        self.is_watched = False
        """Its supervisor wants to hear of handlings that succeed, or take longer than a slice."""
        self.is_removed = False
        """Its agent is gone for ever; what is still on its way becomes a dead letter."""
        self.is_vacant = False
        """No agent has this name now; its mail waits for the next one that does."""
        self.handled = self.failed = 0
        self._next_replica = 0

    def offer(self, *, deployed: Mapping[str, int] | None = None, registered: Mapping[str, int] | None = None) -> None:
        """It offers these capabilities from now on; what is None stays."""
        self.deployed = self.deployed if deployed is None else deployed
        self.registered = self.registered if registered is None else registered
        before, self.offers = self.offers, {**self.deployed, **self.registered}
        if self.directory.receivers.get(self.name) is self:
            self.directory.capabilities.change(self, before, self.offers)

    def conversation_of_its_own(self, prefix: str) -> str:
        """An id for a conversation that begins here: one that leads to a replica which is idle, and stays with it."""
        if len(self.mailboxes) < 2:
            return prefix
        wanted = self.choose(None).replica
        for n in range(8 * len(self.mailboxes)):
            if self.choose(f"{prefix}-{n}").replica == wanted:
                return f"{prefix}-{n}"
        return prefix

    def is_full(self, size: int) -> bool:
        """Whether one more message of `size` bytes is too much. An empty mailbox takes any message."""
        directory = self.directory
        return (
            self.messages >= self.max_messages
            or (self.messages > 0 and self.bytes + size > self.max_bytes)
            or directory.messages >= directory.max_messages
            or directory.bytes >= directory.max_bytes
        )

    def take_room(self, size: int) -> None:
        """A message of `size` bytes is accepted, or about to be."""
        self.messages += 1
        self.bytes += size
        self.directory.messages += 1
        self.directory.bytes += size

    def give_room(self, size: int) -> None:
        """A message of `size` bytes is done with, or is not accepted after all."""
        self.messages -= 1
        self.bytes -= size
        self.directory.messages -= 1
        self.directory.bytes -= size

    def put(self, key: bytes, value: bytes | None) -> None:
        """Change the key-value state; None deletes."""
        old = self.kv.pop(key, None)
        self.kv_bytes += entry_bytes(key, value) - entry_bytes(key, old)
        if value is not None:
            self.kv[key] = value

    def choose(self, conversation_id: str | None) -> Mailbox:
        """A conversation stays with one replica; what belongs to none goes round among those that are idle."""
        boxes = self.mailboxes
        count = len(boxes)
        if count == 1:
            return boxes[0]
        if conversation_id is not None:
            return boxes[crc32(conversation_id.encode()) % count]
        first = self._next_replica
        for n in range(count):
            box = boxes[(first + n) % count]
            if box.is_open and not box.busy and not box.inbox:
                self._next_replica = first + n + 1
                return box
        self._next_replica = first + 1
        return boxes[first % count]


def entry_bytes(key: bytes, value: bytes | None) -> int:
    """What an entry counts towards an agent's key-value quota; nothing if it is absent."""
    return 0 if value is None else KV_ENTRY_BYTES + len(key) + len(value)
