"""More is asked for than may be at once or in a second, whoever asks."""

from __future__ import annotations

import math

from caxton.core.errors.error import CaxtonError


class TooManyListeners(CaxtonError):
    """As many listen to what agents say, or follow their logs, as may."""

    code = "TOO_MANY_LISTENERS"

    def __init__(self, limit: int, to: str = "to the messages") -> None:
        super().__init__(f"{limit} listen {to} of this server already, which is the limit; end one of them")
        self.limit = limit


class RateLimited(CaxtonError):
    """More was asked for than may be done in a second."""

    code = "RATE_LIMITED"

    def __init__(self, what: str, per_s: float, wait_s: float) -> None:
        whole_s = max(1, math.ceil(wait_s))
        super().__init__(f"{what}: at most {per_s:g} a second; go on in {whole_s} s")
        self.per_s, self.retry_after_s = per_s, whole_s
