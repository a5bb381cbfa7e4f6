"""Tasks that are delegated to whoever bids best."""

from __future__ import annotations

import msgspec


class TaskSpec(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A task to delegate: agents bid for it, and the best bid wins."""

    id: str | None = None
    """Of the client's own choice, so that it is safe to ask again: the same task under the same id is created once."""
    protocol: str = "contract-net"
    participants: list[str] = []
    """Agents to call for proposals."""
    capability: str | None = None
    """Instead of participants: all agents that offer this."""
    content: msgspec.Raw = msgspec.Raw(b"null")
    """What is to be done: any JSON value."""
    deadline: str | int | float = "30s"
    """For proposals, from now on; those that come later are rejected."""
    result_deadline: str | int | float = "5m"
    """For the result, from the award on."""
    max_cost: float | None = None
    """A proposal that costs more is rejected."""
    max_tokens: float | None = None
    weights: dict[str, float] = {}
    """How much `cost`, `time` and `confidence` count in the award. Default: cost alone."""
    winners: int = 1
    """How many proposals are accepted at most."""


class TaskView(msgspec.Struct, kw_only=True):
    """A task in a list."""

    id: str
    status: str
    """`calling` (for proposals), `awarded` (somebody is at work), `done`, `failed`, `no-bids`, `cancelled` or
    `expired`."""
    reason: str | None
    """Why it ended otherwise than done."""
    conversation_id: str
    """In which it is negotiated."""
    created_by: str
    created_at: str
    """ISO 8601, UTC, like all times."""
    ended_at: str | None
    capability: str | None
    participants: int
    """Who was called for proposals."""
    proposals: int
    """Those that came in time and gave figures."""
    awarded_to: list[str]


class TaskBidder(msgspec.Struct, kw_only=True):
    """One of those who were called for proposals, and what it promised."""

    agent: str
    status: str
    """`called`, `proposed`, `refused`, `silent`, `absent`, `rejected`, `accepted`, `done`, `failed`, `overdue`,
    `cancelled`."""
    cost: float | None
    tokens: float | None
    time_s: float | None
    confidence: float | None
    score: float | None
    """In the award, from 0 (best) to 1; null for who was not compared."""
    reason: str | None
    """Why it was rejected (`outbid`, `late`, `over-budget`, `malformed`, `cancelled`), or refused or failed in its own
    words."""
    explanation: str | None
    answered_at: str | None
    ended_at: str | None


class TaskResult(msgspec.Struct, kw_only=True):
    """What a winner brought."""

    agent: str
    content: msgspec.Raw = msgspec.Raw(b"null")
    """Any JSON value."""
    unkept: str | None
    """Why the content is not here, if it is not."""
    cost: float | None
    """As the result told it."""
    tokens: float | None
    time_s: float | None
    """From the award."""


class TaskDetail(TaskView, kw_only=True):
    """A task with its bids, its award and its results."""

    content: msgspec.Raw = msgspec.Raw(b"null")
    """What is to be done: any JSON value."""
    deadline_at: str
    result_deadline_at: str | None
    """While it is awarded."""
    awarded_at: str | None
    weights: dict[str, float]
    max_cost: float | None
    max_tokens: float | None
    winners: int
    bidders: list[TaskBidder]
    """By name."""
    results: list[TaskResult]
    """By name."""


class TaskList(msgspec.Struct, kw_only=True):
    """Some tasks: the open ones, then those that ended, the last first."""

    tasks: list[TaskView]
    total: int
    """How many are in this answer."""
