"""Which of those who offer a capability gets a message. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from caxton.core.errors.error import quoted
from caxton.core.errors.messages import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Callable

ROUND_ROBIN, BEST, LEAST_LOADED, BROADCAST = "round-robin", "best", "least-loaded", "broadcast"
STRATEGIES = (BEST, BROADCAST, LEAST_LOADED, ROUND_ROBIN)
"""Values of `routing_strategy`; without one it is `round-robin`."""

MAX_WEIGHED = 1000
"""Agents that `best` and `least-loaded` compare: they take about a millisecond, for one message."""

HEALTHY, DEGRADED, UNHEALTHY = 1.0, 0.5, 0.0
"""What health counts in `best`."""


class Standing(NamedTuple):
    """One who offers the capability, as of now."""

    priority: int
    """0 to 1000."""
    health: float
    """One of the three."""
    load: float
    """How full its mailbox is: 0 to 1."""
    waiting: float
    """Messages that it has not settled, for each replica."""
    is_running: bool


def parse_strategy(value: str | None) -> str:
    """Raises `InvalidMessage` that names those that there are."""
    if value is None:
        return ROUND_ROBIN
    if value not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise InvalidMessage(f"{quoted(value)} is no routing_strategy; there are {known}", field="routing_strategy")
    return value


def choose(strategy: str, count: int, look: Callable[[int], Standing], turn: int) -> list[int]:
    """Who gets the message: one of `count`, or several for `broadcast`.

    Args:
        strategy: one of `STRATEGIES`.
        count: how many there are; at least one.
        look: the standing of number n. Asked for no more than needed: `round-robin` mostly looks at one.
        turn: where to begin; those that are equally good get their turn from there on.

    Returns:
        Numbers below `count`. Who is unhealthy gets a message only if all are, and then one who runs comes first.
    """
    if strategy == ROUND_ROBIN:
        return [_next(count, look, turn)]
    looked_at = count if strategy == BROADCAST else min(count, MAX_WEIGHED)
    standings = {n % count: look(n % count) for n in range(turn, turn + looked_at)}
    running = [n for n, standing in standings.items() if standing.is_running] or list(standings)
    if strategy == BROADCAST:
        return sorted(running)
    able = [n for n in running if standings[n].health] or running
    if strategy == LEAST_LOADED:
        return [min(able, key=lambda n: standings[n].waiting)]
    return [max(able, key=lambda n: score(standings[n]))]


def score(standing: Standing) -> float:
    """What `best` goes by. Among those that are all unhealthy, health does not count."""
    return standing.priority * (standing.health or 1.0) * (1.0 - standing.load)


def _next(count: int, look: Callable[[int], Standing], turn: int) -> int:
    running: int | None = None
    for n in range(turn, turn + count):
        standing = look(n % count)
        if standing.health:
            return n % count
        if standing.is_running and running is None:
            running = n % count
    return turn % count if running is None else running
