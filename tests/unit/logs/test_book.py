from __future__ import annotations

import asyncio
from contextlib import aclosing
from sys import getsizeof

import anyio
import pytest

from caxton.core.errors.limits import TooManyListeners
from caxton.core.errors.values import InvalidValue
from caxton.core.views.logs import LogLine
from caxton.logs import book as book_module
from caxton.logs.book import MAX_READERS, LogBook
from caxton.logs.filter import LogFilter
from caxton.logs.line import KEPT_LINE_BYTES, MAX_LINE_CHARS, Context, cost
from caxton.logs.pages import KEEP_S, MAX_BYTES, MAX_LINES
from caxton.logs.reader import MAX_UNREAD, Reader
from caxton.testing.clock import ManualClock

SPACE = "default"


def book() -> LogBook:
    return LogBook(ManualClock(1_700_000_000_000_000))


def of(*agents: str) -> LogFilter:
    return LogFilter(agents=frozenset(agents))


def texts(log: LogBook, agents: list[str] | None = None) -> list[str]:
    return [line.text for line in log.tail(SPACE, agents, limit=10 * MAX_LINES)]


# --- what is kept ------------------------------------------------------------------------------------------------


def test_control_characters_cannot_reach_a_terminal() -> None:
    log = book()
    log.append(
        SPACE, "a", 0, 2, "guest", "bell \x07 nul \0 del \x7f esc \x1b csi \x9b tab \t cr \r back \x08 ls \u2028"
    )
    (text,) = texts(log)
    assert text == "bell � nul � del � esc � csi � tab \t cr � back � ls �"


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


@pytest.mark.parametrize("letter", ["x", "ä", "\U0001f600"], ids=["ascii", "latin", "wide"])
def test_lines_of_an_agent_are_bounded_in_bytes_of_memory(letter: str) -> None:
    log = book()
    for n in range(MAX_BYTES // MAX_LINE_CHARS):
        log.append(SPACE, "chatty", 0, 2, "guest", f"{n} {letter * (MAX_LINE_CHARS - 10)}")
    page = log.pages.get(SPACE, "chatty")
    assert page is not None
    taken = sum(KEPT_LINE_BYTES + getsizeof(record.text) for record in page.records)
    assert MAX_BYTES - cost(page.records[0]) < taken <= MAX_BYTES
    assert taken == page.bytes == log.pages.bytes
    assert texts(log)[-1].startswith(f"{MAX_BYTES // MAX_LINE_CHARS - 1} ")


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
    async with aclosing(log.follow(SPACE, of("a"), after_seq=0)) as lines:
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
    async with aclosing(log.follow(SPACE, LogFilter(), after_seq=seen)) as lines:
        with anyio.fail_after(5):
            got = [(await anext(lines)).text]
            log.append(SPACE, "b", 0, 2, "guest", "new")
            got += [(await anext(lines)).text for _ in range(2)]
    assert got == ["missed", "missed too", "new"]


async def test_follower_of_some_agents_hears_of_no_others() -> None:
    log = book()
    async with aclosing(log.follow(SPACE, of("a", "c"), after_seq=0)) as lines:
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
    lines = log.follow(SPACE, LogFilter(), after_seq=0)
    await anext(lines)
    assert log.readers == 1
    await lines.aclose()
    assert log.readers == 0


@pytest.mark.parametrize(("level", "name"), [(0, "trace"), (1, "debug"), (2, "info"), (3, "warn"), (4, "error")])
def test_levels_have_their_names(level: int, name: str) -> None:
    log = book()
    log.append(SPACE, "a", 0, level, "guest", "x")
    assert log.tail(SPACE, None, limit=1)[0].level == name


async def test_follower_begins_with_the_past_that_it_asks_for_and_misses_nothing_in_between() -> None:
    log = book()
    for n in range(5):
        log.append(SPACE, "a", 0, 2, "guest", f"old {n}")
    async with aclosing(log.follow(SPACE, LogFilter(), past=2)) as lines:
        log.append(SPACE, "a", 0, 2, "guest", "after the call")  # and before the first look
        with anyio.fail_after(5):
            got = [(await anext(lines)).text for _ in range(3)]
            log.append(SPACE, "a", 0, 2, "guest", "live")
            got.append((await anext(lines)).text)
    assert got == ["old 3", "old 4", "after the call", "live"]


async def test_follower_gets_only_what_its_filter_lets_through_but_always_hears_of_gaps() -> None:
    log = book()
    wanted = LogFilter(level="error", grep="order-[0-9]+", conversation_id="c1")
    talk = Context("m1", "c1", "ab" * 16, "01" * 8, 1)
    async with aclosing(log.follow(SPACE, wanted, after_seq=0)) as lines:
        log.append(SPACE, "a", 0, 4, "guest", "order-1", talk)
        with anyio.fail_after(5):
            assert (await anext(lines)).text == "order-1"
            log.append(SPACE, "a", 0, 3, "guest", "order-2 is not grave", talk)
            log.append(SPACE, "a", 0, 4, "guest", "order-x does not match", talk)
            log.append(SPACE, "a", 0, 4, "guest", "order-3 is of nothing")
            log.append(SPACE, "a", 0, 4, "guest", "order-4 is of another", talk._replace(conversation_id="c2"))
            log.append(SPACE, "b", 0, 4, "guest", "order-5", talk)
            assert (await anext(lines)).text == "order-5"
            for _ in range(MAX_UNREAD + 1):
                log.append(SPACE, "a", 0, 4, "guest", "grave and of the conversation, but it does not match", talk)
            assert (await anext(lines)).text.startswith("1 lines are left out here")


@pytest.mark.parametrize("wanted", [LogFilter(level="error"), LogFilter(conversation_id="c1"), of("b")])
async def test_lines_that_a_follower_did_not_ask_for_take_no_room(wanted: LogFilter) -> None:
    log = book()
    talk = Context("m1", "c1", "ab" * 16, "01" * 8, 1)
    async with aclosing(log.follow(SPACE, wanted, after_seq=0)) as lines:
        log.append(SPACE, "b", 0, 4, "guest", "first", talk)
        with anyio.fail_after(5):
            assert (await anext(lines)).text == "first"
            for n in range(20 * MAX_UNREAD):
                log.append(SPACE, "a", 0, 2, "guest", str(n))
            log.append(SPACE, "b", 0, 4, "guest", "found", talk)
            assert (await anext(lines)).text == "found"
            log.append(SPACE, "b", 0, 4, "guest", "and no gap", talk)
            assert (await anext(lines)).text == "and no gap"


def test_number_of_followers_is_limited() -> None:
    log = book()
    log._readers += [Reader(SPACE, LogFilter()) for _ in range(MAX_READERS)]  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(TooManyListeners) as caught:
        log.follow(SPACE, LogFilter())
    assert caught.value.details() == {"limit": MAX_READERS}


# --- looking for something ---------------------------------------------------------------------------------------


async def test_search_finds_the_last_lines_that_match_over_all_agents_and_shows_what_was_in_hand() -> None:
    log = book()
    talk = Context("m-7", "c-42", "ab" * 16, "00000000000004d2", 3)
    for n in range(6):
        log.append(SPACE, f"agent-{n % 2}", 1, 3, "guest", f"order-{n} failed", talk if n == 4 else None)
        log.append(SPACE, f"agent-{n % 2}", 1, 3, "guest", "nothing of interest")
    found = await log.find(SPACE, LogFilter(grep="(?i)ORDER-[0-9] f"), limit=3)
    assert [line.text for line in found] == ["order-3 failed", "order-4 failed", "order-5 failed"]
    assert found[1] == LogLine(
        seq=found[1].seq, at="2023-11-14T22:13:20.000+00:00", agent="agent-0", replica=1, level="warn",
        source="guest", text="order-4 failed", message_id="m-7", conversation_id="c-42", trace_id="ab" * 16,
        span_id="00000000000004d2", attempt=3,
    )  # fmt: skip
    assert (found[0].message_id, found[0].trace_id, found[0].attempt) == (None, None, None)
    assert [line.text for line in await log.find(SPACE, LogFilter(conversation_id="c-42"), limit=9)] == [
        "order-4 failed"
    ]


async def test_search_lets_others_have_a_turn_and_stands_agents_that_come_and_go_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(book_module, "SLICE_S", 0.0)
    log = book()
    for agent in range(10):
        for n in range(100):
            log.append(SPACE, f"agent-{agent}", 0, 2, "guest", f"{agent}.{n}")
    searching = asyncio.ensure_future(log.find(SPACE, LogFilter(grep=r"[.]7$"), limit=100))
    await asyncio.sleep(0)
    assert not searching.done()
    log.forget(SPACE, "agent-9")
    log.append(SPACE, "agent-8", 0, 2, "guest", "later.x")
    with anyio.fail_after(5):
        found = await searching
    assert [line.text for line in found] == [f"{agent}.7" for agent in range(9)]


async def test_search_that_takes_too_long_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "SLICE_S", 0.0)
    monkeypatch.setattr(book_module, "MAX_SEARCH_S", -1.0)
    log = book()
    for n in range(100):
        log.append(SPACE, "a", 0, 2, "guest", str(n))
    with pytest.raises(InvalidValue, match="name agents, a time, or a simpler pattern"):
        await log.find(SPACE, LogFilter(grep="x"), limit=1)
    assert log.readers == 0
