"""`api.services.ServerService` over the other fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.core.views.server import Reason, ServerView

if TYPE_CHECKING:
    from caxton.testing.fakes.agents import FakeAgents
    from caxton.testing.fakes.letters import FakeDeadLetters

    pass


STARTED_AT = "2026-01-01T00:00:00Z"


class FakeServer:
    """A server that is whatever the test says."""

    def __init__(self, agents: FakeAgents, letters: FakeDeadLetters) -> None:
        self._agents, self._letters = agents, letters
        self.is_ready = True

    def letters_waiting(self) -> int:
        """Those that were not replayed."""
        return sum(letter.replayed_at is None for letter in self._letters.letters.values())

    def view(self) -> ServerView:
        """Facts, some of them counted."""
        counts: dict[str, int] = {}
        for agent in self._agents.views.values():
            counts[agent.status] = counts.get(agent.status, 0) + 1
        return ServerView(
            status="ready" if self.is_ready else "starting",
            version="0.0.0",
            pid=1,
            started_at=STARTED_AT,
            uptime_s=1.0,
            data_dir="/nowhere",
            agents=counts,
            instances=sum(agent.healthy for agent in self._agents.views.values()),
            messages_handled=sum(agent.messages_handled for agent in self._agents.views.values()),
            messages_pending=0,
            dead_letters=self.letters_waiting(),
        )

    def reasons(self) -> list[Reason]:
        """One, unless it is ready."""
        return [] if self.is_ready else [Reason(code="STARTING", what="it starts", next="wait")]

    async def metrics(self) -> bytes:
        """One gauge."""
        return f"# TYPE caxton_agents gauge\ncaxton_agents {len(self._agents.views)}\n".encode()
