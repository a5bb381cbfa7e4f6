"""What the node itself says in conversations, in the name of `ams`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.messages.codec import MAX_FIELD_CHARS
from caxton.messages.message import AclMessage

if TYPE_CHECKING:
    from caxton.conversations.conversation import Conversation
    from caxton.conversations.rules import Violation

AMS = "ams"
"""FIPA's agent management system (SC00023): the node, when it has to say something."""

VIOLATION = "PROTOCOL_VIOLATION"
DEADLINE = "DEADLINE_PASSED"
ENDED = "CONVERSATION_ENDED"

UNDELIVERABLE = "MESSAGE_UNDELIVERABLE"

MAX_DETAIL_CHARS = 1000
"""Of an error that a notice repeats."""

MAX_NAMED = 100
"""Names in one notice; with more participants than that it says how many."""

_encode = msgspec.json.Encoder().encode


def _notice(
    act: str, conversation: tuple[str | None, str | None], reference: str | None, content: object
) -> AclMessage:
    protocol, id_ = conversation
    return AclMessage(
        performative=act, sender=AMS, protocol=protocol, conversation_id=id_, in_reply_to=reference or None,
        language="json", content=msgspec.Raw(_encode(content)),
    )  # fmt: skip


def not_understood(message: AclMessage, message_id: str, violation: Violation) -> AclMessage:
    """To the sender of a message that was out of place."""
    content = {
        "error": VIOLATION, "reason": violation.reason, "protocol": message.protocol, "state": violation.state,
        "act": message.performative, "allowed": violation.allowed, "message_id": message_id,
    }  # fmt: skip
    where = message.protocol, message.conversation_id
    return _notice("not-understood", where, message.reply_with or message_id, content)


def deadline_passed(talk: Conversation, silent: list[str]) -> AclMessage:
    """To the initiator: these participants did not answer in time."""
    content = {"error": DEADLINE, "silent": silent[:MAX_NAMED], "silent_count": len(silent)}
    return _notice("failure", (talk.protocol.name, talk.id), talk.asked, content)


def ended(talk: Conversation, outcome: str) -> AclMessage:
    """To somebody who still waited in a conversation that is ended by the node."""
    return _notice("failure", (talk.protocol.name, talk.id), talk.asked, {"error": ENDED, "outcome": outcome})


def undeliverable(
    talk: Conversation, participant: str, act: str, reason: str, error: str, message_id: str | None
) -> AclMessage:
    """To the initiator: the participant will not answer. `act` as that would be.

    `message_id` is that of what became a dead letter; None if the participant had it, and is gone.
    """
    content = {
        "error": UNDELIVERABLE, "reason": reason, "detail": error[:MAX_DETAIL_CHARS], "receiver": participant,
        "message_id": message_id,
    }  # fmt: skip
    return _notice(act, (talk.protocol.name, talk.id), talk.asked, content)


def cancel_reference(talk: Conversation) -> str:
    """What the answer to a cancel refers to. As in the SDKs, so that an initiator knows that answer for one."""
    return f"cancel-{talk.id}"[:MAX_FIELD_CHARS]


def cancel(talk: Conversation, reference: str, by: str) -> AclMessage:
    """To a participant of a conversation that an operator ends: the cancel of its initiator, said for it."""
    message = _notice("cancel", (talk.protocol.name, talk.id), None, {"by": by})
    message.sender, message.reply_with = talk.initiator, reference
    return message


def late(talk: Conversation, proposal: AclMessage) -> AclMessage:
    """To a bidder whose proposal came after its time: the answer of the initiator, given by the node for it."""
    message = _notice("reject-proposal", (talk.protocol.name, talk.id), proposal.reply_with, {"reason": "late"})
    message.sender = talk.initiator
    return message
