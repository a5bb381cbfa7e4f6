"""The award rule once more, straight from its description: exact numbers, whole histories, no running sums."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caxton.natives.tasks.bid import Figures

Outcome = tuple["Figures", "Figures | None"]
"""What was promised, and what became of it; None when there was no result."""


def reliability(history: Sequence[Outcome]) -> Fraction:
    """One success that never was, and each outcome with 0.9 to the power of its age."""
    done = Fraction(1)
    total = Fraction(1)
    for age, (_, actual) in enumerate(reversed(history)):
        weight = Fraction(9, 10) ** age
        total += weight
        done += weight if actual is not None else 0
    return done / total


def factor(history: Sequence[Outcome], figure: str) -> Fraction:
    """The mean of actual ÷ promised, each between 1/10 and 10, with one kept promise that never was."""
    above = below = Fraction(1)
    for age, (promised, actual) in enumerate(reversed(history)):
        if actual is None or figure not in promised or figure not in actual:
            continue
        was, became = Fraction(promised[figure]), Fraction(actual[figure])
        ratio = (Fraction(10) if became else Fraction(1)) if was == 0 else became / was
        weight = Fraction(9, 10) ** age
        above += weight * min(max(ratio, Fraction(1, 10)), Fraction(10))
        below += weight
    return above / below


def scores(
    weights: Mapping[str, float], bids: Mapping[str, Figures], histories: Mapping[str, Sequence[Outcome]]
) -> dict[str, Fraction]:
    """0 (best) to 1 (worst) for each bid."""
    total = sum(Fraction(weight) for weight in weights.values())
    found = dict.fromkeys(bids, Fraction(0))
    for weight, figure in (("cost", "cost"), ("time", "time_s"), ("confidence", "confidence")):
        share = Fraction(weights.get(weight, 0)) / total
        if not share:
            continue
        expected: dict[str, Fraction] = {}
        for name, bid in bids.items():
            history = histories.get(name, ())
            sure = reliability(history)
            given = Fraction(bid[figure])
            expected[name] = -given * sure if figure == "confidence" else given * factor(history, figure) / sure
        best, worst = min(expected.values()), max(expected.values())
        if best != worst:
            for name in bids:
                found[name] += share * (expected[name] - best) / (worst - best)
    return found
