"""What the doors show and take: the JSON bodies of the REST API, shared by server, client and CLI."""

from __future__ import annotations

from typing import Any

import msgspec

from caxton.core.ids import DEFAULT_CAPABILITY_PRIORITY


class Resources(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Limits of one agent as a person asks for them; what is left out keeps the server's default.

    Sizes and durations are numbers (bytes, seconds) or texts like `16MB` and `5s`.
    """

    memory: str | int | None = None
    """Linear memory of each instance. Default 10 MiB."""
    timeout: str | int | float | None = None
    """Wall time of one message, waiting included. Default 5 s."""
    cpu_time: str | int | float | None = None
    """Time one message may compute. Default 1 s."""
    messages_per_s: int | None = None
    """Messages each instance may send in a second."""
    log_bytes_per_s: str | int | None = None
    """Log text each instance may write in a second."""
    host_calls: int | None = None
    """Host functions one message may call."""
    table_elements: int | None = None
    mailbox_messages: int | None = None
    mailbox_bytes: str | int | None = None


class CircuitBreaker(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When an agent that fails is left alone for a while; what is left out keeps the default."""

    threshold: int | str | bool | None = None
    """Failed handlings in a row that open the circuit. `off`, false or 0: none do. Default 5."""
    timeout: str | int | float | None = None
    """How long its mail then waits before it is tried again. Default 10 s."""
    probes: int | None = None
    """How many messages must then succeed before the rest follows. Default 1."""


class Bulkhead(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How many one agent may keep busy; what is left out keeps the default."""

    max_waiting: int | None = None
    """Callers outside who wait for its replies at once. Default 1,000."""


class CapabilitySpec(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Something that an agent offers."""

    name: str
    priority: int = DEFAULT_CAPABILITY_PRIORITY
    """0 to 1000: what `best` goes by among those who offer the same."""

    @classmethod
    def of(cls, asked: str | CapabilitySpec) -> CapabilitySpec:
        """A name alone has the usual priority."""
        return cls(name=asked) if isinstance(asked, str) else asked


class AgentSpec(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What to deploy, beside the module's bytes. Also the shape of an agent-config.yaml."""

    name: str
    version: str | None = None
    """A label of the user's own."""
    runtime: str = "wasm"
    replicas: int = 1
    capabilities: list[str | CapabilitySpec] = []
    groups: list[str] = []
    """Groups that it belongs to; `broadcast://GROUP` reaches all their members."""
    resources: Resources = Resources()
    circuit_breaker: CircuitBreaker = CircuitBreaker()
    bulkhead: Bulkhead = Bulkhead()


class CircuitBreakerView(msgspec.Struct, kw_only=True):
    """A circuit breaker as it is now."""

    state: str
    """`closed` (mail flows), `open` (it waits), `half_open` (it is tried) or `off`."""
    failures: int
    """Handlings that failed since the last that succeeded."""
    threshold: int
    """0: off."""
    timeout_s: float
    probes: int
    retry_at: str | None = None
    """When an open one lets the next message through; ISO 8601, UTC."""


class BulkheadView(msgspec.Struct, kw_only=True):
    """A bulkhead as it is now."""

    waiting: int
    """Callers who wait for a reply."""
    max_waiting: int


class AgentView(msgspec.Struct, kw_only=True):
    """One agent as it is now."""

    id: str
    name: str
    workspace: str
    type: str
    """`wasm`."""
    status: str
    """`loaded`, `running`, `draining`, `stopped` or `failed`."""
    reason: str | None
    """Why it failed or stopped, when there is something to say."""
    replicas: int
    healthy: int
    """Instances that are up."""
    revision: int
    """Counts the modules and settings deployed under this name, from 1."""
    version: str | None
    module_sha256: str
    module_bytes: int
    capabilities: list[str]
    memory_limit_bytes: int
    memory_bytes: int
    """Linear memory of all instances together."""
    timeout_s: float
    cpu_time_s: float
    mailbox_messages: int
    mailbox_bytes: int
    messages_handled: int
    messages_failed: int
    restarts: int
    deployed_at: str
    """ISO 8601, UTC."""
    uptime_s: float | None
    """Since it was last started; null unless running."""
    circuit_breaker: CircuitBreakerView
    bulkhead: BulkheadView


class OfferView(msgspec.Struct, kw_only=True):
    """One agent's offer of a capability, as it is now."""

    agent: str
    priority: int
    """0 to 1000."""
    health: str
    """`healthy`, `degraded` or `unhealthy`."""
    load: float
    """How full its mailbox is: 0 to 1."""
    waiting: int
    """Messages that it has not settled."""
    registered: bool
    """With the directory facilitator; else it was deployed with it."""
    properties: dict[str, Any]
    """As registered."""


class CapabilityView(msgspec.Struct, kw_only=True):
    """A capability and those who offer it."""

    name: str
    agents: list[OfferView]
    """By name."""


class CircuitBreakerPatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """As `CircuitBreaker`: what is left out stays, null is the default again."""

    threshold: int | str | bool | msgspec.UnsetType | None = msgspec.UNSET
    timeout: str | int | float | msgspec.UnsetType | None = msgspec.UNSET
    probes: int | msgspec.UnsetType | None = msgspec.UNSET


class BulkheadPatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """As `Bulkhead`: what is left out stays, null is the default again."""

    max_waiting: int | msgspec.UnsetType | None = msgspec.UNSET


class ResourcesPatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Those of `Resources` that need no new instance: what is left out stays, null is the default again."""

    messages_per_s: int | msgspec.UnsetType | None = msgspec.UNSET
    mailbox_messages: int | msgspec.UnsetType | None = msgspec.UNSET
    mailbox_bytes: str | int | msgspec.UnsetType | None = msgspec.UNSET


class AgentPatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Settings of an agent to change while it runs."""

    circuit_breaker: CircuitBreakerPatch = msgspec.field(default_factory=CircuitBreakerPatch)
    bulkhead: BulkheadPatch = msgspec.field(default_factory=BulkheadPatch)
    resources: ResourcesPatch = msgspec.field(default_factory=ResourcesPatch)


class LiveCircuitBreaker(msgspec.Struct, kw_only=True):
    """Settings of a circuit breaker as they hold."""

    threshold: int
    """0: off."""
    timeout_s: float
    probes: int


class LiveBulkhead(msgspec.Struct, kw_only=True):
    """Settings of a bulkhead as they hold."""

    max_waiting: int


class LiveResources(msgspec.Struct, kw_only=True):
    """Those limits that can be changed while an agent runs, as they hold."""

    messages_per_s: int
    mailbox_messages: int
    mailbox_bytes: int


class AgentSettings(msgspec.Struct, kw_only=True):
    """The settings of an agent that can be changed while it runs, as they hold."""

    name: str
    circuit_breaker: LiveCircuitBreaker
    bulkhead: LiveBulkhead
    resources: LiveResources


class ConversationsPatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How the conversations of a workspace are watched: what is left out stays, null is the default again."""

    mode: str | msgspec.UnsetType | None = msgspec.UNSET
    """`strict`, `enforce`, `warn` or `off`; the default is what the server's own configuration says."""


class WorkspacePatch(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Settings of a workspace to change while the server runs."""

    conversations: ConversationsPatch = msgspec.field(default_factory=ConversationsPatch)


class LiveConversations(msgspec.Struct, kw_only=True):
    """How the conversations of a workspace are watched."""

    mode: str | None
    """The workspace's own; null: it has none."""
    effective_mode: str
    """What holds: its own, or else that of the server."""


class WorkspaceSettings(msgspec.Struct, kw_only=True):
    """The settings of a workspace, all of which can be changed while the server runs."""

    workspace: str
    conversations: LiveConversations


class Receipt(msgspec.Struct, kw_only=True):
    """Proof that a message was accepted: it is on disk."""

    message_id: str
    conversation_id: str
    status: str = "accepted"
    durability: str = "fsync"


class DeadLetterView(msgspec.Struct, kw_only=True):
    """A message that was given up, without what it says."""

    id: str
    """A number as text; larger ones were accepted later."""
    workspace: str
    agent: str
    """The receiver that it did not reach."""
    sender: str
    message_id: str
    conversation_id: str | None
    reason: str
    """`failed`, `expired`, `removed` or `poison`."""
    explanation: str
    """The reason for people."""
    attempts: int
    error: str | None
    """The last failure."""
    trap: str | None
    """Its kind, if it was a crash."""
    functions: list[str]
    """Of the guest, in which it crashed; innermost first."""
    died_at: str
    """ISO 8601, UTC."""
    size_bytes: int
    """Of the message as JSON."""
    trace_id: str | None
    replayed_at: str | None
    """ISO 8601, UTC; null: it waits."""
    replayed_by: str | None
    replayed_as: str | None
    """The id that its message has now: that of the next dead letter, if it fails again."""


class DeadLetterDetail(DeadLetterView, kw_only=True):
    """A dead letter with what it says."""

    message: msgspec.Raw = msgspec.Raw(b"null")
    """The whole message; null once it was replayed, since then it goes on as a new one."""


class DeadLetterPage(msgspec.Struct, kw_only=True):
    """Some dead letters, those accepted last first."""

    letters: list[DeadLetterView]
    next: str | None
    """The `after` with which the list goes on; null at its end."""


class DeadLetterFilter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which dead letters are meant: those for which all that is given holds."""

    agent: str | None = None
    """The receiver."""
    reason: str | None = None
    sender: str | None = None
    """An agent, or `client:NAME`."""
    conversation_id: str | None = None
    since: str | int | float | None = None
    """Those that died in the last while: seconds, or a text like `1h`."""


class ReplayReceipt(msgspec.Struct, kw_only=True):
    """Proof that a dead letter was handed over again, once: it is on disk."""

    id: str
    """Of the letter."""
    agent: str
    message_id: str
    conversation_id: str | None
    replayed_at: str
    replayed_by: str
    replayed_as: str
    status: str
    """`replayed`; `already-replayed` for whoever asks again, and then there is no second copy."""
    durability: str = "fsync"


class PurgeReceipt(msgspec.Struct, kw_only=True):
    """What was deleted."""

    purged: int
    """Letters in all."""
    waiting: int
    """Of those: not replayed, so that their messages are gone for good."""


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


class ConversationFilter(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Which conversations are meant; what is left out does not narrow it."""

    status: str | None = None
    """`open`, `cancelling` or `ended`."""
    agent: str | None = None
    """Its initiator, or one of its participants."""
    protocol: str | None = None


class ConversationView(msgspec.Struct, kw_only=True):
    """A conversation that follows a protocol, without its participants."""

    id: str
    workspace: str
    protocol: str
    initiator: str
    """Name of the agent, or `client:NAME`, that began it."""
    status: str
    """`open`, `cancelling` (its initiator wants to end it, not all have answered that), or `ended`."""
    participants: int
    waiting: int
    """Exchanges in which somebody has to speak next."""
    begun_at: str
    """ISO 8601, UTC."""
    changed_at: str
    """When the last message moved it."""
    deadline: str | None
    """The next time at which somebody who has not spoken is too late."""
    parent: str | None
    """The conversation within which it was begun."""


class ParticipantView(msgspec.Struct, kw_only=True):
    """One participant of a conversation and how its exchange with the initiator stands."""

    name: str
    state: str
    """As the page of the protocol has it."""
    waiter: str | None
    """Who waits in this exchange; null when nobody has to speak, or all was said."""
    waits_for: str | None
    """Who has to speak."""
    since: str
    """When it came into this state; ISO 8601, UTC."""
    waited_s: float | None
    """For how long the waiter has waited."""
    deadline: str | None
    """When it is too late to speak."""


class ConversationDetail(ConversationView, kw_only=True):
    """A conversation with its participants."""

    exchanges: list[ParticipantView]
    """By the participants' names."""
    children: list[str]
    """Conversations that were begun within it."""


class ConversationPage(msgspec.Struct, kw_only=True):
    """Some conversations, those begun last first."""

    conversations: list[ConversationView]
    next: str | None
    """The `after` with which the list goes on; null at its end."""


class CancelReceipt(msgspec.Struct, kw_only=True):
    """What cancelling a conversation did."""

    conversation_id: str
    told: list[str]
    """Participants to whom the initiator's `cancel` goes now."""
    cancelling: list[str]
    """Those who had been told before and have not answered yet."""
    durability: str = "fsync"


class WaitView(msgspec.Struct, kw_only=True):
    """Somebody waits for somebody."""

    waiter: str
    waits_for: str
    conversation_id: str | None
    """Null for a message that belongs to none."""
    protocol: str | None
    """Null for a free message."""
    state: str
    """Of the exchange; `asked` for a free message that wants an answer."""
    since: str
    """ISO 8601, UTC."""
    waited_s: float
    deadline: str | None
    deadline_in_s: float | None
    """Less than 0 when it has passed."""


class CauseView(msgspec.Struct, kw_only=True):
    """Why somebody who is waited for does not answer."""

    agent: str
    kind: str
    """`gone`, `not-running`, `circuit-open`, `busy`, `mail-waits`, `idle`, `outside`, `cycle` or `too-deep`."""
    text: str
    """The same for people, beginning behind the agent's name."""
    status: str | None
    """Of the agent; null for somebody outside and for a name without an agent."""
    mailbox_messages: int
    busy_s: float | None
    """For how long it has had the message in hand."""
    circuit: str | None
    cycle: list[str]
    """If it is one: each waits for the next, the last for the first."""


class WaitPath(msgspec.Struct, kw_only=True):
    """Waits of which each is the reason of the one before it, down to a cause."""

    waits: list[WaitView]
    cause: CauseView


class PastWait(msgspec.Struct, kw_only=True):
    """A part of the time that a conversation took."""

    waiter: str
    waited_for: list[str]
    """Whoever spoke at last; or those for whom the node said that they did not."""
    since: str
    waited_s: float
    performative: str
    """The act that ended it."""
    message_id: str


class CriticalPath(msgspec.Struct, kw_only=True):
    """Why a conversation is not over yet, or why it took as long as it did."""

    conversation_id: str
    protocol: str | None
    """Null when its messages are free."""
    status: str
    """`open`, `cancelling` or `ended`."""
    paths: list[WaitPath]
    """What it waits for now, that which began first at the top; empty when nobody waits."""
    more: int
    """At least so many further paths were left out."""
    duration_s: float
    """From its first kept message to the last."""
    waits: list[PastWait]
    """Those that make up the duration, in the order of time."""
    by_agent: dict[str, float]
    """For whom how long was waited, in seconds; the longest first. Time waited for several counts for each."""


class DeadlockView(msgspec.Struct, kw_only=True):
    """Agents of which each waits for the next, the last for the first, and none has anything left to do."""

    cycle: list[str]
    waits: list[WaitView]
    """One for each, in the same order, but for those in conversations of which nothing was heard for long."""
    since: str | None
    """When the last of these waits began; null if none is known."""
    deadline: str | None
    """The first deadline among them: that ends it."""


class LogLine(msgspec.Struct, kw_only=True):
    """One line of an agent's log."""

    seq: int
    """Grows over all agents of the server: the order in which lines were written."""
    at: str
    """ISO 8601, UTC."""
    agent: str
    replica: int
    level: str
    """`trace`, `debug`, `info`, `warn`, `error`."""
    source: str
    """`guest` (log), `stdout`, `stderr`, or `host` for what Caxton says about the agent."""
    text: str


class Sighting(msgspec.Struct, kw_only=True):
    """One message for one receiver as a listener sees it: one arrow of a sequence diagram."""

    seq: int
    """Grows in the order in which things took effect; of this run of the server."""
    event: str
    """`sent`, `dead` (it became a dead letter) or `refused` (a client's that was not accepted, or a late proposal)."""
    timestamp: int
    """Microseconds since 1970 UTC: when it was sent, died or was refused."""
    workspace: str
    sender: str
    """An agent, or `client:NAME`."""
    receiver: str
    """Who gets this copy of it; of a refused one, as it was addressed."""
    performative: str
    conversation_id: str | None
    protocol: str | None
    message_id: str
    """Empty for a refused one that has none."""
    reply_with: str | None
    in_reply_to: str | None
    attempt: int
    size_bytes: int
    """Of the content."""
    excerpt: str
    """The beginning of the content, as its sender wrote it."""
    reason: str | None
    """Why it is dead (see DeadLetterView), or the code of the error with which it was refused, or `late`."""


class Gap(msgspec.Struct, kw_only=True):
    """Messages that a listener does not get to see."""

    missed: int | None
    """How many; None when nobody knows, since the connection was away."""


class ServerView(msgspec.Struct, kw_only=True):
    """The server as a whole."""

    status: str
    """`ready`, `starting`, `stopping` or `read-only`."""
    version: str
    pid: int
    started_at: str
    uptime_s: float
    data_dir: str
    agents: dict[str, int]
    """Agents by status."""
    instances: int
    messages_handled: int
    messages_pending: int
    dead_letters: int
    """Those that wait for somebody to replay or purge them."""


class StorageView(msgspec.Struct, kw_only=True):
    """The journal: what it holds, how much room that takes, and its limits."""

    path: str
    status: str
    """`writable` or `read-only`."""
    causes: list[str]
    """Why it is read-only: `disk-full`, `journal-full`, `log-full`; and whatever else keeps new messages out."""
    journal_bytes: int
    """In use."""
    file_bytes: int
    """Of the file, free pages included."""
    wal_bytes: int
    """Of the write-ahead log, as much as counts."""
    ballast_bytes: int
    """Held for settling when the disk is full; 0 while it is given up."""
    free_bytes: int
    """On the disk."""
    limits: dict[str, int]
    """Bytes: `journal` and `wal` at most, `free` at least."""
    rows: dict[str, int]
    """By kind: `pending`, `kept`, `dead_letters`, `quarantined`, `receipts`, `agents`, `state`, `conversations`,
    `timers`."""
    oldest: dict[str, str]
    """ISO 8601, UTC, of the oldest `pending`, `kept` and `dead_letters`, where there is one."""
    commits: int
    failures: dict[str, int]
    """Transactions and checkpoints that failed: `full`, `io`, `other`."""


class VerifyFinding(msgspec.Struct, kw_only=True):
    """One thing in the journal that is not as it was written."""

    table: str
    """Empty if it is not about one table."""
    row: str
    """Its key; empty if it is not about one row."""
    problem: str


class VerifyReport(msgspec.Struct, kw_only=True):
    """What a verification looked at, and what it found."""

    ok: bool
    rows: dict[str, int]
    """Table → rows that were compared."""
    unchecked: int
    """Rows that have no checksum: of tables without any, and from before there were any."""
    findings: list[VerifyFinding]


class CompactReport(msgspec.Struct, kw_only=True):
    """What compacting did."""

    pruned: int
    """Settled messages let go of."""
    before_bytes: int
    """Of the file and its write-ahead log."""
    after_bytes: int


class Problem(msgspec.Struct, kw_only=True):
    """An error as RFC 9457 has it (`application/problem+json`), with our stable `code`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    trace_id: str
    instance: str | None = None
    details: dict[str, Any] = {}


class ReplayOutcome(msgspec.Struct, kw_only=True):
    """What became of one letter of many: one of the two is null."""

    id: str
    receipt: ReplayReceipt | None = None
    problem: Problem | None = None
