"""Judges what is said in conversations.

A message is judged in the moment in which it takes effect: with the settlement of the handler that sent it, or when a
client posts it. What changes is written by the same commit as the message. All methods run on the event loop's thread.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from caxton.bus.dead_letters import PROTOCOL, REASONS, REMOVED
from caxton.bus.envelope import CLIENT_PREFIX
from caxton.bus.tap import LATE
from caxton.conversations import notices
from caxton.conversations.rules import Violation, judge, move_of, violation
from caxton.conversations.settings import ENFORCE, OFF, STRICT, WARN
from caxton.core.errors.conversations import ProtocolViolation
from caxton.core.errors.error import quoted
from caxton.core.suggest import nearest
from caxton.core.token_bucket import TokenBucket
from caxton.messages.codec import ANY_SIZE, decode_message
from caxton.messages.lifetime import parse_reply_by
from caxton.protocols.catalogue import PROTOCOLS
from caxton.protocols.machine import PARTICIPANT, REJECTED_LATE, START, next_to_speak
from caxton.recorder.record import REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from caxton.bus.bus import Bus
    from caxton.bus.envelope import Envelope
    from caxton.bus.mailbox import Receiver
    from caxton.conversations.conversation import Conversation
    from caxton.conversations.deadlines import Deadlines
    from caxton.conversations.settings import Mode
    from caxton.conversations.table import Table
    from caxton.conversations.watch import DeadlockWatch
    from caxton.core.clock import Clock
    from caxton.messages.message import AclMessage
    from caxton.protocols.machine import Protocol

logger = logging.getLogger(__name__)

MAX_WARNED = 10_000
"""Agents and protocols for which it is remembered that the warning was given."""

MAX_LETTERS = 1000
LETTERS_PER_S = 1.0
"""Dead letters that the messages of one sender that are out of place make: at once, and further ones."""

UNANSWERED = frozenset({"not-understood", "failure"})
"""An answer to an answer of this kind could be answered in the same way, and so on for ever."""

CLOSING = frozenset({"inform"})
"""Acts that begin an auction and end it: under the id of one that is over they do not begin another."""

ASKING = frozenset(
    {
        "request", "request-when", "request-whenever", "query-if", "query-ref", "cfp", "propose", "subscribe", "proxy",
        "propagate",
    }
)  # fmt: skip
"""Acts that want an answer. Many agents put a `reply_with` into everything they say."""


class Referee:
    """See the module, and `bus.referee` for the port."""

    def __init__(
        self, bus: Bus, table: Table, deadlines: Deadlines, watch: DeadlockWatch, clock: Clock,
        say: Callable[[str, str, str, Envelope | None], None],
    ) -> None:  # fmt: skip
        """`say(workspace, agent, text, about)` writes a warning, about a message or none, into the log of an agent."""
        self._bus, self._table, self._deadlines, self._clock, self._say = bus, table, deadlines, clock, say
        self._watch = watch
        self._book = table.book
        self._recall, self._steady_us = table.book.find, clock.steady_us
        self.mode: Mode = ENFORCE
        self.modes: dict[str, Mode] = {}
        """Of workspaces that have one of their own."""
        self.judged = self.violations = self.late = 0
        self._letters: dict[tuple[str, str], TokenBucket] = {}
        self._warned: set[tuple[str, str, str]] = set()

    def check(self, workspace: str, message: AclMessage, receivers: Iterable[str]) -> None:
        """See the port. Raises `ProtocolViolation`."""
        mode = self.modes.get(workspace, self.mode)
        if message.protocol is None or mode in (OFF, WARN):
            return
        protocol = PROTOCOLS.get(message.protocol)
        if protocol is None:
            if mode == STRICT:
                raise _error(message, _unknown(message.protocol))
            return
        talk = None if message.conversation_id is None else self._recall((workspace, message.conversation_id))
        if talk is not None and talk.ended_us and _begins_anew(talk, protocol, message.sender, message.performative):
            talk = None
        for name in receivers:
            act = message.performative
            if judge(talk, protocol, message.sender, name, act, message.in_reply_to) is None:
                self.violations += 1
                raise _error(message, violation(talk, protocol, message.sender, name, act))

    def passes(self, envelope: Envelope, message: AclMessage, target: Receiver | None) -> bool:
        """See the port."""
        if message.protocol is None:
            self._hear_free(envelope, message)
            return True
        mode = self.modes.get(envelope.workspace, self.mode) if self.modes else self.mode
        if mode == OFF:
            return True
        self.judged += 1
        protocol = PROTOCOLS.get(message.protocol)
        if protocol is None:
            return self._unknown_passes(envelope, message, target, strict=mode == STRICT)
        sender, receiver, act = envelope.sender, envelope.receiver, message.performative
        key = envelope.workspace, message.conversation_id or envelope.message_id
        talk = self._recall(key)
        if talk is not None and talk.ended_us and _begins_anew(talk, protocol, sender, act):
            talk = None
        move = judge(talk, protocol, sender, receiver, act, message.in_reply_to)
        if move is None:
            why = violation(talk, protocol, sender, receiver, act)
            return self._refuse(envelope, message, target, why, warn_only=mode == WARN)
        now_us = self._steady_us()
        if talk is None:
            talk = self._table.begin(key, protocol, sender, message.parent_conversation, now_us)
        talk.last_us = now_us
        talk.messages += 1
        talk.is_recent = True
        if move.after:
            is_initiator = sender == talk.initiator
            participant = receiver if is_initiator else sender
            if is_initiator:
                talk.asked = message.reply_with or envelope.message_id
                if act == "cancel" or message.reply_by or talk.due or message.reply_to or talk.reply_to:
                    self._note_question(talk, participant, message)
            elif talk.due or talk.cancels:
                self._note_answer(talk, participant, message)
            self._table.move(talk, participant, move, now_us)
        if not talk.ended_us:
            self._book.changed(talk)
            if not self._watch.is_armed:
                self._watch.arm()
        if move.after == REJECTED_LATE:
            self._answer_late(talk, envelope, message, target)
            return False
        return True

    def buried(self, envelope: Envelope, reason: str, error: str) -> None:
        """See the port. The initiator hears at once that a participant will not answer, and why."""
        message = decode_message(envelope.body, max_bytes=ANY_SIZE)
        protocol = PROTOCOLS.get(message.protocol or "")
        if protocol is None or message.conversation_id is None:
            return
        talk = self._book.find((envelope.workspace, message.conversation_id))
        if talk is None or talk.ended_us or talk.initiator != envelope.sender:
            return
        self._give_up(talk, envelope.receiver, reason, error, envelope.message_id)

    def forget(self, workspace: str, name: str) -> None:
        """An agent is gone with its state: it owes no answer any more, and those who wait for one hear so.

        Of conversations, those in memory; in the others a deadline is what ends the wait. What it has begun goes on.
        """
        self._table.asks(workspace).forget(name)
        for talk in list(self._book.in_memory()):
            if talk.workspace == workspace and name in talk.pairs:
                self._give_up(talk, name, REMOVED, REASONS[REMOVED], None)

    def _give_up(self, talk: Conversation, participant: str, reason: str, error: str, message_id: str | None) -> None:
        """If it is its turn, the participant will not speak; the initiator hears what comes nearest to that."""
        state = talk.state(participant)
        if next_to_speak(talk.protocol, state) != PARTICIPANT:
            return
        for act in ("failure", "refuse", "reject-proposal"):
            move = move_of(talk.protocol.name, state, PARTICIPANT, act, False)
            if move is not None:
                break
        else:
            return
        if talk.due:
            talk.due.pop(participant, None)
        self._table.move(talk, participant, move, self._clock.steady_us())
        if not talk.ended_us:
            self._book.changed(talk)
        if talk.initiator != participant or message_id is not None:
            notice = notices.undeliverable(talk, participant, act, reason, error, message_id)
            self._bus.mail.send(talk.workspace, talk.initiator, notice)

    def _hear_free(self, envelope: Envelope, message: AclMessage) -> None:
        """Free messages are not judged; who asked whom and was not answered is known all the same."""
        if message.in_reply_to is not None and message.performative != "agree":
            self._table.asks(envelope.workspace).answered(envelope.receiver, message.in_reply_to, envelope.sender)
        if message.reply_with is not None and message.performative in ASKING:
            due_us = envelope.expires_us if message.reply_by is not None else None
            self._table.asks(envelope.workspace).remember(
                envelope.sender, message.reply_with, (envelope.receiver,), message.conversation_id,
                self._clock.steady_us(), due_us or None,
            )  # fmt: skip
            if not self._watch.is_armed:
                self._watch.arm()

    def _note_question(self, talk: Conversation, participant: str, message: AclMessage) -> None:
        """Where the answer goes, what it will refer to, and until when it must be there."""
        talk.reply_to = message.reply_to if isinstance(message.reply_to, str) else ""
        if message.performative == "cancel":
            talk.expect_cancel(participant, talk.asked)
        if message.reply_by is not None:
            due_us = self._clock.steady_us() + parse_reply_by(message.reply_by) - self._clock.wall_us()
            talk.set_due(participant, due_us)
            self._deadlines.watch(talk.key, due_us)
        elif talk.due:
            talk.due.pop(participant, None)

    @staticmethod
    def _note_answer(talk: Conversation, participant: str, message: AclMessage) -> None:
        """It is there: nobody waits for it any more."""
        if talk.cancels and message.in_reply_to is not None and talk.cancels.get(participant) == message.in_reply_to:
            del talk.cancels[participant]
        if talk.due:
            talk.due.pop(participant, None)

    # --- what does not pass ----------------------------------------------------------------------------------

    def _refuse(
        self, envelope: Envelope, message: AclMessage, target: Receiver | None, why: Violation, *, warn_only: bool
    ) -> bool:
        self.violations += 1
        text = str(_error(message, why))
        is_outside = envelope.sender.startswith(CLIENT_PREFIX)
        if not is_outside:
            self._say(envelope.workspace, envelope.sender, f"{'' if warn_only else 'not delivered: '}{text}", envelope)
        if warn_only:
            return True
        self._bus.withhold(envelope, target)
        if self._is_kept(envelope):
            self._bus.redelivery.bury(None, envelope, PROTOCOL, text)
        if not is_outside and message.performative not in UNANSWERED and envelope.receiver != notices.AMS:
            notice = notices.not_understood(message, envelope.message_id, why)
            self._bus.mail.send(envelope.workspace, envelope.sender, notice, if_room=True)
        return False

    def _is_kept(self, envelope: Envelope) -> bool:
        """Whether a message out of place becomes a dead letter.

        An agent that sends nothing else must not fill their store: that would keep everybody's messages out.
        """
        key, now = (envelope.workspace, envelope.sender), self._clock.monotonic()
        bucket = self._letters.get(key)
        if bucket is None:
            if len(self._letters) >= MAX_WARNED:
                self._letters.clear()
            bucket = self._letters[key] = TokenBucket(LETTERS_PER_S, MAX_LETTERS)
        if bucket.wait_s(now) > 0:
            return False
        bucket.take(now)
        return True

    def _unknown_passes(
        self, envelope: Envelope, message: AclMessage, target: Receiver | None, *, strict: bool
    ) -> bool:
        """A protocol that nobody can judge: free, with one warning to each agent, unless the workspace is strict."""
        if strict:
            return self._refuse(envelope, message, target, _unknown(message.protocol or ""), warn_only=False)
        key = envelope.workspace, envelope.sender, message.protocol or ""
        if key not in self._warned and not envelope.sender.startswith(CLIENT_PREFIX):
            if len(self._warned) >= MAX_WARNED:
                self._warned.clear()
            self._warned.add(key)
            why = _unknown(message.protocol or "")
            text = f"{why.reason}; its messages are not watched over"
            self._say(envelope.workspace, envelope.sender, text, envelope)
        return True

    def _answer_late(
        self, talk: Conversation, envelope: Envelope, message: AclMessage, target: Receiver | None
    ) -> None:
        self.late += 1
        self._bus.withhold(envelope, target)
        self._bus.flight.note(REFUSED, envelope, detail=LATE)
        if self._bus.tap.listeners:
            self._bus.tap.withheld(envelope, LATE)
        message.reply_with = message.reply_with or envelope.message_id
        self._bus.mail.send(envelope.workspace, envelope.sender, notices.late(talk, message))


def _begins_anew(talk: Conversation, protocol: Protocol, sender: str, act: str) -> bool:
    """Whether a message begins a conversation under the id of `talk`, which is over."""
    return sender == talk.initiator and act in protocol.initiator[START] and act not in CLOSING


def _unknown(name: str) -> Violation:
    near = nearest(name, PROTOCOLS)
    hint = f"; did you mean {near}?" if near else ""
    return Violation(f"there is no protocol {quoted(name)}{hint}", "start")


def _error(message: AclMessage, why: Violation) -> ProtocolViolation:
    return ProtocolViolation(
        message.performative, message.protocol or "", message.conversation_id, why.reason, why.state,
        list(why.allowed),
    )  # fmt: skip
