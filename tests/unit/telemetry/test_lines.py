"""Lines of logs on their way to a collector."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest

from caxton.core.views.logs import LogLine
from caxton.telemetry import lines, names
from caxton.telemetry.lines import MAX_ATTRIBUTES, MAX_LINES_PER_S, MAX_TEXT_CHARS, Line, LineIntake


class Taken:
    """What an intake put and missed."""

    def __init__(self, **options: Any) -> None:
        self.lines: list[Line] = []
        self.missed = 0
        self.intake = LineIntake(self.lines.extend, self._miss, **options)

    def _miss(self, count: int) -> None:
        self.missed += count

    def log(self, name: str = "caxton.bus", level: int = logging.INFO, text: str = "hello", **extra: Any) -> Line:
        self.intake.emit(logging.getLogger(name).makeRecord(name, level, "f", 1, text, (), None, extra=extra))
        return self.lines[-1]


def test_facts_of_a_line_become_attributes_and_event_trace_and_span_its_own_fields() -> None:
    line = Taken().log(action="bus.redelivered", trace_id="ab" * 16, span_id="cd" * 8, agent="a", n=3, odd=[1])
    assert (line.event, line.trace_id, line.span_id) == ("bus.redelivered", "ab" * 16, "cd" * 8)
    assert line.attributes == {"agent": "a", "n": 3, "odd": "[1]", names.LOGGER: "caxton.bus"}
    both: dict[str, Any] = {"event.name": "x", "action": "y"}
    assert Taken().log(**both).event == "x"


@pytest.mark.parametrize(("level", "number"), [(5, 1), (10, 5), (20, 9), (30, 13), (40, 17), (50, 21), (60, 21)])
def test_levels_are_opentelemetrys(level: int, number: int) -> None:
    assert Taken().log(level=level).severity == number


@pytest.mark.parametrize("name", ["caxton.telemetry.room", "opentelemetry.exporter", "grpc._channel", "urllib3.pool"])
def test_lines_about_the_export_are_not_exported(name: str) -> None:
    taken = Taken()
    taken.log()
    taken.intake.emit(logging.LogRecord(name, logging.ERROR, "f", 1, "failed", (), None))
    assert [line.text for line in taken.lines] == ["hello"]


def test_error_is_told_with_its_trace_back() -> None:
    taken = Taken()
    try:
        raise ValueError("x" * 10_000)
    except ValueError:
        record = logging.LogRecord("caxton", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    taken.intake.emit(record)
    attributes = taken.lines[0].attributes
    assert attributes[names.EXCEPTION_TYPE] == "ValueError"
    assert len(str(attributes[names.EXCEPTION_MESSAGE])) == MAX_TEXT_CHARS
    assert len(str(attributes[names.EXCEPTION_STACKTRACE])) == MAX_TEXT_CHARS


def test_line_is_bounded() -> None:
    facts: dict[str, Any] = {f"fact_{n}": n for n in range(200)}
    line = Taken().log(text="x" * 10_000, **facts)
    assert (len(line.text), len(line.attributes)) == (MAX_TEXT_CHARS, MAX_ATTRIBUTES + 1)


def test_line_with_wrong_arguments_is_told_as_it_is() -> None:
    taken = Taken()
    taken.intake.emit(logging.LogRecord("caxton", logging.INFO, "f", 1, "%d and %d", ("one",), None))
    assert taken.lines[0].text == "%d and %d"


def test_facts_are_cleaned() -> None:
    def clean(facts: dict[str, object]) -> dict[str, object]:
        return dict.fromkeys(facts, "***")

    assert Taken(clean=clean).log(who="ada").attributes["who"] == "***"


def test_more_than_so_many_a_second_are_counted_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    second = [7]
    monkeypatch.setattr(lines.time, "monotonic_ns", lambda: second[0] * 1_000_000_000)
    taken = Taken()
    said = LogLine(seq=1, at="", agent="a", replica=0, level="info", source="guest", text="hi")
    for _ in range(MAX_LINES_PER_S):
        taken.intake.of_agent("default", said)
    taken.log()
    taken.intake.of_agent("default", said)
    assert (len(taken.lines), taken.missed) == (MAX_LINES_PER_S, 2)
    second[0] += 1
    taken.log()
    assert len(taken.lines) == MAX_LINES_PER_S + 1


def test_line_of_an_agent_says_whose_it_is() -> None:
    taken = Taken()
    said = LogLine(seq=1, at="", agent="a", replica=2, level="warn", source="guest", text="odd")
    taken.intake.of_agent("w", said)
    (line,) = taken.lines
    assert (line.text, line.severity, line.severity_text, line.event) == ("odd", 13, "WARN", "")
    assert line.attributes == {
        names.WORKSPACE: "w", names.AGENT: "a", names.REPLICA: 2, names.LOG_SOURCE: "guest",
    }  # fmt: skip
