"""A WASI command that speaks MCP, as a source of tools.

A command does one thing at a time, so there are as many instances as calls at once, up to `concurrency`: started when
they are needed, kept for the next call, closed when nothing was asked for a while. A call that goes wrong ends its own
instance only. After a second failure in a row the next start waits, each time twice as long.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from caxton.core.errors.error import CaxtonError
from caxton.sandbox.wasi_command import Allowed
from caxton.tools.source import Failure, SourceDown
from caxton.tools.wasm import mcp
from caxton.tools.wasm.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from caxton.sandbox.wasi_command import CommandModule
    from caxton.tools.source import Call, Outcome, ToolInfo
    from caxton.tools.wasm.slices import Slices

T = TypeVar("T")

MAX_INSTANCES = 64
"""Of one source, if its concurrency is unbounded."""
MAX_PAGES = 20
"""Of a list of tools."""
MAX_TOOLS = 1000
LIST_S = 10.0
"""To start and to list all tools."""
GATHER_CHANGES_S = 0.05
"""How long the news that its tools are others waits for more of the same."""
FIRST_BACK_OFF_S = 0.1
MAX_BACK_OFF_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WasiSettings:
    """Of one source; the defaults are those of `[tools.NAME]`."""

    allowed: Allowed = field(default_factory=Allowed)
    concurrency: int = 10
    """Calls at once; 0 is as many as `MAX_INSTANCES`."""
    max_result_bytes: int = 1 << 20
    """A line of the protocol may be this long, and a little for what is around the result."""
    idle_timeout_s: float = 300.0
    """After so long without a call an instance is closed; 0: never."""


_AROUND_RESULT_BYTES = 4096


class WasiSource:
    """`tools.source.Source` for such a command."""

    def __init__(
        self,
        name: str,
        load: Callable[[], Awaitable[CommandModule]],
        slices: Slices,
        settings: WasiSettings,
        *,
        hear: Callable[[str], None],
    ) -> None:
        """Nothing runs before the first call.

        Args:
            name: of the source.
            load: compiles the module; called once, by the first who needs it. May raise `CaxtonError` and `OSError`.
            slices: whose turn it is.
            settings: what is granted, and how much.
            hear: is told each line that an instance writes beside the protocol.
        """
        self.name = name
        self._load, self._slices, self._settings, self._hear = load, slices, settings, hear
        self._most = min(settings.concurrency or MAX_INSTANCES, MAX_INSTANCES)
        self._room = asyncio.Semaphore(self._most)
        self._loading = asyncio.Lock()
        self._module: CommandModule | None = None
        self._instances: set[Instance] = set()
        self._idle: list[Instance] = []
        self._tellers: list[Callable[[], None]] = []
        self._is_telling = self._is_closed = False
        self._failures = self._starts = 0
        self._not_before = 0.0
        self._last_error = ""
        self._sweeper: asyncio.TimerHandle | None = None

    # --- the port --------------------------------------------------------------------------------------------

    async def list_tools(self) -> list[ToolInfo]:
        """See `Source`."""
        listed = await self._within(time.monotonic() + LIST_S, self._list)
        if isinstance(listed, Failure):
            raise SourceDown(listed.detail)
        return listed

    async def call(self, call: Call) -> Outcome:
        """See `Source`. Cancelled, the tool is ended: it has no other way to hear of it."""

        async def ask(instance: Instance) -> Outcome:
            answer = await instance.ask(mcp.call_tool(instance.next_number(), call))
            return answer if isinstance(answer, Failure) else mcp.outcome_of(answer)

        return await self._within(call.until, ask)

    def view(self) -> Mapping[str, Any]:
        """See `Source`."""
        return {
            "type": "wasm",
            "interface": "wasi",
            "state": self._state(),
            "instances": len(self._instances),
            "starts": self._starts,
            "memory_bytes": sum(instance.memory_bytes() for instance in self._instances),
            "last_error": self._last_error,
        }

    def on_change(self, tell: Callable[[], None]) -> None:
        """See `Source`."""
        self._tellers.append(tell)

    async def close(self) -> None:
        """See `Source`."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for instance in list(self._instances):
            self._drop(instance)
        if self._module is not None:
            self._module.close()
            self._module = None

    # --- instances -------------------------------------------------------------------------------------------

    async def _within(self, until: float, use: Callable[[Instance], Awaitable[T | Failure]]) -> T | Failure:
        """What `use` makes of an instance, which is its own meanwhile."""
        try:
            async with asyncio.timeout(max(until - time.monotonic(), 0)), self._room:
                instance = await self._take()
                if isinstance(instance, Failure):
                    return instance
                try:
                    outcome = await use(instance)
                except BaseException:
                    self._drop(instance)
                    raise
        except TimeoutError:
            return self._failed(Failure("timeout", "it did not answer in time"))
        if instance.ended is not None:
            self._drop(instance)
            return self._failed(instance.ended)
        self._failures = 0
        self._keep(instance)
        return outcome

    async def _take(self) -> Instance | Failure:
        """An instance that nobody uses."""
        while (instance := self._pop_idle()) is not None:
            if instance.ended is None:
                return instance
            self._drop(instance)
            self._failed(instance.ended)
        if self._is_closed:
            return Failure("unavailable", "it was stopped")
        wait_s = self._not_before - time.monotonic()
        if wait_s > 0:
            return Failure(
                "unavailable", f"it failed {self._failures} times in a row and starts again in {wait_s:.1f} s"
            )
        return await self._start()

    def _pop_idle(self) -> Instance | None:
        """The one used last that is free; one that computes on after its answer only if there may not be another."""
        for at in reversed(range(len(self._idle))):
            if self._idle[at].is_free:
                return self._idle.pop(at)
        return self._idle.pop(0) if self._idle and len(self._instances) >= self._most else None

    async def _start(self) -> Instance | Failure:
        try:
            instance = self._new(await self._loaded())
        except (CaxtonError, OSError) as exc:
            return self._failed(Failure("unavailable", str(exc)))
        self._starts += 1
        self._instances.add(instance)
        try:
            answer = await instance.ask(mcp.initialize(instance.next_number()))
            if not isinstance(answer, Failure):
                mcp.check_initialized(answer)
                instance.say(mcp.INITIALIZED)
                return instance
        except mcp.NotMcp as exc:
            answer = Failure("unavailable", str(exc))
        except BaseException:
            self._drop(instance)
            raise
        self._drop(instance)
        return self._failed(answer)

    def _new(self, module: CommandModule) -> Instance:
        settings = self._settings
        most = settings.max_result_bytes + _AROUND_RESULT_BYTES
        return Instance(
            module, settings.allowed, self._slices, max_line_bytes=most, hear=self._hear, changed=self._tell
        )

    async def _loaded(self) -> CommandModule:
        async with self._loading:
            if self._module is None:
                module = await self._load()
                module.check_memory(self._settings.allowed.memory_bytes)
                self._module = module
            return self._module

    async def _list(self, instance: Instance) -> list[ToolInfo] | Failure:
        tools: list[ToolInfo] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            answer = await instance.ask(mcp.list_tools(instance.next_number(), cursor))
            if isinstance(answer, Failure):
                return answer
            try:
                page, cursor = mcp.tools_of(answer)
            except mcp.NotMcp as exc:
                return Failure("failed", str(exc))
            tools += page
            if len(tools) > MAX_TOOLS:
                return Failure("too_large", f"it lists more than {MAX_TOOLS} tools")
            if cursor is None:
                return tools
        return Failure("too_large", f"its list of tools has more than {MAX_PAGES} pages")

    # --- after a call ----------------------------------------------------------------------------------------

    def _keep(self, instance: Instance) -> None:
        instance.idle_since = time.monotonic()
        self._idle.append(instance)
        if self._is_closed:
            self._drop(instance)
        elif self._sweeper is None and self._settings.idle_timeout_s:
            self._sweeper = asyncio.get_running_loop().call_later(self._settings.idle_timeout_s, self._sweep)

    def _sweep(self) -> None:
        """Close what nobody has used for a while; those used last are at the end."""
        self._sweeper = None
        timeout_s = self._settings.idle_timeout_s
        while self._idle and self._idle[0].idle_since + timeout_s <= time.monotonic():
            self._drop(self._idle[0])
        if self._idle:
            delay_s = self._idle[0].idle_since + timeout_s - time.monotonic()
            self._sweeper = asyncio.get_running_loop().call_later(max(delay_s, 0), self._sweep)

    def _drop(self, instance: Instance) -> None:
        self._instances.discard(instance)
        if instance in self._idle:
            self._idle.remove(instance)
        instance.close()

    def _failed(self, failure: Failure) -> Failure:
        """The first failure costs nothing; the next ones are taken as one that will not mend itself at once."""
        self._failures += 1
        self._last_error = failure.detail
        if self._failures > 1:
            back_off_s = min(FIRST_BACK_OFF_S * 2 ** min(self._failures - 2, 20), MAX_BACK_OFF_S)
            self._not_before = time.monotonic() + back_off_s
        return failure

    def _state(self) -> str:
        if self._is_closed:
            return "closed"
        if self._not_before > time.monotonic() and not self._instances:
            return "backing off"
        return "running" if self._instances else "stopped"

    def _tell(self) -> None:
        """Many changes within a moment are one."""
        if not self._is_telling:
            self._is_telling = True
            asyncio.get_running_loop().call_later(GATHER_CHANGES_S, self._tell_all)

    def _tell_all(self) -> None:
        self._is_telling = False
        if not self._is_closed:
            for tell in self._tellers:
                tell()
