"""What bounds a server that says too much, and how its answers are read. Nothing here is a server."""

from __future__ import annotations

import asyncio

import pytest

from caxton.testing.clock import ManualClock
from caxton.tools.mcp.changes import Changes
from caxton.tools.mcp.noise import MAX_LINE_CHARS, MAX_LINES_PER_S, Noise
from caxton.tools.mcp.outcomes import CLOSED, TOO_LARGE, failure_of, outcome_of
from caxton.tools.mcp.pace import BURST_BYTES, LINE_BYTES, NOISE_BYTES_PER_S, Pace
from caxton.tools.source import Failure, Result


def test_noise_is_told_line_by_line_without_what_is_too_long() -> None:
    told: list[tuple[str, str]] = []
    noise = Noise(lambda where, text: told.append((where, text)), ManualClock())
    noise.heard("stderr", b"caf\xc3\xa9 \xff\r")
    noise.heard("stdout", "x" * (MAX_LINE_CHARS + 1))
    noise.heard("stdout", b"   ")
    assert told == [("stderr", "café \ufffd"), ("stdout", "x" * MAX_LINE_CHARS)]


def test_noise_of_a_flood_is_counted_and_told_later() -> None:
    told: list[str] = []
    clock = ManualClock()
    noise = Noise(lambda _where, text: told.append(text), clock)
    for number in range(MAX_LINES_PER_S + 5):
        noise.heard("stderr", f"{number}")
    assert len(told) == MAX_LINES_PER_S
    clock.advance(1)
    noise.heard("stderr", "after")
    assert told[-2:] == ["(5 lines are left out)", "after"]


def test_who_floods_is_read_more_slowly_and_who_does_not_is_not() -> None:
    pace = Pace()
    assert pace.spent(BURST_BYTES - LINE_BYTES, 0.0) == 0
    assert pace.spent(NOISE_BYTES_PER_S - LINE_BYTES, 0.0) == pytest.approx(1.0)
    assert pace.spent(0, 60.0) == 0


def test_empty_lines_are_not_free() -> None:
    pace = Pace()
    assert max(pace.spent(0, 0.0) for _ in range(BURST_BYTES // LINE_BYTES + 1)) > 0


async def test_first_change_is_told_at_once_and_the_others_together() -> None:
    told: list[int] = []
    later = asyncio.Event()
    changes = Changes(every_s=0.01)
    changes.when_told(lambda: (told.append(1), later.set() if len(told) == 2 else None))  # type: ignore[func-returns-value]
    for _ in range(1000):
        changes.noticed()
    assert len(told) == 1
    async with asyncio.timeout(5):
        await later.wait()
    assert len(told) == 2
    changes.close()
    changes.noticed()
    assert len(told) == 2


@pytest.mark.parametrize(("code", "trouble"), [(CLOSED, "unavailable"), (TOO_LARGE, "too_large"), (-1, "failed")])
def test_codes_have_meanings(code: int, trouble: str) -> None:
    assert failure_of(code).trouble == trouble


def test_result_is_passed_on_as_it_came() -> None:
    block = {"type": "image", "data": "AA==", "mimeType": "image/png", "more": 1}
    raw = {"content": [block], "structuredContent": {"a": 1}, "isError": False, "_meta": {"x": 1}}
    assert outcome_of(raw) == Result(content=[block], structured={"a": 1})


def test_question_in_the_place_of_a_result_is_a_failure() -> None:
    outcome = outcome_of({"resultType": "input_required", "inputRequests": {}})
    assert isinstance(outcome, Failure)
    assert outcome.trouble == "failed"
