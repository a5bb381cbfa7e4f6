"""What a bidder promises: the figures in the content of its proposal, and the rule that they are held against. Pure."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from caxton.core.errors.error import quoted

MAX_FIGURE = 1e12
"""No cost, time or number of tokens is larger; beyond it sums stop being exact."""

MAX_REASON_CHARS = 200
"""Of the reason that a bidder gives; its message has all of it."""

Figures = dict[str, float]
"""Name of a figure → its value. Those that the node knows: `FIGURES`."""

FIGURES = ("cost", "tokens", "time_s", "confidence")
"""Cost in whatever unit the workspace counts in, tokens of language models, seconds, 0 (none) to 1 (sure)."""

WEIGHED = {"cost": "cost", "time": "time_s", "confidence": "confidence"}
"""Weight → the figure that it weighs."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which proposals may win, and which of them do."""

    weights: dict[str, float] = msgspec.field(default_factory=lambda: {"cost": 1.0})
    """Keys as in `WEIGHED`; how much each counts against the others. At least one is above 0."""
    max_cost: float | None = None
    max_tokens: float | None = None
    winners: int = 1
    """How many proposals are accepted at most."""

    @property
    def needed(self) -> tuple[str, ...]:
        """The figures without which a proposal cannot be compared or held against a budget."""
        wanted = {figure for weight, figure in WEIGHED.items() if self.weights.get(weight, 0) > 0}
        if self.max_cost is not None:
            wanted.add("cost")
        if self.max_tokens is not None:
            wanted.add("tokens")
        return tuple(figure for figure in FIGURES if figure in wanted)


class BadBid(Exception):
    """A proposal that cannot win."""

    def __init__(self, reason: str, explanation: str, figures: Figures | None = None) -> None:
        super().__init__(explanation)
        self.reason, self.explanation = reason, explanation
        self.figures = figures or {}
        """As far as they could be read."""


def read_bid(content: bytes, rule: Rule) -> Figures:
    """The figures of a proposal, those that are `rule.needed` and any other of `FIGURES` that it gives.

    Args:
        content: of the `propose`; JSON, like `{"cost": 12.5, "time_s": 20, "confidence": 0.9, "tokens": 800}`.
            Other keys are the bidder's own.
        rule: of the task.

    Raises:
        BadBid: with the reason `malformed` or `over-budget`.
    """
    figures = read_figures(content)
    missing = [name for name in rule.needed if name not in figures]
    if missing:
        raise BadBid("malformed", f"the proposal does not give {', '.join(missing)}", figures)
    for name, limit in (("cost", rule.max_cost), ("tokens", rule.max_tokens)):
        if limit is not None and figures[name] > limit:
            raise BadBid("over-budget", f"{name} is {figures[name]:g}, the budget is {limit:g}", figures)
    return figures


def read_figures(content: bytes) -> Figures:
    """The figures that a JSON object gives; raises `BadBid` (`malformed`) for what is none, or no such figure."""
    try:
        found = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as exc:
        raise BadBid("malformed", f"its content must be a JSON object with the figures {', '.join(FIGURES)}") from exc
    return {name: _figure(name, found[name]) for name in FIGURES if found.get(name) is not None}


def _figure(name: str, value: Any) -> float:
    high = 1.0 if name == "confidence" else MAX_FIGURE
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
        raise BadBid("malformed", f"{name} is {quoted(value)}, it must be a number from 0 to {high:g}")
    return float(value)


def read_reason(content: bytes) -> str:
    """Why a bidder refused or failed, in its own words, cut: its `reason` or `error`, or else the whole content."""
    try:
        given: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return ""
    if isinstance(given, dict):
        told = cast("dict[str, Any]", given)
        given = told.get("reason") or told.get("error") or told
    text = given if isinstance(given, str) else "" if given is None else msgspec.json.encode(given).decode()
    shown = "".join(char if char.isprintable() else "�" for char in text[: MAX_REASON_CHARS + 1])
    return shown if len(shown) <= MAX_REASON_CHARS else f"{shown[:MAX_REASON_CHARS]}…"
