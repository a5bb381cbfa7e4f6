from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from caxton.natives.tasks.award import rank
from caxton.natives.tasks.bid import Figures, Rule
from caxton.natives.tasks.record import NEWCOMER, Record, learned
from tests.unit.natives.tasks import oracle

CLOSE = 1e-9
"""Scores nearer to each other than this are the same but for rounding."""


def names(rule: Rule, bids: dict[str, Figures], records: dict[str, Record] | None = None) -> list[str]:
    return [one.name for one in rank(rule, bids, lambda name: (records or {}).get(name, NEWCOMER))]


def test_nobody_is_the_best_of_nobody() -> None:
    assert names(Rule(), {}) == []


def test_the_cheapest_wins_where_only_cost_counts() -> None:
    bids = {"dear": {"cost": 9.0, "time_s": 1.0}, "cheap": {"cost": 3.0, "time_s": 99.0}, "mid": {"cost": 5.0}}
    assert names(Rule(), bids) == ["cheap", "mid", "dear"]


def test_more_confidence_is_better_and_less_time_is_better() -> None:
    assert names(Rule(weights={"confidence": 1.0}), {"a": {"confidence": 0.2}, "b": {"confidence": 0.9}}) == ["b", "a"]
    assert names(Rule(weights={"time": 1.0}), {"a": {"time_s": 9.0}, "b": {"time_s": 2.0}}) == ["b", "a"]


def test_weights_decide_between_cheap_and_quick() -> None:
    bids = {"cheap": {"cost": 1.0, "time_s": 10.0}, "quick": {"cost": 10.0, "time_s": 1.0}}
    assert names(Rule(weights={"cost": 2.0, "time": 1.0}), bids)[0] == "cheap"
    assert names(Rule(weights={"cost": 1.0, "time": 2.0}), bids)[0] == "quick"


def test_equal_scores_go_by_cost_then_time_then_confidence_then_name() -> None:
    rule = Rule(weights={"cost": 1.0, "time": 1.0})
    bids = {"b": {"cost": 1.0, "time_s": 5.0}, "a": {"cost": 5.0, "time_s": 1.0}}
    assert names(rule, bids) == ["b", "a"]
    same: Figures = {"cost": 4.0}
    assert names(Rule(), {"z": same, "k": same, "q": same}) == ["k", "q", "z"]
    assert names(Rule(), {"a": {"cost": 4.0, "time_s": 3.0}, "b": {"cost": 4.0, "time_s": 2.0}}) == ["b", "a"]
    assert names(Rule(), {"a": {**same, "confidence": 0.1}, "b": {**same, "confidence": 0.2}}) == ["b", "a"]


def test_the_order_in_which_proposals_came_does_not_count() -> None:
    same: Figures = {"cost": 4.0}
    assert names(Rule(), {"b": same, "a": same}) == names(Rule(), {"a": same, "b": same}) == ["a", "b"]


def test_a_cheap_promise_that_was_not_kept_loses_to_a_kept_one() -> None:
    broken = learned(NEWCOMER, {"cost": 4.0}, None, 0)
    bids: dict[str, Figures] = {"liar": {"cost": 4.0}, "honest": {"cost": 6.0}}
    assert names(Rule(), bids) == ["liar", "honest"]
    assert names(Rule(), bids, {"liar": broken}) == ["honest", "liar"]


def test_scores_go_from_zero_for_the_best_to_one_for_the_worst_in_everything() -> None:
    rule = Rule(weights={"cost": 3.0, "confidence": 1.0})
    bids = {"a": {"cost": 1.0, "confidence": 1.0}, "b": {"cost": 2.0, "confidence": 0.5}}
    assert [(one.name, one.score) for one in rank(rule, bids, lambda _: NEWCOMER)] == [("a", 0.0), ("b", 1.0)]


figure = st.integers(0, 50).map(float)
promise = st.fixed_dictionaries(
    {"cost": figure, "time_s": figure, "confidence": st.integers(0, 8).map(lambda n: n / 8)}
)
outcome = st.tuples(promise, st.none() | st.fixed_dictionaries({"time_s": figure}, optional={"cost": figure}))


@settings(max_examples=400)
@given(
    bids=st.dictionaries(st.sampled_from("abcdefghij"), promise, min_size=1),
    histories=st.dictionaries(st.sampled_from("abcdefghij"), st.lists(outcome, max_size=6)),
    weights=st.fixed_dictionaries(
        {name: st.integers(0, 4).map(float) for name in ("cost", "time", "confidence")}
    ).filter(lambda weights: any(weights.values())),
)
def test_the_award_is_the_best_by_an_oracle(
    bids: dict[str, Figures], histories: dict[str, list[oracle.Outcome]], weights: dict[str, float]
) -> None:
    def record_of(name: str) -> Record:
        record = NEWCOMER
        for promised, actual in histories.get(name, []):
            record = learned(record, promised, actual, 0)
        return record

    expected = oracle.scores(weights, bids, histories)
    ranked = rank(Rule(weights=weights), bids, record_of)
    assert sorted(one.name for one in ranked) == sorted(bids)
    assert all(abs(one.score - expected[one.name]) < CLOSE for one in ranked)
    for better, worse in pairwise(ranked):
        assert expected[better.name] <= expected[worse.name] + CLOSE
