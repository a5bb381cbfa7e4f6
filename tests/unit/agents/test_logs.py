from __future__ import annotations

from contextlib import aclosing

import anyio
import pytest

from caxton.agents.logs import KEEP_S, MAX_BYTES, MAX_LINE_CHARS, MAX_LINES, MAX_UNREAD, LogBook
from caxton.core.views.logs import LogLine
from caxton.testing.clock import ManualClock

SPACE = "default"


def book() -> LogBook:
    return LogBook(ManualClock(1_700_000_000_000_000))


def texts(log: LogBook, agents: list[str] | None = None) -> list[str]:
    return [line.text for line in log.tail(SPACE, agents, limit=10 * MAX_LINES)]


# --- what is kept ------------------------------------------------------------------------------------------------


def test_control_characters_cannot_reach_a_terminal() -> None:
    log = book()
    log.append(SPACE, "a", 0, 2, "guest", "red \x1b[31m bell \x07 nul \0 del \x7f csi \x9b1m tab \t cr \r back \x08")
    (text,) = texts(log)
    assert text == "red �[31m bell � nul � del � csi �1m tab \t cr � back �"


def test_each_line_of_a_text_is_a_line_of_its_own_and_of_the_same_agent() -> None:
    """So a guest cannot write one that seems to come from another."""
    log = book()
    log.append(SPACE, "a", 1, 3, "stderr", "one\r\n\ntwo\n")
    assert [
        (line.agent, line.replica, line.level, line.source, line.text) for line in log.tail(SPACE, None, limit=9)
    ] == [
        ("a", 1, "warn", "stderr", "one"),
        ("a", 1, "warn", "stderr", ""),
        ("a", 1, "warn", "stderr", "two"),
    ]


def test_long_line_is_cut() -> None:
    log = book()
    log.append(SPACE, "a", 0, 2, "guest", "x" * (MAX_LINE_CHARS + 1))
    assert texts(log) == ["x" * MAX_LINE_CHARS]


def test_oldest_lines_of_an_agent_go_and_those_of_others_stay() -> None:
    log = book()
    log.append(SPACE, "quiet", 0, 2, "guest", "still here")
    for n in range(MAX_LINES + 5):
        log.append(SPACE, "chatty", 0, 2, "guest", str(n))
    assert texts(log, ["chatty"]) == [str(n) for n in range(5, MAX_LINES + 5)]
    assert texts(log, ["quiet"]) == ["still here"]


@pytest.mark.parametrize("letter", ["x", "ä"], ids=["one-byte", "two-bytes"])
def test_lines_of_an_agent_are_bounded_in_bytes(letter: str) -> None:
    log = book()
    line = letter * MAX_LINE_CHARS
    size = len(line.encode())
    for n in range(MAX_BYTES // size + 10):
        log.append(SPACE, "chatty", 0, 2, "guest", str(n) if n < 10 else line)
    assert texts(log) == [line] * (MAX_BYTES // size)


def test_lines_of_last_week_are_forgotten_also_if_nothing_is_written_any_more() -> None:
    clock = ManualClock(1_700_000_000_000_000)
    log = LogBook(clock)
    log.append(SPACE, "a", 0, 2, "guest", "old")
    clock.advance(KEEP_S - 1)
    log.append(SPACE, "a", 0, 2, "guest", "new")
    assert texts(log) == ["old", "new"]
    clock.advance(2)
    assert texts(log) == ["new"]
    clock.advance(KEEP_S)
    assert texts(log) == []


def test_one_text_of_many_lines_keeps_the_bound() -> None:
    log = book()
    log.append(SPACE, "a", 0, 2, "guest", "\n".join(map(str, range(3 * MAX_LINES))))
    assert texts(log) == [str(n) for n in range(2 * MAX_LINES, 3 * MAX_LINES)]


def test_lines_of_another_workspace_and_of_a_removed_agent_are_not_shown() -> None:
    log = book()
    log.append("other", "a", 0, 2, "guest", "secret")
    log.append(SPACE, "a", 0, 2, "guest", "mine")
    log.append(SPACE, "b", 0, 2, "guest", "gone")
    log.forget(SPACE, "b")
    assert texts(log) == ["mine"]
    assert log.tail("other", ["a"], limit=0) == []


def test_tail_chooses_by_agent_level_age_and_number_in_order_of_writing() -> None:
    clock = ManualClock(1_700_000_000_000_000)
    log = LogBook(clock)
    log.append(SPACE, "a", 0, 2, "guest", "old")
    clock.advance(10)
    log.append(SPACE, "b", 0, 4, "host", "bad")
    log.append(SPACE, "a", 2, 3, "guest", "odd")
    log.append(SPACE, "b", 0, 0, "guest", "dull")
    assert log.tail(SPACE, ["a"], limit=1) == [
        LogLine(
            seq=1_700_000_000_003,
            at="2023-11-14T22:13:30.000+00:00",
            agent="a",
            replica=2,
            level="warn",
            source="guest",
            text="odd",
        )
    ]
    assert [line.text for line in log.tail(SPACE, None, limit=9)] == ["old", "bad", "odd", "dull"]
    assert [line.text for line in log.tail(SPACE, None, limit=2)] == ["odd", "dull"]
    assert [line.text for line in log.tail(SPACE, None, limit=9, level="warn")] == ["bad", "odd"]
    assert [line.text for line in log.tail(SPACE, None, limit=9, since_s=5)] == ["bad", "odd", "dull"]
    assert [line.text for line in log.tail(SPACE, None, limit=9, since_s=10)] == ["old", "bad", "odd", "dull"]


# --- following ---------------------------------------------------------------------------------------------------


async def test_slow_reader_is_told_how_many_lines_it_missed() -> None:
    log = book()
    async with aclosing(log.follow(SPACE, ["a"], after_seq=0)) as lines:
        log.append(SPACE, "a", 0, 2, "guest", "first")
        with anyio.fail_after(5):
            assert (await anext(lines)).text == "first"
            for n in range(MAX_UNREAD + 7):
                log.append(SPACE, "a", 0, 2, "guest", str(n))
            got = [await anext(lines) for _ in range(MAX_UNREAD + 1)]
            log.append(SPACE, "a", 0, 2, "guest", "later")
            later = await anext(lines)
    assert [line.text for line in got[:-1]] == [str(n) for n in range(MAX_UNREAD)]
    missed = got[-1]
    assert (missed.source, missed.level) == ("host", "warn")
    assert missed.text == "7 lines are left out here: they came faster than they were read"
    assert later.text == "later"


async def test_follower_gets_what_was_there_after_its_number_and_then_each_new_line_once() -> None:
    log = book()
    for text in ("seen", "missed", "missed too"):
        log.append(SPACE, "a", 0, 2, "guest", text)
    seen = log.tail(SPACE, None, limit=9)[0].seq
    async with aclosing(log.follow(SPACE, None, after_seq=seen)) as lines:
        with anyio.fail_after(5):
            got = [(await anext(lines)).text]
            log.append(SPACE, "b", 0, 2, "guest", "new")
            got += [(await anext(lines)).text for _ in range(2)]
    assert got == ["missed", "missed too", "new"]


async def test_follower_of_some_agents_hears_of_no_others() -> None:
    log = book()
    async with aclosing(log.follow(SPACE, ["a", "c"], after_seq=0)) as lines:
        log.append(SPACE, "a", 0, 2, "guest", "1")
        with anyio.fail_after(5):
            assert (await anext(lines)).text == "1"
            log.append(SPACE, "b", 0, 2, "guest", "not this")
            log.append("other", "a", 0, 2, "guest", "nor this")
            log.append(SPACE, "c", 0, 2, "guest", "2")
            assert (await anext(lines)).text == "2"


async def test_follower_that_leaves_is_forgotten() -> None:
    log = book()
    log.append(SPACE, "a", 0, 2, "guest", "1")
    lines = log.follow(SPACE, None, after_seq=0)
    await anext(lines)  # type: ignore[arg-type]
    assert len(log._readers) == 1  # pyright: ignore[reportPrivateUsage]
    await lines.aclose()  # type: ignore[attr-defined]
    assert not log._readers  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(("level", "name"), [(0, "trace"), (1, "debug"), (2, "info"), (3, "warn"), (4, "error")])
def test_levels_have_their_names(level: int, name: str) -> None:
    log = book()
    log.append(SPACE, "a", 0, level, "guest", "x")
    assert log.tail(SPACE, None, limit=1)[0].level == name
