"""A source, a journal and a clock that tests turn by hand, and a broker with them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from caxton.tools.approvals import Approvals
from caxton.tools.broker import Broker
from caxton.tools.catalogue import Catalogue
from caxton.tools.desk import ToolDesk
from caxton.tools.grants import Grant
from caxton.tools.settings import ToolSettings
from caxton.tools.source import Result, SourceDown, ToolInfo
from caxton.tools.store import ToolStore
from caxton.tools.wanted import Pending, Wanted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from caxton.storage.database import Row
    from caxton.tools.source import Call, Outcome

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
    "additionalProperties": False,
}
SEARCH = ToolInfo(name="search", description="Searches.", input_schema=SCHEMA)
FOUND = Result(content=[{"type": "text", "text": "found"}])
ANSWER = b'{"content":[{"type":"text","text":"found"}]}'
GOOD = b'{"query":"x"}'
DAY_US = 1_900_000_000_000_000


class HandClock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall_us(self) -> int:
        return DAY_US + int((self.now - 1000) * 1e6)

    steady_us = wall_us


class Rows:
    """A journal that keeps statements in memory and says what they made, as far as the tools ask for it."""

    def __init__(self) -> None:
        self.sources: list[Any] = []
        self.written: list[tuple[str, Row]] = []
        self.stored: dict[str, list[Row]] = {}

    def add(self, sql: str, *row: object) -> None:
        self.written.append((sql, row))

    def touch(self) -> None: ...

    def read(self, sql: str, row: Row) -> list[Row]:
        return []


class FakeSource:
    """Answers as it is told: outcomes in turn, the last one for ever; a future is awaited."""

    def __init__(self, name: str, *tools: ToolInfo, outcomes: list[Any] | None = None) -> None:
        self.name, self.tools = name, list(tools)
        self.outcomes: deque[Any] = deque(outcomes or [FOUND])
        self.calls: list[Call] = []
        self.listings = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_closed = False
        self.state = "idle"
        self.tell: Callable[[], None] = lambda: None

    async def list_tools(self) -> list[ToolInfo]:
        self.listings += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return list(self.tools)

    def call(self, call: Call) -> Outcome | Awaitable[Outcome]:
        self.calls.append(call)
        outcome: Any = self.outcomes[0] if len(self.outcomes) == 1 else self.outcomes.popleft()
        if isinstance(outcome, Exception):
            raise outcome
        made: Any = outcome() if callable(outcome) else outcome
        return made

    def view(self) -> dict[str, Any]:
        return {"state": self.state}

    def on_change(self, tell: Callable[[], None]) -> None:
        self.tell = tell

    async def close(self) -> None:
        self.is_closed = True


class Scene:
    """A broker with one source `web`, and the agent `a`, who may call all of it."""

    def __init__(
        self, *tools: ToolInfo, outcomes: list[Any] | None = None, rows: Rows | None = None,
        read: Callable[[str, Row], list[Row]] | None = None, grant: Grant | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        self.clock, self.rows = HandClock(), rows or Rows()
        self.store = ToolStore(self.rows, read or self.rows.read)
        self.catalogue = Catalogue(self.store, self.clock)
        self.approvals = Approvals(self.clock)
        self.broker = Broker(self.catalogue, self.approvals, self.store, self.clock)
        self.desk = ToolDesk(self.broker)
        self.source = FakeSource("web", *(tools or (SEARCH,)), outcomes=outcomes)
        self.broker.add(
            "default", ToolSettings(name="web", kind=settings.pop("kind", "stdio"), **settings), self.source
        )
        self.broker.grant("default", "a", grant or Grant(required=("web.*",)))

    async def listed(self) -> Scene:
        """Its tools are known."""
        await self.desk.ask("default", "web")
        return self

    def call(self, arguments: bytes = GOOD, **more: Any) -> bytes | int | Pending:
        facts: dict[str, Any] = {"workspace": "default", "agent": "a", "tool": "web.search", "key": "k", **more}
        return self.broker.call(Wanted(arguments=arguments, **facts))

    def outcomes(self) -> list[str]:
        return [record.outcome for record in self.tool().records]

    def tool(self, name: str = "web.search") -> Any:
        return self.catalogue.tool("default", name)


async def result_of(answer: bytes | int | Pending) -> bytes | int:
    """What came of a call, at last."""
    if not isinstance(answer, Pending):
        return answer
    done = asyncio.Event()
    answer.when_done(done.set)
    async with asyncio.timeout(5):
        await done.wait()
    assert answer.result is not None
    return answer.result


def waiting(answer: bytes | int | Pending) -> Pending:
    """A call that goes on."""
    assert isinstance(answer, Pending)
    assert answer.result is None
    return answer


def down(reason: str = "it is gone") -> SourceDown:
    return SourceDown(reason)
