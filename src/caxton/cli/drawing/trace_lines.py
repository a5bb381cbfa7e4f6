"""What happened, a line for each thing: `[03:23:45.123] agent="ping" message="inform" status="sent"`. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from caxton.cli.output import printable
from caxton.core.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from caxton.core.views.traces import TraceEvent, TraceView

SLOW_US = 100_000
"""A handling that succeeded has a line for its end only if it took so long: else that it was received says enough."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def lines(view: TraceView, zone: tzinfo | None) -> Iterator[str]:
    """The lines, in the order of time; before the first one of another day, a line with the date.

    Args:
        view: the trace.
        zone: of the times; None: of this machine.
    """
    day = None
    days = {_local(event.at, zone).date() for event in view.events}
    for event in view.events:
        if event.status == "handled" and (event.took_us or 0) < SLOW_US and event.error is None:
            continue
        at = _local(event.at, zone)
        if len(days) > 1 and at.date() != day:
            day = at.date()
            yield f"[{day.isoformat()}]"
        facts = " ".join(f'{name}="{_value(value)}"' for name, value in _facts(event, view, zone) if value is not None)
        yield f"[{time_of(event.at, zone)}] {facts}"


def time_of(at_us: int, zone: tzinfo | None) -> str:
    """`03:23:45.123`."""
    return _local(at_us, zone).strftime("%H:%M:%S.%f")[:-3]


def lasted(us: int) -> str:
    """`300 µs`, `12.5 ms`, `5.001 s`, `2m 5s`."""
    if us < 1000:
        return f"{max(us, 0)} µs"
    if us < 999_950:
        return f"{us / 1000:.1f}".removesuffix(".0") + " ms"
    if us < 59_999_500:
        return f"{us / 1e6:.3f}".rstrip("0").removesuffix(".") + " s"
    return format_duration(us / 1e6)


def zone_name(at_us: int, zone: tzinfo | None) -> str:
    """Whose times they are, like `CET (UTC+01:00)`; `UTC` if this machine keeps it."""
    local = _local(at_us, zone).replace(microsecond=0)
    name = f"{local:%Z}"
    return name if name == "UTC" and not local.utcoffset() else f"{name} (UTC{local.isoformat()[-6:]})"


def _local(at_us: int, zone: tzinfo | None) -> datetime:
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)


def _facts(event: TraceEvent, view: TraceView, zone: tzinfo | None) -> Iterator[tuple[str, str | None]]:
    took = None if event.took_us is None else lasted(event.took_us)
    yield "agent", event.agent
    yield "message", event.message
    yield "status", event.status
    yield "attempt", None if event.attempt < 2 else str(event.attempt)
    yield "error", event.error
    yield "tool", event.tool
    if event.status in ("waiting", "in hand"):
        yield "since", took
        yield "next", _again(event, view, zone)
        yield "note", event.note if event.status == "waiting" else None
    else:
        yield "took", took
        yield "note", event.note


def _again(event: TraceEvent, view: TraceView, zone: tzinfo | None) -> str | None:
    again_at = next((one.again_at for one in view.spans if one.id == event.span), None)
    return None if again_at is None else time_of(again_at, zone)


def _value(text: str) -> str:
    return printable(text.replace("\\", "\\\\").replace('"', '\\"')).replace("\t", "\\t")
