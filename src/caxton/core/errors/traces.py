"""Nothing is known of what is to be traced."""

from __future__ import annotations

from caxton.core.errors.conversations import ConversationNotFound
from caxton.core.errors.error import CaxtonError, quoted


class ConversationNotRecorded(ConversationNotFound):
    """Nothing of such a conversation is recorded or waits, so nothing of it can be traced."""

    def __init__(self, conversation_id: str, recorded_s: float | None) -> None:
        CaxtonError.__init__(
            self,
            f"nothing is known of a conversation {quoted(conversation_id)}; {_reach(recorded_s)}; "
            "'caxton sniff' shows the ids of those that go on",
        )
        self.conversation_id, self.recorded_s = conversation_id, recorded_s


class MessageNotFound(CaxtonError):
    """Nothing of such a message is recorded, and it does not wait: it never was, or it is long over."""

    code = "MESSAGE_NOT_FOUND"

    def __init__(self, message_id: str, recorded_s: float | None) -> None:
        super().__init__(
            f"nothing is known of a message {quoted(message_id)}; {_reach(recorded_s)}; "
            "'caxton trace --conversation-id ID --format json' has the ids of a conversation's messages"
        )
        self.message_id, self.recorded_s = message_id, recorded_s


def _reach(recorded_s: float | None) -> str:
    """How far back the flight recorder goes, for people."""
    if recorded_s is None:
        return "the flight recorder has nothing (is recorder.size 0?)"
    reach = f"{recorded_s:.0f} s" if recorded_s < 120 else f"{recorded_s / 60:.0f} min"
    return f"the flight recorder goes back {reach}"
