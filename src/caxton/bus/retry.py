"""When a message that failed is handed over again. Pure."""

from __future__ import annotations

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 30.0
MAX_DOUBLINGS = 16
"""Enough to pass `MAX_DELAY_S`; more would only overflow one day."""


def retry_delay_s(attempt: int, jitter: float) -> float:
    """Seconds to wait before attempt `attempt` (2 or more): doubling from 0.1 s to 30 s.

    Args:
        attempt: the attempt that is about to be made.
        jitter: 0 to 1; moves the delay by up to a quarter down, so that many failures do not come back as one wave.
    """
    delay = min(FIRST_DELAY_S * 2 ** min(max(attempt - 2, 0), MAX_DOUBLINGS), MAX_DELAY_S)
    return delay * (1 - 0.25 * jitter)
