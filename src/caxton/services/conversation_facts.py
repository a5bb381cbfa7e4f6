"""What is known of conversations and agents, as `conversations.path` asks for it."""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from caxton.conversations.facts import AgentFacts, ConversationFacts, Exchange, Wait, waits_for_answers, waits_in
from caxton.protocols.machine import next_to_speak

if TYPE_CHECKING:
    from caxton.agents.service import AgentService
    from caxton.bus.bus import Bus
    from caxton.bus.mailbox import Receiver
    from caxton.conversations.conversation import Conversation
    from caxton.conversations.room import Conversations
    from caxton.conversations.waits import Ask
    from caxton.core.views.conversations import ConversationFilter


class Present:
    """The situation in one workspace, now (`conversations.path.Situation`).

    Of conversations that go on, those in memory: nothing was heard of the others for long.
    """

    def __init__(self, workspace: str, room: Conversations, bus: Bus, agents: AgentService) -> None:
        self._workspace, self._room, self._bus, self._agents = workspace, room, bus, agents
        self._waits: dict[str, list[Wait]] = {}
        """Those that were asked for, by waiter."""

    def waits_in(self, conversation_id: str) -> list[Wait]:
        """Who waits for whom in one of them."""
        talk = self._room.book.find((self._workspace, conversation_id))
        found = [] if talk is None else list(waits_in(facts_of(talk)))
        asks = (ask for ask in self._room.table.asks(self._workspace) if ask.conversation_id == conversation_id)
        return [*found, *chain.from_iterable(map(waits_for_answers, asks))]

    def waits_of(self, name: str) -> list[Wait]:
        """For whom somebody waits, as it was when this was asked first: paths lead to the same names again."""
        found = self._waits.get(name)
        if found is None:
            talks = chain.from_iterable(waits_in(facts_of(talk)) for talk in self._talks_of.get(name, ()))
            asks = chain.from_iterable(map(waits_for_answers, self._asks_of.get(name, ())))
            found = self._waits[name] = [wait for wait in chain(talks, asks) if wait.waiter == name]
        return found

    @cached_property
    def _talks_of(self) -> dict[str, list[Conversation]]:
        """By who waits in them: one look at all, however many names a path leads to."""
        self._room.table.graph(self._workspace)  # brings the edges up to date
        found: dict[str, list[Conversation]] = {}
        for talk in self._room.book.in_memory():
            if talk.workspace == self._workspace:
                for waiter in {waiter for waiter, _ in talk.edges}:
                    found.setdefault(waiter, []).append(talk)
        return found

    @cached_property
    def _asks_of(self) -> dict[str, list[Ask]]:
        """By who asked."""
        found: dict[str, list[Ask]] = {}
        for ask in self._room.table.asks(self._workspace):
            found.setdefault(ask.waiter, []).append(ask)
        return found

    def parent_of(self, conversation_id: str) -> str | None:
        """The conversation within which one was begun."""
        talk = self._room.book.find((self._workspace, conversation_id))
        return None if talk is None else talk.parent

    def agent(self, name: str) -> AgentFacts:
        """What an agent is doing."""
        receiver = self._bus.names.directory(self._workspace).receivers.get(name)
        status = self._agents.state(self._workspace, name)
        if receiver is None:
            return AgentFacts(status=status)
        if status is None and receiver.is_running:
            status = "running"  # one of the node's own
        circuit = self._agents.circuit(self._workspace, name)
        return AgentFacts(
            status=status, mailbox_messages=receiver.messages, busy_since_us=_busy_since(receiver),
            circuit=None if circuit is None else circuit.phase,
        )  # fmt: skip


def facts_of(talk: Conversation, children: tuple[str, ...] = ()) -> ConversationFacts:
    """A conversation as `conversations.facts` has it."""
    return ConversationFacts(
        id=talk.id, workspace=talk.workspace, protocol=talk.protocol.name, initiator=talk.initiator,
        exchanges=tuple(_exchange(talk, name, state) for name, state in talk.pairs.items()),
        begun_us=talk.started_us, changed_us=talk.last_us, parent=talk.parent, children=children,
    )  # fmt: skip


def is_meant(wanted: ConversationFilter, facts: ConversationFacts) -> bool:
    """Whether a filter lets it through."""
    return (
        wanted.status in (None, facts.status)
        and wanted.protocol in (None, facts.protocol)
        and (wanted.agent in (None, facts.initiator) or any(one.participant == wanted.agent for one in facts.exchanges))
    )


def _exchange(talk: Conversation, participant: str, state: str) -> Exchange:
    is_over = talk.ended_us > 0 or talk.protocol.is_end(state)
    return Exchange(
        participant=participant, state=state, turn=None if is_over else next_to_speak(talk.protocol, state),
        is_over=is_over, since_us=talk.since.get(participant, talk.last_us),
        deadline_us=(talk.due or {}).get(participant),
    )  # fmt: skip


def _busy_since(receiver: Receiver) -> int | None:
    began = [box.turn.now_us for box in receiver.mailboxes if box.busy and box.turn is not None]
    return min(began, default=None)
