"""Bounds for each agent, and one for all together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from caxton.logs.line import Record, cost
from caxton.logs.pages import KEEP_S, Pages

if TYPE_CHECKING:
    from collections.abc import Iterable

SPACE = "default"


def record(seq: int, agent: str, text: str = "x" * 100, at_us: int = 0) -> Record:
    return Record(seq, at_us, SPACE, agent, 0, 2, "guest", text, None)


COST = cost(record(0, "a"))


def kept(pages: Pages, agent: str) -> list[int]:
    page = pages.get(SPACE, agent)
    return [] if page is None else [one.seq for one in page.records]


def fill(pages: Pages, agents: Iterable[str]) -> None:
    for seq, agent in enumerate(agents):
        pages.add(record(seq, agent))


def test_one_that_shouts_gives_way_before_those_that_speak_once() -> None:
    pages = Pages(100 * COST)
    fill(pages, [*(f"quiet-{n}" for n in range(20)), *(["loud"] * 500)])
    assert all(kept(pages, f"quiet-{n}") == [n] for n in range(20))
    assert kept(pages, "loud") == list(range(440, 520))
    assert (pages.bytes, pages.lines, pages.let_go) == (100 * COST, 100, 420)


def test_those_that_take_about_the_same_give_way_in_turn() -> None:
    pages = Pages(100 * COST)
    fill(pages, [f"agent-{n % 10}" for n in range(1000)])
    sizes = [len(kept(pages, f"agent-{n}")) for n in range(10)]
    assert sum(sizes) == 100
    assert min(sizes) >= 5


def test_more_agents_than_lines_fit_leave_the_newest() -> None:
    pages = Pages(10 * COST)
    fill(pages, [f"agent-{n}" for n in range(1000)])
    assert (pages.bytes, pages.lines) == (10 * COST, 10)
    assert len(pages.of(SPACE, None)) == 10
    assert kept(pages, "agent-999") == [999]


def test_forgotten_and_expired_lines_give_their_room_back() -> None:
    pages = Pages(100 * COST)
    fill(pages, ["a", "b", "a"])
    pages.forget(SPACE, "a")
    pages.forget(SPACE, "nobody")
    (page,) = pages.of(SPACE, None)
    pages.expire(page, KEEP_S * 1_000_000)
    assert kept(pages, "b") == [1]
    pages.expire(page, KEEP_S * 1_000_000 + 1)
    assert (pages.bytes, pages.lines, pages.of(SPACE, None)) == (0, 0, [])
    fill(pages, ["a", "b"])
    assert (kept(pages, "a"), kept(pages, "b")) == ([0], [1])


def test_whether_a_line_is_kept_is_known_by_its_number() -> None:
    pages = Pages(3 * COST)
    fill(pages, ["a"] * 5)
    assert [pages.keeps(SPACE, "a", seq) for seq in range(5)] == [False, False, True, True, True]
    assert not pages.keeps(SPACE, "b", 3)
    assert not pages.keeps("other", "a", 3)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(0, 3000), st.sampled_from(["add", "add", "add", "forget"])),
        max_size=300,
    ),
    st.integers(1, 40),
)
def test_books_balance_whatever_happens(steps: list[tuple[str, int, str]], room: int) -> None:
    pages = Pages(room * 1000)
    for seq, (agent, size, what) in enumerate(steps):
        if what == "forget":
            pages.forget(SPACE, agent)
        else:
            pages.add(record(seq, agent, "x" * size, at_us=seq * KEEP_S * 10_000))
        found = pages.of(SPACE, None)
        assert pages.bytes == sum(cost(one) for page in found for one in page.records) <= room * 1000
        assert pages.lines == sum(len(page.records) for page in found)
        assert all(page.records and page.bytes == sum(map(cost, page.records)) for page in found)
