"""Calls about conversations: how they stand, who waits for whom, cancelling."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from caxton.client.transport import Transport
from caxton.core.views.conversations import CancelReceipt, ConversationDetail, ConversationFilter, ConversationPage
from caxton.core.views.waits import CriticalPath, DeadlockView

_PATH = "/api/v1/conversations"

_FITS_IN_A_PATH = re.compile(r"(?!deadlocks$)[A-Za-z0-9_][A-Za-z0-9_.~-]*", re.ASCII)
"""Ids that mean themselves in a path, whatever stands between here and the server."""


class _Deadlocks(msgspec.Struct):
    deadlocks: list[DeadlockView]


class ConversationCalls(Transport):
    """What can be done with conversations."""

    def conversations(
        self, wanted: ConversationFilter | None = None, *, limit: int | None = None, after: str | None = None
    ) -> ConversationPage:
        """Conversations that follow a protocol, those begun last first; `after`: the `next` of the page before."""
        query: dict[str, Any] = {} if wanted is None else msgspec.to_builtins(wanted)
        return self._get(_PATH, ConversationPage, {**query, "limit": limit, "after": after})

    def conversation_state(self, conversation_id: str) -> ConversationDetail:
        """How a conversation stands with each participant. `conversation` has its messages."""
        path, query = _place(conversation_id)
        return self._get(path, ConversationDetail, query)

    def cancel_conversation(self, conversation_id: str) -> CancelReceipt:
        """Send `cancel` in the initiator's name to all whose exchange goes on.

        Raises:
            ApiProblem: CONVERSATION_NOT_FOUND, CONVERSATION_OVER when it has ended.
        """
        path, query = _place(conversation_id)
        return self._decode(self._request("POST", f"{path}/cancel", query=query), CancelReceipt)

    def deadlocks(self) -> list[DeadlockView]:
        """Agents that wait for one another and have nothing left to do."""
        return self._get(f"{_PATH}/deadlocks", _Deadlocks).deadlocks

    def why(self, conversation_id: str) -> CriticalPath:
        """What a conversation waits for, or what its time went into."""
        path, query = _place(conversation_id)
        return self._get(f"{path}/why", CriticalPath, query)


def _place(conversation_id: str) -> tuple[str, dict[str, Any]]:
    """Path and query that name a conversation, whose id may be any text."""
    if _FITS_IN_A_PATH.fullmatch(conversation_id):
        return f"{_PATH}/{conversation_id}", {}
    return f"{_PATH}/-", {"conversation_id": conversation_id}
