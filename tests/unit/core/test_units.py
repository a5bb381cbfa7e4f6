from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.core.errors.values import InvalidValue
from caxton.core.units import format_duration, format_size, parse_duration, parse_size

NO_AMOUNTS: list[object] = [
    "",
    "MB",
    "-1",
    "-1MB",
    "1 2",
    "1,5MB",
    "1e3",
    "0x10",
    "1_000",
    "inf",
    "nan",
    "16MB 1",
    "1MBs",
    None,
    True,
    [],
    -1,
    float("nan"),
    float("inf"),
    "9" * 400,
    10**400,
]


@pytest.mark.parametrize("value", NO_AMOUNTS, ids=lambda value: repr(value)[:20])
def test_what_is_no_size_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_size(value, what="memory")
    assert caught.value.what == "memory"
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("value", NO_AMOUNTS, ids=lambda value: repr(value)[:20])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_duration(value, what="timeout")
    assert caught.value.what == "timeout"


@pytest.mark.parametrize("value", ["5x", "5 parsecs", "1MB"])
def test_unit_of_another_kind_is_refused(value: str) -> None:
    with pytest.raises(InvalidValue):
        parse_duration(value)
    with pytest.raises(InvalidValue):
        parse_size("5ms")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        (17, 17),
        ("1b", 1),
        ("2k", 2048),
        ("16MB", 16 << 20),
        ("16 MiB", 16 << 20),
        (" 1gb ", 1 << 30),
        ("1.5KiB", 1536),
        (2.9, 2),
    ],
)
def test_sizes_are_read_in_powers_of_two(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("250ms", 0.25),
        ("10us", 1e-5),
        ("2m", 120.0),
        ("1.5 min", 90.0),
        ("1h", 3600.0),
        ("1D", 86400.0),
        ("7", 7.0),
        (0.5, 0.5),
        (3, 3.0),
    ],
)
def test_durations_are_read_as_written(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10 << 20, "10.0 MiB"),
        (3 << 30, "3.0 GiB"),
        (5 << 40, "5120.0 GiB"),
    ],
)
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.25, "250ms"), (1, "1s"), (61, "1m 1s"), (3600, "1h"), (93784, "1d 2h")],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 1 << 40))
def test_plain_numbers_are_bytes(size: int) -> None:
    assert parse_size(size) == parse_size(str(size)) == size
