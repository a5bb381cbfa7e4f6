"""Conversations as callers outside see them: which there are, who waits for whom in them, and how to end one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from caxton.agents.conversation_facts import Present, facts_of, is_meant
from caxton.conversations.conversation import COLUMNS
from caxton.conversations.facts import ENDED, OPEN, detail, message_facts, summary
from caxton.conversations.path import describe_deadlocks, why
from caxton.core.errors import ConversationNotFound, ConversationOver, InvalidRequest, ShuttingDown, WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views import CancelReceipt, ConversationPage
from caxton.messages.codec import ANY_SIZE, decode_message
from caxton.protocols.machine import CANCELLING

if TYPE_CHECKING:
    from caxton.agents.messaging import MessageService
    from caxton.agents.service import AgentService
    from caxton.bus.bus import Bus
    from caxton.bus.journal import Journal
    from caxton.conversations.conversation import Conversation
    from caxton.conversations.room import Conversations
    from caxton.core.clock import Clock
    from caxton.core.ids import WorkspaceName
    from caxton.core.views import ConversationDetail, ConversationFilter, CriticalPath, DeadlockView
    from caxton.security.principal import Principal
    from caxton.storage.database import Row
    from caxton.storage.lookup import Lookup

MAX_LOOKED_AT = 20_000
"""Rows that one page of a narrow list looks at; it goes on behind them."""

MAX_PATH_MESSAGES = 1000
"""Of a conversation, the last, that its critical path is made of."""

_PAGE = (
    f"SELECT {COLUMNS} FROM conversations WHERE workspace = ?1 AND (started_us, id) < (?2, ?3) "  # noqa: S608
    "ORDER BY started_us DESC, id DESC LIMIT ?4"
)
_ONE = f"SELECT {COLUMNS} FROM conversations WHERE workspace = ? AND id = ?"  # noqa: S608
_CHILDREN = "SELECT id FROM conversations WHERE workspace = ? AND parent = ? ORDER BY id LIMIT 1000"

_FIRST = 1 << 62, ""
"""The position before all conversations."""


class ConversationService:
    """See `api.services`."""

    def __init__(
        self, room: Conversations, bus: Bus, journal: Journal, clock: Clock, lookup: Lookup, agents: AgentService,
        messages: MessageService,
    ) -> None:  # fmt: skip
        """`lookup` is for this service alone: it is asked in another thread."""
        self._room, self._bus, self._journal, self._clock = room, bus, journal, clock
        self._lookup, self._agents, self._messages = lookup, agents, messages
        self._looking = asyncio.Lock()
        self._is_open = True

    def refuse(self) -> None:
        """The node is stopping: nothing is changed any more."""
        self._is_open = False

    async def list(
        self, workspace: WorkspaceName, wanted: ConversationFilter, *, limit: int, after: str | None
    ) -> ConversationPage:
        """Those that match, begun last first. Raises `InvalidRequest`, `WorkspaceNotFound`."""
        _check(workspace)
        before = _FIRST if after is None else _position(after)
        await self._journal.commit()
        rows = await self._query(_PAGE, (workspace, *before, MAX_LOOKED_AT if wanted.agent or wanted.status else limit))
        known = {talk.key: talk for talk in self._room.book.sound(rows)}
        more = len(rows) >= limit
        for talk in self._room.book.ended():  # what began and ended between two commits is in no row
            if talk.workspace == workspace and (talk.started_us, talk.id) < before:
                known[talk.key] = talk
        talks = sorted(known.values(), key=lambda talk: (talk.started_us, talk.id), reverse=True)
        found = [facts_of(talk) for talk in talks]
        meant = [facts for facts in found if is_meant(wanted, facts)]
        page = meant[:limit]
        last = page[-1] if len(meant) > limit else (found[-1] if more and found else None)
        following = None if last is None else f"{last.begun_us}-{last.id}"
        if more and not found:
            following = _behind(rows[-1])
        return ConversationPage(conversations=[summary(facts) for facts in page], next=following)

    async def get(self, workspace: WorkspaceName, conversation_id: str) -> ConversationDetail:
        """One with its participants. Raises `ConversationNotFound`, `WorkspaceNotFound`."""
        talk = await self._find(workspace, conversation_id)
        if talk is None:
            raise ConversationNotFound(conversation_id)
        children = {str(row[0]) for row in await self._query(_CHILDREN, (workspace, conversation_id))}
        children |= {one.id for one in self._room.book.ended() if one.parent == conversation_id}
        return detail(facts_of(talk, tuple(sorted(children))), self._clock.steady_us())

    async def cancel(self, workspace: WorkspaceName, principal: Principal, conversation_id: str) -> CancelReceipt:
        """Send the initiator's `cancel` to all whose exchange goes on; it is on disk when this returns.

        Raises: ConversationNotFound, ConversationOver, WorkspaceNotFound, ShuttingDown.
        """
        if not self._is_open:
            raise ShuttingDown
        talk = await self._find(workspace, conversation_id)
        if talk is None:
            raise ConversationNotFound(conversation_id)
        if talk.ended_us:
            raise ConversationOver(conversation_id)
        before = [name for name, state in talk.pairs.items() if state.startswith(CANCELLING)]
        told = self._room.deadlines.cancel(talk, principal.name)
        self._bus.wake()
        await self._journal.commit()
        return CancelReceipt(conversation_id=conversation_id, told=told, cancelling=before)

    async def deadlocks(self, workspace: WorkspaceName) -> list[DeadlockView]:
        """Cycles of agents that nobody but somebody outside, or a deadline, can end. Raises `WorkspaceNotFound`."""
        _check(workspace)
        self._room.watch.look()
        cycles = [found.agents for found in self._room.watch.found.values() if found.workspace == workspace]
        return describe_deadlocks(cycles, self._present(workspace), self._clock.steady_us())

    async def why(self, workspace: WorkspaceName, conversation_id: str) -> CriticalPath:
        """What a conversation waits for, or what its time went into. Raises `ConversationNotFound`, …"""
        talk = await self._find(workspace, conversation_id)
        bodies = await self._messages.conversation(workspace, conversation_id, limit=MAX_PATH_MESSAGES)
        messages = [message_facts(decode_message(body, max_bytes=ANY_SIZE)) for body in bodies]
        present = self._present(workspace)
        waits = present.waits_in(conversation_id)
        if talk is None and not messages and not waits:
            raise ConversationNotFound(conversation_id)
        status = facts_of(talk).status if talk is not None else OPEN if waits else ENDED
        protocol = None if talk is None else talk.protocol.name
        return why(conversation_id, protocol, status, present, messages, self._clock.steady_us())

    async def _find(self, workspace: WorkspaceName, conversation_id: str) -> Conversation | None:
        _check(workspace)
        talk = self._room.book.find((workspace, conversation_id))
        if talk is not None:
            return talk
        rows = await self._query(_ONE, (workspace, conversation_id))
        return next(self._room.book.sound(rows), None)

    def _present(self, workspace: str) -> Present:
        return Present(workspace, self._room, self._bus, self._agents)

    async def _query(self, sql: str, parameters: Row) -> list[Row]:
        async with self._looking:
            return await asyncio.to_thread(self._lookup.query, sql, parameters)


def _check(workspace: WorkspaceName) -> None:
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)


def _behind(row: Row) -> str | None:
    """The position of a row of `COLUMNS` that is itself not shown; None if it says nothing of that."""
    conversation_id, begun_us = row[1], row[7]
    if not isinstance(begun_us, int) or not isinstance(conversation_id, bytes):
        return None
    return f"{begun_us}-{conversation_id.decode('utf-8', 'replace')}"


def _position(after: str) -> tuple[int, str]:
    number, dash, conversation_id = after.partition("-")
    if not (dash and number.isascii() and number.isdigit() and len(number) <= 18):
        raise InvalidRequest("it is not the next of a page", field="after")
    return int(number), conversation_id
