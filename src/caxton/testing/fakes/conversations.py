"""`caxton.api.services.ConversationService` in memory: conversations that a test puts there. Time stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.conversations.facts import (
    ENDED,
    OPEN,
    AgentFacts,
    ConversationFacts,
    Exchange,
    Wait,
    detail,
    message_facts,
    summary,
    waits_for_answers,
    waits_in,
)
from caxton.conversations.path import OUTSIDE, describe_deadlocks, why
from caxton.conversations.waits import OpenAsks, WaitGraph, deadlocks
from caxton.core.errors.conversations import ConversationNotFound, ConversationOver
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.conversations import CancelReceipt, ConversationDetail, ConversationFilter, ConversationPage
from caxton.messages.codec import decode_message
from caxton.protocols.catalogue import PROTOCOLS
from caxton.protocols.machine import CANCELLING, next_to_speak

if TYPE_CHECKING:
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.waits import CriticalPath, DeadlockView
    from caxton.security.principal import Principal

NOW_US = 1_767_225_600_000_000
"""2026-01-01 00:00:00 UTC."""

IDLE = AgentFacts(status="running", circuit="closed")


class FakeConversations:
    """Conversations in a dict, and the same rules.

    Attributes:
        known: what was begun, by id; later ones behind.
        agents: what agents do; the others run and have nothing to do.
        asks: free messages that are not answered.
    """

    def __init__(self, kept: dict[str, list[bytes]]) -> None:
        self._kept = kept
        self.known: dict[str, ConversationFacts] = {}
        self.agents: dict[str, AgentFacts] = {}
        self.asks = OpenAsks(WaitGraph())

    def begin(
        self, conversation_id: str, initiator: str, *participants: str, state: str = "requested", ago_s: float = 10,
        deadline_in_s: float | None = None, parent: str | None = None, protocol: str = "fipa-request",
    ) -> None:  # fmt: skip
        """A conversation all of whose exchanges are in `state` since `ago_s` seconds."""
        since_us = NOW_US - int(ago_s * 1e6)
        deadline_us = None if deadline_in_s is None else NOW_US + int(deadline_in_s * 1e6)
        exchanges = tuple(_exchange(protocol, name, state, since_us, deadline_us) for name in participants)
        self.known[conversation_id] = ConversationFacts(
            id=conversation_id, workspace=DEFAULT_WORKSPACE, protocol=protocol, initiator=initiator,
            exchanges=exchanges, begun_us=since_us, changed_us=since_us, parent=parent,
        )  # fmt: skip
        if parent is not None:
            above = self.known[parent]
            self.known[parent] = msgspec.structs.replace(above, children=(*above.children, conversation_id))

    # --- the service --------------------------------------------------------------------------------------

    async def list(
        self, workspace: WorkspaceName, wanted: ConversationFilter, *, limit: int, after: str | None
    ) -> ConversationPage:
        """Those begun last first; `after` is an id here."""
        _check(workspace)
        ids = [*self.known][::-1]
        if after is not None:
            if after not in self.known:
                raise InvalidRequest("it is not the next of a page", field="after")
            ids = ids[ids.index(after) + 1 :]
        found = [self.known[one] for one in ids if _fits(wanted, self.known[one])]
        page = [summary(one) for one in found[:limit]]
        return ConversationPage(conversations=page, next=page[-1].id if len(found) > limit else None)

    async def get(self, workspace: WorkspaceName, conversation_id: str) -> ConversationDetail:
        """One of them."""
        return detail(self._find(workspace, conversation_id), NOW_US)

    async def cancel(self, workspace: WorkspaceName, principal: Principal, conversation_id: str) -> CancelReceipt:
        """Nobody hears of it here; the exchanges are marked."""
        del principal
        facts = self._find(workspace, conversation_id)
        if facts.status == ENDED:
            raise ConversationOver(conversation_id)
        going_on = [one for one in facts.exchanges if not one.is_over]
        before = [one.participant for one in going_on if one.state.startswith(CANCELLING)]
        told = [one.participant for one in going_on if one.participant not in before]
        exchanges = tuple(
            _exchange(facts.protocol, one.participant, CANCELLING + one.state, NOW_US, None)
            if one.participant in told
            else one
            for one in facts.exchanges
        )
        self.known[conversation_id] = msgspec.structs.replace(facts, exchanges=exchanges, changed_us=NOW_US)
        return CancelReceipt(conversation_id=conversation_id, told=told, cancelling=before)

    async def deadlocks(self, workspace: WorkspaceName) -> list[DeadlockView]:
        """Of the waits that there are now."""
        _check(workspace)
        graph = WaitGraph()
        for wait in self._waits():
            graph.wait(wait.waiter, wait.waited)
        return describe_deadlocks(deadlocks(graph, self._is_quiet), self, NOW_US)

    async def why(self, workspace: WorkspaceName, conversation_id: str) -> CriticalPath:
        """From the same records as a server's."""
        _check(workspace)
        facts = self.known.get(conversation_id)
        messages = [message_facts(decode_message(body)) for body in self._kept.get(conversation_id, [])]
        waits = self.waits_in(conversation_id)
        if facts is None and not messages and not waits:
            raise ConversationNotFound(conversation_id)
        status = facts.status if facts else OPEN if waits else ENDED
        return why(conversation_id, facts.protocol if facts else None, status, self, messages, NOW_US)

    # --- the situation ------------------------------------------------------------------------------------

    def waits_in(self, conversation_id: str) -> list[Wait]:
        """Who waits for whom in one of them."""
        return [wait for wait in self._waits() if wait.conversation_id == conversation_id]

    def waits_of(self, name: str) -> list[Wait]:
        """For whom somebody waits."""
        return [wait for wait in self._waits() if wait.waiter == name]

    def parent_of(self, conversation_id: str) -> str | None:
        """As it was begun."""
        facts = self.known.get(conversation_id)
        return None if facts is None else facts.parent

    def agent(self, name: str) -> AgentFacts:
        """As the test says."""
        return self.agents.get(name, AgentFacts(status=None) if name.startswith(OUTSIDE) else IDLE)

    def _waits(self) -> list[Wait]:
        in_protocols = [wait for facts in self.known.values() for wait in waits_in(facts)]
        return in_protocols + [wait for ask in self.asks for wait in waits_for_answers(ask)]

    def _is_quiet(self, name: str) -> bool:
        return self.agent(name) == IDLE

    def _find(self, workspace: WorkspaceName, conversation_id: str) -> ConversationFacts:
        _check(workspace)
        if conversation_id not in self.known:
            raise ConversationNotFound(conversation_id)
        return self.known[conversation_id]


def _check(workspace: WorkspaceName) -> None:
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)


def _exchange(protocol: str, name: str, state: str, since_us: int, deadline_us: int | None) -> Exchange:
    rules = PROTOCOLS[protocol]
    return Exchange(
        participant=name, state=state, turn=next_to_speak(rules, state), is_over=rules.is_end(state),
        since_us=since_us, deadline_us=deadline_us,
    )  # fmt: skip


def _fits(wanted: ConversationFilter, facts: ConversationFacts) -> bool:
    names = {facts.initiator, *(one.participant for one in facts.exchanges)}
    return (
        wanted.status in (None, facts.status)
        and wanted.protocol in (None, facts.protocol)
        and (wanted.agent is None or wanted.agent in names)
    )
