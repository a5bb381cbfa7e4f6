"""`api.services.DebugService` and `BundleService` over the other fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.core.errors.agents import AgentStateConflict
from caxton.core.errors.debugging import OutsideMemory
from caxton.core.views.debugging import (
    AgentDebug,
    BundleView,
    KvDebug,
    KvEntry,
    MailboxDebug,
    MemoryDebug,
    RateView,
    ReplicaView,
    StackDebug,
)

if TYPE_CHECKING:
    from caxton.core.ids import AgentName, WorkspaceName
    from caxton.core.views.agents import AgentView
    from caxton.testing.fakes.agents import FakeAgents

NO_RATE = RateView(count=0, per_s=0.0, p50_s=None, p99_s=None)
MEMORY_BYTES = 65536


class FakeDebugging:
    """Agents with one replica that has done nothing, unless the test says otherwise."""

    def __init__(self, agents: FakeAgents) -> None:
        self._agents = agents
        self.tool_calls = self.handlings = NO_RATE
        self.is_recorded = True
        self.kv: dict[bytes, bytes] = {}
        self.mail: MailboxDebug | None = None
        self.stacks: StackDebug | None = None
        self.profile_json = b'{"meta":{},"threads":[{"samples":{"length":3}}]}'

    async def figures(self, workspace: WorkspaceName, name: AgentName, *, window_s: float) -> AgentDebug:
        """Those of its view."""
        view = self._agents.get(workspace, name)
        replica = ReplicaView(
            replica=0, is_up=_is_up(view), memory_bytes=view.memory_bytes, waiting=view.mailbox_messages, handled=0,
            in_hand=None,
        )  # fmt: skip
        return AgentDebug(
            name=name, type="wasm", status=view.status, reason=view.reason, memory_bytes=view.memory_bytes,
            memory_limit_bytes=view.memory_limit_bytes, mailbox_messages=view.mailbox_messages,
            mailbox_bytes=view.mailbox_bytes, window_s=window_s, is_cut=False, is_recorded=self.is_recorded,
            tool_calls=self.tool_calls, handlings=self.handlings, waits=NO_RATE, failed=0, replicas=[replica],
        )  # fmt: skip

    def mailbox(self, workspace: WorkspaceName, name: AgentName, *, limit: int) -> MailboxDebug:
        """As set, else empty."""
        self._agents.get(workspace, name)
        return self.mail or MailboxDebug(name=name, waiting=0, in_hand=[], messages=[], left_out=0)

    async def state(self, workspace: WorkspaceName, name: AgentName, *, prefix: bytes, limit: int) -> KvDebug:
        """As set, all of it text."""
        self._agents.get(workspace, name)
        keys = sorted(key for key in self.kv if key.startswith(prefix))
        entries = [
            KvEntry(
                key=key.decode(), key_encoding="text", value=self.kv[key].decode(), value_encoding="text",
                value_bytes=len(self.kv[key]), is_cut=False,
            )
            for key in keys[:limit]
        ]  # fmt: skip
        left_out = len(keys) - len(entries)
        return KvDebug(name=name, total=len(keys), bytes=0, entries=entries, left_out=left_out)

    def memory(
        self, workspace: WorkspaceName, name: AgentName, *, replica: int, offset: int, length: int
    ) -> MemoryDebug:
        """Each byte is the last one of its address."""
        self._up(workspace, name)
        if offset + length > MEMORY_BYTES:
            raise OutsideMemory(name, offset, length, MEMORY_BYTES)
        data = bytes(at & 0xFF for at in range(offset, offset + length))
        return MemoryDebug(
            name=name, replica=replica, offset=offset, length=length, memory_bytes=MEMORY_BYTES, data=data.hex()
        )

    async def stack(self, workspace: WorkspaceName, name: AgentName) -> StackDebug:
        """As set, else of no replica."""
        self._agents.get(workspace, name)
        return self.stacks or StackDebug(name=name, replicas=[], has_source_lines=False)

    async def profile(self, workspace: WorkspaceName, name: AgentName, *, duration_s: float) -> bytes:
        """As set, at once."""
        self._up(workspace, name)
        return self.profile_json

    def _up(self, workspace: WorkspaceName, name: AgentName) -> None:
        view = self._agents.get(workspace, name)
        if not _is_up(view):
            raise AgentStateConflict(name, view.status, "it has no instance")


class FakeBundle:
    """Two files."""

    def __init__(self) -> None:
        self.files = {"versions.json": "{}", "logs.jsonl": ""}

    async def collect(self, workspace: WorkspaceName) -> BundleView:
        """As set."""
        return BundleView(files=dict(self.files))


def _is_up(view: AgentView) -> bool:
    return view.status in ("running", "draining")
