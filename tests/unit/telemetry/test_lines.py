"""Lines of logs on their way to a collector."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest

from caxton.logs.line import Context, Record
from caxton.telemetry import lines, names
from caxton.telemetry.lines import MAX_ATTRIBUTES, MAX_LINES_PER_S, MAX_TEXT_CHARS, Line, LineIntake


class Taken:
    """What an intake put and missed."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.missed = 0
        self.intake = LineIntake(self.lines.extend, self._miss)

    def _miss(self, count: int) -> None:
        self.missed += count

    def log(self, name: str = "caxton.bus", level: int = logging.INFO, text: str = "hello", **extra: Any) -> Line:
        self.intake.emit(logging.getLogger(name).makeRecord(name, level, "f", 1, text, (), None, extra=extra))
        return self.lines[-1]


def test_facts_of_a_line_become_attributes_and_event_trace_and_span_its_own_fields() -> None:
    line = Taken().log(action="bus.redelivered", trace_id="ab" * 16, span_id="cd" * 8, agent="a", n=3, odd=[1])
    assert (line.event, line.trace_id, line.span_id) == ("bus.redelivered", "ab" * 16, "cd" * 8)
    assert line.attributes == {names.AGENT: "a", "n": 3, "odd": "[1]", "logger": "caxton.bus"}


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
    assert attributes[names.ERROR_TYPE] == "ValueError"
    assert len(str(attributes["exception.stacktrace"])) == MAX_TEXT_CHARS


def test_line_is_bounded() -> None:
    facts: dict[str, Any] = {f"fact_{n}": n for n in range(200)}
    line = Taken().log(text="x" * 10_000, **facts)
    assert (len(line.text), len(line.attributes)) == (MAX_TEXT_CHARS, MAX_ATTRIBUTES)


def test_line_with_wrong_arguments_is_left_out_and_counted() -> None:
    taken = Taken()
    taken.intake.emit(logging.LogRecord("caxton", logging.INFO, "f", 1, "%d and %d", ("one",), None))
    assert (taken.lines, taken.missed) == ([], 1)


def test_secrets_are_not_exported() -> None:
    secret = "s3cret"  # noqa: S105
    line = Taken().log(text=f"Authorization: Bearer {secret}", password=secret)
    assert secret not in str(line)
    assert "password" in line.attributes


def test_more_than_so_many_a_second_are_counted_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    second = [7]
    monkeypatch.setattr(lines.time, "monotonic_ns", lambda: second[0] * 1_000_000_000)
    taken = Taken()
    said = Record(1, 2, "default", "a", 0, 2, "guest", "hi", None)
    for _ in range(MAX_LINES_PER_S):
        taken.intake.of_agent(said)
    taken.log()
    taken.intake.of_agent(said)
    assert (len(taken.lines), taken.missed) == (MAX_LINES_PER_S, 2)
    second[0] += 1
    taken.log()
    assert len(taken.lines) == MAX_LINES_PER_S + 1


def test_line_of_an_agent_says_whose_it_is_and_what_was_in_hand() -> None:
    taken = Taken()
    in_hand = Context("m-1", "c", "ab" * 16, "cd" * 8, 2)
    taken.intake.of_agent(Record(1, 7, "w", "a", 3, 3, "guest", "odd", in_hand))
    taken.intake.of_agent(Record(2, 8, "w", "a", 3, 4, "host", "bad", None))
    taken.intake.of_agent(Record(3, 9, "w", "a", 3, 2, "guest", "a timer", Context("", None, "ab" * 16, "", 1)))
    first, second, third = taken.lines
    of_agent = {names.WORKSPACE: "w", names.AGENT: "a", names.REPLICA: 3}
    assert (first.text, first.at_ns, first.severity, first.severity_text) == ("odd", 7_000, 13, "WARN")
    assert (first.trace_id, first.span_id, first.event) == ("ab" * 16, "cd" * 8, "")
    assert first.attributes == {
        **of_agent, names.LOG_SOURCE: "guest", names.ATTEMPT: 2, names.MESSAGING_MESSAGE_ID: "m-1",
        names.MESSAGING_MESSAGE_CONVERSATION_ID: "c",
    }  # fmt: skip
    assert (second.trace_id, second.severity, second.attributes) == ("", 17, {**of_agent, names.LOG_SOURCE: "host"})
    assert (third.span_id, third.attributes) == ("", {**of_agent, names.LOG_SOURCE: "guest", names.ATTEMPT: 1})
