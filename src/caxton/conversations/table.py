"""Changes the state of conversations, and knows from it who waits for whom.

Most waits are over before anybody asks for them. So the graph is brought up to date only when it is looked at, for the
conversations that have changed since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus.envelope import CLIENT_PREFIX
from caxton.conversations.conversation import CANCELLED, COMPLETED, IDLE, OUTCOMES, TOO_OLD, UNWATCHED, Conversation
from caxton.conversations.waits import OpenAsks, WaitGraph
from caxton.protocols.machine import CANCELLED as PAIR_CANCELLED

if TYPE_CHECKING:
    from caxton.conversations.book import Book
    from caxton.conversations.conversation import Key
    from caxton.conversations.rules import Move
    from caxton.protocols.machine import Protocol


class Table:
    """The conversations of the node that go on."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.ended: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
        """In this run, by outcome."""
        self._graphs: dict[str, WaitGraph] = {}
        self._asks: dict[str, OpenAsks] = {}
        """By workspace, both. Of free messages only the open questions are known, and only of this run."""
        self.touched: dict[Key, Conversation] = {}
        """Whose waits may differ from those in the graph."""
        book.on_wake, book.on_sleep = self._touch, self._let_go

    def begin(self, key: Key, protocol: Protocol, initiator: str, parent: str | None, now_us: int) -> Conversation:
        """A conversation of nobody yet."""
        before = self.touched.pop(key, None)
        if before is not None:  # one that is over had this id, and its waits are still in the graph
            self._draw(before)
        talk = Conversation(key, protocol, initiator, now_us, now_us, parent)
        self.book.add(talk)
        return talk

    def move(self, talk: Conversation, participant: str, move: Move, now_us: int) -> None:
        """`participant` comes into another state. If nobody has anything left to say, the conversation is over."""
        if participant not in talk.pairs:
            self.book.pairs += 1
        talk.pairs[participant] = move.after
        talk.since[participant] = now_us
        talk.live += move.more_live
        if talk.live or talk.ended_us:
            self.touched[talk.key] = talk
        else:
            self.end(talk, now_us)

    def end(self, talk: Conversation, now_us: int, outcome: str | None = None) -> None:
        """Nothing is said in it any more. `outcome` is that of its protocol, unless given."""
        if outcome is None:
            outcome = CANCELLED if PAIR_CANCELLED in talk.pairs.values() else COMPLETED
        talk.ended_us, talk.outcome, talk.due = now_us, outcome, None
        if talk.edges:
            self.touched[talk.key] = talk
        else:
            self.touched.pop(talk.key, None)
        self.ended[outcome] += 1
        self.book.end(talk, keep=outcome in (IDLE, TOO_OLD) or talk.initiator.startswith(CLIENT_PREFIX))

    def end_all(self, workspace: str, now_us: int) -> None:
        """Nobody watches over the conversations of `workspace` any more, and nobody is told."""
        for talk in [talk for talk in self.book.in_memory() if talk.workspace == workspace]:
            self.end(talk, now_us, UNWATCHED)
        self.book.forget_asleep(workspace)
        self._graphs.pop(workspace, None)
        self._asks.pop(workspace, None)
        self.touched = {key: talk for key, talk in self.touched.items() if key[0] != workspace}

    def graph(self, workspace: str) -> WaitGraph:
        """Who waits for whom in `workspace`, now."""
        for talk in self.touched.values():
            self._draw(talk)
        self.touched.clear()
        return self._graph(workspace)

    def workspaces(self) -> list[str]:
        """Those in which somebody waited in this run."""
        return list({*self._graphs, *(workspace for workspace, _ in self.touched)})

    def asks(self, workspace: str) -> OpenAsks:
        """Open questions in free messages."""
        self._graph(workspace)
        return self._asks[workspace]

    def _graph(self, workspace: str) -> WaitGraph:
        found = self._graphs.get(workspace)
        if found is None:
            found = self._graphs[workspace] = WaitGraph()
            self._asks[workspace] = OpenAsks(found)
        return found

    def _draw(self, talk: Conversation) -> None:
        graph, edges = self._graph(talk.workspace), tuple(talk.waits())
        if edges == talk.edges:
            return
        for waiter, waited in edges:
            graph.wait(waiter, waited)
        for waiter, waited in talk.edges:
            graph.done(waiter, waited)
        talk.edges = edges

    def _let_go(self, talk: Conversation) -> None:
        if self.touched.pop(talk.key, None) is not None:
            self._draw(talk)

    def _touch(self, talk: Conversation) -> None:
        self.touched[talk.key] = talk
