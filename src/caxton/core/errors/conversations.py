"""Conversations that follow a protocol."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


class ProtocolViolation(CaxtonError):
    """The message names an interaction protocol and may not be said now, by this sender to this receiver."""

    code = "PROTOCOL_VIOLATION"

    def __init__(
        self, act: str, protocol: str, conversation_id: str | None, reason: str, state: str, allowed: list[str]
    ) -> None:
        instead = f"allowed now: {', '.join(allowed)}" if allowed else "nothing is allowed here now"
        where = "a new conversation" if conversation_id is None else f"the conversation {quoted(conversation_id)}"
        super().__init__(f"{act!r} is out of place in {where} ({quoted(protocol)}, state {state}): {reason}; {instead}")
        self.act, self.protocol, self.conversation_id = act, protocol, conversation_id
        self.reason, self.state, self.allowed = reason, state, allowed


class ConversationNotFound(CaxtonError):
    """Nothing is known of such a conversation in this workspace: none began, or it ended long ago."""

    code = "CONVERSATION_NOT_FOUND"

    def __init__(self, conversation_id: str) -> None:
        super().__init__(
            f"there is no conversation {quoted(conversation_id)} that follows a protocol; 'caxton conversations list' "
            "shows those that are known, 'caxton message list' has free messages"
        )
        self.conversation_id = conversation_id


class ConversationOver(CaxtonError):
    """A conversation has ended, so nothing can be done in it any more."""

    code = "CONVERSATION_OVER"

    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"conversation {quoted(conversation_id)} has ended; there is nothing left to cancel")
        self.conversation_id = conversation_id
