"""Calls about messages: send, ask, read a conversation."""

from __future__ import annotations

from typing import Any, overload

import msgspec

from caxton.client.transport import Timeout, Transport, agent_path
from caxton.core.views.messages import Receipt
from caxton.messages.codec import MAX_MESSAGE_BYTES, decode_message, encode_message
from caxton.messages.message import AclMessage  # noqa: TC001 - msgspec reads the annotation

_WAIT_MARGIN_S = 10.0
"""How much later than the server's own deadline the client gives up: its answer says more."""


class Reply(msgspec.Struct, kw_only=True):
    """An agent's answer to `invoke`."""

    conversation_id: str
    message_id: str
    performative: str
    """`failure`, `refuse` and `not-understood` are answers too."""
    sender: str
    content: Any = None


class _Messages(msgspec.Struct):
    messages: list[AclMessage]
    total: int


class MessageCalls(Transport):
    """What can be done with messages."""

    @overload
    def send(self, message: AclMessage, *, durability: str = "fsync") -> Receipt: ...

    @overload
    def send(self, message: AclMessage, *, wait_s: float) -> AclMessage: ...

    def send(
        self, message: AclMessage, *, wait_s: float | None = None, durability: str = "fsync"
    ) -> Receipt | AclMessage:
        """Post a message. Returns the receipt once it is on disk or, with `wait_s`, the reply to it.

        Without an answer nobody knows whether it was accepted. With a `message_id` of yours it can be sent again, as
        it was: the server takes it once.

        Args:
            message: what to post.
            wait_s: how long to wait for the reply.
            durability: `memory` gets the receipt at once, and a crash of the server may lose the message.

        Raises:
            ApiProblem: REPLY_TIMEOUT when no reply came within `wait_s` (the message stays accepted),
                AGENT_FAILED when the receiver failed on it, UNKNOWN_RECEIVER, MAILBOX_FULL, …
        """
        body = encode_message(message)
        if wait_s is None:
            query = None if durability == "fsync" else {"durability": durability}
            response = self._request("POST", "/api/v1/messages", query=query, body=body)
            return self._decode(response, Receipt)
        timeout = Timeout(wait_s + _WAIT_MARGIN_S)
        query = {"wait": f"{wait_s:g}s"}
        response = self._request("POST", "/api/v1/messages", query=query, body=body, timeout=timeout)
        return decode_message(response.content, max_bytes=2 * MAX_MESSAGE_BYTES)

    def invoke(
        self, name: str, content: object = None, *, performative: str = "request", timeout_s: float = 30.0,
        message_id: str | None = None,
    ) -> Reply:  # fmt: skip
        """Send `content` (any JSON value) to an agent and return its answer; the same under the same `message_id`."""
        response = self._request(
            "POST",
            f"{agent_path(name)}/invoke",
            query={"timeout": f"{timeout_s:g}s", "performative": performative, "message_id": message_id},
            body=msgspec.json.encode(content),
            timeout=Timeout(timeout_s + _WAIT_MARGIN_S),
        )
        return self._decode(response, Reply)

    def conversation(self, conversation_id: str, *, limit: int | None = None) -> list[AclMessage]:
        """The kept messages of a conversation, oldest first."""
        query = {"conversation_id": conversation_id, "limit": limit}
        return self._get("/api/v1/messages", _Messages, query).messages
