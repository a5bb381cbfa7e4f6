"""Messages from outside: post them, wait for a reply, read a conversation."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from caxton.bus.envelope import TRACE_CHARS
from caxton.bus.replies import Waiter, is_reply
from caxton.core.errors.agents import AgentFailed, AgentStateConflict
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.messages import ReplyInterrupted, ReplyTimeout
from caxton.core.errors.receivers import UnknownReceiver
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.messages import Receipt
from caxton.messages.codec import ANY_SIZE, decode_message
from caxton.storage.answer import answer_of

if TYPE_CHECKING:
    from caxton.agents.service import AgentService
    from caxton.bus.bus import Bus
    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.bus.journal import Journal
    from caxton.bus.mailbox import Receiver
    from caxton.bus.postbox import Accepted, Postbox
    from caxton.core.ids import WorkspaceName
    from caxton.messages.message import AclMessage
    from caxton.security.principal import Principal
    from caxton.storage.database import Database, Row

_CONVERSATION = (
    "SELECT seq, body FROM messages WHERE workspace = ? AND conversation_id = ? AND kept = 1 ORDER BY seq DESC LIMIT ?"
)

_REPLIES = (
    "SELECT body FROM messages WHERE workspace = ? AND conversation_id = ? AND kept = 1 AND receiver = ? ORDER BY seq"
)
_DEAD = (
    "SELECT receiver, coalesce(last_error, reason) FROM dead_letters WHERE workspace = ? AND message_id = ? "
    "AND sender = ? AND replayed_us IS NULL"
)


class MessageService:
    """What callers outside do with messages. Nothing is answered before it is on disk."""

    def __init__(self, bus: Bus, postbox: Postbox, journal: Journal, database: Database, agents: AgentService) -> None:
        self._bus, self._postbox, self._journal, self._database, self._agents = bus, postbox, journal, database, agents
        self._is_open = True
        self._answers: dict[asyncio.Future[bytes], AclMessage] = {}

    def refuse(self) -> None:
        """The node is stopping: take nothing more. Who waits for a reply goes on waiting."""
        self._is_open = False

    def interrupt(self) -> None:
        """No further reply will come from this run: tell those who still wait."""
        for answer, message in self._answers.items():
            if not answer.done():
                answer.set_exception(ReplyInterrupted(message.message_id, message.conversation_id or ""))

    async def post(
        self, workspace: WorkspaceName, principal: Principal, message: AclMessage, *, durable: bool = True
    ) -> Receipt:
        """Accept a message; returns once it is on disk, or at once if it shall not be `durable`.

        A message with an id is accepted once: who posts it again gets the same receipt.

        Raises: InvalidMessage, MessageExpired, MessageIdConflict, UnknownReceiver, MailboxFull, WorkspaceNotFound,
            ShuttingDown.
        """
        receipt = self._accept(workspace, principal, message, durable=durable)
        if durable:
            await self._journal.commit()
        return receipt

    async def post_batch(
        self, workspace: WorkspaceName, principal: Principal, messages: list[AclMessage], *, durable: bool = True
    ) -> list[Receipt | CaxtonError]:
        """Accept several, each for itself; one commit for all. The answers are in the order of the messages."""
        answers: list[Receipt | CaxtonError] = []
        for message in messages:
            try:
                answers.append(self._accept(workspace, principal, message, durable=durable))
            except CaxtonError as exc:
                answers.append(exc)
        if durable:
            await self._journal.commit()
        return answers

    async def ask(
        self, workspace: WorkspaceName, principal: Principal, message: AclMessage, *, timeout_s: float
    ) -> bytes:
        """Post a message to one agent and wait for its reply; returns the reply as JSON, once it is on disk.

        The message is tried once: when the handler fails, the caller is told and decides.

        Raises: as `post`; CircuitOpen, BulkheadFull, AgentStateConflict (it does not run): nothing was accepted;
            ReplyTimeout, ReplyInterrupted, AgentFailed.
        """
        self._check(workspace)
        if isinstance(message.receiver, str) and message.receiver:
            phase = self._agents.state(workspace, message.receiver)
            if phase is None and self._bus.names.directory(workspace).is_vacant(message.receiver):
                raise UnknownReceiver(message.receiver)  # its mail would wait, and so would the caller
            if phase is not None and phase != "running":
                raise AgentStateConflict(message.receiver, phase, f"'caxton agent start {message.receiver}' revives it")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        with ExitStack() as place:
            failed = partial(self._failed, workspace, answer)
            waiter = Waiter(partial(_replied, answer), failed, partial(self._admit, place))
            is_new = self._take(workspace, principal, message, waiter=waiter).is_new
            self._answers[answer] = message
            try:
                async with asyncio.timeout(timeout_s):
                    if not is_new and (known := await self._outcome(workspace, message)) is not None:
                        return known
                    return await answer
            except TimeoutError:
                name = message.receiver if isinstance(message.receiver, str) else ", ".join(message.receiver)
                who = name or f"capability {message.capability}"
                raise ReplyTimeout(who, timeout_s, message.conversation_id or "") from None
            finally:
                self._answers.pop(answer, None)
                self._bus.replies.stop(workspace, message, waiter)
                # They may hold an exception whose traceback holds this frame, and so the whole request.
                del answer, failed, waiter

    def _admit(self, place: ExitStack, receiver: Receiver) -> None:
        """Take a place among those who wait for `receiver`, left with `place`. Raises CircuitOpen, BulkheadFull."""
        circuit = self._agents.circuit(receiver.workspace, receiver.name)
        if circuit is not None:
            circuit.enter()
            place.callback(circuit.leave)

    async def _outcome(self, workspace: str, message: AclMessage) -> bytes | None:
        """What became of a message that was posted before: its reply, or None if it has none yet.

        Raises: AgentFailed.
        """
        await self._journal.commit()
        for (body,) in await self._read(_REPLIES, (workspace, message.conversation_id, message.sender)):
            if is_reply(decode_message(body, max_bytes=ANY_SIZE), message):
                return body
        for receiver, reason in await self._read(_DEAD, (workspace, message.message_id, message.sender)):
            raise AgentFailed(receiver, reason, trap=None, functions=[], log=[])
        return None

    def _failed(
        self, workspace: str, answer: asyncio.Future[bytes], envelope: Envelope, reason: str, crash: Crash | None
    ) -> None:
        if not answer.done():
            lines = self._agents.last_lines(workspace, envelope.receiver)
            kind, functions = (crash.kind, crash.functions) if crash is not None else (None, [])
            answer.set_exception(AgentFailed(envelope.receiver, reason, trap=kind, functions=functions, log=lines))

    async def conversation(self, workspace: WorkspaceName, conversation_id: str, *, limit: int) -> list[bytes]:
        """The last `limit` messages of a conversation as JSON, oldest first.

        Messages from and to the outside are kept for days; those between agents only as long as memory remembers them.
        """
        self._check(workspace)
        await self._journal.commit()  # what is shown has left the node, so what it shows must be on disk
        found = self._bus.history.conversation(workspace, conversation_id)
        found |= dict(await self._read(_CONVERSATION, (workspace, conversation_id, limit)))
        once = dict.fromkeys(found[seq] for seq in sorted(found))  # copies for several receivers are one message
        return list(once)[-limit:]

    def _accept(self, workspace: WorkspaceName, principal: Principal, message: AclMessage, *, durable: bool) -> Receipt:
        self._check(workspace)
        accepted = self._take(workspace, principal, message, durable=durable)
        return Receipt(
            message_id=message.message_id, conversation_id=message.conversation_id or "",
            durability="fsync" if accepted.durable else "memory",
        )  # fmt: skip

    def _take(
        self, workspace: WorkspaceName, principal: Principal, message: AclMessage, *, waiter: Waiter | None = None,
        durable: bool = True,
    ) -> Accepted:  # fmt: skip
        """Into the postbox; those who listen see also what it refuses."""
        try:
            return self._postbox.accept(workspace, principal.name, message, waiter=waiter, durable=durable)
        except CaxtonError as exc:
            trace = (message.traceparent or "")[:TRACE_CHARS]
            self._bus.flight.refused(workspace, message, exc.code, trace=trace)
            if self._bus.tap.listeners:
                self._bus.tap.refused(workspace, message, exc.code)
            raise

    def _check(self, workspace: WorkspaceName) -> None:
        if workspace != DEFAULT_WORKSPACE:
            raise WorkspaceNotFound(workspace)
        if not self._is_open:
            raise ShuttingDown

    async def _read(self, sql: str, parameters: Row) -> list[Row]:
        return await answer_of(lambda done: self._database.read(sql, parameters, done))


def _replied(answer: asyncio.Future[bytes], envelope: Envelope) -> None:
    if not answer.done():
        answer.set_result(envelope.body)
