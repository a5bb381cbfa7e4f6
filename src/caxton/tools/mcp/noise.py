"""What a server says beside the protocol: made into lines of bounded length and number."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from caxton.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.core.clock import Clock

    Tell: TypeAlias = Callable[[str, str], None]
    """Told `(where, text)`; where: `stdout`, `stderr` or `protocol`."""

MAX_LINE_CHARS = 2048
MAX_LINES_PER_S = 100


class Noise:
    """Tells lines on, but neither long ones nor many at once."""

    def __init__(self, tell: Tell, clock: Clock) -> None:
        self._tell, self._clock = tell, clock
        self._bucket = TokenBucket(MAX_LINES_PER_S, MAX_LINES_PER_S)
        self._left_out = 0

    def heard(self, where: str, line: bytes | str) -> None:
        """One line, without its end; an empty one is nothing."""
        head = line[: 4 * MAX_LINE_CHARS]
        text = (head.decode("utf-8", "replace") if isinstance(head, bytes) else head).rstrip()
        if not text:
            return
        now = self._clock.monotonic()
        if self._bucket.wait_s(now) > 0:
            self._left_out += 1
            return
        self._bucket.take(now)
        if self._left_out:
            self._tell(where, f"({self._left_out} lines are left out)")
            self._left_out = 0
        self._tell(where, text[:MAX_LINE_CHARS])
