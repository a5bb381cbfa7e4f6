"""`api.services.MessageService` in memory: a deployed agent echoes every message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from caxton.core.errors.agents import AgentFailed
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.messages import InvalidMessage, ReplyTimeout
from caxton.core.errors.receivers import CapabilityNotFound, MailboxFull, UnknownReceiver
from caxton.core.views.messages import Receipt
from caxton.messages.codec import encode_message
from caxton.testing.fakes.agents import FakeAgents, check_workspace

if TYPE_CHECKING:
    from caxton.core.ids import WorkspaceName
    from caxton.messages.message import AclMessage
    from caxton.security.principal import Principal

NO_TRACE = f"00-{'0' * 32}-"


class FakeMessages:
    """A bus on which every running agent answers `inform` with the content it was sent.

    Attributes:
        parents: the trace context that each message came with.
        full: receivers whose mailbox is full.
        silent: receivers that never answer.
        failing: receivers that fail on every message.
        answered: set it to let an `ask` to a receiver in `slow` go on.
    """

    def __init__(self, agents: FakeAgents) -> None:
        self._agents = agents
        self._count = 0
        self.parents: list[str | None] = []
        self.kept: dict[str, list[bytes]] = {}
        self.full: set[str] = set()
        self.silent: set[str] = set()
        self.failing: set[str] = set()
        self.slow: set[str] = set()
        self.asked, self.answered = asyncio.Event(), asyncio.Event()

    async def post(
        self, workspace: WorkspaceName, principal: Principal, message: AclMessage, *, durable: bool = True
    ) -> Receipt:
        """Keep it, and the answer of each agent that it reaches."""
        _, receipt = self._accept(workspace, principal, message)
        return receipt

    async def post_batch(
        self, workspace: WorkspaceName, principal: Principal, messages: list[AclMessage], *, durable: bool = True
    ) -> list[Receipt | CaxtonError]:
        """Each for itself."""
        return [self._try(workspace, principal, message) for message in messages]

    async def ask(
        self, workspace: WorkspaceName, principal: Principal, message: AclMessage, *, timeout_s: float
    ) -> bytes:
        """The answer of the first agent; time does not pass here, so a silent one times out at once."""
        names, receipt = self._accept(workspace, principal, message)
        self.asked.set()
        if names[0] in self.slow:
            await self.answered.wait()
        if names[0] in self.silent:
            raise ReplyTimeout(names[0], timeout_s, receipt.conversation_id)
        if names[0] in self.failing:
            reason = "it trapped"
            raise AgentFailed(names[0], reason, trap="unreachable", functions=["handle_message"], log=[])
        return self.kept[receipt.conversation_id][-1]

    async def conversation(self, workspace: WorkspaceName, conversation_id: str, *, limit: int) -> list[bytes]:
        """The last `limit`, oldest first."""
        check_workspace(workspace)
        return self.kept.get(conversation_id, [])[-limit:]

    def _try(self, workspace: WorkspaceName, principal: Principal, message: AclMessage) -> Receipt | CaxtonError:
        try:
            return self._accept(workspace, principal, message)[1]
        except CaxtonError as exc:
            return exc

    def _accept(self, workspace: WorkspaceName, principal: Principal, message: AclMessage) -> tuple[list[str], Receipt]:
        names = self._receivers(workspace, message)
        self._count += 1
        message.sender = f"client:{principal.name}"
        message.message_id = f"m-{self._count}"
        self.parents.append(message.traceparent)
        message.traceparent = f"{(message.traceparent or NO_TRACE)[:36]}{self._count:016x}-01"
        message.conversation_id = message.conversation_id or f"c-{self._count}"
        kept = self.kept.setdefault(message.conversation_id, [])
        kept.append(encode_message(message))
        for name in names:
            if name not in self.silent | self.failing:
                kept.append(encode_message(self._answer(name, message)))
                self._agents.views[name].messages_handled += 1
        return names, Receipt(message_id=message.message_id, conversation_id=message.conversation_id)

    def _receivers(self, workspace: WorkspaceName, message: AclMessage) -> list[str]:
        views = self._agents.list(workspace)
        if message.capability is not None:
            names = [view.name for view in views if message.capability in view.capabilities][:1]
            if not names:
                raise CapabilityNotFound(message.capability, [])
        else:
            names = [message.receiver] if isinstance(message.receiver, str) else message.receiver
        if not names or names == [""]:
            raise InvalidMessage("it names no receiver", field="receiver")
        known = {view.name for view in views}
        for name in names:
            if name not in known:
                raise UnknownReceiver(name)
            if name in self.full:
                raise MailboxFull(name, 10_000, 16 << 20)
        return names

    def _answer(self, name: str, message: AclMessage) -> AclMessage:
        self._count += 1
        return msgspec.structs.replace(
            message,
            performative="inform",
            sender=name,
            receiver=message.sender,
            capability=None,
            message_id=f"m-{self._count}",
            in_reply_to=message.reply_with,
            reply_with=None,
        )
