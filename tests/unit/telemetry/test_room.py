"""The export's bounds, with nobody who takes anything."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from caxton.core.errors.server import InvalidConfig
from caxton.recorder.record import FAILED
from caxton.telemetry import room
from caxton.telemetry.room import MAX_RECORDS, Telemetry, open_telemetry
from caxton.telemetry.selection import Selection
from caxton.telemetry.settings import TelemetrySettings
from tests.unit.telemetry.records import TRACE, record

NOWHERE = "http://127.0.0.1:9"


def nothing_earlier(_: object) -> list[Any]:
    return []


async def no_figures() -> list[Any]:
    return []


def broken(*_: object) -> Any:
    raise ZeroDivisionError


def telemetry(**settings: Any) -> Telemetry:
    """One that was not started, so that nothing is taken from it and nothing sent."""
    return Telemetry(TelemetrySettings(endpoint=NOWHERE, **settings), "instance", no_figures, nothing_earlier)


def test_nothing_is_made_without_an_endpoint() -> None:
    assert open_telemetry(None, "i", no_figures, nothing_earlier) is None
    assert open_telemetry(TelemetrySettings(), "i", no_figures, nothing_earlier) is None


def test_variable_of_the_exporters_that_cannot_be_read_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "lzma")
    with pytest.raises(InvalidConfig):
        telemetry(protocol="grpc")


def test_records_that_nobody_looks_at_are_bounded_and_counted() -> None:
    found = telemetry()
    batch = [record(kind=FAILED)] * (MAX_RECORDS // 4)
    for _ in range(6):
        found.on_batch(batch)
    assert found.dropped == {"traces": 2 * len(batch), "metrics": 0, "logs": 0}
    found.close()


def test_records_are_of_no_interest_without_traces() -> None:
    found = telemetry(signals=("metrics",))
    for _ in range(10):
        found.on_batch([record()] * (MAX_RECORDS // 4))
    assert found.dropped == {"metrics": 0}
    assert found.lines is None
    found.close()


def test_bad_record_costs_its_batch_and_not_the_export(caplog: pytest.LogCaptureFixture) -> None:
    found = telemetry(signals=("traces",))
    found.on_batch([("nonsense",)])
    found._select()  # pyright: ignore[reportPrivateUsage]
    assert found.dropped == {"traces": 1}
    assert [line.levelno for line in caplog.records] == [logging.ERROR]
    found.on_batch([record()])
    found._select()  # pyright: ignore[reportPrivateUsage]
    found.close()
    assert found.dropped == {"traces": 1 + 2}  # the spans of the good one, which nobody took


def test_trouble_in_the_middle_of_the_load_is_told_once_and_the_traces_go_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = telemetry(signals=("traces",))
    found.on_traced("m-7", f"{TRACE}{'1' * 16}-01")
    for n in range(4):
        found.on_traced("m-7", "no traceparent" if n in (1, 2) else f"{TRACE}{'1' * 16}-01")
        found.on_batch([record()] * 5)
        found._select()  # pyright: ignore[reportPrivateUsage]
    assert found.dropped == {"traces": 2 * 5}
    assert [line.levelno for line in caplog.records] == [logging.ERROR]
    monkeypatch.setattr(Selection, "select", broken)
    found.on_batch([record()])
    found._select()  # pyright: ignore[reportPrivateUsage]
    assert [line.levelno for line in caplog.records] == [logging.ERROR] * 2  # it is another one
    found.close()


def test_state_that_always_fails_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    found = telemetry(signals=("traces",))
    selection = found._selection  # pyright: ignore[reportPrivateUsage]
    selection.passed_over = 3
    monkeypatch.setattr(selection, "select", broken)
    for _ in range(2):
        found.on_batch([record()])
        found._select()  # pyright: ignore[reportPrivateUsage]
    assert found.dropped == {"traces": 1}
    assert found.passed_over == 3
    found.close()


def test_spans_without_budget_are_counted() -> None:
    found = telemetry(signals=("traces",), max_spans_per_s=1)
    found.on_batch([record()] * 10)
    found._select()  # pyright: ignore[reportPrivateUsage]
    assert found.passed_over == 20
    found.close()


async def test_newest_figures_wait_and_older_ones_go() -> None:
    taken = iter("abcd")

    async def figures() -> Any:
        return [next(taken)]

    found = Telemetry(TelemetrySettings(endpoint=NOWHERE, signals=("metrics",)), "i", figures, nothing_earlier)
    for _ in range(4):
        await found._measure()  # pyright: ignore[reportPrivateUsage]
    waiting = found._outboxes["metrics"]._waiting  # pyright: ignore[reportPrivateUsage]
    assert ([figures for figures, _ in waiting], found.dropped) == ([["c"], ["d"]], {"metrics": 2})
    found.close()


async def test_figures_that_cannot_be_taken_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> Any:
        raise ValueError("no figures")

    monkeypatch.setattr(room, "METRICS_EVERY_S", 1e6)
    found = Telemetry(TelemetrySettings(endpoint=NOWHERE, signals=("metrics",)), "i", broken, nothing_earlier)
    found.start()
    await checkpoint()
    await checkpoint()
    assert found.dropped == {"metrics": 1}
    found.close()
    found.close()  # twice does nothing


def test_closed_export_takes_no_lines_any_more() -> None:
    found = telemetry(signals=("logs",))
    assert found.lines is not None
    logging.getLogger().addHandler(found.lines)
    found.close()
    assert found.lines not in logging.getLogger().handlers
