"""What the flight recorder's records amount to: rates, times and incidents. Pure: no clock, no I/O."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, Any

from caxton.core.views.stats import AgentFigures, HandlingView, StatsFilter, TimesView, WindowView
from caxton.recorder.record import CRASHED, DEAD, FAILED, KINDS, LOST, REFUSED, SETTLED, TIMER, TOOL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from caxton.recorder.record import Record

MAX_INCIDENTS = 20
"""Failures that an answer tells of: more than a screen has room for nobody reads."""

_HANDLED = frozenset({SETTLED, FAILED, CRASHED, TIMER})
_FAILED = frozenset({FAILED, CRASHED})
_INCIDENTS = frozenset({FAILED, CRASHED, DEAD, REFUSED, LOST})
_HANDED_OVER = _HANDLED | {TOOL}


@dataclass(slots=True)
class _Sum:
    tools_us: list[int] = field(default_factory=list[int])
    handled_us: list[int] = field(default_factory=list[int])
    waited_us: list[int] = field(default_factory=list[int])
    """Of messages; a timer does not wait."""
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """What ended within a window, of one agent or of all."""

    rate_per_s: float | None
    """Null if nothing is recorded."""
    count: int = 0
    failed: int = 0
    handling: TimesView | None = None
    waited: int = 0
    """Of those that ended, the ones that waited: messages, not timers."""
    waiting: TimesView | None = None
    tools: int = 0
    """Calls of tools."""
    tool: TimesView | None = None


@dataclass(slots=True, kw_only=True)
class Tally:
    """All handlings and calls of tools of a window, by agent."""

    window: WindowView
    agents: dict[str, Ended]
    """By name, those of one workspace of which something ended."""
    none: Ended
    """Of any other."""
    all: Ended
    """Of all workspaces."""
    incidents: list[HandlingView]


def tally(records: Sequence[Record], window: WindowView, workspace: str) -> Tally:
    """Add `records` up, which are in the order in which they happened."""
    agents, others = defaultdict[str, _Sum](_Sum), _Sum()
    incidents: list[Record] = []
    for record in records:
        kind = record.kind
        if kind in _INCIDENTS:
            incidents.append(record)
        if kind not in _HANDED_OVER:
            continue
        one = agents[record.receiver] if record.workspace == workspace else others
        took_us = record.ended_us - record.handed_us
        if kind == TOOL:
            one.tools_us.append(took_us)
            continue
        one.handled_us.append(took_us)
        if record.message_id:
            one.waited_us.append(record.handed_us - record.sent_us)
        if kind in _FAILED:
            one.failed += 1
    last = [seen(record) for record in reversed(incidents[-MAX_INCIDENTS:])]
    return Tally(
        window=window, agents={name: _ended(one, window) for name, one in agents.items()},
        none=_ended(_Sum(), window), all=_ended(_together([*agents.values(), others]), window), incidents=last,
    )  # fmt: skip


def _together(sums: Sequence[_Sum]) -> _Sum:
    return _Sum(
        tools_us=list(chain.from_iterable(one.tools_us for one in sums)),
        handled_us=list(chain.from_iterable(one.handled_us for one in sums)),
        waited_us=list(chain.from_iterable(one.waited_us for one in sums)),
        failed=sum(one.failed for one in sums),
    )


def _ended(sums: _Sum, window: WindowView) -> Ended:
    return Ended(
        rate_per_s=per_s(len(sums.handled_us), window) if window.is_recorded else None,
        count=len(sums.handled_us), failed=sums.failed, handling=times(sums.handled_us),
        waited=len(sums.waited_us), waiting=times(sums.waited_us), tools=len(sums.tools_us), tool=times(sums.tools_us),
    )  # fmt: skip


def per_s(count: int, window: WindowView) -> float:
    """How often in a second."""
    return round(count / window.covered_s, 3)


def window_of(
    records: Sequence[Record], *, asked_s: float, now_us: int, uptime_s: float, limit: int, is_recorded: bool,
    whole_since_us: int | None = None,
) -> WindowView:  # fmt: skip
    """The time that `records` cover: all of those looked for, or the last `limit` of them.

    Args:
        records: in the order in which they happened.
        asked_s: how far back they were looked for.
        now_us: the time of the question.
        uptime_s: since when there could be records, beside those of earlier runs.
        limit: how many are looked at.
        is_recorded: whether anything is recorded.
        whole_since_us: what is older has been overwritten in part; None: nothing ever was.
    """
    is_full = len(records) >= limit
    is_lost = whole_since_us is not None and whole_since_us > now_us - asked_s * 1e6
    is_cut = is_full or is_lost
    since_us = records[0].ended_us if records else now_us
    if is_lost and whole_since_us is not None and not is_full:
        since_us = whole_since_us
    first_s = (now_us - since_us) / 1e6
    covered_s = first_s if is_cut else max(first_s, uptime_s)
    covered_s = min(max(covered_s, 0.001), asked_s)  # also when the machine's clock was set back meanwhile
    return WindowView(
        asked_s=asked_s, covered_s=round(covered_s, 3), records=len(records), is_cut=is_cut, is_recorded=is_recorded
    )


def times(durations_us: Sequence[int]) -> TimesView | None:
    """Median, 99th percentile (nearest rank) and the longest, none below 0 if a clock jumped; None of nothing."""
    if not durations_us:
        return None
    ordered = sorted(durations_us)

    def at(ratio: float) -> float:
        return round(max(ordered[ceil(ratio * len(ordered)) - 1], 0) / 1000, 3)

    return TimesView(p50_ms=at(0.5), p99_ms=at(0.99), max_ms=at(1.0))


def of_agent(records: Iterable[Record], workspace: str, name: str, limit: int) -> list[HandlingView]:
    """The last `limit` records of what `name` handled or sent, the last first."""
    found = [r for r in records if r.workspace == workspace and name in (r.receiver, r.sender)]
    return [seen(record) for record in reversed(found[-limit:])]


def seen(record: Record) -> HandlingView:
    """A record for people and programs outside."""
    was_handed_over = record.kind in _HANDED_OVER
    waited_ms = max(record.handed_us - record.sent_us, 0) / 1000
    return HandlingView(
        at=datetime.fromtimestamp(record.ended_us / 1e6, UTC).isoformat(timespec="milliseconds"),
        kind=KINDS[record.kind] if 0 <= record.kind < len(KINDS) else str(record.kind),
        sender=record.sender, receiver=record.receiver, performative=record.performative,
        conversation_id=record.conversation_id, message_id=record.message_id, attempt=record.attempt,
        waited_ms=waited_ms if was_handed_over and record.message_id else None,
        handled_ms=max(record.ended_us - record.handed_us, 0) / 1000 if was_handed_over else None,
        size_bytes=record.size, detail=record.detail,
    )  # fmt: skip


def chosen(agents: Iterable[AgentFigures], wanted: StatsFilter) -> list[AgentFigures]:
    """Those that are wanted, in the order that is wanted; equal ones by name."""
    part = wanted.match.lower()
    found = [one for one in agents if part in one.name.lower() and (not wanted.troubled or is_troubled(one))]
    found.sort(key=lambda one: one.name)
    if wanted.sort != "name":
        found.sort(key=_BY[wanted.sort], reverse=True)  # reversed, a sort still keeps equal ones in their order
    return found


def is_troubled(agent: AgentFigures) -> bool:
    """Whether somebody should look at it."""
    return (
        agent.status == "failed"
        or agent.circuit in ("open", "half_open")
        or agent.failed_in_window > 0
        or (agent.status == "running" and agent.healthy < agent.replicas)
        or (agent.type == "vacant" and agent.queue > 0)
        or agent.is_backlog
    )


_BY: dict[str, Callable[[AgentFigures], Any]] = {
    "rate": lambda one: one.rate_per_s or 0.0,
    "p99": lambda one: one.handling.p99_ms if one.handling else -1.0,
    "waiting": lambda one: one.waiting.p99_ms if one.waiting else -1.0,
    "queue": lambda one: one.queue,
    "memory": lambda one: one.memory_bytes,
    "restarts": lambda one: one.restarts,
    "failures": lambda one: (one.failed_in_window, one.failed),
}
