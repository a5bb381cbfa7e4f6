"""Messages that are not accepted, and replies that do not come."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


class InvalidMessage(CaxtonError):
    """Not JSON, or a field of the message breaks its rule; `field` names it."""

    code = "INVALID_MESSAGE"

    def __init__(self, reason: str, *, field: str | None = None) -> None:
        super().__init__(f"the message was refused: {reason}")
        self.field = field


class MessageTooLarge(CaxtonError):
    """The message is over the size limit."""

    code = "MESSAGE_TOO_LARGE"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the message has {size_bytes} bytes, the limit is {limit_bytes}; send a reference to the data instead"
        )
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes


class MessageExpired(CaxtonError):
    """Its `reply_by` had passed when it came, so nobody would want the answer."""

    code = "MESSAGE_EXPIRED"

    def __init__(self, reply_by: str, late_s: float) -> None:
        super().__init__(
            f"the message was refused: its reply_by {quoted(reply_by)} passed {late_s:.3f} s ago; "
            "send it with a later one, if it is still wanted"
        )
        self.reply_by, self.late_s = reply_by, late_s


class MessageIdConflict(CaxtonError):
    """The same sender posted another message under this id a moment ago."""

    code = "MESSAGE_ID_CONFLICT"

    def __init__(self, message_id: str, window_s: float) -> None:
        super().__init__(
            f"another message was accepted under the id {quoted(message_id)} within the last {window_s:g} s; "
            "give each message an id of its own, and repeat one only as it was"
        )
        self.message_id, self.window_s = message_id, window_s


class ReplyTimeout(CaxtonError):
    """No reply came within the deadline. The message itself stays accepted."""

    code = "REPLY_TIMEOUT"

    def __init__(self, receiver: str, timeout_s: float, conversation_id: str) -> None:
        super().__init__(
            f"{quoted(receiver)} did not reply within {timeout_s:g} s; "
            f"a later reply is kept under conversation {quoted(conversation_id)}"
        )
        self.receiver, self.timeout_s, self.conversation_id = receiver, timeout_s, conversation_id


class ReplyInterrupted(CaxtonError):
    """The server stops while somebody waits for a reply. The message itself stays accepted."""

    code = "REPLY_INTERRUPTED"

    def __init__(self, message_id: str, conversation_id: str) -> None:
        super().__init__(
            f"the server is stopping before a reply came; message {message_id} is kept, so do not send it again: "
            f"its reply will be under conversation {quoted(conversation_id)} once the server is back"
        )
        self.message_id, self.conversation_id = message_id, conversation_id
