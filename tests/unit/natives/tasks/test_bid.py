from __future__ import annotations

import pytest

from caxton.natives.tasks.bid import MAX_REASON_CHARS, BadBid, Rule, read_bid, read_figures, read_reason

RULE = Rule(weights={"cost": 1.0, "time": 0.5, "confidence": 0.0}, max_tokens=1000)


def refusal(content: bytes, rule: Rule = RULE) -> tuple[str, str]:
    with pytest.raises(BadBid) as caught:
        read_bid(content, rule)
    return caught.value.reason, caught.value.explanation


def test_a_figure_is_needed_if_it_is_weighed_or_limited() -> None:
    assert RULE.needed == ("cost", "tokens", "time_s")
    assert Rule().needed == ("cost",)
    assert Rule(weights={"confidence": 1.0}, max_cost=5.0).needed == ("cost", "confidence")


def test_other_keys_of_a_proposal_are_the_bidders_own() -> None:
    content = b'{"cost": 3, "tokens": 10, "time_s": 1.5, "confidence": 1, "plan": ["a"]}'
    assert read_bid(content, RULE) == {"cost": 3.0, "tokens": 10.0, "time_s": 1.5, "confidence": 1.0}


def test_a_figure_that_is_null_is_not_given() -> None:
    assert read_figures(b'{"cost": null, "tokens": 1}') == {"tokens": 1.0}


def test_missing_figures_are_all_named() -> None:
    assert refusal(b'{"cost": 3}') == ("malformed", "the proposal does not give tokens, time_s")


@pytest.mark.parametrize("content", [b"", b"null", b"7", b"[1]", b"{", b'"cost"', b"\xff", b"[" * 100_000])
def test_a_content_that_is_no_object_is_malformed(content: bytes) -> None:
    assert refusal(content)[0] == "malformed"


@pytest.mark.parametrize("cost", [b"-1", b'"3"', b"true", b"1e13", b"[]", b"-0.001", b"1" * 5000])
def test_a_figure_that_is_no_amount_is_malformed(cost: bytes) -> None:
    reason, explanation = refusal(b'{"cost": ' + cost + b"}", Rule())
    assert reason == "malformed"
    assert len(explanation) < 300


def test_confidence_goes_up_to_one() -> None:
    rule = Rule(weights={"confidence": 1.0})
    assert read_bid(b'{"confidence": 1.0}', rule) == {"confidence": 1.0}
    assert refusal(b'{"confidence": 1.01}', rule)[0] == "malformed"


def test_a_bid_at_its_budget_is_taken_and_one_above_is_told_both_numbers() -> None:
    rule = Rule(max_cost=10.0, max_tokens=1000)
    assert read_bid(b'{"cost": 10, "tokens": 1000}', rule) == {"cost": 10.0, "tokens": 1000.0}
    assert refusal(b'{"cost": 10.5, "tokens": 1000}', rule) == ("over-budget", "cost is 10.5, the budget is 10")
    assert refusal(b'{"cost": 1, "tokens": 1001}', rule) == ("over-budget", "tokens is 1001, the budget is 1000")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"reason": "busy"}', "busy"),
        (b'{"error": "out of paper", "code": 4}', "out of paper"),
        (b'{"code":4}', '{"code":4}'),
        (b'"no"', "no"),
        (b"null", ""),
        (b"", ""),
        (b"{", ""),
        (b"[1,2]", "[1,2]"),
        (b'"a\\u0000b"', "a�b"),
    ],
)
def test_a_reason_is_what_the_bidder_says(content: bytes, reason: str) -> None:
    assert read_reason(content) == reason


def test_a_long_reason_is_cut() -> None:
    assert read_reason(b'"' + b"x" * 5000 + b'"') == "x" * MAX_REASON_CHARS + "…"
