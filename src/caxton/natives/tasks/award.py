"""Who gets the task: proposals compared by the rule that came with it. Pure.

Each proposal is first corrected by its bidder's record (`record.corrected`). Each weighed figure is then put on a scale
from 0, the best among the proposals, to 1, the worst among them; the score is the mean of these by their weights, and
the lowest wins. Of equal scores the cheaper wins, then the quicker, then the surer, then the first by name.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from caxton.natives.tasks.bid import WEIGHED
from caxton.natives.tasks.record import corrected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caxton.natives.tasks.bid import Figures, Rule
    from caxton.natives.tasks.record import Record


class Ranked(NamedTuple):
    """A proposal in its place."""

    name: str
    score: float
    """0 (best) to 1."""


def rank(rule: Rule, bids: Mapping[str, Figures], record_of: Callable[[str], Record]) -> list[Ranked]:
    """The proposals, the best first.

    Args:
        rule: of the task; every bid has the figures that it needs.
        bids: by name of the bidder.
        record_of: what is known of a bidder.
    """
    expected = {name: corrected(bid, record_of(name)) for name, bid in bids.items()}
    total = sum(rule.weights.values())
    scores = dict.fromkeys(bids, 0.0)
    for weight, figure in WEIGHED.items():
        share = rule.weights.get(weight, 0.0) / total
        if share > 0:
            sign = -1.0 if figure == "confidence" else 1.0  # of that, more is better
            for name, badness in _scaled({name: sign * bid[figure] for name, bid in expected.items()}).items():
                scores[name] += share * badness

    def order(name: str) -> tuple[float, float, float, float, str]:
        bid = expected[name]
        return (
            scores[name], bid.get("cost", inf), bid.get("time_s", inf), -bid.get("confidence", 0.0), name,
        )  # fmt: skip

    return [Ranked(name, scores[name]) for name in sorted(bids, key=order)]


def _scaled(figures: Mapping[str, float]) -> dict[str, float]:
    """Each between the lowest (0) and the highest (1) of them; all 0 when they are the same."""
    low, high = min(figures.values(), default=0.0), max(figures.values(), default=0.0)
    if low == high:
        return dict.fromkeys(figures, 0.0)
    return {name: (figure - low) / (high - low) for name, figure in figures.items()}
