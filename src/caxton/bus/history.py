"""Messages that are over, for those who ask: the last ones in memory, those from and to the outside in the journal."""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.bus.envelope import Envelope

MAX_REMEMBERED = 8192
MAX_BODY_BYTES = 8192
"""Larger messages are not remembered in memory: together at most 64 MiB."""

BUSY_PER_S = 40_000
REMEMBERED_WHEN_BUSY = 512
"""More messages a second than that push 8,192 out of the processor's cache, which costs the bus a twentieth of its
speed; they would be remembered for less than a fifth of a second anyway."""
PACE_S = 1.0
"""Between two looks at how busy it is."""


class History:
    """The last messages that were settled here."""

    def __init__(self) -> None:
        self._ring: deque[Envelope] = deque(maxlen=MAX_REMEMBERED)
        self.said: list[Envelope] = []
        """Those of this round of the pump that belong to a conversation. Always the same list."""
        self.has_large = False
        """Whether one of these has a body over `MAX_BODY_BYTES`; who adds it to `said` says so."""
        self._count, self._since_s = 0, 0.0

    def end_round(self, now_s: float) -> None:
        """The pump's round ends: what was said is remembered. `now_s` only grows."""
        said = self.said
        self._ring.extend([one for one in said if len(one.body) <= MAX_BODY_BYTES] if self.has_large else said)
        self._count += len(said)
        said.clear()
        self.has_large = False
        if now_s - self._since_s >= PACE_S:
            self._pace(now_s)

    def _pace(self, now_s: float) -> None:
        is_busy = self._count > BUSY_PER_S * (now_s - self._since_s)
        most = REMEMBERED_WHEN_BUSY if is_busy else MAX_REMEMBERED
        if most != self._ring.maxlen:
            self._ring = deque(self._ring, most)
        self._count, self._since_s = 0, now_s

    def conversation(self, workspace: str, conversation_id: str) -> dict[int, bytes]:
        """Remembered messages of a conversation: sequence → body."""
        return {envelope.seq: envelope.body for envelope in self.envelopes(workspace, conversation_id)}

    def envelopes(self, workspace: str, conversation_id: str) -> list[Envelope]:
        """Remembered messages of a conversation, in the order of their settlement."""
        return [
            envelope
            for envelope in self._all()
            if envelope.conversation_id == conversation_id and envelope.workspace == workspace
        ]

    def _all(self) -> Iterator[Envelope]:
        return chain(self._ring, (one for one in self.said if len(one.body) <= MAX_BODY_BYTES))
