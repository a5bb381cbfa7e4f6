"""One who follows the logs: what came and was not taken yet."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from caxton.core.views.logs import LogLine
from caxton.logs.line import iso, to_line

if TYPE_CHECKING:
    from caxton.logs.filter import LogFilter
    from caxton.logs.line import Record

MAX_UNREAD = 1000
"""Lines that a slow reader may be behind before it misses some."""


class Reader:
    """Gets each new line that it wants, unless it is too far behind: nobody waits for it."""

    def __init__(self, workspace: str, wanted: LogFilter) -> None:
        self._workspace = workspace
        self._agents = wanted.agents
        self._is_wanted, self._matches = replace(wanted, grep=None).test(), wanted.test()
        self._unread: list[Record] = []
        self._missed = 0
        self._some = asyncio.Event()

    def offer(self, record: Record) -> None:
        """A new line."""
        if record[2] != self._workspace or (self._agents is not None and record[3] not in self._agents):
            return
        if not self._is_wanted(record):
            return
        if len(self._unread) >= MAX_UNREAD:
            self._missed += 1
            return
        self._unread.append(record)
        self._some.set()

    async def take(self) -> list[LogLine]:
        """Those that came since the last time, waited for; a line that says how many are missing behind them.

        Patterns are looked for here and not in `offer`, which the agent that logs waits for: lines that a pattern will
        leave out take room until then.
        """
        await self._some.wait()
        self._some.clear()
        records, self._unread = self._unread, []
        missed, self._missed = self._missed, 0
        lines = [to_line(record) for record in records if self._matches(record)]
        if missed:
            lines.append(_gap(records[-1], missed))
        return lines


def _gap(last: Record, missed: int) -> LogLine:
    """Has the number of the line before it: who comes back with that gets what was missed, if it is still kept."""
    text = f"{missed} lines are left out here: they came faster than they were read"
    return LogLine(
        seq=last.seq, at=iso(last.at_us), agent=last.agent, replica=0, level="warn", source="host", text=text
    )
