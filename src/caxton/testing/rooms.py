"""A node without its doors, on a directory of the test's, and ways to wait for it without sleeping."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from unittest import mock

import anyio
import msgspec
import wasmtime

from caxton.core.errors.error import CaxtonError
from caxton.core.ids import DEFAULT_WORKSPACE, AgentName
from caxton.core.views.agents import AgentSpec, AgentView, Resources
from caxton.core.views.settings import AgentPatch, AgentSettings, WorkspacePatch, WorkspaceSettings
from caxton.logs.filter import LogFilter
from caxton.messages.message import AclMessage
from caxton.sandbox.compile import Compiler
from caxton.sandbox.engine import make_wasmtime_engine
from caxton.sandbox.guest import Guest
from caxton.security.principal import Principal
from caxton.server.wiring import build
from caxton.testing.guests import everything

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from caxton.agents.tools import Tools
    from caxton.bus.mailbox import Receiver
    from caxton.conversations.settings import ConversationSettings
    from caxton.core.clock import Clock
    from caxton.core.views.messages import Receipt
    from caxton.natives.native import NativeAgent
    from caxton.server.rooms import Rooms
    from caxton.storage.database import Row
    from caxton.telemetry.settings import TelemetrySettings
    from caxton.tools.settings import ToolSettings

PATIENCE_S = 15.0
"""How long a test waits for what must happen; only a failing one waits so long."""

CACHE_KEY = bytes(32)
BALLAST_BYTES = 1 << 16
"""Not the real 32 MiB for each of hundreds of nodes."""

TESTER = Principal("tester", frozenset({"admin"}))


class LocalNode:
    """What a client does with a node, in few words."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.agents, self.messages = rooms.agents, rooms.messages

    async def deploy(self, name: str, wasm: bytes, *, replicas: int = 1, **resources: Any) -> AgentView:
        """Deploy `wasm` as agent `name`."""
        return await self.agents.deploy(DEFAULT_WORKSPACE, spec(name, replicas=replicas, **resources), wasm)

    async def replace(self, name: str, wasm: bytes | None, *, replicas: int = 1, **resources: Any) -> AgentView:
        """Put a new version of `name`."""
        return await self.agents.replace(DEFAULT_WORKSPACE, spec(name, replicas=replicas, **resources), wasm)

    async def configure(self, name: str, **groups: dict[str, Any]) -> AgentSettings:
        """Change settings of the running agent `name`: `circuit_breaker`, `bulkhead`, `resources`."""
        return await self.agents.configure(DEFAULT_WORKSPACE, AgentName(name), msgspec.convert(groups, AgentPatch))

    def settings(self, name: str) -> AgentSettings:
        """Those settings of agent `name`."""
        return self.agents.settings(DEFAULT_WORKSPACE, AgentName(name))

    async def stop(self, name: str, *, force: bool = False) -> AgentView:
        """Stop agent `name`."""
        return await self.agents.stop(DEFAULT_WORKSPACE, AgentName(name), force=force)

    async def start(self, name: str) -> AgentView:
        """Start agent `name`."""
        return await self.agents.start(DEFAULT_WORKSPACE, AgentName(name))

    async def scale(self, name: str, replicas: int) -> AgentView:
        """Change the number of replicas."""
        return await self.agents.scale(DEFAULT_WORKSPACE, AgentName(name), replicas)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove agent `name`."""
        await self.agents.remove(DEFAULT_WORKSPACE, AgentName(name), force=force)

    async def configure_workspace(self, **groups: dict[str, Any]) -> WorkspaceSettings:
        """Change settings of the workspace: `conversations`."""
        patch = msgspec.convert(groups, WorkspacePatch)
        return await self.rooms.workspaces.configure(DEFAULT_WORKSPACE, TESTER, patch)

    def view(self, name: str) -> AgentView:
        """Agent `name` as it is now."""
        return self.agents.get(DEFAULT_WORKSPACE, AgentName(name))

    def names(self) -> list[str]:
        """All agents."""
        return [view.name for view in self.agents.list(DEFAULT_WORKSPACE)]

    def receiver(self, name: str) -> Receiver:
        """Agent `name` as the bus sees it: its mail and state."""
        return self.rooms.bus.names.directory(DEFAULT_WORKSPACE).receivers[name]

    async def post(self, receiver: str | list[str], content: object = None, **fields: Any) -> Receipt:
        """Post a message; returns once it is on disk."""
        return await self.messages.post(DEFAULT_WORKSPACE, TESTER, message(receiver, content, **fields))

    async def ask(
        self, receiver: str, content: object = None, *, timeout_s: float = PATIENCE_S, **fields: Any
    ) -> dict[str, Any]:
        """Post a request and return the reply."""
        asked = message(receiver, content, **{"performative": "request", **fields})
        reply = await self.messages.ask(DEFAULT_WORKSPACE, TESTER, asked, timeout_s=timeout_s)
        return msgspec.json.decode(reply)

    async def rows(self, sql: str) -> list[Row]:
        """What stands in the node's database, behind all that is committed."""
        found: list[list[Row] | Exception] = []
        self.rooms.database.read(sql, (), found.append)
        await until(lambda: found)
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    def open_guests(self) -> int:
        """Instances that hold memory, whoever has them."""
        guests = [thing for thing in gc.get_objects() if isinstance(thing, Guest) and thing.memory_bytes > 0]
        return sum(guest.engine is self.rooms.engine for guest in guests)

    def tick_holders(self) -> int:
        """How many want time to pass for guests: each one that is starting, and the pump."""
        return self.rooms.engine._tick_holders  # pyright: ignore[reportPrivateUsage]

    def lines(self, agent: str) -> list[str]:
        """The agent's log."""
        return [line.text for line in self.rooms.log.tail(DEFAULT_WORKSPACE, [agent], limit=10_000)]

    async def wait_for_line(self, agent: str, text: str, *, count: int = 1) -> None:
        """Wait until `count` lines of the agent's log contain `text`."""
        seen = 0
        with anyio.fail_after(PATIENCE_S):
            wanted = LogFilter(agents=frozenset({agent}))
            async with aclosing(self.rooms.log.follow(DEFAULT_WORKSPACE, wanted, after_seq=0)) as lines:
                async for line in lines:
                    seen += text in line.text
                    if seen >= count:
                        return

    async def wait_for_status(self, agent: str, status: str) -> None:
        """Wait until the agent is `running`, `failed`, …"""
        await until(lambda: self.view(agent).status == status)

    async def wait_for_quiet(self) -> None:
        """Wait until no mail waits anywhere and all is on disk."""
        await until(lambda: not any(receiver.messages for receiver in self.rooms.bus.names.receivers()))
        await self.rooms.journal.commit()


@asynccontextmanager
async def open_node(
    data_dir: Path,
    *,
    compiled: Path | None = None,
    max_instances: int = 1000,
    clock: Clock | None = None,
    natives: Sequence[NativeAgent] = (),
    conversations: ConversationSettings | None = None,
    telemetry: TelemetrySettings | None = None,
    tools: Tools | None = None,
    sources: Sequence[ToolSettings] = (),
) -> AsyncGenerator[LocalNode]:
    """A started node; what is not committed when the block is left is lost, as in a crash.

    Args:
        data_dir: made if absent; a second node on it continues where the first one was.
        compiled: where compiled modules are kept, to share them between tests.
        max_instances: as the setting.
        clock: instead of the machine's.
        natives: agents written in Python, beside those that every node has.
        conversations: as the settings.
        telemetry: as the settings.
        tools: what guests call instead of the sources' tools.
        sources: as the tables `[tools.NAME]`.
    """
    _prepare(data_dir, compiled)
    failures: list[Exception] = []
    rooms = build(
        data_dir,
        cache_key=CACHE_KEY,
        max_instances=max_instances,
        on_storage_failure=failures.append,
        clock=clock,
        ballast_bytes=BALLAST_BYTES,
        natives=natives,
        conversations=conversations,
        telemetry=telemetry,
        tools=tools,
        sources=sources,
    )
    try:
        await rooms.start()
        yield LocalNode(rooms)
    finally:
        await rooms.broker.aclose()
        rooms.close()
        await anyio.lowlevel.checkpoint()  # tasks that were cancelled come to their end
    assert not failures, failures  # noqa: S101 - that is what it is for


def _prepare(data_dir: Path, compiled: Path | None) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    if compiled is not None and not (data_dir / "compiled").exists():
        (data_dir / "compiled").symlink_to(compiled)


def fill_cache(directory: Path) -> None:
    """Put the compiled form of every guest and example there: compiling in this process takes a hundredth."""

    async def compile_here(wasm: bytes, _kind: str) -> bytes:
        return bytes(wasmtime.Module(make_wasmtime_engine(), wasm).serialize())

    async def compile_all() -> None:
        compiler = Compiler(directory, CACHE_KEY)
        for wasm in everything():
            with suppress(CaxtonError, wasmtime.WasmtimeError):
                await compiler.compile(wasm)

    with mock.patch("caxton.sandbox.compile._compile_in_child", compile_here):
        asyncio.run(compile_all())


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds, looking again after each turn of the event loop."""
    with anyio.fail_after(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the condition has no event of its own
            await anyio.sleep(0.001)


def spec(name: str, *, replicas: int = 1, **resources: Any) -> AgentSpec:
    """An `AgentSpec` with these limits; those of its fields that are no limits are its own."""
    own = {key: resources.pop(key) for key in AgentSpec.__struct_fields__ if key in resources}
    return AgentSpec(name=name, replicas=replicas, resources=Resources(**resources), **own)


def message(receiver: str | list[str], content: object = None, **fields: Any) -> AclMessage:
    """A message to `receiver`, an `inform` unless said otherwise."""
    raw = msgspec.Raw(msgspec.json.encode(content))
    values: dict[str, Any] = {"performative": "inform", "receiver": receiver, "content": raw, **fields}
    return AclMessage(**values)
