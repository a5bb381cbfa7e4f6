"""How fast a server's noise is read: who floods is made to wait, so that the loop has time for everybody else."""

from __future__ import annotations

NOISE_BYTES_PER_S = 4 << 20
"""More than any log; at 10 bytes a line still only a few per cent of a core."""
BURST_BYTES = 8 << 20
LINE_BYTES = 32
"""What a line counts beside its bytes: handling it costs time even if it is empty."""


class Pace:
    """Counts bytes against the clock. Pure."""

    def __init__(self) -> None:
        self._owed, self._at = 0.0, 0.0

    def spent(self, byte_count: int, now: float) -> float:
        """Note a line of so many bytes; seconds to wait before reading on."""
        self._owed = max(0.0, self._owed - (now - self._at) * NOISE_BYTES_PER_S) + byte_count + LINE_BYTES
        self._at = now
        return max(0.0, (self._owed - BURST_BYTES) / NOISE_BYTES_PER_S)
