"""Why a conversation is not over, or why it took so long: its critical path. Pure.

Of one that goes on: who is waited for in it, for whom those wait, and so on down to somebody with a reason of its own.
Of one that is over: the messages each of which set off the next, the last that its sender got before it spoke.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from caxton.conversations.facts import ENDED, AgentFacts, MessageFacts, Wait, iso, iso_or_none, seconds
from caxton.conversations.waits import WaitGraph, knots
from caxton.core.views.waits import CauseView, CriticalPath, DeadlockView, PastWait, WaitPath, WaitView

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_DEPTH = 32
"""Waits in one path; beyond it a person reads no further."""

MAX_PATHS = 20
"""Paths that are shown, those that began first; of a call to a thousand silent bidders the first tell enough."""

OUTSIDE = "client:"
"""How the names of those begin who are not in the server."""


class Situation(Protocol):
    """All that is going on, as far as it is asked for."""

    def waits_in(self, conversation_id: str) -> Sequence[Wait]:
        """Who waits for whom in a conversation, free messages included."""
        ...

    def waits_of(self, name: str) -> Sequence[Wait]:
        """For whom somebody waits, in all conversations."""
        ...

    def parent_of(self, conversation_id: str) -> str | None:
        """The conversation within which one was begun."""
        ...

    def agent(self, name: str) -> AgentFacts:
        """What an agent is doing."""
        ...


def why(
    conversation_id: str, protocol: str | None, status: str, situation: Situation,
    messages: Sequence[MessageFacts], now_us: int,
) -> CriticalPath:  # fmt: skip
    """The critical path of one conversation.

    Args:
        conversation_id: which.
        protocol: None if its messages are free.
        status: one of `facts.STATUSES`.
        situation: what is going on.
        messages: those of the conversation that are kept, in the order in which they were accepted.
        now_us: microseconds since 1970.
    """
    roots = [] if status == ENDED else _roots(situation.waits_in(conversation_id), situation)
    paths, more = _Walk(situation, now_us).paths(roots)
    past = _past_waits(messages)
    return CriticalPath(
        conversation_id=conversation_id, protocol=protocol, status=status, paths=paths, more=more,
        duration_s=seconds(messages[-1].at_us - messages[0].at_us) if messages else 0.0, waits=past,
        by_agent=_by_agent(past),
    )  # fmt: skip


def describe_deadlocks(cycles: Sequence[Sequence[str]], situation: Situation, now_us: int) -> list[DeadlockView]:
    """Cycles of names, as `waits.deadlocks` finds them, with what each waits for, as far as the situation has it."""
    found: list[DeadlockView] = []
    for cycle in cycles:
        pairs = zip(cycle, [*cycle[1:], cycle[0]], strict=True)
        waits = [wait for waiter, waited in pairs if (wait := _oldest(situation, waiter, waited)) is not None]
        found.append(_deadlock([*cycle], waits, now_us))
    return found


def _deadlock(cycle: list[str], waits: list[Wait], now_us: int) -> DeadlockView:
    since_us = max((wait.since_us for wait in waits), default=None)
    deadline_us = min((wait.deadline_us for wait in waits if wait.deadline_us is not None), default=None)
    views = [_view(wait, now_us) for wait in waits]
    return DeadlockView(cycle=cycle, waits=views, since=iso_or_none(since_us), deadline=iso_or_none(deadline_us))


def _oldest(situation: Situation, waiter: str, waited: str) -> Wait | None:
    return min((wait for wait in situation.waits_of(waiter) if wait.waited == waited), key=_age, default=None)


def _age(wait: Wait) -> tuple[int, str, str, str]:
    """Sorts those that began first to the front, and always in the same way."""
    return wait.since_us, wait.waiter, wait.waited, wait.conversation_id or ""


def _view(wait: Wait, now_us: int) -> WaitView:
    return WaitView(
        waiter=wait.waiter, waits_for=wait.waited, conversation_id=wait.conversation_id, protocol=wait.protocol,
        state=wait.state, since=iso(wait.since_us), waited_s=max(seconds(now_us - wait.since_us), 0.0),
        deadline=iso_or_none(wait.deadline_us),
        deadline_in_s=None if wait.deadline_us is None else seconds(wait.deadline_us - now_us),
    )  # fmt: skip


# --- what it waits for now ---------------------------------------------------------------------------------------


def _roots(waits: Sequence[Wait], situation: Situation) -> list[Wait]:
    """Where to begin, oldest first.

    Who is waited for and waits in the same conversation is on the path of another root, unless it handles nothing
    anyhow; a cycle begins once.
    """
    graph = WaitGraph()
    for wait in waits:
        graph.wait(wait.waiter, wait.waited)
    knot_of = {name: index for index, knot in enumerate(knots(graph, [*graph.waiters()])) for name in knot}
    roots: list[Wait] = []
    begun: set[int] = set()
    for wait in sorted(waits, key=_age):
        knot = knot_of.get(wait.waiter)
        if knot is not None and knot == knot_of.get(wait.waited):
            if knot not in begun:
                begun.add(knot)
                roots.append(wait)
        elif not graph.waits_of(wait.waited) or _stops(wait.waited, situation.agent(wait.waited)):
            roots.append(wait)
    return roots


class _Walk:
    """A walk from wait to wait, depth first and oldest first. Each step of it is on a path that it gives."""

    def __init__(self, situation: Situation, now_us: int) -> None:
        self._situation, self._now_us = situation, now_us
        self._following: dict[tuple[str, str | None], list[Wait]] = {}
        """By who is waited for and in which conversation: many paths may pass the same busy place."""
        self._parents: dict[str, str | None] = {}

    def paths(self, roots: Sequence[Wait]) -> tuple[list[WaitPath], int]:
        """The first `MAX_PATHS`, and how many more there are at least."""
        shown: list[WaitPath] = []
        for index, root in enumerate(roots):
            if len(shown) == MAX_PATHS:
                return shown, len(roots) - index
            paths = self._paths_from(root)
            shown += islice(paths, MAX_PATHS - len(shown))
            if next(paths, None) is not None:
                return shown, len(roots) - index
        return shown, 0

    def _paths_from(self, root: Wait) -> Iterator[WaitPath]:
        path = [root]
        branches = [iter(self._after(path))]
        is_leaf = [True]
        """Whether nothing followed a wait on the path so far."""
        while path:
            following = next(branches[-1], None)
            if following is not None:
                is_leaf[-1] = False
                path.append(following)
                branches.append(iter(self._after(path)))
                is_leaf.append(True)
                continue
            branches.pop()
            if is_leaf.pop():
                yield WaitPath(waits=[_view(wait, self._now_us) for wait in path], cause=self._cause(path))
            path.pop()

    def _after(self, path: list[Wait]) -> list[Wait]:
        """The waits that may be the reason for the last of `path`, oldest first."""
        if len(path) >= MAX_DEPTH or _cycle(path):
            return []
        wait = path[-1]
        place = wait.waited, wait.conversation_id
        if place not in self._following:
            self._following[place] = self._reasons(wait)
        return self._following[place]

    def _reasons(self, wait: Wait) -> list[Wait]:
        """The waits that may be the reason why the one who is waited for does not answer.

        Those in the same conversation or in one that was begun within it. Others only if it would else have nothing
        to do: perhaps they are its reason, since nobody has to say which conversation is begun within which.
        """
        facts = self._situation.agent(wait.waited)
        if _stops(wait.waited, facts):
            return []
        waits = sorted(self._situation.waits_of(wait.waited), key=_age)
        nested = [one for one in waits if self._is_within(one.conversation_id, wait.conversation_id)]
        if nested:
            return nested
        return [] if _works(facts) else waits

    def _is_within(self, inner: str | None, outer: str | None) -> bool:
        for _ in range(MAX_DEPTH):
            if inner is None or inner == outer:
                break
            if inner not in self._parents:  # to look may cost a read
                self._parents[inner] = self._situation.parent_of(inner)
            inner = self._parents[inner]
        return inner is not None and inner == outer

    def _cause(self, path: list[Wait]) -> CauseView:
        name = path[-1].waited
        cycle = _cycle(path)
        facts = self._situation.agent(name)
        busy_s = None if facts.busy_since_us is None else max(seconds(self._now_us - facts.busy_since_us), 0.0)
        too_deep = len(path) >= MAX_DEPTH and bool(self._reasons(path[-1]))
        kind, text = _reason(name, facts, busy_s, cycle, too_deep=too_deep)
        return CauseView(
            agent=name, kind=kind, text=text, status=facts.status, mailbox_messages=facts.mailbox_messages,
            busy_s=busy_s, circuit=facts.circuit, cycle=cycle,
        )  # fmt: skip


def _cycle(path: list[Wait]) -> list[str]:
    """The cycle that the last wait closes, if it does."""
    waiters = [wait.waiter for wait in path]
    last = path[-1].waited
    return waiters[waiters.index(last) :] if last in waiters else []


def _stops(name: str, facts: AgentFacts) -> bool:
    """Whether it is an agent that handles nothing, whatever comes."""
    return not name.startswith(OUTSIDE) and (facts.status != "running" or facts.circuit == "open")


def _works(facts: AgentFacts) -> bool:
    return facts.busy_since_us is not None or facts.mailbox_messages > 0


def _reason(name: str, facts: AgentFacts, busy_s: float | None, cycle: list[str], *, too_deep: bool) -> tuple[str, str]:
    """Kind and text of a cause."""
    mail = f", {_messages(facts.mailbox_messages)}" if facts.mailbox_messages else ""
    if cycle:
        return "cycle", f"a cycle: {' → '.join([*cycle, cycle[0]])}"
    if name.startswith(OUTSIDE):
        return "outside", "outside of the server, has not answered"
    if facts.status is None:
        return "gone", f"no agent has this name{mail}"
    if facts.status != "running":
        return "not-running", f"{facts.status}{mail}"
    if facts.circuit == "open":
        return "circuit-open", f"failed too often, its circuit is open{mail}"
    if too_deep:
        return "too-deep", f"waits too; more than {MAX_DEPTH} waits are not followed"
    if busy_s is not None:
        return "busy", f"busy for {busy_s:g} s{mail}"
    if facts.mailbox_messages:
        return "mail-waits", _messages(facts.mailbox_messages)
    return "idle", "has no mail and waits for nobody; it has not answered"


def _messages(count: int) -> str:
    return "1 message waits" if count == 1 else f"{count} messages wait"


# --- what its time went into -------------------------------------------------------------------------------------


def _past_waits(messages: Sequence[MessageFacts]) -> list[PastWait]:
    """The time from the first message to the last, cut where one on the path set off the next."""
    if not messages:
        return []
    received, sent = _by_receiver(messages), _by_sender(messages)
    waits: list[PastWait] = []
    index = len(messages) - 1
    while index > 0:
        message = messages[index]
        before = _before(index, received.get(message.sender, ()))
        if before is None:  # it spoke of its own accord, as the node does for one who is silent
            ours = (_before(index, sent.get(name, ())) for name in (*message.receivers, message.sender))
            before = max((one for one in ours if one is not None), default=0)
        waits.append(_past_wait(messages[before], message))
        index = before
    return waits[::-1]


def _past_wait(before: MessageFacts, message: MessageFacts) -> PastWait:
    waiter = before.sender if before.sender in message.receivers or not message.receivers else message.receivers[0]
    return PastWait(
        waiter=waiter, waited_for=[*message.silent] or [message.sender], since=iso(before.at_us),
        waited_s=max(seconds(message.at_us - before.at_us), 0.0), performative=message.performative,
        message_id=message.message_id,
    )  # fmt: skip


def _by_receiver(messages: Sequence[MessageFacts]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, message in enumerate(messages):
        for name in message.receivers:
            found.setdefault(name, []).append(index)
    return found


def _by_sender(messages: Sequence[MessageFacts]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, message in enumerate(messages):
        found.setdefault(message.sender, []).append(index)
    return found


def _before(index: int, indices: Sequence[int]) -> int | None:
    """The last of `indices`, which grow, below `index`."""
    at = bisect_left(indices, index)
    return indices[at - 1] if at else None


def _by_agent(waits: Sequence[PastWait]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for wait in waits:
        for name in wait.waited_for:
            totals[name] = round(totals.get(name, 0.0) + wait.waited_s, 3)
    return dict(sorted(totals.items(), key=lambda one: (-one[1], one[0])))
