from __future__ import annotations

import pytest

from caxton.core.errors.values import InvalidValue
from caxton.tools.builtin.clock import time_source
from caxton.tools.source import Result
from tests.tool_calls import a_call, asked, said

NOON_US = 1_772_366_400_000_001
"""2026-03-01T12:00:00.000001Z."""
SOURCE = time_source("time", {}, lambda: NOON_US)


async def test_now_is_told_in_utc_and_without_waiting() -> None:
    assert await asked(SOURCE, "now") == {"utc": "2026-03-01T12:00:00.000001Z", "unix_us": NOON_US}
    assert isinstance(SOURCE.call(a_call("now", {})), Result)


async def test_now_is_told_in_a_zone() -> None:
    found = await asked(SOURCE, "now", zone="Asia/Kolkata")
    assert found["local"] == "2026-03-01T17:30:00.000001+05:30"
    assert (found["zone"], found["offset_s"]) == ("Asia/Kolkata", 19_800)


@pytest.mark.parametrize("zone", ["Mars/Base", "Europe", "posixrules/x"])
async def test_zone_that_is_none_is_an_error(zone: str) -> None:
    assert "no time zone" in await said(SOURCE, "now", zone=zone)


async def test_zone_cannot_leave_the_directory_of_zones() -> None:
    found = SOURCE.call(a_call("now", {"zone": "Europe/../../../../etc/passwd"}))
    assert isinstance(found, Result)
    assert found.is_error


@pytest.mark.parametrize(
    ("begin", "end", "seconds", "text"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z", 0, "00:00:00"),
        ("2026-03-01T12:00:00Z", "2026-03-02T13:01:02.5Z", 90_062.5, "1d 01:01:02"),
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00+02:00", -7200, "-02:00:00"),
    ],
)
async def test_difference_counts_offsets(begin: str, end: str, seconds: float, text: str) -> None:
    assert await asked(SOURCE, "difference", begin=begin, end=end) == {"seconds": seconds, "text": text}


@pytest.mark.parametrize("time", ["yesterday", "2026-03-01T12:00:00", "2026-02-30T12:00:00Z", ""])
async def test_what_is_no_time_is_an_error(time: str) -> None:
    assert repr(time) in await said(SOURCE, "difference", begin=time, end="2026-03-01T12:00:00Z")


def test_it_has_no_options() -> None:
    with pytest.raises(InvalidValue):
        time_source("time", {"zone": "UTC"}, lambda: 0)
