"""Changes the state of conversations, and with it the graph of who waits for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus.envelope import CLIENT_PREFIX
from caxton.conversations.conversation import CANCELLED, COMPLETED, IDLE, OUTCOMES, TOO_OLD, Conversation
from caxton.conversations.waits import OpenAsks, WaitGraph
from caxton.protocols.machine import CANCELLED as PAIR_CANCELLED
from caxton.protocols.machine import INITIATOR, LATE, START, next_to_speak

if TYPE_CHECKING:
    from caxton.conversations.book import Book, Key
    from caxton.protocols.machine import Protocol


class Table:
    """The conversations of the node that go on."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.graphs: dict[str, WaitGraph] = {}
        self.asks: dict[str, OpenAsks] = {}
        """By workspace, both. Of free messages only the open questions are known, and only of this run."""
        self.ended: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
        """In this run, by outcome."""
        book.on_wake = self._count

    def begin(self, key: Key, protocol: Protocol, initiator: str, parent: str | None, now_us: int) -> Conversation:
        """A conversation of nobody yet."""
        talk = Conversation(key[0], key[1], protocol, initiator, now_us)
        talk.parent = parent
        self.book.add(talk)
        return talk

    def move(self, talk: Conversation, participant: str, after: str, now_us: int) -> None:
        """`participant` is in the state `after` now. Whoever calls looks whether the conversation is over."""
        before = talk.pairs.get(participant, START)
        talk.pairs[participant] = after
        talk.since[participant] = now_us
        protocol = talk.protocol
        talk.live += _is_live(protocol, after) - (before != START and _is_live(protocol, before))
        speaker, spoke = next_to_speak(protocol, after), next_to_speak(protocol, before)
        if speaker is not spoke:
            graph = self.graph(talk.workspace)
            if spoke is not None:
                graph.done(*_order(talk, participant, spoke))
            if speaker is not None:
                graph.wait(*_order(talk, participant, speaker))

    def end(self, talk: Conversation, now_us: int, outcome: str | None = None) -> None:
        """Nothing is said in it any more. `outcome` is that of its protocol, unless given."""
        if outcome is None:
            outcome = CANCELLED if PAIR_CANCELLED in talk.pairs.values() else COMPLETED
        talk.ended_us, talk.outcome = now_us, outcome
        talk.due.clear()
        graph = self.graph(talk.workspace)
        for waiter, waited in talk.waits():
            graph.done(waiter, waited)
        self.ended[outcome] += 1
        is_outside = talk.initiator.startswith(CLIENT_PREFIX)
        self.book.end(talk, keep=is_outside or outcome in (IDLE, TOO_OLD))

    def graph(self, workspace: str) -> WaitGraph:
        """Who waits for whom in `workspace`."""
        found = self.graphs.get(workspace)
        if found is None:
            found = self.graphs[workspace] = WaitGraph()
            self.asks[workspace] = OpenAsks(found)
        return found

    def asks_of(self, workspace: str) -> OpenAsks:
        """Open questions in free messages."""
        self.graph(workspace)
        return self.asks[workspace]

    def _count(self, talk: Conversation) -> None:
        graph = self.graph(talk.workspace)
        for waiter, waited in talk.waits():
            graph.wait(waiter, waited)


def _is_live(protocol: Protocol, state: str) -> bool:
    return state != LATE and not protocol.is_end(state)


def _order(talk: Conversation, participant: str, speaker: str) -> tuple[str, str]:
    """(who waits, for whom)."""
    return (participant, talk.initiator) if speaker == INITIATOR else (talk.initiator, participant)
