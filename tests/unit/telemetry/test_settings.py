"""What `[telemetry]` takes."""

from __future__ import annotations

from typing import Any

import pytest

from caxton.core.errors.server import InvalidConfig
from caxton.server.config.effective import effective
from caxton.server.config.settings import load
from caxton.telemetry.settings import (
    MAX_HEADER_CHARS,
    MAX_HEADERS,
    Headers,
    read_endpoint,
    read_headers,
    read_protocol,
    read_ratio,
    read_signals,
    read_spans_per_s,
)

SECRET = "s3cret-token"  # noqa: S105


@pytest.mark.parametrize(
    "value",
    [
        "localhost:4317",
        "ftp://x",
        "http://",
        "http://u:p@x",
        "http://x:99999",
        "http://x/?a=b",
        "http://x y",
        4317,
        ["x"],
    ],
)
def test_endpoint_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"must|Port|port"):
        read_endpoint(value)


def test_endpoint_is_taken_without_its_last_slash() -> None:
    assert read_endpoint("https://otel.example.org/otlp/") == "https://otel.example.org/otlp"
    assert (read_endpoint(None), read_endpoint("")) == (None, None)


@pytest.mark.parametrize(
    "value",
    [
        "nothing", "=x", "na me=x", "name=", {"a": 1}, {"a": "line\nbreak"}, {"a": "ü"}, {1: "x"}, 5, ["a=b"],
        {"a": "x" * (MAX_HEADER_CHARS + 1)}, {f"h{n}": "x" for n in range(MAX_HEADERS + 1)},
    ],
)  # fmt: skip
def test_headers_that_are_none_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"header|value|table"):
        read_headers(value)


def test_headers_are_read_from_a_text_and_from_a_table() -> None:
    expected = {"authorization": "Basic YTpi==", "x-team": "ops"}
    assert read_headers("Authorization=Basic YTpi==, x-team=ops") == expected
    assert read_headers(expected) == expected


@pytest.mark.parametrize("value", [-0.1, 1.1, "nan", "x", True, None, [], float("inf")])
def test_ratio_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        read_ratio(value)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (read_protocol, "udp"), (read_signals, []), (read_signals, "traces,spans"), (read_signals, 3),
        (read_spans_per_s, 0), (read_spans_per_s, "9" * 30), (read_spans_per_s, True), (read_spans_per_s, 100_001),
    ],
)  # fmt: skip
def test_other_values_that_are_none_are_refused(read: Any, value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        read(value)


def test_signals_are_in_one_order() -> None:
    assert read_signals("logs, traces") == ["traces", "logs"]


def test_settings_reach_the_room() -> None:
    found = load(
        {},
        {
            "CAXTON_TELEMETRY_ENDPOINT": "http://localhost:4318", "CAXTON_TELEMETRY_PROTOCOL": "http",
            "CAXTON_TELEMETRY_HEADERS": f"authorization={SECRET}", "CAXTON_TELEMETRY_SIGNALS": "logs",
            "CAXTON_TELEMETRY_SAMPLE_RATIO": "0.25", "CAXTON_TELEMETRY_MAX_SPANS_PER_S": "7",
        },
    ).telemetry  # fmt: skip
    assert (found.endpoint, found.protocol, found.headers) == (
        "http://localhost:4318",
        "http",
        {"authorization": SECRET},
    )
    assert (found.signals, found.sample_ratio, found.max_spans_per_s) == (("logs",), 0.25, 7)


def test_value_of_a_header_is_never_printed() -> None:
    environment = {"CAXTON_TELEMETRY_HEADERS": f"authorization={SECRET}"}
    values = effective({}, environment)
    assert SECRET not in f"{values} {load({}, environment)}"
    shown = next(value for value in values if value.key == "telemetry.headers").value
    assert str(shown) == repr(shown) == "authorization=***"
    assert Headers(a="b") == {"a": "b"}


def test_header_that_is_wrong_is_not_printed_either() -> None:
    with pytest.raises(InvalidConfig) as caught:
        load({}, {"CAXTON_TELEMETRY_HEADERS": f"authorization={SECRET},{SECRET}"})
    assert SECRET not in str(caught.value)
    assert "telemetry.headers" in str(caught.value)
