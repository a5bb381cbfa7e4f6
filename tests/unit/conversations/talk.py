"""Agents that say what the test tells them to, on a real bus with a referee and a real file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.conversations.room import Conversations
from caxton.testing.handlers import say
from tests.unit.bus.rig import WORKSPACE, Rig

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.bus.envelope import Envelope
    from caxton.conversations.conversation import Conversation
    from caxton.conversations.settings import ConversationSettings
    from caxton.messages.message import AclMessage
    from caxton.testing.clock import ManualClock
    from tests.unit.bus.rig import Agent

CONVERSATION = "c-1"


class Talk:
    """See the module. Made inside a running event loop."""

    def __init__(self, path: Path, clock: ManualClock, settings: ConversationSettings | None = None) -> None:
        self.path, self.clock = path, clock
        self._settings = settings
        self.warnings: list[tuple[str, str]] = []
        """(agent, text) of lines in the agents' logs."""
        self.warned_of: list[Envelope | None] = []
        """The messages that they are about."""
        self.agents: dict[str, Agent] = {}
        self._take(Rig(path, clock))

    def _take(self, rig: Rig) -> None:
        self.rig = rig
        self.room = Conversations(
            rig.bus, rig.journal, self.clock, rig.database.query,
            self._warn, self._settings,
        )  # fmt: skip
        self.room.load(rig.database.query)
        self.room.start()

    def _warn(self, _workspace: str, agent: str, text: str, about: Envelope | None) -> None:
        self.warnings.append((agent, text))
        self.warned_of.append(about)

    def start(self, *names: str, **settings: Any) -> None:
        """Agents that take what they get."""
        for name in names:
            self.agents[name] = self.rig.agent(name, **settings)

    def says(
        self, sender: str, receiver: str | list[str], act: str, protocol: str | None = "fipa-request", **fields: object
    ) -> int:
        """Let an agent send a message in the conversation, and let everything that follows happen."""
        fields.setdefault("conversation_id", CONVERSATION)
        turn = self.rig.boot_turn(self.agents[sender])
        result = turn.send(say(receiver, fields.pop("content", None), performative=act, protocol=protocol, **fields))
        self.rig.bus.apply(turn)
        self.rig.pump()
        return result

    def heard(self, name: str) -> list[str]:
        """Acts that an agent was handed, in order."""
        return [message.performative for message in self.messages(name)]

    def messages(self, name: str) -> list[AclMessage]:
        return [message for handler in self.agents[name].handlers for message in handler.delivered]

    def last(self, name: str) -> tuple[str, str, Any]:
        """(sender, act, content) of what an agent was handed last."""
        message = self.messages(name)[-1]
        return message.sender, message.performative, msgspec.json.decode(message.content)

    def find(self, conversation: str = CONVERSATION) -> Conversation | None:
        return self.room.book.find((WORKSPACE, conversation))

    def state(self, participant: str, conversation: str = CONVERSATION) -> str:
        """Of a participant; `start` when nothing is known of it."""
        found = self.find(conversation)
        return "start" if found is None else found.state(participant)

    def at(self, seconds: float) -> str:
        """A `reply_by` so far from now."""
        return datetime.fromtimestamp(self.clock.wall_us() / 1e6 + seconds, UTC).isoformat()

    def edges(self) -> set[tuple[str, str]]:
        """Who waits for whom."""
        return {(waiter, waited) for waiter, waited, _ in self.room.table.graph(WORKSPACE).edges()}

    def dead_letters(self) -> list[tuple[str, str | None]]:
        """(reason, error) of those on disk."""
        return [(reason, error) for _, reason, error, _ in self.rig.dead()]

    def crash(self) -> None:
        """What was not committed is gone; the agents run again."""
        names = list(self.agents)
        self.room.close()
        rig, self.agents = self.rig.recover(names)
        self._take(rig)
        for agent in self.agents.values():
            rig.start(agent)

    def close(self) -> None:
        self.room.close()
        self.rig.close()
