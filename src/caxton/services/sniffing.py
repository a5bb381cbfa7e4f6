"""Who says what to whom: live from the bus, and what is remembered of one conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.bus.dead_letters import PROTOCOL
from caxton.bus.envelope import CLIENT_PREFIX
from caxton.bus.tap import DEAD, sighting
from caxton.core.errors.agents import AgentNotFound
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.suggest import nearest
from caxton.storage.answer import answer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.bus.bus import Bus
    from caxton.bus.journal import Journal
    from caxton.bus.tap import Listener
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.messages import Sighting
    from caxton.storage.database import Database, Row

_KEPT = (
    "SELECT seq, receiver, body FROM messages WHERE workspace = ? AND conversation_id = ? AND kept = 1 "
    "ORDER BY seq DESC LIMIT ?"
)
_DEAD = (
    "SELECT seq, receiver, body, dead_us, reason FROM dead_letters WHERE workspace = ? AND conversation_id = ? "
    "AND replayed_us IS NULL ORDER BY seq DESC LIMIT ?"
)


class SniffService:
    """What callers outside see of the traffic; never before it is on disk."""

    def __init__(self, bus: Bus, journal: Journal, database: Database) -> None:
        self._bus, self._journal, self._database = bus, journal, database

    def listen(self, workspace: WorkspaceName, agents: Sequence[str] | None, conversation_id: str | None) -> Listener:
        """Each message from now on; see `bus.tap`. A name that nobody has is an error: a slip would look like silence.

        Raises: AgentNotFound, WorkspaceNotFound, TooManyListeners.
        """
        _check(workspace)
        directory = self._bus.names.directory(workspace)
        known = directory.receivers.keys() | directory.known
        for name in agents or ():
            if name not in known and not name.startswith(CLIENT_PREFIX):
                raise AgentNotFound(name, nearest=nearest(name, known))
        return self._bus.tap.listen(workspace, agents, conversation_id)

    async def past(self, workspace: WorkspaceName, conversation_id: str, *, limit: int) -> list[Sighting]:
        """The last `limit` messages of a conversation that are remembered, by time. Dead letters stand among them.

        What is remembered: see `MessageService.conversation`.
        """
        _check(workspace)
        await self._journal.commit()  # what is shown has left the node, so what it shows must be on disk
        sent: dict[int, tuple[str, bytes]] = {}
        for envelope in self._bus.history.envelopes(workspace, conversation_id):
            sent[envelope.seq] = envelope.receiver, envelope.body
        for seq, receiver, body in await self._read(_KEPT, (workspace, conversation_id, limit)):
            sent[seq] = receiver, body
        seen: list[Sighting] = []
        for seq, receiver, body, dead_us, reason in await self._read(_DEAD, (workspace, conversation_id, limit)):
            if reason != PROTOCOL:  # then it was never sent
                sent.setdefault(seq, (receiver, body))
            facts = {"event": DEAD, "at_us": dead_us, "reason": reason}
            seen += _seen(body, seq=seq, workspace=workspace, receiver=receiver, **facts)
        for seq, (receiver, body) in sent.items():
            seen += _seen(body, seq=seq, workspace=workspace, receiver=receiver)
        seen.sort(key=lambda one: (one.timestamp, one.seq, one.event == DEAD))
        return seen[-limit:]

    async def _read(self, sql: str, parameters: Row) -> list[Row]:
        return await answer_of(lambda done: self._database.read(sql, parameters, done))


def _seen(body: bytes, **facts: Any) -> list[Sighting]:
    """What is seen of a message; nothing of one that the disk has damaged."""
    try:
        return [sighting(body, **facts)]
    except msgspec.DecodeError:
        return []


def _check(workspace: WorkspaceName) -> None:
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)
