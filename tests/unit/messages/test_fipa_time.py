"""Times of FIPA's: absolute and relative, from and to ISO 8601."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.messages.fipa_time import read_time, write_time
from caxton.messages.lifetime import parse_reply_by

if TYPE_CHECKING:
    from datetime import datetime

NOON_US = parse_reply_by("2031-05-17T12:00:00Z")


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("20310517T093000000Z", "2031-05-17T09:30:00Z"),
        ("20310517T093000007Z", "2031-05-17T09:30:00.007Z"),
        ("20310517t093000000z", "2031-05-17T09:30:00Z"),
        ("20310517T093000Z", "2031-05-17T09:30:00Z"),
        ("20320229T235959999Z", "2032-02-29T23:59:59.999Z"),
        ("00010101T000000000Z", "0001-01-01T00:00:00Z"),
        ("+00000000T000000000", "2031-05-17T12:00:00Z"),
        ("+00000000T011500035", "2031-05-17T13:15:00.035Z"),
        ("-00000000T000000001", "2031-05-17T11:59:59.999Z"),
        ("+00000001T000000000Z", "2031-05-18T12:00:00Z"),
        ("+00000100T000000000", "2031-06-16T12:00:00Z"),
        ("+00010000T000000000", "2032-05-16T12:00:00Z"),
        ("2031-05-17T09:30:00+02:00", "2031-05-17T09:30:00+02:00"),
    ],
)
def test_time_is_read_as_the_moment_that_is_meant(written: str, iso: str) -> None:
    assert read_time(written, NOON_US) == iso
    parse_reply_by(iso)


@pytest.mark.parametrize(
    "written",
    [
        "", "soon", "20310517", "20310517T0930", "20310517T093000000", "20310517T093000000A", "20310229T093000000Z",
        "20311317T093000000Z", "20310517T243000000Z", "20310517T093060000Z", "00000101T000000000Z",
        "+99990000T000000000", "-99990000T000000000", "20310517T0930000000Z", "++0000000T000000001",
        "\u0662\u0660310517T093000000Z", "2031-05-17T09:30:00", "20310517T093000000Z\n",
    ],
)  # fmt: skip
def test_what_is_no_time_in_utc_is_refused(written: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - who calls tells the place
        read_time(written, NOON_US)


@pytest.mark.parametrize(
    ("iso", "written"),
    [
        ("2031-05-17T09:30:00Z", "20310517T093000000Z"),
        ("2031-05-17T09:30:00.1239Z", "20310517T093000123Z"),
        ("2031-05-17T09:30:00+02:00", "20310517T073000000Z"),
        ("1969-12-31T23:59:59.9999Z", "19691231T235959999Z"),
        ("0044-03-15T12:00:00Z", "00440315T120000000Z"),
        ("0001-01-01T00:00:00+01:00", None),
        ("tomorrow", None),
        ("2031-05-17T09:30:00", None),
    ],
)
def test_time_is_written_in_utc_and_never_later(iso: str, written: str | None) -> None:
    assert write_time(iso) == written


@given(st.datetimes())
def test_written_time_is_read_as_the_same_millisecond(at: datetime) -> None:
    iso = f"{at.isoformat()}Z"
    written = write_time(iso)
    assert written is not None
    assert parse_reply_by(read_time(written, 0)) // 1000 == parse_reply_by(iso) // 1000
