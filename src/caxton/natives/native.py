"""Agents written in Python that run in the node: on the same bus, with the same turns, state, timers and guarantees.

A native agent keeps what it must not lose in its turn's key-value state and timers, like a guest: they happen together
with what it sends, or not at all, and outlive the node. What it keeps in attributes is gone with the process, and is
not undone when a handling fails: change it last. It is never deployed, stopped or removed, and has no row in `agents`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from caxton.agents.log_context import Contexts
from caxton.bus.handler import failure_text
from caxton.bus.mailbox import Receiver
from caxton.bus.recovery import load_state
from caxton.bus.turn import Turn
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.messages.codec import ANY_SIZE, decode_message, encode_message
from caxton.messages.message import AclMessage
from caxton.sandbox.codes import OK, RATE_LIMITED, WOULD_BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caxton.bus.bus import Bus
    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.bus.mailbox import Mailbox
    from caxton.logs.book import LogBook
    from caxton.storage.database import Database

MAX_NATIVE_MESSAGES_PER_S = 1_000_000
"""What one may send: it is our own code, and a call for proposals can have many receivers."""

INFO, WARN, ERROR = 2, 3, 4


class NativeAgent(Protocol):
    """Handles one message or timer at a time, at once and to its end, on the event loop's thread.

    Each call returns 0 (done: what `turn` staged happens) or another number (failed: nothing of it does, and the
    message comes again, up to five times). One that raises has crashed, and is treated as a guest that did.
    """

    @property
    def name(self) -> str:
        """Under which it is written to; one of `core.ids.RESERVED_NAMES`."""
        ...

    def handle(self, message: AclMessage, turn: Turn) -> int:
        """Handle `message`."""
        ...

    def fire(self, timer_id: int, turn: Turn) -> int:
        """Handle a timer that it set; it may be one of an earlier run."""
        ...


def install(bus: Bus, agent: NativeAgent, log: LogBook | None = None, workspace: str = DEFAULT_WORKSPACE) -> Receiver:
    """Give `agent` a mailbox and let it have its mail: what comes, and what waits for its name.

    Args:
        bus: which has no other agent of this name.
        agent: what handles the mail.
        log: where its failures are told, under its name.
        workspace: in which it can be written to.
    """
    supervisor = _Supervisor(bus, log)
    receiver = Receiver(bus.names.directory(workspace), agent.name, supervisor)
    receiver.messages_per_s = MAX_NATIVE_MESSAGES_PER_S
    receiver.is_running = True
    bus.queues.set_mailboxes(receiver, 1)
    (box,) = receiver.mailboxes
    turn = Turn(bus, box)
    turn.on_refusal = supervisor.refused
    supervisor.handler = _Handler(agent, turn)
    bus.names.add(receiver)
    bus.queues.open(box, supervisor.handler)
    return receiver


def recover(bus: Bus, database: Database, agents: Iterable[NativeAgent], log: LogBook | None = None) -> list[Receiver]:
    """Install `agents` with the state they had; their mail waits until `start`. Comes before topics, timers, mail."""
    receivers = [install(bus, agent, log) for agent in agents]
    for receiver in receivers:
        bus.queues.hold(receiver)
        load_state(database, receiver)
    return receivers


def start(bus: Bus, receivers: Iterable[Receiver]) -> None:
    """Let them have their mail."""
    for receiver in receivers:
        bus.queues.let_go(receiver, in_pump=False)


def reply_to(message: AclMessage, performative: str, content: object) -> AclMessage:
    """The answer to `message`: to whom, in which conversation and to what, as FIPA has it.

    Args:
        message: as it was received.
        performative: as FIPA spells it.
        content: anything that can be JSON, or `msgspec.Raw`.
    """
    return AclMessage(
        performative=performative,
        receiver=message.reply_to or message.sender,
        content=content if isinstance(content, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(content)),
        language=message.language,
        ontology=message.ontology,
        protocol=message.protocol,
        conversation_id=message.conversation_id,
        in_reply_to=message.reply_with,
    )


def answer(turn: Turn, message: AclMessage, performative: str, content: object) -> int:
    """Stage the answer to `message`; returns what the handler should return: not 0 if it is to try again later.

    An asker that is gone, or wants the answer where nothing can be sent, gets none: that is no failure of who answers.
    """
    sent = turn.send(encode_message(reply_to(message, performative, content)))
    return sent if sent in (WOULD_BLOCK, RATE_LIMITED) else OK


class _Handler:
    """A native agent behind the port that the bus knows (`bus.handler.Handler`)."""

    def __init__(self, agent: NativeAgent, turn: Turn) -> None:
        self.turn = turn
        self._agent = agent

    @property
    def waits_for(self) -> None:
        """It never waits."""

    def deliver(self, body: bytes) -> int | Crash | None:
        return self._agent.handle(decode_message(body, max_bytes=ANY_SIZE), self.turn)

    def fire(self, timer_id: int) -> int | Crash | None:
        return self._agent.fire(timer_id, self.turn)

    def resume(self) -> int | Crash | None:
        raise AssertionError("a native agent comes to its end at once")


class _Supervisor:
    """Puts the handler back after a crash: there is nothing to boot (`bus.handler.Supervisor`)."""

    handler: _Handler

    def __init__(self, bus: Bus, log: LogBook | None) -> None:
        self._bus, self._log = bus, log

    def crashed(self, mailbox: Mailbox, crash: Crash) -> None:
        self._say(ERROR, f"crashed ({crash.kind}): {crash.reason}")
        mailbox.handler = self.handler
        self._bus.queues.let_go(mailbox.receiver, in_pump=True)

    def failed(self, mailbox: Mailbox, status: int) -> None:
        self._say(WARN, failure_text(status))

    def succeeded(self, mailbox: Mailbox) -> None:
        """Nothing depends on it."""

    def began(self, mailbox: Mailbox) -> None:
        """It never takes longer than its first slice."""

    def found_no_room(self, mailbox: Mailbox) -> None:
        """It is tried again."""

    def gave_up(self, mailbox: Mailbox, envelope: Envelope) -> None:
        if envelope.timer_id < 0 and envelope.max_attempts == 1:
            return  # somebody waits for the reply and is told
        what, fate = f"message {envelope.message_id}", "it is a dead letter"
        if envelope.timer_id >= 0:
            what, fate = f"timer {envelope.timer_id}", "it is dropped"
        self._say(ERROR, f"{what} failed {envelope.attempt} times: {fate}")

    def refused(self, reason: str) -> None:
        """A message that it sent was not taken."""
        self._say(WARN, f"send_message: {reason}")

    def _say(self, level: int, text: str) -> None:
        if self._log is not None:
            turn = self.handler.turn
            workspace, name = turn.receiver.workspace, turn.receiver.name
            self._log.append(workspace, name, 0, level, "host", text, Contexts(turn).now())
