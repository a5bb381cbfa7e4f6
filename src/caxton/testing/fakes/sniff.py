"""The traffic of a node in memory: what a test writes is what listeners see, at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from caxton.core.errors.agents import AgentNotFound
from caxton.core.errors.limits import TooManyListeners
from caxton.core.suggest import nearest
from caxton.core.views.messages import Gap, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from caxton.core.ids import WorkspaceName

STARTED_US = 1_800_000_000_000_000


class FakeSniff:
    """Keeps all that was written. `names` says which agents there are."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names
        self.seen: list[Sighting] = []
        self.listeners: list[FakeListener] = []
        self.most = 32
        """Listeners at once."""

    def write(self, sender: str, receiver: str, performative: str = "inform", **facts: Any) -> Sighting:
        """Show a message; each is a millisecond after the one before."""
        seq = len(self.seen) + 1
        values: dict[str, Any] = {
            "event": "sent", "timestamp": STARTED_US + 1000 * seq, "workspace": "default", "conversation_id": "c-1",
            "protocol": None, "message_id": f"m-{seq}", "reply_with": None, "in_reply_to": None, "attempt": 1,
            "size_bytes": 4, "excerpt": "null", "reason": None, **facts,
        }  # fmt: skip
        one = Sighting(seq=seq, sender=sender, receiver=receiver, performative=performative, **values)
        self.seen.append(one)
        for listener in self.listeners:
            listener.offer(one)
        return one

    def miss(self, count: int) -> None:
        """Tell every listener that it missed so many."""
        for listener in self.listeners:
            listener.put(Gap(missed=count))

    def listen(
        self, workspace: WorkspaceName, agents: Sequence[str] | None, conversation_id: str | None
    ) -> FakeListener:
        """Hear of what is written from now on."""
        known = {*self._names()}
        for name in agents or ():
            if name not in known and ":" not in name:
                raise AgentNotFound(name, nearest=nearest(name, known))
        if len(self.listeners) >= self.most:
            raise TooManyListeners(self.most)
        listener = FakeListener(self.listeners, agents, conversation_id)
        self.listeners.append(listener)
        return listener

    async def past(self, workspace: WorkspaceName, conversation_id: str, *, limit: int) -> list[Sighting]:
        """What was written of this conversation."""
        return [one for one in self.seen if one.conversation_id == conversation_id][-limit:]


class FakeListener:
    """Never misses anything by itself."""

    def __init__(self, others: list[FakeListener], agents: Sequence[str] | None, conversation_id: str | None) -> None:
        self._others, self._agents, self._conversation_id = others, agents, conversation_id
        self._news: asyncio.Queue[Sighting | Gap] = asyncio.Queue()

    def offer(self, one: Sighting) -> None:
        """Take it if it is wanted."""
        ends = {one.sender, one.receiver}
        if (self._agents is None or ends & {*self._agents}) and self._conversation_id in (None, one.conversation_id):
            self.put(one)

    def put(self, one: Sighting | Gap) -> None:
        """Take it."""
        self._news.put_nowait(one)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Sighting | Gap]:
        found = [await self._news.get()]
        while not self._news.empty():
            found.append(self._news.get_nowait())
        return found

    async def aclose(self) -> None:
        """Hear of nothing more."""
        if self in self._others:
            self._others.remove(self)
