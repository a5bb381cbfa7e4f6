"""Asks sources for their tools: when somebody needs to know, once for all who do, and not too often."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from caxton.tools.source import SourceDown

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.core.clock import Clock
    from caxton.tools.catalogue import Catalogue, Entry
    from caxton.tools.source import ToolInfo

logger = logging.getLogger(__name__)

MIN_PAUSE_S = 0.1
"""Between two listings of one source: one that says all the time that it changed does not keep the node busy."""

MAX_LISTING_WAITERS = 10_000
"""Calls that may wait for the tools of one source."""


class Listing:
    """See the module."""

    def __init__(self, catalogue: Catalogue, clock: Clock) -> None:
        self._catalogue, self._clock = catalogue, clock
        self._waiting: dict[Entry, list[Callable[[str | None], None]]] = {}
        self._tasks: dict[Entry, asyncio.Task[None]] = {}
        self._ended: dict[Entry, float] = {}

    def changed(self, entry: Entry) -> None:
        """A source says that its tools may be others now. If it runs, it is asked at once, else when it is needed."""
        entry.mark()
        if not self._waiting.get(entry) and entry.source.view().get("state") == "running":
            self.ask(entry, lambda _error: None)

    def ask(self, entry: Entry, told: Callable[[str | None], None]) -> bool:
        """Call `told` when the tools are known as of now, with why they are not if so; never now. False: too many wait.

        A listing that is under way began before whatever is asked about may have changed: then there is another one.
        """
        waiting = self._waiting.setdefault(entry, [])
        if len(waiting) >= MAX_LISTING_WAITERS:
            return False
        waiting.append(told)
        if entry not in self._tasks:
            self._tasks[entry] = asyncio.get_running_loop().create_task(self._run(entry))
        return True

    def close(self) -> None:
        """Nobody is asked any more, and nobody told but that."""
        for task in self._tasks.values():
            task.cancel()
        for waiting in self._waiting.values():
            for told in waiting:
                told("the server is stopping")
        self._waiting.clear()

    async def _run(self, entry: Entry) -> None:
        try:
            while self._waiting.get(entry):
                pause_s = self._ended.get(entry, float("-inf")) + MIN_PAUSE_S - self._clock.monotonic()
                if pause_s > 0:
                    await asyncio.sleep(pause_s)
                waiting, self._waiting[entry] = self._waiting[entry], []
                error = await self._list(entry)
                self._ended[entry] = self._clock.monotonic()
                for told in waiting:
                    told(error)
        finally:
            del self._tasks[entry]
            self._waiting.pop(entry, None)

    async def _list(self, entry: Entry) -> str | None:
        """Why it did not work, if it did not."""
        name, marks = entry.settings.name, entry.marks
        try:
            async with asyncio.timeout(entry.settings.timeout_s):
                infos = await entry.source.list_tools()
        except (SourceDown, TimeoutError) as exc:
            error = str(exc) or f"it did not say within {entry.settings.timeout_s:g} s which tools it has"
        except Exception as exc:
            facts = {"action": "tools.source_failed", "source": name}
            logger.error("a source of tools raised", exc_info=exc, extra=facts)
            error = "its source failed within; the server's log has more"
        else:
            self._take_over(entry, infos, marks)
            return None
        entry.gate.fail()
        entry.last_error = error
        return error

    def _take_over(self, entry: Entry, infos: list[ToolInfo], marks: int) -> None:
        if self._catalogue.entries.get((entry.workspace, entry.settings.name)) is not entry:
            return  # removed meanwhile
        entry.is_stale = entry.marks != marks
        for tool in self._catalogue.listed(entry, infos):
            facts = {"action": f"tools.{tool.status}", "workspace": entry.workspace, "tool": tool.full}
            logger.warning("a tool is not called before somebody approves it", extra={**facts, "reason": tool.reason})
