"""Makes a tree of what was recorded and of what waits now. Pure.

The message m was sent by the handling r of which `r.receiver == m.sender` and `r.handed_us == m.sent_us`: the host
takes one time for all that a handling does. An effect has a higher number than its cause, so the tree has no cycles
even when a clock stands still. A call of a tool belongs to the handling in the same way.

After a restart the number of a message that never was on disk is given out again: number and id together say which
message it is.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import pairwise
from typing import TYPE_CHECKING

from caxton.core.views.traces import TraceEvent, TraceSpan, TraceTool, TraceTry
from caxton.messages.codec import ANY_SIZE, decode_message
from caxton.recorder.record import CRASHED, DEAD, FAILED, LOST, REFUSED, REPLIED, SETTLED, TIMER, TOOL, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_TOOLS = 100
"""Calls of tools that are shown of one message, the last ones."""

MAX_TRIES = 50
"""Attempts that are shown of one message, the last ones."""

_TRIES = {SETTLED: "handled", TIMER: "handled", FAILED: "failed", CRASHED: "crashed", LOST: "lost"}
_ENDS = {SETTLED: "handled", TIMER: "handled", DEAD: "dead", REFUSED: "refused", REPLIED: "replied"}
_BAD = frozenset({FAILED, CRASHED, LOST, DEAD, REFUSED})
_AGAIN = "handed over again after a restart"
_NUMBER_BITS = 48
"""Of a number. Above them stands how many messages had it before."""
_NEVER_SENT = "protocol"
"""The reason of a dead letter that was out of place, and so was never sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A message that is not over."""

    seq: int
    sender: str
    receiver: str
    message_id: str
    conversation_id: str | None
    performative: str
    trace: str
    attempt: int
    sent_us: int
    size: int
    taken_us: int = 0
    """When this run of the server accepted or loaded it; 0: when it was sent."""
    handed_us: int = 0
    """When it was handed over, if it is in hand; else 0."""
    before: int = 0
    """Messages that wait before it."""
    again_us: int = 0
    """When it is handed over again, if it failed."""
    reason: str = ""
    """Why nothing is handed over now, about the receiver: `it is stopped`, `its circuit is open`."""


@dataclass(slots=True)
class _Item:
    """All that is known of one message for one receiver, or of one refusal or timer."""

    key: int
    """The number of the message, and how many had it before; below 0 for what has none."""
    head: Record | Live
    records: list[Record] = field(default_factory=list[Record])
    live: Live | None = None
    tools: list[Record] = field(default_factory=list[Record])
    cause: int | None = None

    @property
    def number(self) -> int:
        """Effects have a higher one than their causes."""
        return self.key & ((1 << _NUMBER_BITS) - 1) if self.key > 0 else self.key

    @property
    def is_bad(self) -> bool:
        return any(map(is_bad, self.records)) or any(map(is_bad, self.tools))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """See `TraceView`."""

    spans: list[TraceSpan]
    events: list[TraceEvent]
    total: int
    cut: bool


def sent_message(number: int, body: bytes) -> Live:
    """A message of which nothing more is known than what it says itself; `number` has its place among others."""
    message = decode_message(body, max_bytes=ANY_SIZE)
    receiver = message.receiver if isinstance(message.receiver, str) else ", ".join(message.receiver)
    return Live(
        seq=number, sender=message.sender, receiver=receiver or f"capability {message.capability or ''}",
        message_id=message.message_id, conversation_id=message.conversation_id, performative=message.performative,
        trace=(message.traceparent or "")[:36], attempt=message.attempt, sent_us=message.timestamp, size=len(body),
    )  # fmt: skip


def newest(records: Sequence[Record], most: int, *, errors: bool) -> Sequence[Record]:
    """The last `most` of them; with `errors`, those that tell of one go before others, and are as many again."""
    if len(records) <= most:
        return records
    rest = [one for one in records[:-most] if is_bad(one)][-most:] if errors else []
    return [*rest, *records[-most:]]


def is_bad(record: Record) -> bool:
    """Whether it tells of something that went wrong."""
    return record.kind in _BAD or (record.kind == TOOL and record.tool_error is not None)


def grow(
    records: Iterable[Record], live: Iterable[Live], kept: Iterable[Live] = (), *, now_us: int, limit: int,
    agent: str | None = None, errors: bool = False, family_of: str | None = None,
) -> Tree:  # fmt: skip
    """The tree of what was recorded and what waits.

    Args:
        records: in the order in which they happened.
        live: what was not over at a moment before the records were read: what has ended since is no longer live.
        kept: messages of which nothing more is known, if it is not in `records` or `live`, than that they were sent.
        now_us: the moment of the lines about what is not over.
        limit: so many messages at most, those that were sent last.
        agent: only lines of it, and messages that it sent or got.
        errors: only what went wrong, and the messages that led to it.
        family_of: only the message of this id, those that led to it, and those that it led to.
    """
    items = _items(records, live, kept)
    _find_causes(items)
    chosen = _chosen(items, agent, family_of, errors=errors)
    shown = nlargest(limit, chosen, key=lambda key: (items[key].head.sent_us, key))
    spans = _arranged(items, frozenset(shown))
    events = [event for span, item in spans for event in _events(span, item, now_us)]
    events.sort(key=lambda event: event.at)
    events = list(_sent_once(events, {span.id: span.message_id for span, _ in spans}))
    if agent is not None:
        events = [event for event in events if event.agent == agent]
    if errors:
        events = [event for event in events if event.error is not None]
    return Tree(spans=[span for span, _ in spans], events=events, total=len(chosen), cut=len(shown) < len(chosen))


# --- messages ----------------------------------------------------------------------------------------------------


def _items(records: Iterable[Record], live: Iterable[Live], kept: Iterable[Live]) -> dict[int, _Item]:
    items: dict[int, _Item] = {}
    tools: list[Record] = []
    for record in records:
        if record.kind == TOOL:
            tools.append(record)
            continue
        key = _key(items, record) if record.seq else -1 - len(items)
        item = items.get(key)
        if item is None:
            item = items[key] = _Item(key, record)
        item.records.append(record)
    for one in live:
        key = _key(items, one)
        item = items.get(key)
        if item is None:
            item = items[key] = _Item(key, one)
        taken_us = one.taken_us or one.sent_us
        if not any(record.kind in _ENDS and record.sent_us == taken_us for record in item.records):
            item.live = one  # what an earlier run recorded as its end did not last
            if item.head.sent_us == taken_us:
                item.head = one
    for one in kept:
        items.setdefault(one.seq, _Item(one.seq, one))
    _give_tools(items, tools)
    return items


def _key(items: dict[int, _Item], one: Record | Live) -> int:
    """Of the item for this message, whether or not that is there yet."""
    key = one.seq
    while (item := items.get(key)) is not None and item.head.message_id != one.message_id:
        key += 1 << _NUMBER_BITS
    return key


def _give_tools(items: dict[int, _Item], tools: list[Record]) -> None:
    """To the messages during whose handling they were called."""
    if not tools:
        return
    by_id = {(item.head.message_id, item.head.receiver): item for item in items.values() if item.head.message_id}
    by_time = {(item.head.receiver, began): item for item in items.values() for began in _begun(item)}
    for tool in tools:
        item = by_time.get((tool.receiver, tool.sent_us)) or by_id.get((tool.message_id, tool.receiver))
        if item is not None:
            item.tools.append(tool)


def _begun(item: _Item) -> list[int]:
    """When it was handed over."""
    begun = [record.handed_us for record in item.records if record.kind in _TRIES and record.handed_us]
    if item.live is not None and item.live.handed_us:
        begun.append(item.live.handed_us)
    return begun


def _find_causes(items: dict[int, _Item]) -> None:
    handlings: dict[tuple[str, int], list[int]] = {}
    by_agent: dict[str, list[tuple[int, int, int]]] = {}
    for key in sorted(items, key=lambda key: items[key].number):
        item = items[key]
        for record in item.records:
            if record.kind in _TRIES and record.handed_us:
                handlings.setdefault((record.receiver, record.handed_us), []).append(key)
                by_agent.setdefault(record.receiver, []).append((record.handed_us, record.ended_us, key))
    for some in by_agent.values():
        some.sort()
    for item in items.values():
        head = item.head
        if item.key > 0:
            candidates = handlings.get((head.sender, head.sent_us), ())
            item.cause = next((key for key in reversed(candidates) if items[key].number < item.number), None)
        elif isinstance(head, Record) and head.kind == REFUSED:
            item.cause = _during(by_agent.get(head.sender, []), head.sent_us)


def _during(handlings: list[tuple[int, int, int]], at_us: int) -> int | None:
    """The handling that went on at `at_us`: who is refused is told at once, so there is a time of its own."""
    at = bisect_right(handlings, (at_us + 1,)) - 1
    return handlings[at][2] if at >= 0 and handlings[at][1] >= at_us else None


# --- which of them -----------------------------------------------------------------------------------------------


def _chosen(items: dict[int, _Item], agent: str | None, family_of: str | None, *, errors: bool) -> set[int]:
    chosen = set(items) if family_of is None else _family(items, family_of)
    if agent is not None:
        chosen = {key for key in chosen if agent in (items[key].head.sender, items[key].head.receiver)}
    if errors:
        chosen &= _with_causes(items, (key for key in chosen if items[key].is_bad))
    return chosen


def _family(items: dict[int, _Item], message_id: str) -> set[int]:
    meant = {key for key, item in items.items() if item.head.message_id == message_id}
    below = set[int]()
    for key in _causes_first(items):
        if key in meant or items[key].cause in below:
            below.add(key)
    return _with_causes(items, meant) | below


def _with_causes(items: dict[int, _Item], keys: Iterable[int]) -> set[int]:
    found = set[int]()
    for start in keys:
        key: int | None = start
        while key is not None and key not in found:
            found.add(key)
            key = items[key].cause
    return found


# --- the tree ----------------------------------------------------------------------------------------------------


def _arranged(items: dict[int, _Item], kept: frozenset[int]) -> list[tuple[TraceSpan, _Item]]:
    """Causes before effects, siblings by time. What was left out in between is passed over."""
    parents = _parents(items, kept)
    children: dict[int | None, list[int]] = {}
    for key in sorted(kept, key=lambda key: (items[key].head.sent_us, key < 0, key)):
        children.setdefault(parents[key], []).append(key)
    found: list[tuple[TraceSpan, _Item]] = []
    waiting = [(key, 0) for key in reversed(children.get(None, ()))]
    while waiting:
        key, depth = waiting.pop()
        parent = parents[key]
        found.append((_span(items[key], None if parent is None else _span_id(items[parent]), depth), items[key]))
        waiting += [(child, depth + 1) for child in reversed(children.get(key, ()))]
    return found


def _parents(items: dict[int, _Item], kept: frozenset[int]) -> dict[int, int | None]:
    """Of each item, the nearest cause that is kept."""
    parents: dict[int, int | None] = {}
    for key in _causes_first(items):
        cause = items[key].cause
        parents[key] = cause if cause is None or cause in kept else parents[cause]
    return parents


def _causes_first(items: dict[int, _Item]) -> list[int]:
    """Timers have no cause; messages come by number; refusals cause nothing."""

    def place(key: int) -> tuple[int, int]:
        return (1 if key > 0 else 0 if items[key].cause is None else 2), items[key].number

    return sorted(items, key=place)


def _span_id(item: _Item) -> str:
    return f"{item.key & 0xFFFFFFFFFFFFFFFF:016x}"


def _span(item: _Item, parent: str | None, depth: int) -> TraceSpan:
    head, live = item.head, item.live
    last = item.records[-1] if item.records else None
    status, ended = "kept", None
    if live is not None:
        status = "in hand" if live.handed_us else "waiting"
    elif last is not None:
        end = next((record for record in reversed(item.records) if record.kind in _ENDS), last)
        status, ended = _ENDS.get(end.kind) or _TRIES[end.kind], end.ended_us
    bad = next((record for record in reversed(item.records) if record.kind in _BAD), None)
    return TraceSpan(
        id=_span_id(item), parent=parent, depth=depth, trace_id=_trace_id(item), message_id=head.message_id,
        conversation_id=head.conversation_id, sender=head.sender, receiver=head.receiver,
        performative=head.performative, attempt=live.attempt if live is not None else head.attempt if last is None
        else last.attempt, sent=head.sent_us, ended=ended, status=status, size_bytes=head.size, tries=_tries(item),
        tools=[_tool(record) for record in item.tools[-MAX_TOOLS:]],
        error=None if bad is None or status in ("handled", "replied") else _error(bad),
        note=None if live is None else _note(live), before=None if live is None or live.handed_us else live.before,
        again_at=(live.again_us or None) if live is not None else None,
    )  # fmt: skip


def _trace_id(item: _Item) -> str:
    for trace in (item.head.trace, *(record.trace for record in reversed(item.records))):
        if len(trace) >= 35:
            return trace[3:35]
    return ""


def _tries(item: _Item) -> list[TraceTry]:
    tries = [
        TraceTry(
            attempt=record.attempt, began=record.handed_us, ended=record.ended_us, outcome=_TRIES[record.kind],
            error=None if record.kind in (SETTLED, TIMER) else record.detail,
        )
        for record in item.records[-MAX_TRIES:]
        if record.kind in _TRIES and record.handed_us
    ]  # fmt: skip
    if item.live is not None and item.live.handed_us:
        tries.append(TraceTry(attempt=item.live.attempt, began=item.live.handed_us, outcome="in hand"))
    for before, one in pairwise(tries):
        if before.outcome == "handled" or one.attempt <= before.attempt:
            one.note = _AGAIN
    return tries


def _tool(record: Record) -> TraceTool:
    return TraceTool(tool=record.tool, began=record.handed_us, ended=record.ended_us, error=record.tool_error)


def _error(record: Record) -> str:
    return record.detail or _TRIES.get(record.kind) or _ENDS[record.kind]


def _note(live: Live) -> str:
    """What a message that is not over is doing, without times: these the reader reckons."""
    if live.handed_us:
        return f"in hand of {live.receiver}"
    if live.again_us:
        return f"attempt {live.attempt} is to come"
    place = f"waits in {live.receiver}'s mailbox"
    if live.before:
        place = f"{place} behind {live.before}"
    return f"{place}; {live.reason}" if live.reason else place


# --- lines -------------------------------------------------------------------------------------------------------


def _events(span: TraceSpan, item: _Item, now_us: int) -> Iterable[TraceEvent]:
    act = span.performative or None
    if isinstance(item.head, Live) or _was_sent(item.head, item.records):
        yield TraceEvent(at=span.sent, agent=span.sender, span=span.id, message=act, status="sent")
    for one in span.tries:
        yield TraceEvent(
            at=one.began, agent=span.receiver, span=span.id, message=act, status="received", attempt=one.attempt,
            note=one.note,
        )  # fmt: skip
    for tool in span.tools:
        yield TraceEvent(
            at=tool.ended, agent=span.receiver, span=span.id, tool=tool.tool, error=tool.error,
            took_us=tool.ended - tool.began,
        )  # fmt: skip
    for record in item.records:
        yield _ending(span, record, act)
    live = item.live
    if live is not None:
        yield TraceEvent(
            at=now_us, agent=span.receiver, span=span.id, message=act, status=span.status, attempt=live.attempt,
            took_us=now_us - (live.handed_us or live.sent_us), note=span.note,
        )  # fmt: skip


def _sent_once(events: Iterable[TraceEvent], message_ids: dict[str, str]) -> Iterator[TraceEvent]:
    """A message to several was sent once."""
    told = set[str]()
    for event in events:
        message_id = message_ids[event.span]
        if event.status != "sent" or not message_id or message_id not in told:
            yield event
        if event.status == "sent":
            told.add(message_id)


def _was_sent(head: Record, records: Sequence[Record]) -> bool:
    if head.kind in (REFUSED, TIMER) or not head.message_id:
        return False
    return not any(map(_was_out_of_place, records))


def _was_out_of_place(record: Record) -> bool:
    return record.kind == DEAD and (record.detail or "").partition(":")[0] == _NEVER_SENT


def _ending(span: TraceSpan, record: Record, act: str | None) -> TraceEvent:
    is_handling = record.kind in _TRIES and record.handed_us > 0
    is_senders = record.kind == REFUSED or _was_out_of_place(record)
    return TraceEvent(
        at=record.ended_us, agent=span.sender if is_senders else span.receiver, span=span.id, message=act,
        status=_TRIES.get(record.kind) or _ENDS[record.kind], attempt=record.attempt,
        took_us=record.ended_us - record.handed_us if is_handling else None,
        error=_error(record) if record.kind in _BAD else None,
    )  # fmt: skip
