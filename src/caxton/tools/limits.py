"""What one agent may still call: its grant, its tokens, and what is left of its budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from caxton.bus.journal import Source as Rows
    from caxton.storage.database import Statement
    from caxton.tools.grants import Grant

MAX_DEPTH = 8
"""Calls of agents as tools that may stand on each other; one more would be a circle, most likely."""

_SAVE = "INSERT OR REPLACE INTO tool_budgets (workspace, agent, calls, cost) VALUES (?, ?, ?, ?)"


class Caller:
    """One agent, all its instances together."""

    __slots__ = ("_allowed", "bucket", "calls", "cost", "grant")

    def __init__(self, grant: Grant) -> None:
        self.calls, self.cost = 0, 0.0
        """What it has used up since it was deployed."""
        self.configure(grant)

    def configure(self, grant: Grant) -> None:
        """Another grant holds from now on; what was used up stays."""
        self.grant = grant
        self.bucket = TokenBucket(grant.calls_per_s, max(1, int(grant.calls_per_s)))
        self._allowed: dict[str, bool] = {}

    def may(self, tool: str) -> bool:
        """Whether it is granted. For tools that there are: what was asked is remembered."""
        allowed = self._allowed.get(tool)
        if allowed is None:
            allowed = self._allowed[tool] = self.grant.allows(tool)
        return allowed

    def can_pay(self, cost: float) -> bool:
        """Whether a call of that cost is within its budget."""
        grant = self.grant
        return (grant.max_calls is None or self.calls < grant.max_calls) and (
            grant.max_cost is None or self.cost + cost <= grant.max_cost
        )

    def pay(self, cost: float) -> None:
        """A call begins."""
        self.calls += 1
        self.cost += cost


class Budgets:
    """What agents have used up, as rows for the journal: one for each agent that a commit finds changed."""

    def __init__(self, sources: list[Rows]) -> None:
        self._changed: dict[tuple[str, str], Caller] = {}
        sources.append(self)

    def __len__(self) -> int:
        return len(self._changed)

    def changed(self, workspace: str, agent: str, caller: Caller) -> None:
        """It called something. Only those that have a budget are kept."""
        if caller.grant.max_calls is not None or caller.grant.max_cost is not None:
            self._changed[workspace, agent] = caller

    def forget(self, workspace: str, agent: str) -> None:
        """The agent is removed."""
        self._changed.pop((workspace, agent), None)

    def take(self) -> list[Statement]:
        """For the commit that is being begun."""
        rows = [(*key, caller.calls, caller.cost) for key, caller in self._changed.items()]
        self._changed = {}
        return [(_SAVE, rows)] if rows else []
