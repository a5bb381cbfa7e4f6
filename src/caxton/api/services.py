"""What the API calls: the services of the rooms below, in the API's own words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from caxton.core.errors.error import CaxtonError
    from caxton.core.ids import AgentName, WorkspaceName
    from caxton.core.views.agents import AgentSpec, AgentView
    from caxton.core.views.capabilities import CapabilityView
    from caxton.core.views.conversations import CancelReceipt, ConversationDetail, ConversationFilter, ConversationPage
    from caxton.core.views.dead_letters import (
        DeadLetterDetail,
        DeadLetterFilter,
        DeadLetterPage,
        PurgeReceipt,
        ReplayReceipt,
    )
    from caxton.core.views.debugging import AgentDebug, BundleView, KvDebug, MailboxDebug, MemoryDebug, StackDebug
    from caxton.core.views.logs import LogLine
    from caxton.core.views.messages import Gap, Receipt, Sighting
    from caxton.core.views.recordings import RecordingFilter, RecordingPage
    from caxton.core.views.server import Reason, ServerView
    from caxton.core.views.settings import AgentPatch, AgentSettings, WorkspacePatch, WorkspaceSettings
    from caxton.core.views.stats import AgentStatsView, StatsFilter, StatsView
    from caxton.core.views.storage import CompactReport, StorageView, VerifyReport
    from caxton.core.views.tasks import TaskDetail, TaskSpec, TaskView
    from caxton.core.views.tools import ApprovalView, ToolCallView, ToolDetail, ToolSourceView, ToolTest, ToolView
    from caxton.core.views.traces import TraceFilter, TraceView
    from caxton.core.views.waits import CriticalPath, DeadlockView
    from caxton.logs.filter import LogFilter
    from caxton.messages.message import AclMessage
    from caxton.security.principal import Principal


class AgentService(Protocol):
    """Deploys agents and runs them."""

    async def deploy(self, workspace: WorkspaceName, spec: AgentSpec, module: bytes) -> AgentView:
        """Deploy a new agent. Raises `AgentAlreadyExists`, `InvalidWasm`, `DeploymentFailed`, …"""
        ...

    async def replace(self, workspace: WorkspaceName, spec: AgentSpec, module: bytes | None) -> AgentView:
        """Put a new revision in an agent's place; without a module it keeps the one it has."""
        ...

    def list(self, workspace: WorkspaceName) -> list[AgentView]:
        """All agents, by name."""
        ...

    def get(self, workspace: WorkspaceName, name: AgentName) -> AgentView:
        """One agent; raises `AgentNotFound`."""
        ...

    def meant_to_run(self, workspace: WorkspaceName) -> Sequence[str]:
        """Names of the agents that nobody has stopped, whether or not they run."""
        ...

    async def stop(self, workspace: WorkspaceName, name: AgentName, *, force: bool) -> AgentView:
        """Stop after the messages in work, or at once with `force`."""
        ...

    async def start(self, workspace: WorkspaceName, name: AgentName) -> AgentView:
        """Start an agent that is stopped or failed."""
        ...

    async def scale(self, workspace: WorkspaceName, name: AgentName, replicas: int) -> AgentView:
        """Give an agent this many instances."""
        ...

    def settings(self, workspace: WorkspaceName, name: AgentName) -> AgentSettings:
        """The settings that `configure` changes, as they hold."""
        ...

    async def configure(self, workspace: WorkspaceName, name: AgentName, patch: AgentPatch) -> AgentSettings:
        """Change settings of a running agent. Raises `AgentNotFound`, `InvalidValue`: nothing has changed then."""
        ...

    async def remove(self, workspace: WorkspaceName, name: AgentName, *, force: bool, forget: bool = False) -> None:
        """Remove after the messages in work, or at once with `force`; `forget` the name, so that no mail waits."""
        ...


class CapabilityService(Protocol):
    """Knows what agents offer."""

    def list(self, workspace: WorkspaceName) -> list[CapabilityView]:
        """All capabilities, by name."""
        ...

    def get(self, workspace: WorkspaceName, name: str) -> CapabilityView:
        """One of them; raises `CapabilityNotFound`."""
        ...


class MessageService(Protocol):
    """Takes messages from outside."""

    async def post(
        self, workspace: WorkspaceName, principal: Principal, message: AclMessage, *, durable: bool = True
    ) -> Receipt:
        """Accept a message: it is on disk when this returns. Raises `UnknownReceiver`, `MailboxFull`, …"""
        ...

    async def post_batch(
        self, workspace: WorkspaceName, principal: Principal, messages: list[AclMessage], *, durable: bool = True
    ) -> list[Receipt | CaxtonError]:
        """Accept each message or say why not, in their order."""
        ...

    async def ask(
        self, workspace: WorkspaceName, principal: Principal, message: AclMessage, *, timeout_s: float
    ) -> bytes:
        """Post, and wait for the reply: an ACL message in JSON. Raises `ReplyTimeout`, `AgentFailed`, …"""
        ...

    async def conversation(self, workspace: WorkspaceName, conversation_id: str, *, limit: int) -> list[bytes]:
        """The kept messages of a conversation as JSON, oldest first."""
        ...


class DeadLetterService(Protocol):
    """Keeps the messages that were given up."""

    async def list(
        self, workspace: WorkspaceName, wanted: DeadLetterFilter, *, replayed: bool, limit: int, after: str | None
    ) -> DeadLetterPage:
        """Letters that wait, or that were replayed, those accepted last first; only those below the id `after`."""
        ...

    async def get(self, workspace: WorkspaceName, letter_id: str) -> DeadLetterDetail:
        """One letter with its message. Raises `DeadLetterNotFound`, `DeadLetterDamaged`."""
        ...

    async def replay(self, workspace: WorkspaceName, principal: Principal, letter_id: str) -> ReplayReceipt:
        """Hand one letter over again, once however often it is asked. Raises `RateLimited`, `MailboxFull`, …"""
        ...

    async def replay_ids(
        self, workspace: WorkspaceName, principal: Principal, ids: Sequence[str]
    ) -> list[tuple[str, ReplayReceipt | CaxtonError]]:
        """Each of these letters for itself, in the order of their ids."""
        ...

    async def replay_matching(
        self, workspace: WorkspaceName, principal: Principal, wanted: DeadLetterFilter, *,
        after: str | None, through: str | None, limit: int,
    ) -> tuple[list[tuple[str, ReplayReceipt | CaxtonError]], str | None]:  # fmt: skip
        """The first `limit` waiting letters in a range of ids, and the `after` to go on with. Raises `RateLimited`."""
        ...

    async def purge(self, workspace: WorkspaceName, principal: Principal, letter_id: str) -> PurgeReceipt:
        """Delete one letter. Raises `DeadLetterNotFound`."""
        ...

    async def purge_ids(self, workspace: WorkspaceName, principal: Principal, ids: Sequence[str]) -> PurgeReceipt:
        """Delete those of these letters that there are."""
        ...

    async def purge_matching(
        self, workspace: WorkspaceName, principal: Principal, wanted: DeadLetterFilter, *, replayed: bool | None
    ) -> PurgeReceipt:
        """Delete all letters that match: those that wait (False), were replayed (True), or both (None)."""
        ...


class ConversationService(Protocol):
    """Follows the conversations that have a protocol, and knows who waits for whom."""

    async def list(
        self, workspace: WorkspaceName, wanted: ConversationFilter, *, limit: int, after: str | None
    ) -> ConversationPage:
        """Those that match, begun last first; `after` is the `next` of the page before. Raises `InvalidRequest`."""
        ...

    async def get(self, workspace: WorkspaceName, conversation_id: str) -> ConversationDetail:
        """One with its participants. Raises `ConversationNotFound`."""
        ...

    async def cancel(self, workspace: WorkspaceName, principal: Principal, conversation_id: str) -> CancelReceipt:
        """Send `cancel` in the initiator's name to all whose exchange goes on; on disk when this returns.

        Those who were told before are not told again. Raises `ConversationNotFound`, `ConversationOver`.
        """
        ...

    async def deadlocks(self, workspace: WorkspaceName) -> Sequence[DeadlockView]:
        """Cycles of agents that nobody but somebody outside, or a deadline, can end."""
        ...

    async def why(self, workspace: WorkspaceName, conversation_id: str) -> CriticalPath:
        """What a conversation waits for, or what its time went into; free messages too.

        Raises `ConversationNotFound` if neither a state nor a message of it is kept.
        """
        ...


class TaskService(Protocol):
    """Delegates tasks to agents that bid for them."""

    async def create(
        self, workspace: WorkspaceName, principal: Principal, spec: TaskSpec, *, traceparent: str = ""
    ) -> tuple[TaskDetail, bool]:
        """Call for proposals: that is on disk when this returns. Whether it is new, or was created under its id before.

        Raises `InvalidValue`, `UnknownReceiver`, `TasksFull`, `TaskIdConflict`, …
        """
        ...

    async def list(self, workspace: WorkspaceName, *, status: str | None, limit: int) -> list[TaskView]:
        """The open ones, then those that ended, the last first."""
        ...

    async def get(self, workspace: WorkspaceName, task_id: str, *, wait_s: float | None = None) -> TaskDetail:
        """One task, once it has ended or `wait_s` have passed. Raises `TaskNotFound`."""
        ...

    async def cancel(self, workspace: WorkspaceName, task_id: str, *, reason: str = "") -> TaskDetail:
        """End an open task, once however often it is asked. Raises `TaskNotFound`, `TaskEnded`."""
        ...


class WorkspaceService(Protocol):
    """Knows what a workspace has set for itself."""

    def settings(self, workspace: WorkspaceName) -> WorkspaceSettings:
        """Its settings, and what holds where it has none. Raises `WorkspaceNotFound`."""
        ...

    async def configure(
        self, workspace: WorkspaceName, principal: Principal, patch: WorkspacePatch
    ) -> WorkspaceSettings:
        """Change settings: they hold at once, and are on disk when this returns.

        Raises `InvalidValue`, `WorkspaceNotFound`, `ShuttingDown`: nothing has changed then.
        """
        ...


class LogService(Protocol):
    """The agents' logs."""

    async def find(self, workspace: WorkspaceName, wanted: LogFilter, *, limit: int) -> list[LogLine]:
        """The last `limit` lines that are wanted, oldest first. Raises `InvalidValue` if looking takes too long."""
        ...

    def follow(
        self, workspace: WorkspaceName, wanted: LogFilter, *, after_seq: int | None = None, past: int = 0
    ) -> AsyncIterator[LogLine]:
        """Each wanted line as it is written; before them those after `after_seq`, or the last `past`.

        A slow reader misses lines; a host line says so. Raises `TooManyListeners`.
        """
        ...


class Listener(Protocol):
    """Somebody who hears of messages; each step gives those that came since the last one, in order."""

    def __aiter__(self) -> AsyncIterator[list[Sighting | Gap]]:
        """Itself."""
        ...

    async def __anext__(self) -> list[Sighting | Gap]:
        """Wait for messages. One that comes too slowly misses some, and a `Gap` says how many."""
        ...

    async def aclose(self) -> None:
        """Hear of nothing more."""
        ...


class SniffService(Protocol):
    """Shows who says what to whom."""

    def listen(self, workspace: WorkspaceName, agents: Sequence[str] | None, conversation_id: str | None) -> Listener:
        """Each message from now on, after the commit that holds it. Raises `AgentNotFound`, `TooManyListeners`."""
        ...

    async def past(self, workspace: WorkspaceName, conversation_id: str, *, limit: int) -> list[Sighting]:
        """The last messages of a conversation that are remembered, oldest first; dead letters stand among them."""
        ...


class RecordingService(Protocol):
    """What agents that record have recorded."""

    async def list(self, workspace: WorkspaceName, wanted: RecordingFilter, *, limit: int) -> RecordingPage:
        """The recordings that match, the oldest first."""
        ...

    async def read(self, workspace: WorkspaceName, recording_id: str) -> bytes:
        """A whole recording as it is on disk. Raises `RecordingNotFound`, `RecordingTooNew`, `RecordingDamaged`."""
        ...

    async def module(self, workspace: WorkspaceName, sha256: str) -> bytes:
        """A module that was recorded. Raises `RecordingNotFound`, `RecordingDamaged`."""
        ...


class TraceService(Protocol):
    """Knows what happened to messages, and what those do that are not over."""

    async def trace(self, workspace: WorkspaceName, wanted: TraceFilter, *, limit: int) -> TraceView:
        """What happened in a conversation or because of a message: the `limit` messages that were sent last.

        Raises `ConversationNotFound`, `MessageNotFound` if nothing at all is known of it.
        """
        ...


class StatsService(Protocol):
    """Knows what is going on, over the last seconds."""

    async def view(
        self, workspace: WorkspaceName, wanted: StatsFilter, *, window_s: float, limit: int, offset: int
    ) -> StatsView:
        """The node, and one page of the agents that are wanted."""
        ...

    async def agent(self, workspace: WorkspaceName, name: AgentName, *, window_s: float, limit: int) -> AgentStatsView:
        """One agent and the last `limit` things that it did. Raises `AgentNotFound`."""
        ...


class StorageService(Protocol):
    """The journal, as an operator sees it."""

    async def view(self) -> StorageView:
        """Sizes, rows, limits and state."""
        ...

    async def verify(self) -> VerifyReport:
        """Look at every page and row; raises `JournalDamaged` if they cannot be read at all."""
        ...

    async def compact(self) -> CompactReport:
        """Let go of what is over its retention, and give free room back; raises `StorageFailed`."""
        ...


class ServerService(Protocol):
    """The server about itself."""

    def view(self) -> ServerView:
        """The server as a whole."""
        ...

    def reasons(self) -> list[Reason]:
        """Why it does not take work; none: it does."""
        ...

    async def metrics(self) -> bytes:
        """All metrics in Prometheus' text format; made in steps, between which others have their turn."""
        ...


class ToolService(Protocol):
    """Knows which tools agents may call, and lets people decide about them."""

    async def list(self, workspace: WorkspaceName, *, source: str | None = None) -> list[ToolView]:
        """All tools, or those of one source, by name. Sources that do not say soon what they have are not waited for.

        Raises `ToolSourceNotFound`.
        """
        ...

    async def get(self, workspace: WorkspaceName, name: str) -> ToolDetail:
        """One tool with all that its source says of it. Raises `ToolNotFound`, `ToolSourceDown`."""
        ...

    async def test(self, workspace: WorkspaceName, principal: Principal, name: str, arguments: bytes) -> ToolTest:
        """Call a tool; a call that fails is an answer too. Raises `ToolNotFound`, `ToolSourceDown`, `ShuttingDown`."""
        ...

    async def approve(
        self, workspace: WorkspaceName, principal: Principal, name: str, *, sha256: str | None = None
    ) -> ToolView:
        """It may be called as it is now, if that is `sha256`; on disk when this returns.

        Raises `ToolNotFound`, `ToolChanged`, `ToolUnusable`, `ToolSourceDown`, `ShuttingDown`: nothing has changed
        then.
        """
        ...

    async def quarantine(self, workspace: WorkspaceName, principal: Principal, name: str) -> ToolView:
        """It may not be called until somebody approves it; on disk when this returns.

        Raises `ToolNotFound`, `ToolUnusable`, `ToolSourceDown`, `ShuttingDown`.
        """
        ...

    async def calls(self, workspace: WorkspaceName, name: str, *, limit: int) -> list[ToolCallView]:
        """The last calls of a tool, or of all tools of a source, oldest first. Raises `ToolNotFound`."""
        ...

    def sources(self, workspace: WorkspaceName) -> list[ToolSourceView]:
        """What has tools, by name."""
        ...

    def approvals(self, workspace: WorkspaceName) -> list[ApprovalView]:
        """Calls that wait for a person, oldest first."""
        ...

    async def answer(
        self, workspace: WorkspaceName, principal: Principal, approval: str, *, is_granted: bool
    ) -> ApprovalView:
        """Let a call go on, or not; on disk when this returns. Raises `ApprovalNotFound`, `ShuttingDown`."""
        ...


class DebugService(Protocol):
    """Looks into agents. Every method raises `AgentNotFound`."""

    async def figures(self, workspace: WorkspaceName, name: AgentName, *, window_s: float) -> AgentDebug:
        """What it uses, and did in the last `window_s`."""
        ...

    def mailbox(self, workspace: WorkspaceName, name: AgentName, *, limit: int) -> MailboxDebug:
        """What waits and what is in hand."""
        ...

    async def state(self, workspace: WorkspaceName, name: AgentName, *, prefix: bytes, limit: int) -> KvDebug:
        """Its keys that begin with `prefix`."""
        ...

    def memory(
        self, workspace: WorkspaceName, name: AgentName, *, replica: int, offset: int, length: int
    ) -> MemoryDebug:
        """Bytes of an instance's memory. Raises `AgentStateConflict`, `InvalidValue`, `OutsideMemory`."""
        ...

    async def stack(self, workspace: WorkspaceName, name: AgentName) -> StackDebug:
        """Where each replica is."""
        ...

    async def profile(self, workspace: WorkspaceName, name: AgentName, *, duration_s: float) -> bytes:
        """A profile in JSON. Raises `AgentStateConflict`, `ProfileRunning`, `ProfilerUnavailable`, `ShuttingDown`."""
        ...


class BundleService(Protocol):
    """Gathers what a bug report needs."""

    async def collect(self, workspace: WorkspaceName) -> BundleView:
        """The server's part of it, without secrets."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All that the API calls."""

    agents: AgentService
    capabilities: CapabilityService
    messages: MessageService
    dead_letters: DeadLetterService
    tasks: TaskService
    logs: LogService
    sniff: SniffService
    storage: StorageService
    server: ServerService
    conversations: ConversationService
    workspaces: WorkspaceService
    recordings: RecordingService
    traces: TraceService
    stats: StatsService
    tools: ToolService
    debugging: DebugService
    bundle: BundleService
