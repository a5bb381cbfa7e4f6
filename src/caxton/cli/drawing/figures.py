"""Live figures as people read them: cells of a table, and lines about the whole server. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from caxton.core.units import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caxton.core.views.stats import AgentFigures, HandlingView, NodeFigures, TimesView, WindowView

NONE = "-"
"""What is not known, or cannot be."""


class Column(NamedTuple):
    """A column of the table of agents."""

    title: str
    sort: str | None
    """By which word of `SORTS` it is put in order; None: by none."""
    is_narrow: bool = True
    """Whether a narrow screen has it."""


COLUMNS = (
    Column("AGENT", "name"),
    Column("STATE", None),
    Column("RATE/S", "rate"),
    Column("P50", None, is_narrow=False),
    Column("P99", "p99"),
    Column("WAIT P99", "waiting"),
    Column("QUEUE", "queue"),
    Column("MEMORY", "memory"),
    Column("RESTARTS", "restarts", is_narrow=False),
    Column("FAILED", "failures"),
    Column("BREAKER", None, is_narrow=False),
)


_MEMORY = next(n for n, column in enumerate(COLUMNS) if column.sort == "memory")

NARROW_NAME = 16
"""Characters of a name on a narrow screen."""


def cells(agent: AgentFigures) -> tuple[str, ...]:
    """One agent's cells, in the order of `COLUMNS`."""
    return (
        agent.name,
        _state(agent),
        rate(agent.rate_per_s),
        millis(agent.handling.p50_ms if agent.handling else None),
        millis(agent.handling.p99_ms if agent.handling else None),
        millis(agent.waiting.p99_ms if agent.waiting else None),
        number(agent.queue),
        _of(agent.memory_bytes, agent.memory_limit_bytes),
        number(agent.restarts),
        number(agent.failed_in_window),
        agent.circuit.replace("_", "-") if agent.type == "wasm" else NONE,
    )


def narrow_cells(agent: AgentFigures) -> tuple[str, ...]:
    """The same for a narrow screen: fewer, and shorter."""
    values = dict(zip(COLUMNS, cells(agent), strict=True))
    memory = COLUMNS[_MEMORY]
    values[COLUMNS[0]] = shortened(agent.name, NARROW_NAME)
    values[memory] = values[memory].partition("/")[0]
    return tuple(value for column, value in values.items() if column.is_narrow)


def shortened(text: str, most: int) -> str:
    """`text`, or its beginning."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _state(agent: AgentFigures) -> str:
    if agent.type == "native":
        return "native"
    if agent.status == "running" and agent.circuit in ("open", "half_open"):
        return "breaker"
    if agent.busy_s is not None and agent.busy_s >= 1:
        return f"busy {format_duration(agent.busy_s)}"
    if agent.status == "running" and agent.healthy < agent.replicas:
        return f"{agent.healthy}/{agent.replicas} up"
    return agent.status if agent.replicas < 2 else f"{agent.status} ×{agent.replicas}"  # noqa: RUF001 - the sign itself


def number(count: float) -> str:
    """`1234` as `1,234`, `1234567` as `1.2M`."""
    if count < 100_000:
        return f"{count:,.0f}"
    return f"{count / 1000:,.0f}k" if count < 1_000_000 else f"{count / 1e6:,.1f}M"


def rate(per_s: float | None) -> str:
    """With a digit behind the point where it is small."""
    if per_s is None:
        return NONE
    if per_s == 0:
        return "0"
    return f"{per_s:.2f}" if per_s < 1 else f"{per_s:.1f}" if per_s < 100 else number(per_s)


def millis(milliseconds: float | None) -> str:
    """`0.042` as `42µs`, `1500` as `1.5s`."""
    if milliseconds is None:
        return NONE
    if milliseconds < 1:
        return f"{milliseconds * 1000:.0f}µs"
    if milliseconds < 1000:
        return f"{milliseconds:.3g}ms" if milliseconds < 100 else f"{milliseconds:.0f}ms"
    return f"{milliseconds / 1000:.1f}s" if milliseconds < 60_000 else format_duration(milliseconds / 1000)


def span(times: TimesView | None) -> str:
    """Median and 99th percentile."""
    return NONE if times is None else f"p50 {millis(times.p50_ms)} p99 {millis(times.p99_ms)}"


def _of(size_bytes: int, limit_bytes: int) -> str:
    return f"{size(size_bytes)}/{size(limit_bytes)}" if limit_bytes else NONE


def size(size_bytes: float) -> str:
    """As `format_size`, without what is after the point if that is nothing."""
    return format_size(size_bytes).replace(".0 ", " ")


def window(found: WindowView) -> str:
    """What the figures are about, and why it is less than was asked for."""
    if not found.is_recorded:
        return "no rates and times: the flight recorder is off (recorder.size)"
    if found.is_cut:
        last = f"{found.covered_s:.1f} s" if found.covered_s >= 0.1 else f"{found.covered_s * 1000:.0f} ms"
        return f"last {last} of {found.asked_s:g} s: no more than {found.records:,} records of it are kept or looked at"
    covered_s = min(found.covered_s, found.asked_s)
    return f"last {covered_s:.0f} s" if covered_s < 100 else f"last {format_duration(covered_s)}"


def counted(counts: Mapping[str, int]) -> str:
    """`2 running, 1 failed`; `none` if there is nothing."""
    return ", ".join(f"{count:,} {word.replace('_', '-')}" for word, count in counts.items() if count) or "none"


def server_line(node: NodeFigures) -> str:
    """The server in one line."""
    read_only = f" ({', '.join(node.causes)})" if node.causes else ""
    agents = f"{counted(node.agents)}" if node.agents else "no"
    return (
        f"caxton {node.version}  {node.status}{read_only}  up {format_duration(node.uptime_s)}  "
        f"{agents} agents, {node.instances:,} instances"
    )


def traffic_line(node: NodeFigures, found: WindowView) -> str:
    """What goes on, in one line."""
    if not found.is_recorded:
        return f"queue {number(node.queue)}  {window(found)}"
    return (
        f"{rate(node.rate_per_s)}/s  handling {span(node.handling)}  waiting {span(node.waiting)}  "
        f"queue {number(node.queue)}  failed {number(node.failed_in_window)}  ({window(found)})"
    )


def clock_time(at: str) -> str:
    """The time of day of an ISO 8601 date, to the millisecond."""
    return at.partition("T")[2].partition("+")[0].partition("Z")[0] or at


def incident_line(seen: HandlingView) -> str:
    """What went wrong, in one line."""
    what = f" ({seen.detail})" if seen.detail else ""
    attempt = f", attempt {seen.attempt}" if seen.attempt > 1 else ""
    act = f" {seen.performative}" if seen.performative else ""
    return f"{clock_time(seen.at)} {seen.kind}: {seen.sender} → {seen.receiver}{act}{attempt}{what}"
