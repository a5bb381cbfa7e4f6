from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.bus.strategy import (
    BEST,
    BROADCAST,
    DEGRADED,
    HEALTHY,
    LEAST_LOADED,
    MAX_WEIGHED,
    ROUND_ROBIN,
    STRATEGIES,
    UNHEALTHY,
    Standing,
    choose,
    parse_strategy,
)
from caxton.core.errors.messages import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Sequence


def of(
    priority: int = 50, health: float = HEALTHY, load: float = 0.0, waiting: float = 0, *, runs: bool = True
) -> Standing:
    return Standing(priority, health, load, waiting, runs)


DOWN, HELD = of(health=UNHEALTHY, runs=False), of(health=UNHEALTHY)


def chosen(strategy: str, standings: Sequence[Standing], turn: int = 0) -> list[int]:
    return choose(strategy, len(standings), standings.__getitem__, turn)


@pytest.mark.parametrize("value", ["", "fastest", "Best", "round robin", "least_loaded", "b" * 10_000])
def test_unknown_strategy_is_refused_and_those_that_there_are_named(value: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse_strategy(value)
    assert caught.value.field == "routing_strategy"
    assert all(name in str(caught.value) for name in STRATEGIES)
    assert len(str(caught.value)) < 300


def test_without_one_it_is_each_in_its_turn() -> None:
    assert (parse_strategy(None), [parse_strategy(name) for name in STRATEGIES]) == (ROUND_ROBIN, list(STRATEGIES))


def test_each_gets_its_turn_and_one_that_is_down_does_not_shift_its_share_to_the_next() -> None:
    standings = [of(), DOWN, of(), HELD, of()]
    turns, turn = list[int](), 0
    for _ in range(9):
        (n,) = chosen(ROUND_ROBIN, standings, turn)
        turns.append(n)
        turn = n + 1
    assert turns == [0, 2, 4] * 3


@pytest.mark.parametrize("strategy", [ROUND_ROBIN, BEST, LEAST_LOADED])
def test_who_is_unhealthy_gets_a_message_only_if_all_are_and_then_one_who_runs(strategy: str) -> None:
    better = of(priority=1000, health=UNHEALTHY)
    assert chosen(strategy, [better, DOWN, of(priority=1, health=DEGRADED, load=0.9, waiting=99)]) == [2]
    assert chosen(strategy, [DOWN, HELD, DOWN]) == [1]
    assert chosen(strategy, [DOWN]) == [0]


def test_best_weighs_priority_health_and_load() -> None:
    assert chosen(BEST, [of(50), of(51)]) == [1]
    assert chosen(BEST, [of(60), of(100, DEGRADED)]) == [0]
    assert chosen(BEST, [of(40), of(100, DEGRADED)]) == [1]
    assert chosen(BEST, [of(50), of(100, load=0.51)]) == [0]
    assert chosen(BEST, [of(50), of(100, load=0.49)]) == [1]
    assert chosen(BEST, [of(1, UNHEALTHY, runs=False), of(2, UNHEALTHY, runs=False)]) == [1]


def test_best_goes_round_among_equals() -> None:
    standings, turn, turns = [of(), of(1), of()], 0, list[int]()
    for _ in range(4):
        (n,) = chosen(BEST, standings, turn)
        turns.append(n)
        turn = n + 1
    assert turns == [0, 2, 0, 2]


def test_least_loaded_goes_by_what_waits_for_each_replica() -> None:
    assert chosen(LEAST_LOADED, [of(waiting=3), of(1, DEGRADED, 0.9, 2.5), of(waiting=9)]) == [1]
    assert chosen(LEAST_LOADED, [of(), of(), of()], 2) == [2]


def test_broadcast_is_for_all_who_run_and_for_all_if_none_does() -> None:
    assert chosen(BROADCAST, [of(), DOWN, HELD, of(health=DEGRADED)], 3) == [0, 2, 3]
    assert chosen(BROADCAST, [DOWN, DOWN], 1) == [0, 1]


STANDINGS = st.lists(
    st.builds(
        Standing,
        st.integers(0, 1000),
        st.sampled_from([HEALTHY, DEGRADED, UNHEALTHY]),
        st.floats(0, 1),
        st.floats(0, 10_000),
        st.booleans(),
    ).filter(lambda standing: standing.is_running or not standing.health),
    min_size=1,
    max_size=8,
)


@given(st.sampled_from(STRATEGIES), STANDINGS, st.integers(0, 100))
def test_choice_is_never_empty_and_nobody_is_passed_over_for_a_worse_one(
    strategy: str, standings: list[Standing], turn: int
) -> None:
    numbers = chosen(strategy, standings, turn)
    assert numbers == sorted(set(numbers))
    assert all(0 <= n < len(standings) for n in numbers)
    if strategy == BROADCAST:
        assert numbers == [n for n, s in enumerate(standings) if s.is_running] or not any(
            s.is_running for s in standings
        )
        return
    (n,) = numbers
    if any(s.is_running and s.health for s in standings):
        assert standings[n].health > 0
        usable = [s for s in standings if s.is_running and s.health]
        if strategy == LEAST_LOADED:
            assert standings[n].waiting == min(s.waiting for s in usable)
        if strategy == BEST:
            assert standings[n].priority * standings[n].health * (1 - standings[n].load) == max(
                s.priority * s.health * (1 - s.load) for s in usable
            )
    elif any(s.is_running for s in standings):
        assert standings[n].is_running


def test_of_very_many_the_next_in_turn_are_compared() -> None:
    looked_at: list[int] = []

    def look(n: int) -> Standing:
        looked_at.append(n)
        return of(1000 if n == 5 else 50)

    assert choose(BEST, MAX_WEIGHED + 10, look, 20) == [5]
    assert (len(looked_at), looked_at[0], looked_at[-1]) == (MAX_WEIGHED, 20, 9)
    assert choose(BEST, MAX_WEIGHED + 10, look, 6) == [6]
    assert len(choose(BROADCAST, MAX_WEIGHED + 10, look, 0)) == MAX_WEIGHED + 10
