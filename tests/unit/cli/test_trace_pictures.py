"""A trace as lines, bars, a Mermaid diagram and OTLP: what they look like, and what holds whatever happened."""

from __future__ import annotations

import json
import re
from datetime import UTC, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from caxton.cli.drawing.trace_lines import lasted, lines, zone_name
from caxton.cli.drawing.trace_mermaid import trace_mermaid
from caxton.cli.drawing.trace_otlp import ERROR, otlp
from caxton.cli.drawing.waterfall import ASCII, MAX_INDENT, MIN_WIDTH, UNICODE, waterfall
from caxton.core.views.traces import TraceView
from caxton.recorder.record import DEAD, FAILED, LOST, REFUSED, REPLIED, SETTLED, TIMER, TOOL
from caxton.telemetry.outline import Outliner
from caxton.telemetry.selection import Kept
from tests.unit.cli.sightings import HOSTILE
from tests.unit.services.talks import START_US, Talk, grown, live, record, talks

DAY_US = 86_400_000_000


def incident() -> TraceView:
    """The brief's: an order, a proposal, and a slow tool."""
    return grown(
        [
            record(SETTLED, 1, "client:ada", "OrderProcessor", sent=0, handed=1_000, ended=1_300, act="request"),
            record(SETTLED, 3, "OrderProcessor", "Billing", sent=1_000, handed=2_000, ended=1_002_000, act="request"),
            record(REPLIED, 4, "Billing", "client:ada", sent=2_000, handed=2_000, ended=1_002_100, act="agree"),
            record(
                TOOL, 0, "InventoryChecker", "InventoryChecker", sent=444_000, handed=445_000, ended=5_445_000, act="",
                message_id="m-2", detail="database_query: tool timeout",
            ),
            record(
                FAILED, 2, "OrderProcessor", "InventoryChecker", act="propose", detail="its handler returned 1",
                sent=1_000, handed=444_000, ended=5_446_000,
            ),
        ],
        [
            live(
                2, "OrderProcessor", "InventoryChecker", sent=1_000, attempt=2, performative="propose",
                again_us=START_US + 9_000_000,
            )
        ],
        now=8_000_000,
    )  # fmt: skip


# --- lines -------------------------------------------------------------------------------------------------------


def test_lines_of_the_brief_look_like_this() -> None:
    assert list(lines(incident(), UTC)) == [
        '[08:00:00.000] agent="client:ada" message="request" status="sent"',
        '[08:00:00.001] agent="OrderProcessor" message="request" status="received"',
        '[08:00:00.001] agent="OrderProcessor" message="propose" status="sent"',
        '[08:00:00.001] agent="OrderProcessor" message="request" status="sent"',
        '[08:00:00.002] agent="Billing" message="request" status="received"',
        '[08:00:00.002] agent="Billing" message="agree" status="sent"',
        '[08:00:00.444] agent="InventoryChecker" message="propose" status="received"',
        '[08:00:01.002] agent="Billing" message="request" status="handled" took="1 s"',
        '[08:00:01.002] agent="client:ada" message="agree" status="replied"',
        '[08:00:05.445] agent="InventoryChecker" error="tool timeout" tool="database_query" took="5 s"',
        (
            '[08:00:05.446] agent="InventoryChecker" message="propose" status="failed" error="its handler returned 1" '
            'took="5.002 s"'
        ),
        (
            '[08:00:08.000] agent="InventoryChecker" message="propose" status="waiting" attempt="2" since="7.999 s" '
            'next="08:00:09.000" note="attempt 2 is to come"'
        ),
    ]


def test_times_are_those_of_the_zone_and_another_day_is_said() -> None:
    view = grown([record(SETTLED, 1, "a", "b", sent=0, handed=DAY_US, ended=DAY_US + 1)], now=DAY_US + 2)
    east = timezone(timedelta(hours=5, minutes=30))
    assert list(lines(view, east)) == [
        "[2027-01-15]",
        '[13:30:00.000] agent="a" message="inform" status="sent"',
        "[2027-01-16]",
        '[13:30:00.000] agent="b" message="inform" status="received"',
    ]
    assert zone_name(START_US, UTC) == "UTC"


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (-5, "0 µs"), (0, "0 µs"), (999, "999 µs"), (1000, "1 ms"), (12_345, "12.3 ms"), (999_949, "999.9 ms"),
        (999_950, "1 s"), (5_001_000, "5.001 s"), (59_999_400, "59.999 s"), (59_999_600, "59s"),
        (125_000_000, "2m 5s"),
    ],
)  # fmt: skip
def test_durations_have_three_digits_that_count(us: int, text: str) -> None:
    assert lasted(us) == text


LINE = re.compile(r'\[(?:\d{2}:\d{2}:\d{2}\.\d{3}|\d{4}-\d{2}-\d{2})\](?: [a-z]+="(?:[^"\\]|\\.)*")*')


@settings(deadline=None)  # a busy machine is no error
@given(st.sampled_from(HOSTILE), st.sampled_from(HOSTILE), st.sampled_from(HOSTILE))
def test_no_name_or_error_can_forge_a_line_or_steer_a_terminal(name: str, act: str, error: str) -> None:
    view = hostile(name, act, error)
    for line in lines(view, UTC):
        assert LINE.fullmatch(line), line
        assert line.isascii() or not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", line)


def hostile(name: str, act: str, error: str) -> TraceView:
    view = grown([record(DEAD, 1, name, name, sent=1, ended=3, detail=error)], now=4)
    for one in view.spans:
        one.performative = act
    for event in view.events:
        event.message = event.tool = act
    return view


# --- bars --------------------------------------------------------------------------------------------------------


def test_incident_looks_like_this() -> None:
    assert list(waterfall(incident(), 100)) == [
        "                                    0                                         8 s",
        "client:ada → OrderProcessor request █                                                1.3 ms",
        "  InventoryChecker propose          ──▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒✗─────────────▸   7.999 s waiting",
        "    ↳ database_query: tool timeout (5 s)",
        "    ↳ its handler returned 1",
        "    ↳ attempt 2 in 1 s",
        "  Billing request                   ██████                                          1.001 s",
        "    client:ada agree                ──────                                              1 s replied",
        "─ waits  █ in hand  ▒ calls a tool  ✗ went wrong  ▸ goes on",
    ]


def test_legend_explains_the_marks_that_are_drawn_and_no_others() -> None:
    handled = record(SETTLED, 1, "a", "b", sent=0, handed=5, ended=10)
    failed = record(FAILED, 1, "a", "b", sent=0, handed=2, ended=3, detail="no")
    dead = record(DEAD, 2, "a", "b", sent=0, ended=4, detail="expired")
    for records in ([handled], [failed, handled], [dead], []):
        waiting = [] if records else [live(3, "a", "b", sent=0)]
        *bars, legend = waterfall(grown(records, waiting, now=20), 80)
        drawn = {mark for mark in "✗▸" if any(mark in bar for bar in bars)}
        assert {mark for mark in "✗▸" if mark in legend} == drawn


def test_message_that_was_handed_over_again_says_so_below_its_bar_and_in_its_line() -> None:
    view = grown([record(SETTLED, 1, "a", "b", sent=n, handed=n + 5, ended=n + 9) for n in (0, 50)], now=80)
    assert "  ↳ handed over again after a restart" in waterfall(view, 80)
    assert 'status="received" note="handed over again after a restart"' in [*lines(view, UTC)][-1]


def test_nothing_has_no_bars() -> None:
    assert list(waterfall(grown([], now=1), 80)) == []


def test_timer_and_deep_messages_say_what_they_are() -> None:
    chain = [
        record(SETTLED, n, f"a{n - 1}", f"a{n}", sent=10 * n, handed=10 * n + 10, ended=10 * n + 11)
        for n in range(1, MAX_INDENT + 3)
    ]
    timer = record(TIMER, 0, "clock", "clock", sent=1, handed=2, ended=3, message_id="", act="")
    rows = list(waterfall(grown([timer, *chain], now=500), 120))
    assert rows[1].startswith("clock, timer ")
    deepest = rows[-2]
    assert deepest.startswith(f"{'  ' * MAX_INDENT}{MAX_INDENT + 1}: a{MAX_INDENT + 2} inform")


@settings(deadline=None)  # a busy machine is no error
@given(talks(), st.integers(1, 200), st.booleans())
def test_no_line_is_wider_than_asked_for_and_every_message_has_a_bar(talk: Talk, width: int, plain: bool) -> None:
    view = grown(talk.records, talk.live, now=talk.now)
    glyphs = ASCII if plain else UNICODE
    rows = list(waterfall(view, width, glyphs))
    assert all(cell_len(row) <= max(width, MIN_WIDTH) for row in rows)
    bars = [row for row in rows[1:-1] if not row.lstrip().startswith(f"{glyphs.because} ")]
    assert len(bars) == len(view.spans)
    if plain:
        assert all(row.replace("µ", "u").isascii() for row in rows)


@settings(deadline=None)  # a busy machine is no error
@given(st.sampled_from(HOSTILE), st.sampled_from(HOSTILE), st.sampled_from(HOSTILE))
def test_bars_of_hostile_names_stay_in_their_lines(name: str, act: str, error: str) -> None:
    rows = list(waterfall(hostile(name, act, error), 60))
    assert not any(re.search(r"[\x00-\x1f\x7f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", row) for row in rows)
    assert len(rows) == 4


# --- for programs ------------------------------------------------------------------------------------------------


def test_mermaid_draws_messages_and_calls_of_tools() -> None:
    text = trace_mermaid(incident())
    assert text.startswith("sequenceDiagram\n    participant p0 as client#58;ada\n")
    arrows = [line.strip().split(":")[0] for line in text.splitlines() if "->" in line or "-x" in line]
    assert arrows == ["p0->>p1", "p1->>p2", "p1->>p3", "p3->>p0", "p2-xp4"]
    assert "tool database_query" in text
    assert "tool timeout" in text


def spans_of(view: TraceView) -> list[dict[str, Any]]:
    text = otlp(view)
    assert "\n" not in text
    (resource,) = json.loads(text)["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "caxton"}} in resource["resource"]["attributes"]
    (scope,) = resource["scopeSpans"]
    return scope["spans"]


def test_otlp_has_spans_of_sending_handling_and_calls_each_with_its_parent() -> None:
    spans = {span["spanId"]: span for span in spans_of(incident())}
    tree = {
        (span["name"], spans[span["parentSpanId"]]["name"] if "parentSpanId" in span else None)
        for span in spans.values()
    }
    assert tree == {
        ("send OrderProcessor", None),
        ("process OrderProcessor", "send OrderProcessor"),
        ("send InventoryChecker", "process OrderProcessor"),
        ("process InventoryChecker", "send InventoryChecker"),
        ("execute_tool database_query", "process InventoryChecker"),
        ("send Billing", "process OrderProcessor"),
        ("process Billing", "send Billing"),
        ("send client:ada", "process Billing"),
    }
    assert {span["traceId"] for span in spans.values()} == {"ab" * 16}
    assert spans["0000000000000001"]["name"] == "send OrderProcessor"
    (tool,) = (span for span in spans.values() if span["name"].startswith("execute_tool"))
    assert tool["status"] == {"code": ERROR, "message": "tool timeout"}
    (checked,) = (span for span in spans.values() if span["name"] == "process InventoryChecker")
    assert checked["status"] == {"code": ERROR, "message": "its handler returned 1"}


def test_otlp_has_the_spans_that_telemetry_exports() -> None:
    raw = [
        record(SETTLED, 1, "client:ada", "a", sent=START_US, handed=START_US + 5, ended=START_US + 9),
        record(SETTLED, 2, "a", "b", sent=START_US + 5, handed=START_US + 20, ended=START_US + 30),
        record(LOST, 4, "a", "c", sent=START_US + 5, ended=START_US + 45),
        record(DEAD, 3, "a", "c", sent=START_US + 5, ended=START_US + 40, detail="expired"),
        record(TOOL, 2, "b", "b", sent=START_US + 20, handed=START_US + 22, ended=START_US + 25, detail="f: it fails"),
        record(REFUSED, 0, "a", "d", sent=START_US + 5, ended=START_US + 6, detail="WOULD_BLOCK", message_id=""),
    ]  # fmt: skip
    outliner = Outliner()
    exported = {
        (f"{one.span:016x}", one.name)
        for each in raw
        for one in outliner.outline(Kept(msgspec.structs.astuple(each), "sampled"))
    }
    assert {(span["spanId"], span["name"]) for span in spans_of(grown(raw, now=START_US + 50))} == exported


def test_trace_without_an_id_gets_one_that_is_the_same_each_time() -> None:
    view = grown([record(SETTLED, 1, "a", "b", sent=1, handed=2, ended=3, trace="")], now=4)
    first, second = spans_of(view), spans_of(view)
    assert first == second
    assert {len(span["traceId"]) for span in first} == {32}
    assert first[0]["traceId"] != "0" * 32


@settings(deadline=None)  # a busy machine is no error
@given(talks())
def test_otlp_follows_the_rules_of_the_protocol_whatever_happened(talk: Talk) -> None:
    refused = record(REFUSED, 0, "a", "b", sent=talk.now, ended=talk.now, detail="INVALID", message_id="")
    spans = spans_of(grown([*talk.records, refused], talk.live, now=talk.now))
    ids = [span["spanId"] for span in spans]
    assert len(set(ids)) == len(ids)
    for span in spans:
        assert re.fullmatch("[0-9a-f]{32}", span["traceId"])
        assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
        assert span.get("parentSpanId") is None or span["parentSpanId"] in ids
        assert int(span["endTimeUnixNano"]) >= int(span["startTimeUnixNano"])
        assert span["name"]
        assert all(len(one["value"]) == 1 for one in span["attributes"])


def test_view_is_the_same_after_json() -> None:
    view = incident()
    assert msgspec.json.decode(msgspec.json.encode(view), type=TraceView) == view
