"""Keeps one MCP server: started by the first call, started again when it ends, closed when nobody needs it.

```text
            a call                   shaken hands
  idle ───────────────▶ starting ───────────────────▶ running
   ▲                        │                          │   │ nobody called for idle_s
   │ nobody called          ▼                          │   └──────────────▶ idle
   └───────────────────  waiting ◀─────────────────────┘
     (the next call after its back-off starts it)   it ended by itself
```
One task owns the connection from its start to its end, as the SDK wants it; calls come from any. Nothing here knows the
SDK, which is loaded, on a thread, when the first server is started.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from caxton.bus.retry import retry_delay_s
from caxton.tools.mcp.changes import Changes
from caxton.tools.mcp.noise import Noise
from caxton.tools.source import Call, Failure, Outcome, SourceDown, ToolInfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from caxton.core.clock import Clock
    from caxton.tools.mcp.session import Session

T = TypeVar("T")
State: TypeAlias = Literal["idle", "starting", "running", "waiting", "closed"]

logger = logging.getLogger(__name__)

START_S = 30.0
"""From the start of a server until it has shaken hands; some are downloaded first."""

LIST_S = 30.0
"""For the list of all its tools."""

IDLE_S = 300.0
"""Without a call; then it is closed. 0: never."""

MAX_ANSWER_BYTES = 4 << 20
"""Of one answer as it is sent, before anything reads it."""

STEADY_S = 60.0
"""A server that ran so long before it ended begins anew with the shortest back-off."""

STOP_S = 3.0
"""How long closing may take; then the task that does it is cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """How a server is looked after. Times in seconds."""

    start_s: float = START_S
    list_s: float = LIST_S
    idle_s: float = IDLE_S
    most_bytes: int = MAX_ANSWER_BYTES
    """Of one answer."""
    mode: str = "auto"
    """Which revisions are tried: `auto`, `legacy` (2025-11-25 and before), or one from 2026-07-28 on."""


def _not_told(_where: str, _text: str) -> None:
    """Nobody wants to hear what servers say."""


@dataclass(eq=False, slots=True)
class Life:
    """One run of the server."""

    began: float
    ready: asyncio.Future[Session | None]
    """None: it did not come to be."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    is_wanted_end: bool = False
    why: str = ""
    """Why it ended by itself."""
    task: asyncio.Task[None] | None = None
    pid: int | None = None

    def started(self, pid: int) -> None:
        """It has a process."""
        self.pid = pid

    def end(self, why: str) -> None:
        """It can no longer be spoken with. The first reason counts."""
        if not self.over.is_set():
            self.why = why
            self.over.set()


@dataclass(eq=False, slots=True)
class _UnderWay:
    call: Call
    progress: float | None = None
    total: float | None = None

    def progressed(self, progress: float, total: float | None) -> None:
        self.progress, self.total = progress, total


class SupervisedSource(ABC):
    """A `tools.source.Source`, but for how it connects."""

    kind: str
    modules: tuple[str, ...] = ("caxton.tools.mcp.session",)
    """What is loaded before the first start."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        care: Care | None = None,
        *,
        tell: Callable[[str, str], None] = _not_told,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`tell`: hears `(where, text)`: lines that the server says beside the protocol, bounded."""
        self.name = name
        self.care = care or Care()
        self.noise = Noise(tell, clock)
        self.changes = Changes()
        self._clock, self._jitter = clock, jitter
        self.life: Life | None = None
        """The present run."""
        self._is_closed = False
        self._starts = self._restarts = self._failures = 0
        self._not_before = 0.0
        self._last_error = ""
        self._revision = ""
        self._under_way: set[_UnderWay] = set()
        self._listings = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._idle: asyncio.TimerHandle | None = None

    # --- the port --------------------------------------------------------------------------------------------

    async def list_tools(self) -> list[ToolInfo]:
        """See `Source`."""
        until = self._clock.monotonic() + self.care.list_s
        self._listings += 1
        self._busy()
        try:
            session = await self._session(until)
            return await self._within(session.tools(), until)
        except TimeoutError:
            raise SourceDown(f"{self.name} has not listed its tools within {self.care.list_s:g} s") from None
        finally:
            self._listings -= 1
            self._rest()

    def call(self, call: Call) -> Outcome | Awaitable[Outcome]:
        """See `Source`. Always to be awaited."""
        return self._call(call)

    def view(self) -> dict[str, Any]:
        """See `Source`."""
        now, life = self._clock.monotonic(), self.life
        return {
            "kind": self.kind,
            "state": self.state,
            **self.described(),
            "pid": life.pid if life else None,
            "revision": self._revision or None,
            "running_for_s": round(now - life.began, 3) if life else None,
            "starts": self._starts,
            "restarts": self._restarts,
            "failures": self._failures,
            "last_error": self._last_error or None,
            "retry_in_s": round(self._not_before - now, 3) if self.state == "waiting" else None,
            "under_way": [
                {"tool": one.call.tool, "agent": one.call.agent, "progress": one.progress, "total": one.total}
                for one in self._under_way
            ],
        }

    def on_change(self, tell: Callable[[], None]) -> None:
        """See `Source`."""
        self.changes.when_told(tell)

    async def close(self) -> None:
        """See `Source`. Within `STOP_S` and a little."""
        self._is_closed = True
        self.changes.close()
        self._busy()
        if self.life is not None:
            await self._end(self.life)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)

    # --- for those that connect ------------------------------------------------------------------------------

    @abstractmethod
    async def connect(self, stack: AsyncExitStack, life: Life) -> Session:
        """Connect, and leave what is to be undone on `stack`; tell `life` its process and its end."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """What `view` says of where it is, without secrets."""

    @property
    def state(self) -> State:
        """See the module."""
        if self._is_closed:
            return "closed"
        if self.life is not None:
            return "running" if self.life.ready.done() else "starting"
        return "waiting" if self._not_before > self._clock.monotonic() else "idle"

    # --- calls -----------------------------------------------------------------------------------------------

    async def _call(self, call: Call) -> Outcome:
        one = _UnderWay(call)
        self._under_way.add(one)
        self._busy()
        try:
            session = await self._session(call.until)
            return await self._within(session.call(call, one.progressed), call.until)
        except SourceDown as exc:
            return Failure("unavailable", str(exc))
        except TimeoutError:
            return Failure("timeout", f"{self.name} did not answer in time")
        finally:
            self._under_way.discard(one)
            self._rest()

    async def _within(self, work: Coroutine[Any, Any, T], until: float) -> T:
        """Wait for `work`, but not longer. Raises `TimeoutError`; then it is taken back without waiting for that.

        For a server that reads nothing, taking back takes long.
        """
        task = self._spawn(work)
        try:
            await asyncio.wait({task}, timeout=until - self._clock.monotonic())
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done():
            task.cancel()
            raise TimeoutError
        if task.cancelled():
            raise SourceDown(f"{self.name} is closed")
        return task.result()

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits is told; nobody waits for one that was taken back

    # --- lives -----------------------------------------------------------------------------------------------

    async def _session(self, until: float) -> Session:
        """What to call, started if need be. Raises `SourceDown`, or `TimeoutError` when that takes too long."""
        while True:
            life = self.life or self._start()
            if life.over.is_set() and life.task is not None:  # it is being put away
                await self._wait(life.task, until)
                continue
            await self._wait(life.ready, until)
            if (session := life.ready.result()) is not None:
                return session
            raise SourceDown(f"{self.name} did not start: {life.why}")

    async def _wait(self, what: asyncio.Future[Any], until: float) -> None:
        await asyncio.wait({what}, timeout=until - self._clock.monotonic())
        if not what.done():
            raise TimeoutError

    def _start(self) -> Life:
        now = self._clock.monotonic()
        if self._is_closed:
            raise SourceDown(f"{self.name} is closed")
        if (wait_s := self._not_before - now) > 0:
            raise SourceDown(f"{self.name} is down ({self._last_error}); it is started again in {wait_s:.1f} s at most")
        self._starts += 1
        self._restarts += self._failures > 0
        life = self.life = Life(now, asyncio.get_running_loop().create_future())
        life.task = asyncio.get_running_loop().create_task(self._live(life))
        return life

    async def _live(self, life: Life) -> None:
        """One run, from start to end; the only task that enters and leaves the connection."""
        try:
            for module in self.modules:
                await asyncio.to_thread(importlib.import_module, module)
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self.care.start_s):
                    session = await self.connect(stack, life)
                self._revision = session.revision
                life.ready.set_result(session)
                logger.info("tool server runs", extra={"action": "tools.started", "source": self.name, "pid": life.pid})
                if self._starts > 1:
                    self.changes.noticed()  # it may be another version of itself
                await life.over.wait()
        except TimeoutError:
            life.end(f"it has not shaken hands within {self.care.start_s:g} s")
        except (Exception, asyncio.CancelledError) as exc:  # the root of a task
            life.end(_reason(exc))
        finally:
            life.over.set()
            self._ended(life)

    def _ended(self, life: Life) -> None:
        now = self._clock.monotonic()
        self.life = None
        if life.is_wanted_end:
            self._failures = 0
        else:
            self._failures = 1 if now - life.began >= STEADY_S else self._failures + 1
            self._not_before = now + retry_delay_s(self._failures + 1, self._jitter())
            self._last_error = life.why
        logger.info(
            "tool server ended",
            extra={"action": "tools.ended", "source": self.name, "why": life.why or "it is not needed"},
        )
        if not life.ready.done():
            life.ready.set_result(None)

    async def _end(self, life: Life) -> None:
        life.is_wanted_end = True
        life.end("")
        if life.task is None:
            return
        await asyncio.wait({life.task}, timeout=STOP_S)
        if not life.task.done():
            life.task.cancel()
            await asyncio.wait({life.task}, timeout=STOP_S)

    # --- idleness --------------------------------------------------------------------------------------------

    def _busy(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _rest(self) -> None:
        if self._under_way or self._listings or self._is_closed or not self.care.idle_s:
            return
        self._busy()
        self._idle = asyncio.get_running_loop().call_later(self.care.idle_s, self._is_idle)

    def _is_idle(self) -> None:
        self._idle = None
        if self.life is not None and self.life.ready.done():
            self.life.is_wanted_end = True
            self.life.end("")


def _reason(exc: BaseException) -> str:
    """Why a server did not start, in words of ours: what a stranger's error says is left out."""
    while isinstance(exc, BaseExceptionGroup):
        exc = cast("BaseExceptionGroup[BaseException]", exc).exceptions[0]
    if isinstance(exc, OSError) and exc.errno is not None:
        return f"{exc.strerror}: {exc.filename}" if exc.filename else str(exc.strerror)
    code = getattr(getattr(exc, "error", None), "code", None)
    if isinstance(code, int):
        return f"its handshake failed (error {code})"
    return f"its handshake failed ({type(exc).__name__})"
