"""What agents said to each other on a node, and whether FIPA's protocols allow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.conversations.notices import AMS
from caxton.messages.codec import decode_message
from caxton.protocols.catalogue import PROTOCOLS
from caxton.protocols.machine import INITIATOR, PARTICIPANT, START, step

if TYPE_CHECKING:
    from caxton.messages.message import AclMessage
    from caxton.testing.rooms import LocalNode

Line = tuple[str, str, str, Any]
"""Sender, act, receiver, content."""


def said(node: LocalNode) -> list[tuple[AclMessage, str]]:
    """All messages that are settled, in the order in which they were sent, each with its one receiver."""
    ring = node.rooms.bus.history._ring  # pyright: ignore[reportPrivateUsage]
    return [(decode_message(entry.body), entry.receiver) for entry in sorted(ring, key=lambda entry: entry.seq)]


def said_in(node: LocalNode, protocol: str) -> list[Line]:
    """What was said in conversations of `protocol`, without what differs from run to run."""
    return [
        (message.sender, message.performative, receiver, content(message))
        for message, receiver in said(node)
        if message.protocol == protocol
    ]


def content(message: AclMessage) -> Any:
    """The content; None if there is none."""
    return msgspec.json.decode(message.content) if bytes(message.content) else None


def final_states(node: LocalNode) -> dict[str, dict[tuple[str, str], str]]:
    """Follow all that agents said: protocol → (initiator, participant) → state. Fails at the first illegal act."""
    assert node.rooms.conversation_room.referee.violations == 0
    states: dict[tuple[str, str, str], str] = {}
    initiators: dict[str, str] = {}
    found: dict[str, dict[tuple[str, str], str]] = {}
    for message, receiver in said(node):
        if message.protocol is None or message.sender == AMS:
            continue
        conversation, protocol = message.conversation_id or message.message_id, PROTOCOLS[message.protocol]
        initiator = initiators.setdefault(conversation, message.sender)
        role = INITIATOR if message.sender == initiator else PARTICIPANT
        participant = receiver if role == INITIATOR else message.sender
        pair = (conversation, initiator, participant)
        before = states.get(pair, START)
        after = step(
            protocol, before, role, message.performative,
            answers_cancel=message.in_reply_to == f"cancel-{conversation}",
        )  # fmt: skip
        assert after is not None, f"{role} {message.sender} must not say {message.performative} in state {before}"
        assert message.reply_with or not expects_answer(message.performative), message.performative
        states[pair] = after
        found.setdefault(protocol.name, {})[initiator, participant] = after
    return found


def expects_answer(performative: str) -> bool:
    """Whether the receiver has to answer, so that the answer must be able to name the message."""
    return performative in {"request", "cfp", "propose", "accept-proposal", "subscribe", "cancel"}
