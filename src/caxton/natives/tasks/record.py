"""What a bidder's promises were worth so far. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from caxton.natives.tasks.bid import Figures

DECAY = 0.9
"""What an outcome counts after each further one: after seven it is half. A bidder that has mended can show it."""

MAX_RATIO = 10.0
"""An outcome counts as so much worse or better than promised at most: one slip of the decimal point must not decide."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sums over a bidder's outcomes, each weighed with `DECAY` to the power of its age."""

    done: float = 0.0
    failed: float = 0.0
    """It said so, or was silent until its time was over."""
    time_sum: float = 0.0
    """Of actual ÷ promised time, where a time was promised."""
    time_count: float = 0.0
    cost_sum: float = 0.0
    """Of actual ÷ promised cost, where the result told one."""
    cost_count: float = 0.0
    at_us: int = 0
    """When the last outcome was; microseconds since 1970."""

    @property
    def reliability(self) -> float:
        """The share of tasks that were done, as if one more had been: a newcomer has 1."""
        return (self.done + 1) / (self.done + self.failed + 1)

    @property
    def time_factor(self) -> float:
        """Actual ÷ promised time on average, as if one more promise had been kept exactly."""
        return (self.time_sum + 1) / (self.time_count + 1)

    @property
    def cost_factor(self) -> float:
        """As `time_factor`."""
        return (self.cost_sum + 1) / (self.cost_count + 1)


NEWCOMER = Record()
"""Of a bidder that nobody knows anything about: it is taken at its word."""


def corrected(bid: Figures, record: Record) -> Figures:
    """What `bid` comes to with a bidder of this `record`.

    Time and cost are what they usually become, divided by the reliability: who succeeds every second time has to be
    asked twice on average. Confidence is multiplied with it.
    """
    found = dict(bid)
    if "cost" in bid:
        found["cost"] = bid["cost"] * record.cost_factor / record.reliability
    if "time_s" in bid:
        found["time_s"] = bid["time_s"] * record.time_factor / record.reliability
    if "confidence" in bid:
        found["confidence"] = bid["confidence"] * record.reliability
    return found


def learned(record: Record, bid: Figures, actual: Figures | None, now_us: int) -> Record:
    """The record after one more outcome.

    Args:
        record: as it was.
        bid: what was promised.
        actual: `time_s`, and `cost` if the result told it; None when there was no result.
        now_us: of the outcome.
    """
    time, cost = _ratio(bid, actual, "time_s"), _ratio(bid, actual, "cost")
    return Record(
        done=record.done * DECAY + (actual is not None),
        failed=record.failed * DECAY + (actual is None),
        time_sum=record.time_sum * DECAY + (time or 0.0),
        time_count=record.time_count * DECAY + (time is not None),
        cost_sum=record.cost_sum * DECAY + (cost or 0.0),
        cost_count=record.cost_count * DECAY + (cost is not None),
        at_us=now_us,
    )


def _ratio(bid: Figures, actual: Figures | None, name: str) -> float | None:
    if actual is None or name not in bid or name not in actual:
        return None
    promised, became = bid[name], actual[name]
    if promised * MAX_RATIO <= became:  # also when nothing was promised and something came of it
        return MAX_RATIO if became else 1.0
    return max(became / promised, 1 / MAX_RATIO)
