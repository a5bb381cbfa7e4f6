"""Times as FIPA writes them, from and to ISO 8601. Pure: who reads a relative time says what time it is.

Source: FIPA SC00070I, representation of time: `YYYYMMDDThhmmssmmm` and `Z` for UTC, or with a sign in front the
distance from now.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from caxton.core.errors.messages import InvalidMessage
from caxton.messages.lifetime import parse_reply_by

DAYS_OF_YEAR, DAYS_OF_MONTH = 365, 30
"""In a relative time, as JADE counts them."""

_TIME = re.compile(r"([+-]?)(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})?([A-Z]?)", re.ASCII | re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_time(written: str, wall_us: int) -> str:
    """A time of FIPA's as ISO 8601 in UTC; one that is ISO 8601 already stays as it is.

    Args:
        written: as it stands in the message; the milliseconds may be left out.
        wall_us: the time of day, from which relative times count; microseconds since 1970 UTC.

    Raises:
        ValueError: it is no such time, or does not say that it is UTC; the text says what was expected.
    """
    found = _TIME.fullmatch(written)
    if found is None:
        if _is_iso(written):
            return written
        raise ValueError("a time like 20310517T093000000Z or +00000000T000030000")
    sign, zone = found[1], found[9].upper()
    year, month, day, hour, minute, second, milli = (int(part or 0) for part in found.groups()[1:8])
    try:
        if sign:
            days = year * DAYS_OF_YEAR + month * DAYS_OF_MONTH + day
            away = timedelta(days=days, hours=hour, minutes=minute, seconds=second, milliseconds=milli)
            at = _EPOCH + timedelta(microseconds=wall_us) + (away if sign == "+" else -away)
        elif zone == "Z":
            at = datetime(year, month, day, hour, minute, second, milli * 1000, tzinfo=UTC)
        else:
            raise ValueError("a time in UTC, which ends in Z: nobody here knows the sender's local time")
    except OverflowError as exc:
        raise ValueError("a time before the year 10000") from exc
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds' if at.microsecond else 'seconds')}Z"


def _is_iso(written: str) -> bool:
    """Whether it is ISO 8601 in its long form; Python reads short ones too, some that look like FIPA's and are not."""
    try:
        parse_reply_by(written)
    except InvalidMessage:
        return False
    return written[4:5] == "-"


def write_time(iso: str) -> str | None:
    """The time as FIPA writes it, in UTC, whole milliseconds that are not later; None if `iso` is no time."""
    try:
        at = _EPOCH + timedelta(milliseconds=parse_reply_by(iso) // 1000)
    except (InvalidMessage, OverflowError):
        return None
    return re.sub("[-:.]", "", at.replace(tzinfo=None).isoformat(timespec="milliseconds")) + "Z"
