"""What the broker costs: `python bench/broker.py [--json] [--calls N]`.

Calls with all checks, budgets and records: of a tool that answers at once, of one that takes a turn of the loop,
each in microseconds from asking to having the result; and how many of the first kind it does in a second.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from harness import NS_PER_S, emit, machine, summary

from caxton.observe.time import SystemClock
from caxton.tools.approvals import Approvals
from caxton.tools.audit import CallFiles, CallWriter
from caxton.tools.broker import Broker
from caxton.tools.catalogue import Catalogue
from caxton.tools.desk import ToolDesk
from caxton.tools.grants import Grant
from caxton.tools.settings import ToolSettings
from caxton.tools.source import Call, Result, ToolInfo
from caxton.tools.store import ToolStore
from caxton.tools.wanted import Pending, Wanted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SCHEMA = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "maxLength": 1000}, "limit": {"type": "integer", "minimum": 1},
        "language": {"enum": ["en", "de"]}, "site": {"type": "string"},
    },
    "required": ["query"],
    "additionalProperties": False,
}  # fmt: skip
OUTPUT = {"type": "object", "properties": {"found": {"type": "array", "items": {"type": "string"}}}}
ARGUMENTS = b'{"query":"how much does it cost","limit":10,"language":"en"}'


class Journal:
    """None: what is written goes nowhere."""

    def __init__(self) -> None:
        self.sources: list[Any] = []

    def add(self, sql: str, *row: object) -> None: ...

    def touch(self) -> None: ...


class Echo:
    """Answers at once, or after a turn of the loop."""

    def __init__(self, *, is_slow: bool) -> None:
        self.name, self._is_slow = "web", is_slow
        self._result = Result(
            content=[{"type": "text", "text": '{"found":["one","two"]}'}], structured={"found": ["one", "two"]}
        )

    async def list_tools(self) -> list[ToolInfo]:
        return [ToolInfo(name="search", description="Searches.", input_schema=SCHEMA, output_schema=OUTPUT)]

    def call(self, call: Call) -> Result | Awaitable[Result]:
        return self._later() if self._is_slow else self._result

    async def _later(self) -> Result:
        await asyncio.sleep(0)
        return self._result

    def view(self) -> dict[str, Any]:
        return {}

    def on_change(self, tell: Callable[[], None]) -> None: ...

    async def close(self) -> None: ...


async def run(calls: int, folder: Path) -> dict[str, object]:
    clock, store = SystemClock(), ToolStore(Journal(), lambda _sql, _row: [])
    catalogue = Catalogue(store, clock)
    broker = Broker(catalogue, Approvals(clock), store, clock, CallWriter(CallFiles(folder)))
    for name, is_slow in (("web", False), ("slow", True)):
        broker.add("default", ToolSettings(name=name, kind="builtin", rate_per_s=1e6), Echo(is_slow=is_slow))
    broker.grant("default", "a", Grant(required=("web.*", "slow.*"), calls_per_s=1e6, max_calls=10 * calls))
    await ToolDesk(broker).ask_all("default")
    at_once = [await once(broker, "web.search", n) for n in range(calls)]
    later = [await once(broker, "slow.search", n) for n in range(calls)]
    began = time.perf_counter_ns()
    for n in range(calls):
        broker.call(Wanted(workspace="default", agent="a", tool="web.search", arguments=ARGUMENTS, key=str(n)))
        if n % 100 == 0:
            await asyncio.sleep(0)
    per_s = calls * NS_PER_S // (time.perf_counter_ns() - began)
    unwritten = 0 if broker.writer is None else broker.writer.unwritten
    await broker.aclose()
    return {
        "bench": "broker", "at_once": summary(at_once), "one_turn": summary(later), "calls_per_s": per_s,
        "records_left_out": unwritten, "machine": machine(),
    }  # fmt: skip


async def once(broker: Broker, tool: str, n: int) -> int:
    began = time.perf_counter_ns()
    answer = broker.call(Wanted(workspace="default", agent="a", tool=tool, arguments=ARGUMENTS, key=str(n)))
    if isinstance(answer, Pending):
        done = asyncio.get_running_loop().create_future()
        answer.when_done(lambda: done.set_result(None))
        await done
        answer = answer.result
    took = time.perf_counter_ns() - began
    assert isinstance(answer, bytes), answer
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--calls", type=int, default=50_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        emit(uvloop.run(run(asked.calls, Path(folder))), asked.json)


if __name__ == "__main__":
    main()
