from __future__ import annotations

import pytest

from caxton.natives.tasks.record import DECAY, MAX_RATIO, NEWCOMER, Record, corrected, learned

BID = {"cost": 10.0, "time_s": 20.0, "confidence": 0.8, "tokens": 100.0}


def after(*outcomes: dict[str, float] | None, bid: dict[str, float] = BID) -> Record:
    record = NEWCOMER
    for n, actual in enumerate(outcomes):
        record = learned(record, bid, actual, n)
    return record


def test_a_newcomer_is_taken_at_its_word() -> None:
    assert corrected(BID, NEWCOMER) == BID


def test_who_keeps_its_promises_stays_at_its_word() -> None:
    record = after(*[{"cost": 10.0, "time_s": 20.0}] * 20)
    assert corrected(BID, record) == pytest.approx(BID)


def test_who_takes_twice_as_long_is_expected_to() -> None:
    record = after(*[{"time_s": 40.0}] * 200)
    assert record.time_factor == pytest.approx(2 - 1 / (1 + 1 / (1 - DECAY)))
    assert record.cost_factor == 1.0  # nobody told what it cost
    assert corrected(BID, record)["time_s"] == pytest.approx(20 * record.time_factor)


def test_one_failure_halves_the_reliability_and_successes_mend_it() -> None:
    record = after(None)
    assert record.reliability == 0.5
    found = corrected(BID, record)
    assert (found["cost"], found["time_s"], found["confidence"]) == (20.0, 40.0, 0.4)
    mended = after(None, *[{"time_s": 20.0}] * 30)
    assert mended.reliability > 0.99


def test_tokens_are_not_corrected() -> None:
    assert corrected(BID, after(None))["tokens"] == BID["tokens"]


@pytest.mark.parametrize(
    ("promised", "became", "ratio"),
    [(20.0, 1e9, MAX_RATIO), (20.0, 0.0, 1 / MAX_RATIO), (0.0, 5.0, MAX_RATIO), (0.0, 0.0, 1.0), (1e-300, 1.0, 10.0)],
)
def test_one_outcome_counts_for_ten_times_the_promise_at_most(promised: float, became: float, ratio: float) -> None:
    record = after({"time_s": became}, bid={"time_s": promised})
    assert record.time_sum == ratio


def test_what_was_not_promised_is_not_held_against_anybody() -> None:
    record = after({"time_s": 1000.0, "cost": 5.0}, bid={"cost": 5.0})
    assert (record.time_count, record.cost_factor) == (0.0, 1.0)
