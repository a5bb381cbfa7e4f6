"""How often something may happen: a bucket that fills by itself and from which each time takes one. Pure."""

from __future__ import annotations


class TokenBucket:
    """`per_s` times a second on average, and up to `burst` at once after a pause. Times are a monotonic clock's."""

    def __init__(self, per_s: float, burst: int) -> None:
        self.per_s, self.burst = per_s, burst
        self._tokens = float(burst)
        self._at = float("-inf")

    def wait_s(self, now: float) -> float:
        """How long until one can be taken; 0 if that is now."""
        self._fill(now)
        return max(0.0, (1 - self._tokens) / self.per_s)

    def take(self, now: float) -> None:
        """Take one. Somebody who does not ask `wait_s` before leaves the bucket in debt."""
        self._fill(now)
        self._tokens -= 1

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_s)
            self._at = now
