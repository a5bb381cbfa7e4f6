"""Messages that are over, for those who ask: the last ones in memory, those from and to the outside in the journal."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caxton.bus.envelope import Envelope

MAX_REMEMBERED = 8192
MAX_BODY_BYTES = 8192
"""Larger messages are not remembered in memory: together at most 64 MiB."""


class History:
    """The last messages that were settled here."""

    def __init__(self) -> None:
        self._ring: deque[Envelope] = deque(maxlen=MAX_REMEMBERED)
        self.remember = self._ring.append
        """Add one envelope; the caller leaves out bodies over `MAX_BODY_BYTES`."""

    def conversation(self, workspace: str, conversation_id: str) -> dict[int, bytes]:
        """Remembered messages of a conversation: sequence → body."""
        return {envelope.seq: envelope.body for envelope in self.envelopes(workspace, conversation_id)}

    def envelopes(self, workspace: str, conversation_id: str) -> list[Envelope]:
        """Remembered messages of a conversation, in the order of their settlement."""
        return [
            envelope
            for envelope in self._ring
            if envelope.conversation_id == conversation_id and envelope.workspace == workspace
        ]
