"""The tool `time`: what time it is, and how far two times lie apart. It never waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from caxton.tools.builtin.options import Options
from caxton.tools.builtin.source import BuiltinSource, BuiltinTool, ToolError, answer, arguments_schema
from caxton.tools.source import ToolInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caxton.tools.source import Call, Result

MAX_ZONE_CHARS = 64
"""Of a zone's name; the longest has 32."""
MAX_TIME_CHARS = 40
"""Of a time in ISO 8601."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZONE: dict[str, Any] = {
    "type": "string", "maxLength": MAX_ZONE_CHARS, "pattern": r"^[A-Za-z][A-Za-z0-9_+/-]*$",
    "description": "Name in the IANA time zone database, such as Europe/Berlin",
}  # fmt: skip
_TIME: dict[str, Any] = {
    "type": "string", "maxLength": MAX_TIME_CHARS, "description": "ISO 8601 with an offset, as 2026-03-01T12:00:00Z",
}  # fmt: skip
_TEXT = {"type": "string"}

_NOW = ToolInfo(
    name="now",
    description="What time it is, in UTC and, if a zone is named, there.",
    input_schema=arguments_schema(zone=_ZONE),
    output_schema=arguments_schema(
        ("utc", "unix_us"),
        utc=_TEXT,
        unix_us={"type": "integer"},
        zone=_TEXT,
        local=_TEXT,
        offset_s={"type": "integer"},
    ),
    is_idempotent=True,
    is_read_only=True,
)
_DIFFERENCE = ToolInfo(
    name="difference",
    description="How much time lies between two times: seconds, negative if the second is the earlier one.",
    input_schema=arguments_schema(("begin", "end"), begin=_TIME, end=_TIME),
    output_schema=arguments_schema(("seconds", "text"), seconds={"type": "number"}, text=_TEXT),
    is_idempotent=True,
    is_read_only=True,
)


def time_source(name: str, options: Mapping[str, Any], wall_us: Callable[[], int]) -> BuiltinSource:
    """The tool; it has no options. Raises `InvalidValue`.

    Args:
        name: of the source.
        options: of its table.
        wall_us: microseconds since 1970 UTC.
    """
    Options(options).done()

    def now(call: Call) -> Result:
        return _now(wall_us(), call.arguments.get("zone"))

    return BuiltinSource(name, (BuiltinTool(_NOW, now), BuiltinTool(_DIFFERENCE, _difference)), kind="time")


def _now(at_us: int, zone: str | None) -> Result:
    at = _EPOCH + timedelta(microseconds=at_us)
    found: dict[str, Any] = {"utc": _iso(at), "unix_us": at_us}
    if zone is not None:
        local = at.astimezone(_zone(zone))
        offset = local.utcoffset() or timedelta()
        found |= {
            "zone": zone,
            "local": local.isoformat(timespec="microseconds"),
            "offset_s": int(offset.total_seconds()),
        }
    return answer(found)


def _difference(call: Call) -> Result:
    between = _time(call.arguments["end"]) - _time(call.arguments["begin"])
    return answer({"seconds": between / timedelta(seconds=1), "text": _text(between)})


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ToolError(f"there is no time zone {name!r} on this machine") from None


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ToolError(f"{text!r} is no time; write it like 2026-03-01T12:00:00Z") from None
    if at.tzinfo is None:
        raise ToolError(f"{text!r} has no offset; add Z for UTC, or one like +02:00")
    return at


def _text(between: timedelta) -> str:
    """As `-1d 02:03:04`."""
    seconds = abs(between)
    hours, rest = divmod(seconds.seconds, 3600)
    days = f"{seconds.days}d " if seconds.days else ""
    return f"{'-' if between < timedelta() else ''}{days}{hours:02}:{rest // 60:02}:{rest % 60:02}"


def _iso(at: datetime) -> str:
    return f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
