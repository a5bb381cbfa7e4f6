"""Conversations as callers outside see them: which there are, who waits for whom in them, and how to end one."""

from __future__ import annotations

import asyncio
from heapq import nlargest
from typing import TYPE_CHECKING, TypeVar

import msgspec

from caxton.conversations.conversation import COLUMNS, DamagedRow, UnknownProtocol, load
from caxton.conversations.facts import BEING_CANCELLED, ENDED, OPEN, detail, message_facts, summary
from caxton.conversations.path import describe_deadlocks, why
from caxton.core.errors.conversations import ConversationNotFound, ConversationOver
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.conversations import CancelReceipt, ConversationFilter, ConversationPage
from caxton.messages.codec import ANY_SIZE, decode_message
from caxton.protocols.machine import CANCELLING
from caxton.services.conversation_facts import Present, facts_of, is_meant

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.agents.service import AgentService
    from caxton.bus.bus import Bus
    from caxton.bus.journal import Journal
    from caxton.conversations.conversation import Conversation
    from caxton.conversations.facts import ConversationFacts
    from caxton.conversations.room import Conversations
    from caxton.core.clock import Clock
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.conversations import ConversationDetail
    from caxton.core.views.waits import CriticalPath, DeadlockView
    from caxton.security.principal import Principal
    from caxton.services.messaging import MessageService
    from caxton.storage.database import Row
    from caxton.storage.lookup import Lookup

T = TypeVar("T")

_GOING_ON = OPEN, BEING_CANCELLED

MAX_LOOKED_AT = 5000
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
_LAST = -1, ""
"""The position behind them."""


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
        ended = [talk for talk in self._room.book.ended() if talk.workspace == workspace]
        known = frozenset(talk.id for talk in ended)  # rows of these may be older than they are
        most = limit + 1 if wanted == ConversationFilter() else MAX_LOOKED_AT
        found, looked_to, bad = await self._look(
            lambda: _matches(self._lookup.query(_PAGE, (workspace, *before, most)), known, wanted, limit + 1, most)
        )
        list(self._room.book.sound(bad))  # puts them aside
        near = [talk for talk in ended if looked_to <= (talk.started_us, talk.id) < before and _may_be(wanted, talk)]
        latest = nlargest(limit + 1, near, key=lambda talk: (talk.started_us, talk.id))
        found += [facts for facts in map(facts_of, latest) if is_meant(wanted, facts)]
        found.sort(key=lambda facts: (facts.begun_us, facts.id), reverse=True)
        page = found[:limit]
        end = (page[-1].begun_us, page[-1].id) if len(found) > limit else looked_to
        return ConversationPage(
            conversations=[summary(facts) for facts in page],
            next=None if end == _LAST else f"{end[0]}-{end[1]}",
        )

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
        return await self._look(lambda: self._lookup.query(sql, parameters))

    async def _look(self, work: Callable[[], T]) -> T:
        async with self._looking:
            return await asyncio.to_thread(work)


def _check(workspace: WorkspaceName) -> None:
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)


def _matches(
    rows: list[Row], known: frozenset[str], wanted: ConversationFilter, enough: int, most: int
) -> tuple[list[ConversationFacts], tuple[int, str], list[Row]]:
    """Those of `rows` that are meant, but for the `known`; how far was looked, `_LAST` if to the end; the bad ones.

    Runs beside the event loop: thousands of rows take tens of milliseconds.
    """
    found: list[ConversationFacts] = []
    bad: list[Row] = []
    name = None if wanted.agent is None else msgspec.json.encode(wanted.agent)
    initiator = None if wanted.agent is None else wanted.agent.encode()
    protocol = None if wanted.protocol is None else wanted.protocol.encode()
    for row in rows:
        if (
            _text(row[1]) in known
            or (row[10] and wanted.status in _GOING_ON)
            or protocol not in (None, row[2])
            or (name is not None and initiator != row[3] and name not in _bytes(row[5]))
        ):
            continue  # most rows: seen without reading their state
        try:
            facts = facts_of(load(row))
        except (DamagedRow, UnknownProtocol):
            bad.append(row)
            continue
        if is_meant(wanted, facts):
            found.append(facts)
            if len(found) == enough:
                return found, _place(row), bad
    return found, _LAST if len(rows) < most else _place(rows[-1]), bad


def _place(row: Row) -> tuple[int, str]:
    began_us = row[7]
    return began_us if isinstance(began_us, int) else 0, _text(row[1])


def _text(cell: object) -> str:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)


def _bytes(cell: object) -> bytes:
    return cell if isinstance(cell, bytes) else b""


def _may_be(wanted: ConversationFilter, ended: Conversation) -> bool:
    """Whether one that is over may be meant: all that is asked of thousands on the event loop."""
    return (
        wanted.status not in _GOING_ON
        and wanted.protocol in (None, ended.protocol.name)
        and (wanted.agent in (None, ended.initiator) or wanted.agent in ended.pairs)
    )


def _position(after: str) -> tuple[int, str]:
    number, dash, conversation_id = after.partition("-")
    if not (dash and number.isascii() and number.isdigit() and len(number) <= 18):
        raise InvalidRequest("it is not the next of a page", field="after")
    return int(number), conversation_id
