from __future__ import annotations

from itertools import chain, combinations, pairwise
from random import Random  # noqa: TC003 - Hypothesis reads the annotation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.conversations.waits import MAX_OPEN_ASKS, OpenAsks, WaitGraph, deadlocks

NAMES = "abcdef"
EDGES = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=14)
QUIET = st.one_of(st.just(frozenset(NAMES)), st.frozensets(st.sampled_from(NAMES)))


def graph_of(edges: set[tuple[str, str]] | list[tuple[str, str]]) -> WaitGraph:
    graph = WaitGraph()
    for waiter, waited in edges:
        graph.wait(waiter, waited)
    return graph


def everybody_is_quiet(_: str) -> bool:
    return True


# --- the definition, tried out on every subset -------------------------------------------------------------------


def stuck_by_definition(edges: set[tuple[str, str]], quiet: frozenset[str]) -> set[str]:
    """The union of all sets whose members are quiet, wait for somebody, and for nobody outside the set."""
    subsets = chain.from_iterable(combinations(NAMES, size) for size in range(len(NAMES) + 1))
    found: set[str] = set()
    for subset in map(set, subsets):
        waits = [{waited for waiter, waited in edges if waiter == name} for name in subset]
        if subset <= quiet and all(each and each <= subset for each in waits):
            found |= subset
    return found


def reachable(edges: set[tuple[str, str]], start: str) -> set[str]:
    """Whoever `start` waits for, directly or through others."""
    found: set[str] = set()
    layer = {start}
    while layer:
        layer = {waited for waiter, waited in edges if waiter in layer} - found
        found |= layer
    return found


def cycles_by_definition(edges: set[tuple[str, str]], stuck: set[str]) -> list[list[str]]:
    """For each knot the shortest closed walk through its smallest name, in order of names."""
    found: list[list[str]] = []
    done: set[str] = set()
    for first in sorted(stuck):
        if first in done or first not in reachable(edges, first):
            continue
        done |= {name for name in reachable(edges, first) if first in reachable(edges, name)}
        walks = [[first]]
        while not (closed := [walk for walk in walks if (walk[-1], first) in edges]):
            walks = [[*walk, name] for walk in walks for name in NAMES if (walk[-1], name) in edges]
        found.append(min(closed))
    return found


@given(EDGES, QUIET)
def test_deadlocks_are_those_of_the_definition(edges: set[tuple[str, str]], quiet: frozenset[str]) -> None:
    found = deadlocks(graph_of(edges), quiet.__contains__)
    assert found == cycles_by_definition(edges, stuck_by_definition(edges, quiet))


@given(EDGES, QUIET)
def test_every_wait_of_a_named_cycle_is_there(edges: set[tuple[str, str]], quiet: frozenset[str]) -> None:
    for cycle in deadlocks(graph_of(edges), quiet.__contains__):
        assert {*pairwise([*cycle, cycle[0]])} <= edges
        assert {*cycle} <= quiet
        assert len({*cycle}) == len(cycle)


@given(st.sets(st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda edge: edge[0] < edge[1])))
def test_graph_without_a_cycle_has_no_deadlock(edges: set[tuple[int, int]]) -> None:
    graph = graph_of([(f"n{waiter}", f"n{waited}") for waiter, waited in edges])
    assert deadlocks(graph, everybody_is_quiet) == []


@given(EDGES, st.randoms(use_true_random=False))
def test_same_waits_give_the_same_cycles_in_whatever_order_they_began(
    edges: set[tuple[str, str]], chance: Random
) -> None:
    shuffled = sorted(edges)
    chance.shuffle(shuffled)
    assert deadlocks(graph_of(shuffled), everybody_is_quiet) == deadlocks(graph_of(sorted(edges)), everybody_is_quiet)


# --- cases -------------------------------------------------------------------------------------------------------


def test_who_waits_for_itself_is_deadlocked() -> None:
    assert deadlocks(graph_of([("a", "a")]), everybody_is_quiet) == [["a"]]


def test_cycle_is_no_deadlock_while_one_of_it_has_something_to_do() -> None:
    graph = graph_of([("a", "b"), ("b", "c"), ("c", "a")])
    assert deadlocks(graph, everybody_is_quiet) == [["a", "b", "c"]]
    for busy in "abc":
        assert deadlocks(graph, lambda name, busy=busy: name != busy) == []


def test_cycle_is_no_deadlock_while_one_of_it_waits_for_somebody_else_too() -> None:
    graph = graph_of([("a", "b"), ("b", "a"), ("b", "client:ada")])
    assert deadlocks(graph, lambda name: not name.startswith("client:")) == []


def test_who_waits_for_a_deadlock_is_not_named_in_it() -> None:
    assert deadlocks(graph_of([("x", "a"), ("a", "b"), ("b", "a")]), everybody_is_quiet) == [["a", "b"]]


def test_each_knot_has_its_own_cycle_beginning_with_its_smallest_name() -> None:
    graph = graph_of([("z", "y"), ("y", "z"), ("c", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("c", "z")])
    assert deadlocks(graph, everybody_is_quiet) == [["a", "c"], ["y", "z"]]


def test_nobody_is_asked_about_where_no_cycle_can_be() -> None:
    asked: list[str] = []
    graph = graph_of([("a", "b"), ("b", "c"), ("x", "y"), ("y", "x")])
    deadlocks(graph, lambda name: not asked.append(name))
    assert sorted(asked) == ["x", "y"]


def test_a_hundred_thousand_waits_in_a_ring_are_followed_to_the_end() -> None:
    names = [f"n{index:06}" for index in range(100_000)]
    graph = graph_of([*pairwise(names), (names[-1], names[0])])
    assert deadlocks(graph, everybody_is_quiet) == [names]


# --- the graph ---------------------------------------------------------------------------------------------------


def test_wait_ends_when_it_was_done_as_often_as_it_began() -> None:
    graph = graph_of([("a", "b"), ("a", "b"), ("a", "c")])
    assert (graph.waits_of("a"), graph.waiting_for("b"), len(graph)) == ({"b": 2, "c": 1}, {"a"}, 2)
    graph.done("a", "b")
    assert (graph.waits_of("a"), len(graph)) == ({"b": 1, "c": 1}, 2)
    graph.done("a", "b")
    assert (graph.waits_of("a"), graph.waiting_for("b"), len(graph)) == ({"c": 1}, set(), 1)
    assert [*graph.edges()] == [("a", "c", 1)]


def test_version_changes_only_with_the_edges() -> None:
    graph = WaitGraph()
    versions = [graph.version]
    for step in (graph.wait, graph.wait, graph.done, graph.done, graph.done):
        step("a", "b")
        versions.append(graph.version)
    assert versions == [0, 1, 1, 1, 2, 2]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.sampled_from("abc"))))
def test_graph_counts_as_a_plain_count_does_and_keeps_nothing_that_is_over(steps: list[tuple[bool, str, str]]) -> None:
    graph = WaitGraph()
    counts: dict[tuple[str, str], int] = {}
    for begins, waiter, waited in steps:
        (graph.wait if begins else graph.done)(waiter, waited)
        counts[waiter, waited] = max(counts.get((waiter, waited), 0) + (1 if begins else -1), 0)
    left = {pair: count for pair, count in counts.items() if count}
    assert {(waiter, waited): times for waiter, waited, times in graph.edges()} == left
    assert len(graph) == len(left)
    assert {*graph.waiters()} == {waiter for waiter, _ in left}
    assert {*graph.waited()} == {waited for _, waited in left}
    for name in "abc":
        assert graph.waiting_for(name) == {waiter for waiter, waited in left if waited == name}


# --- free messages -----------------------------------------------------------------------------------------------


def asks(limit: int = MAX_OPEN_ASKS) -> tuple[OpenAsks, WaitGraph]:
    graph = WaitGraph()
    return OpenAsks(graph, limit=limit), graph


def test_asker_waits_until_each_has_answered() -> None:
    found, graph = asks()
    found.remember("a", "r1", ["b", "c"], "x", 1, None)
    assert (graph.waits_of("a"), len(found)) == ({"b": 1, "c": 1}, 2)
    found.answered("a", "r1", "b")
    found.answered("a", "r1", "c")
    assert (len(graph), len(found), [*found]) == (0, 0, [])


@pytest.mark.parametrize(("waiter", "in_reply_to"), [("a", "r2"), ("b", "r1")])
def test_answer_to_something_else_ends_no_wait(waiter: str, in_reply_to: str) -> None:
    found, graph = asks()
    found.remember("a", "r1", ["b"], "x", 1, None)
    found.answered(waiter, in_reply_to, "b")
    assert graph.waits_of("a") == {"b": 1}


@pytest.mark.parametrize("asked", [["b"], ["b", "c"]])
def test_answer_from_somebody_who_was_not_asked_ends_the_ask(asked: list[str]) -> None:
    found, graph = asks()
    found.remember("a", "r1", asked, "x", 1, None)
    found.answered("a", "r1", "z")
    assert (len(graph), len(found)) == (0, 0)


def test_ask_whose_time_is_over_is_forgotten_and_not_before() -> None:
    found, graph = asks()
    found.remember("a", "r1", ["b"], "x", 1, 100)
    found.remember("a", "r2", ["c"], "x", 1, None)
    found.expire(99)
    assert graph.waits_of("a") == {"b": 1, "c": 1}
    found.expire(100)
    assert graph.waits_of("a") == {"c": 1}


def test_mark_that_is_used_again_is_one_ask_of_all_until_the_later_time() -> None:
    found, graph = asks()
    found.remember("a", "r1", ["b"], "x", 1, 100)
    found.remember("a", "r1", ["b", "c"], "y", 2, 200)
    (ask,) = found
    assert (ask.since_us, ask.conversation_id, ask.waited) == (1, "y", {"b", "c"})
    found.expire(150)
    assert graph.waits_of("a") == {"b": 1, "c": 1}
    found.answered("a", "r1", "b")
    assert graph.waits_of("a") == {"c": 1}
    found.expire(200)
    assert len(graph) == len(found) == 0


def test_mark_that_is_used_again_without_a_time_waits_without_end() -> None:
    found, graph = asks()
    found.remember("a", "r1", ["b"], "x", 1, 100)
    found.remember("a", "r1", ["b"], "x", 2, None)
    found.expire(10**18)
    assert graph.waits_of("a") == {"b": 1}


def test_beyond_the_limit_the_oldest_ask_is_forgotten() -> None:
    found, graph = asks(limit=3)
    found.remember("a", "r1", ["b", "c"], "x", 1, None)
    found.remember("d", "r1", ["b"], "x", 2, None)
    found.remember("e", "r1", ["b"], "x", 3, None)
    assert (len(found), len(graph)) == (2, 2)
    assert graph.waiting_for("b") == {"d", "e"}


def test_ask_that_is_larger_than_the_limit_leaves_nothing_behind() -> None:
    found, graph = asks(limit=2)
    found.remember("a", "r1", ["b", "c", "d"], "x", 1, 5)
    assert (len(found), len(graph)) == (0, 0)
    found.expire(10)


def test_agent_that_is_gone_waits_for_nothing() -> None:
    found, graph = asks()
    found.remember("a", "r1", ["b"], "x", 1, None)
    found.remember("c", "r1", ["b"], "x", 1, None)
    found.forget("a")
    assert [*graph.edges()] == [("c", "b", 1)]


def test_nobody_waits_for_an_agent_that_is_gone() -> None:
    found, graph = asks()
    found.remember("a", "r1", ["b"], "x", 1, 50)
    found.remember("c", "r1", ["b", "d"], "x", 1, 50)
    found.forget("b")
    assert [*graph.edges()] == [("c", "d", 1)]
    assert [(ask.waiter, ask.waited) for ask in found] == [("c", {"d"})]
    found.expire(50)
    assert len(graph) == len(found) == 0


def test_asks_do_not_touch_waits_that_others_noted() -> None:
    found, graph = asks()
    graph.wait("a", "b")
    found.remember("a", "r1", ["b"], "x", 1, None)
    found.answered("a", "r1", "b")
    found.answered("a", "r1", "b")
    assert graph.waits_of("a") == {"b": 1}


def test_times_of_answered_asks_do_not_pile_up() -> None:
    found, _ = asks()
    for number in range(10_000):
        found.remember("a", f"r{number}", ["b"], "x", number, 10**15)
        found.answered("a", f"r{number}", "b")
    assert len(found._due) <= 1001  # pyright: ignore[reportPrivateUsage]


def test_ask_of_nobody_is_none() -> None:
    found, _ = asks()
    found.remember("a", "r1", [], "x", 1, 5)
    assert [*found] == []
