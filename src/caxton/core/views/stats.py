"""Live figures: of each agent and of the whole node, over the last seconds."""

from __future__ import annotations

import msgspec

SORTS = ("rate", "p99", "waiting", "queue", "memory", "restarts", "failures", "name")
"""What agents can be put in order by: the largest first, but names as in the alphabet."""

MIN_WINDOW_S, MAX_WINDOW_S = 1.0, 3600.0
"""What is older is no live figure; `caxton trace` looks further back."""

BACKLOG = 1000
"""Messages that wait for one agent: from here on somebody should look, whatever its mailbox may hold."""

NEAR = 0.8
"""Of a limit: from here on somebody should look."""


class StatsFilter(msgspec.Struct, kw_only=True, frozen=True):
    """Which agents are meant, and in which order."""

    sort: str = "rate"
    """One of `SORTS`."""
    match: str = ""
    """Only agents whose name contains this, whatever its case."""
    troubled: bool = False
    """Only agents that somebody should look at."""


class WindowView(msgspec.Struct, kw_only=True):
    """The time that figures are about."""

    asked_s: float
    covered_s: float
    """Shorter than what was asked for when the server is younger, or when `is_cut`."""
    records: int
    """Of the flight recorder that were looked at."""
    is_cut: bool
    """More happened than is kept or looked at: the figures are about the last `covered_s` alone."""
    is_recorded: bool
    """False: the flight recorder is off, so there are no rates and times."""


class TimesView(msgspec.Struct, kw_only=True):
    """How long something took, in milliseconds."""

    p50_ms: float
    p99_ms: float
    max_ms: float


class AgentFigures(msgspec.Struct, kw_only=True):
    """One agent at this moment."""

    name: str
    type: str
    """`wasm`, `native` (one of the server's own) or `vacant` (no agent has the name, its mail waits)."""
    status: str
    """As in AgentView; `vacant` for a name without an agent."""
    reason: str | None
    replicas: int
    healthy: int
    rate_per_s: float | None
    """Handlings that ended in the window, failed ones included; null without a recorder."""
    ended_in_window: int
    failed_in_window: int
    """Of those, the ones that failed or crashed."""
    handling: TimesView | None
    """From handing over to the end, of those that ended; null if there are none."""
    waiting: TimesView | None
    """From acceptance to handing over."""
    busy_s: float | None
    """For how long the handling that is in hand has been; the longest of all replicas, null if none is."""
    queue: int
    """Messages that are not settled."""
    queue_limit: int
    memory_bytes: int
    """Linear memory of all instances together."""
    memory_limit_bytes: int
    """What they may have together."""
    restarts: int
    handled: int
    """In this run of the server."""
    failed: int
    """In this run of the server."""
    circuit: str
    """`closed`, `open`, `half_open` or `off`."""
    uptime_s: float | None
    """Since it was last started; null unless running."""

    @property
    def is_backlog(self) -> bool:
        """Whether too much mail waits for it."""
        return self.queue >= min(BACKLOG, self.queue_limit * NEAR)


class NodeFigures(msgspec.Struct, kw_only=True):
    """The whole node at this moment."""

    run: str
    """Another one after each start of the server: then counts begin anew."""
    status: str
    """As in ServerView."""
    version: str
    uptime_s: float
    causes: list[str]
    """Why new messages are not taken; empty if they are."""
    agents: dict[str, int]
    """Agents by status."""
    circuits: dict[str, int]
    """Agents by the state of their circuit breaker."""
    instances: int
    rate_per_s: float | None
    """Handlings that ended in the window."""
    ended_in_window: int
    failed_in_window: int
    handling: TimesView | None
    waiting: TimesView | None
    queue: int
    """Messages of all agents that are not settled."""
    queue_limit: int
    memory_bytes: int
    """Linear memory of all guests."""
    memory_limit_bytes: int
    process_bytes: int
    """Memory of the whole process; 0 where the system does not say."""
    cpu_s: float
    """Processor time of the process since it started."""
    handled: int
    """Handlings that succeeded in this run."""
    failed: int
    """Handlings that failed in this run."""
    accepted: int
    """Messages from outside, in this run."""
    refused: int
    """Messages from outside that met a full mailbox, in this run."""
    restarts: int
    commits: int
    """In this run."""
    journal_bytes: int
    journal_limit_bytes: int
    wal_bytes: int
    wal_limit_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int
    disk_low_bytes: int
    """With less than this free the server is read-only."""
    storage_failures: dict[str, int]
    """By kind, in this run."""
    dead_letters: int
    """That wait."""
    dead_letters_bytes: int
    dead_letters_limit_bytes: int
    conversations_open: int
    deadlocks: int
    """That there are now."""


class HandlingView(msgspec.Struct, kw_only=True):
    """Something that happened to a message, as the flight recorder has it."""

    at: str
    """When it ended; ISO 8601, UTC."""
    kind: str
    """`settled`, `failed`, `crashed`, `dead`, `refused`, `timer`, `tool`, `replied` or `lost`."""
    sender: str
    receiver: str
    performative: str
    """Empty for what is no message."""
    conversation_id: str | None
    message_id: str
    attempt: int
    waited_ms: float | None
    """From acceptance to handing over; null for what was not handed over."""
    handled_ms: float | None
    size_bytes: int
    detail: str | None
    """Text of an error, reason of a dead letter, code of a refusal, name of a tool."""


class StatsView(msgspec.Struct, kw_only=True):
    """Figures of the node and of some of its agents."""

    window: WindowView
    node: NodeFigures
    agents: list[AgentFigures]
    """One page of those that match."""
    matched: int
    """How many match, whatever `limit` and `offset` left of them."""
    total: int
    """How many there are."""
    incidents: list[HandlingView]
    """Failures, dead letters and refusals of the window, the last first; at most 20."""


class AgentStatsView(msgspec.Struct, kw_only=True):
    """Figures of one agent, and what it did last."""

    window: WindowView
    agent: AgentFigures
    recent: list[HandlingView]
    """What it handled, sent or lost within the window, the last first."""
