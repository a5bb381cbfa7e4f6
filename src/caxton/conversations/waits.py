"""Who waits for whom, now: a graph that the bus keeps up to date, and the deadlocks in it. Pure.

An edge says that one waits for another, however many times. Agents are driven by messages, so a cycle alone is no
deadlock: somebody in it may have mail, or a timer, or be somebody outside who can act at any moment. A set of agents is
deadlocked when each of them waits, only for others of the set, and none has anything left to do.
"""

from __future__ import annotations

from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

MAX_OPEN_ASKS = 100_000
"""Answers to free messages that are waited for. They are kept to explain, not to deliver: beyond this (about 50 MiB)
the oldest are forgotten."""

_NOTHING: dict[str, int] = {}
_NOBODY: frozenset[str] = frozenset()


class WaitGraph:
    """A multigraph of names. Every call takes the same short time, and what is over leaves nothing behind."""

    __slots__ = ("_edges", "_waiters", "_waits", "version")

    def __init__(self) -> None:
        self._waits: dict[str, dict[str, int]] = {}
        """Waiter → whom it waits for → how many times."""
        self._waiters: dict[str, set[str]] = {}
        """The same the other way round."""
        self._edges = 0
        self.version = 0
        """Grows whenever an edge appears or disappears."""

    def __len__(self) -> int:
        """Pairs in which one waits for the other."""
        return self._edges

    def wait(self, waiter: str, waited: str) -> None:
        """`waiter` waits for `waited`, once more."""
        row = self._waits.get(waiter)
        if row is None:
            self._waits[waiter] = {waited: 1}
        elif waited in row:
            row[waited] += 1
            return
        else:
            row[waited] = 1
        behind = self._waiters.get(waited)
        if behind is None:
            self._waiters[waited] = {waiter}
        else:
            behind.add(waiter)
        self._edges += 1
        self.version += 1

    def done(self, waiter: str, waited: str) -> None:
        """`waiter` waits for `waited` once less. That it does not wait at all is no error: then nothing changes."""
        row = self._waits.get(waiter, _NOTHING)
        count = row.get(waited)
        if count is None:
            return
        if count > 1:
            row[waited] = count - 1
            return
        del row[waited]
        if not row:
            del self._waits[waiter]
        behind = self._waiters[waited]
        behind.remove(waiter)
        if not behind:
            del self._waiters[waited]
        self._edges -= 1
        self.version += 1

    def waits_of(self, name: str) -> Mapping[str, int]:
        """For whom `name` waits, and how many times; changes with the graph."""
        return self._waits.get(name, _NOTHING)

    def waiting_for(self, name: str) -> AbstractSet[str]:
        """Who waits for `name`; changes with the graph."""
        return self._waiters.get(name, _NOBODY)

    def waiters(self) -> Iterable[str]:
        """All who wait for somebody; changes with the graph."""
        return self._waits.keys()

    def waited(self) -> Iterable[str]:
        """All whom somebody waits for; changes with the graph."""
        return self._waiters.keys()

    def edges(self) -> Iterator[tuple[str, str, int]]:
        """`(waiter, waited, times)` of every pair."""
        return ((waiter, waited, times) for waiter, row in self._waits.items() for waited, times in row.items())


# --- deadlocks ---------------------------------------------------------------------------------------------------


def deadlocks(graph: WaitGraph, is_quiet: Callable[[str], bool]) -> list[list[str]]:
    """The cycles that nobody can leave, one for each knot of agents that wait for one another.

    Args:
        graph: who waits for whom.
        is_quiet: whether an agent has nothing left to do: it runs, has no mail, nothing in hand and no timer. False for
            everybody else, such as a client outside. Asked at most once about a name, and only about those who wait
            for nobody but others who wait.

    Returns:
        Names in the order in which each waits for the next, and the last for the first. A cycle begins with the
        smallest name of its knot and is the shortest through it; cycles are in the order of their first names. Takes
        time in proportion to the graph.
    """
    stuck = stuck_names(graph, is_quiet)
    return sorted(_shortest_cycle(graph, {*knot}) for knot in knots(graph, stuck))


def stuck_names(graph: WaitGraph, is_quiet: Callable[[str], bool]) -> set[str]:
    """The largest set of quiet names each of which waits, and for nobody outside the set."""
    stuck = {*graph.waiters()}
    _peel(graph, stuck, [name for name in graph.waited() if name not in stuck])
    busy = [name for name in stuck if not is_quiet(name)]
    stuck.difference_update(busy)
    _peel(graph, stuck, busy)
    return stuck


def _peel(graph: WaitGraph, stuck: set[str], free: list[str]) -> None:
    """Take out of `stuck` all who wait, directly or through others, for one of the `free`."""
    while free:
        for waiter in graph.waiting_for(free.pop()):
            if waiter in stuck:
                stuck.remove(waiter)
                free.append(waiter)


def knots(graph: WaitGraph, names: Iterable[str]) -> Iterator[list[str]]:
    """Sets of names each of which waits, directly or through others of the set, for every one of it, itself included.

    These are the strongly connected components that have a cycle, of all that can be reached from `names`. Each comes
    before those that lead to it.

    Source: R. Tarjan, Depth-first search and linear graph algorithms (1972); the path is a list, not the call stack.
    """
    number: dict[str, int] = {}
    """In the order of discovery."""
    lowest: dict[str, int] = {}
    """The first discovered of those on `open_` that can be reached."""
    open_: list[str] = []
    is_open: set[str] = set()
    path: list[tuple[str, Iterator[str]]] = []

    def enter(name: str) -> None:
        number[name] = lowest[name] = len(number)
        open_.append(name)
        is_open.add(name)
        path.append((name, iter(graph.waits_of(name))))

    for root in names:
        if root not in number:
            enter(root)
        while path:
            name, rest = path[-1]
            for waited in rest:
                if waited not in number:
                    enter(waited)
                    break
                if waited in is_open:
                    lowest[name] = min(lowest[name], number[waited])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[name])
                if lowest[name] == number[name]:
                    knot = [open_.pop()]
                    while knot[-1] != name:
                        knot.append(open_.pop())
                    is_open.difference_update(knot)
                    if len(knot) > 1 or name in graph.waits_of(name):
                        yield knot


def _shortest_cycle(graph: WaitGraph, knot: set[str]) -> list[str]:
    """The shortest cycle through the smallest name of `knot`; of several, the one that is found in order of names."""
    first = min(knot)
    came_from: dict[str, str] = {}
    layer = [first]
    while True:
        found: list[str] = []
        for name in layer:
            for waited in sorted(graph.waits_of(name)):
                if waited == first:
                    cycle = [name]
                    while cycle[-1] != first:
                        cycle.append(came_from[cycle[-1]])
                    return cycle[::-1]
                if waited in knot and waited not in came_from:
                    came_from[waited] = name
                    found.append(waited)
        layer = found


# --- free messages -----------------------------------------------------------------------------------------------

_Key: TypeAlias = tuple[str, str]
"""Waiter and its `reply_with`."""


class Ask(msgspec.Struct, gc=False, eq=False):
    """A free message (one without a protocol) whose answers are waited for."""

    waiter: str
    reply_with: str
    conversation_id: str | None
    since_us: int
    reply_by_us: int | None
    waited: set[str]
    """Who has not answered yet; never empty."""


class OpenAsks:
    """Free messages with `reply_with` that nobody has answered yet, as edges of a graph.

    Args:
        graph: where they are edges.
        limit: how many answers may be waited for; of more, the oldest asks are forgotten.
    """

    def __init__(self, graph: WaitGraph, *, limit: int = MAX_OPEN_ASKS) -> None:
        self._graph, self._limit = graph, limit
        self._asks: OrderedDict[_Key, Ask] = OrderedDict()
        self._due: list[tuple[int, _Key]] = []
        """A heap. Asks that were answered stay in it until they are due or outnumber the others."""
        self._waits = 0

    def __len__(self) -> int:
        """Answers that are waited for."""
        return self._waits

    def __iter__(self) -> Iterator[Ask]:
        """All asks, the oldest first."""
        return iter(self._asks.values())

    def remember(
        self, waiter: str, reply_with: str, waited: Iterable[str], conversation_id: str | None,
        since_us: int, reply_by_us: int | None,
    ) -> None:  # fmt: skip
        """`waiter` asked all of `waited` under this `reply_with`.

        One that is used again while answers are due makes one ask of both: it is since the first, until the last.
        """
        key = waiter, reply_with
        ask = self._asks.get(key)
        if ask is None:
            ask = Ask(waiter, reply_with, conversation_id, since_us, reply_by_us, set())
            self._asks[key] = ask
        else:
            ask.conversation_id = conversation_id
            both = ask.reply_by_us is not None and reply_by_us is not None
            ask.reply_by_us = max(ask.reply_by_us or 0, reply_by_us or 0) if both else None
        for name in waited:
            if name not in ask.waited:
                ask.waited.add(name)
                self._graph.wait(waiter, name)
                self._waits += 1
        if not ask.waited:
            del self._asks[key]
            return
        if ask.reply_by_us is not None:
            heappush(self._due, (ask.reply_by_us, key))
            self._tidy()
        while self._waits > self._limit:
            self._drop(next(iter(self._asks)))

    def answered(self, waiter: str, in_reply_to: str, by: str) -> None:
        """`by` answered. An `agree` announces the answer and is none: do not tell it.

        For whom somebody answers who was not asked, nobody can tell; the ask is over then, since a wait that is none
        would be a false alarm.
        """
        key = waiter, in_reply_to
        ask = self._asks.get(key)
        if ask is None:
            return
        if by not in ask.waited or len(ask.waited) == 1:
            self._drop(key)
            return
        ask.waited.remove(by)
        self._graph.done(waiter, by)
        self._waits -= 1

    def expire(self, now_us: int) -> None:
        """Forget the asks whose `reply_by` has passed: nobody waits for their answers any more."""
        while self._due and self._due[0][0] <= now_us:
            reply_by_us, key = heappop(self._due)
            ask = self._asks.get(key)
            if ask is not None and ask.reply_by_us == reply_by_us:
                self._drop(key)

    def forget(self, name: str) -> None:
        """`name` is gone: it waits for nothing, and nobody waits for it. Looks at all asks."""
        for key, ask in list(self._asks.items()):
            if key[0] == name:
                self._drop(key)
            elif name in ask.waited:
                self.answered(*key, by=name)

    def _drop(self, key: _Key) -> None:
        ask = self._asks.pop(key)
        for name in ask.waited:
            self._graph.done(ask.waiter, name)
        self._waits -= len(ask.waited)

    def _tidy(self) -> None:
        if len(self._due) > 2 * len(self._asks) + 1000:
            self._due = [(ask.reply_by_us, key) for key, ask in self._asks.items() if ask.reply_by_us is not None]
            heapify(self._due)
