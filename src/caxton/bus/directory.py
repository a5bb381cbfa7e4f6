"""Who can be written to in a workspace, and whom a message's address means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus.capabilities import Capabilities
from caxton.bus.envelope import CLIENT_PREFIX
from caxton.bus.mailbox import Receiver
from caxton.bus.topics import Topics, is_topic
from caxton.core.errors.messages import InvalidMessage
from caxton.core.errors.receivers import UnknownReceiver
from caxton.messages.performative import PERFORMATIVES

if TYPE_CHECKING:
    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.bus.mailbox import Mailbox
    from caxton.messages.message import AclMessage

TOPIC_PREFIX = "topic://"
GROUP_PREFIX = "broadcast://"

MAX_WORKSPACE_MESSAGES = 2_000_000
MAX_WORKSPACE_BYTES = 2 << 30
"""What all agents of a workspace together may have waiting: it is held in memory as well."""


class Nobody:
    """Supervises a name that no agent has now, and so never hears of anything."""

    def crashed(self, mailbox: Mailbox, crash: Crash) -> None:
        """Never called."""

    def failed(self, mailbox: Mailbox, status: int) -> None:
        """Never called."""

    def succeeded(self, mailbox: Mailbox) -> None:
        """Never called."""

    def began(self, mailbox: Mailbox) -> None:
        """Never called."""

    def found_no_room(self, mailbox: Mailbox) -> None:
        """Never called."""

    def gave_up(self, mailbox: Mailbox, envelope: Envelope) -> None:
        """Never called."""


class Directory:
    """The receivers of one workspace by name, by capability, by group and by topic."""

    def __init__(self, workspace: str) -> None:
        self.workspace = workspace
        self.receivers: dict[str, Receiver] = {}
        """Agents, and names without an agent that have got mail."""
        self.known: set[str] = set()
        """Every name that was ever deployed: mail for it waits even while no agent has it."""
        self.topics = Topics()
        self.capabilities = Capabilities()
        self.max_messages, self.max_bytes = MAX_WORKSPACE_MESSAGES, MAX_WORKSPACE_BYTES
        self.messages = self.bytes = 0
        """What all receivers together have waiting."""
        self.outside_bytes = 0
        """Of messages to clients that are not on disk yet."""
        self.sent: dict[str, int] = dict.fromkeys(PERFORMATIVES, 0)
        """Messages by what they say, one for each receiver: also those of handlings that failed afterwards."""

    @property
    def is_full(self) -> bool:
        """Whether the workspace has used up its quota."""
        return self.messages >= self.max_messages or self.bytes >= self.max_bytes

    def count_sent(self, performative: str, receivers: int = 1) -> None:
        """A message was sent from outside, or by the node. What agents send, their turn counts itself."""
        if performative in self.sent:
            self.sent[performative] += receivers

    def written(self, size: int) -> None:
        """A message of `size` bytes to a client is on disk."""
        self.outside_bytes -= size

    def find(self, name: str) -> Receiver | None:
        """Who has the mail of `name`: its agent, or what keeps it until there is one again."""
        found = self.receivers.get(name)
        if found is None and name in self.known:
            found = self.receivers[name] = Receiver(self, name, Nobody())
            found.is_vacant = True
        return found

    def is_vacant(self, name: str) -> bool:
        """Whether mail for `name` waits because it had an agent once and has none now."""
        found = self.receivers.get(name)
        return name in self.known if found is None else found.is_vacant

    def members(self, group: str) -> list[Receiver]:
        """Agents of `group`, in order of name."""
        return sorted((r for r in self.receivers.values() if group in r.groups), key=lambda receiver: receiver.name)

    def subscribers(self, topic: str) -> list[Receiver]:
        """Agents subscribed to `topic`, in order of name."""
        return [self.receivers[name] for name in sorted(self.topics.match(topic)) if name in self.receivers]

    def subscribe(self, receiver: Receiver, pattern: str, *, subscribed: bool) -> None:
        """Subscribe an agent to the topics of `pattern`, or end that."""
        if subscribed:
            receiver.topics.add(pattern)
            self.topics.add(pattern, receiver.name)
        else:
            receiver.topics.discard(pattern)
            self.topics.discard(pattern, receiver.name)

    def targets(self, message: AclMessage) -> list[Receiver]:
        """Whom a client's `message` is for; raises as `resolve`."""
        name = message.receiver
        if type(name) is str and (target := self.receivers.get(name)) is not None:  # nearly always
            return [target]
        return [target for _, target in self.resolve(message, None) if target is not None]

    def resolve(self, message: AclMessage, sender: Receiver | None) -> list[tuple[str, Receiver | None]]:
        """Whom `message` is for: names with their receivers, or None for a client. Each once, however often meant.

        Args:
            message: its `receiver`, `capability` and `routing_strategy` count.
            sender: the agent that sends it, which gets no copy of what goes to its groups and topics; None for a
                client.

        Returns:
            Nobody for a topic or group that nobody listens to, which is no mistake of an agent.

        Raises:
            InvalidMessage: it has no address, or one that cannot be.
            CapabilityNotFound: nobody offers what it asks for.
            UnknownReceiver: one of its receivers is not there; for a client also if there is none at all.
        """
        names = [message.receiver] if isinstance(message.receiver, str) else message.receiver
        if not all(names) or not names:
            if message.receiver or not message.capability:
                raise InvalidMessage("it needs a receiver or a capability", field="receiver")
            able = self.capabilities.choose(message.capability, message.routing_strategy, sender)
            return [(receiver.name, receiver) for receiver in able]
        found: dict[str, Receiver | None] = {}
        for name in names:
            for target in self._meant(name, sender):
                if target is None or name == target.name or target is not sender:
                    found[name if target is None else target.name] = target
        if not found and sender is None:
            raise UnknownReceiver(", ".join(names))
        return list(found.items())

    def _meant(self, name: str, sender: Receiver | None) -> list[Receiver] | list[None]:
        if name.startswith(TOPIC_PREFIX):
            topic = name.removeprefix(TOPIC_PREFIX)
            if not is_topic(topic):
                raise InvalidMessage("a topic to publish to has no *; patterns are for subscriptions", field="receiver")
            return self.subscribers(topic)
        if name.startswith(GROUP_PREFIX):
            return self.members(name.removeprefix(GROUP_PREFIX))
        if name.startswith(CLIENT_PREFIX) and sender is not None:
            return [None]
        target = self.find(name)
        if target is None:
            raise UnknownReceiver(name)
        return [target]
