"""What the dashboard draws: the figures of one look after the other, as curves. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from caxton.cli.drawing import figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.core.views.stats import NodeFigures


class Point(NamedTuple):
    """What one answer adds to the curves; None where there is nothing to tell."""

    messages_per_s: float | None
    handling_ms: float | None
    waiting_ms: float | None
    queue: float
    memory_bytes: float
    commits_per_s: float | None
    errors_per_s: float | None
    cpu: float | None
    """Processors that are busy."""


def point(before: NodeFigures | None, now: NodeFigures) -> Point:
    """What happened between two looks at one run of the server; the first look has only what the window tells."""
    handling_ms = now.handling.p99_ms if now.handling else None
    waiting_ms = now.waiting.p99_ms if now.waiting else None
    if before is None or before.run != now.run or now.uptime_s <= before.uptime_s:
        return Point(now.rate_per_s, handling_ms, waiting_ms, now.queue, now.process_bytes, None, None, None)
    seconds = now.uptime_s - before.uptime_s
    return Point(
        messages_per_s=(now.handled - before.handled + now.failed - before.failed) / seconds,
        handling_ms=handling_ms,
        waiting_ms=waiting_ms,
        queue=now.queue,
        memory_bytes=now.process_bytes,
        commits_per_s=(now.commits - before.commits) / seconds,
        errors_per_s=(now.failed - before.failed + now.refused - before.refused) / seconds,
        cpu=(now.cpu_s - before.cpu_s) / seconds,
    )


@dataclass(frozen=True, slots=True)
class Curve:
    """One plot of the dashboard."""

    id: str
    title: str
    value: Callable[[Point], float | None]
    text: Callable[[float | None], str]
    colour: str


def _per_s(value: float | None) -> str:
    return figures.NONE if value is None else f"{figures.rate(value)}/s"


def as_count(value: float | None) -> str:
    """A number of things."""
    return figures.NONE if value is None else figures.number(value)


def _size(value: float | None) -> str:
    return figures.NONE if value is None else figures.size(value)


CURVES: tuple[Curve, ...] = (
    Curve("messages", "messages", lambda p: p.messages_per_s, _per_s, "green"),
    Curve("handling", "handling p99", lambda p: p.handling_ms, figures.millis, "cyan"),
    Curve("waiting", "waiting p99", lambda p: p.waiting_ms, figures.millis, "cyan"),
    Curve("queue", "queue", lambda p: p.queue, as_count, "yellow"),
    Curve("memory", "memory", lambda p: p.memory_bytes, _size, "magenta"),
    Curve("commits", "commits", lambda p: p.commits_per_s, _per_s, "blue"),
    Curve("errors", "errors", lambda p: p.errors_per_s, _per_s, "red"),
    Curve("cpu", "processors", lambda p: p.cpu, lambda v: figures.NONE if v is None else f"{v:.2f}", "magenta"),
)
