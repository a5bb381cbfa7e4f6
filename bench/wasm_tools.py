"""What the sandbox adds to a call of a tool: `python bench/wasm_tools.py [--json]`.

The source alone, without the broker: a call of `count` of `examples/tools/word_count.wasm` on an instance that runs
already, one after the other (`median`, `p99`) and many at once (`calls_per_s`). `start_*` is a source's first call: its
compiled module is loaded, an instance made, hands are shaken. `loop_*` is how long other work of the event loop waited
for its turn while one tool computed without end.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING

import uvloop
import wasmtime
from harness import NS_PER_S, emit, machine, summary
from node import EXAMPLES, versions

from caxton.sandbox.engine import Engine
from caxton.sandbox.wasi_command import Allowed, CommandModule
from caxton.tools.source import Call, Result
from caxton.tools.wasm.slices import Slices
from caxton.tools.wasm.wasi_source import WasiSettings, WasiSource

if TYPE_CHECKING:
    from pathlib import Path

WORD_COUNT = EXAMPLES / "tools" / "word_count.wasm"
HOSTILE = EXAMPLES.parent / "tests" / "guests" / "hostile_tool.wasm"
AT_ONCE = 10
SPIN_S = 1.0


def source(engine: Engine, path: Path, *, cpu_time_s: float = 5.0) -> WasiSource:
    compiled = bytes(wasmtime.Module(engine.wasmtime_engine, path.read_bytes()).serialize())

    async def load() -> CommandModule:
        return CommandModule(engine, compiled)

    settings = WasiSettings(allowed=Allowed(cpu_time_s=cpu_time_s), concurrency=AT_ONCE)
    return WasiSource("bench", load, Slices(engine), settings, hear=lambda _: None)


def a_call(tool: str) -> Call:
    return Call(
        tool=tool,
        arguments={"text": "one two three"} if tool == "count" else {},
        workspace="default",
        agent="bench",
        key="0" * 64,
        until=time.monotonic() + 60,
    )


async def timed(tools: WasiSource, count: int) -> list[int]:
    """Nanoseconds of each call."""
    times: list[int] = []
    for _ in range(count):
        call, began = a_call("count"), time.perf_counter_ns()
        outcome = await tools.call(call)
        times.append(time.perf_counter_ns() - began)
        if not isinstance(outcome, Result):
            raise SystemExit(f"the tool did not answer: {outcome}")
    return times


async def first_calls(engine: Engine, count: int) -> list[int]:
    times: list[int] = []
    for _ in range(count):
        tools = source(engine, WORD_COUNT)
        times += await timed(tools, 1)
        await tools.close()
    return times


async def many_at_once(tools: WasiSource, count: int) -> float:
    """Calls in a second."""
    began = time.perf_counter_ns()
    await asyncio.gather(*(timed(tools, count // AT_ONCE) for _ in range(AT_ONCE)))
    return count / (time.perf_counter_ns() - began) * NS_PER_S


async def waits_beside_a_spin(engine: Engine) -> list[int]:
    """Nanoseconds between two rounds of the loop."""
    tools, times = source(engine, HOSTILE, cpu_time_s=SPIN_S), list[int]()
    spin = asyncio.ensure_future(tools.call(a_call("spin")))
    while not spin.done():
        began = time.perf_counter_ns()
        await asyncio.sleep(0)
        times.append(time.perf_counter_ns() - began)
    await tools.close()
    return times


async def measure(count: int) -> dict[str, object]:
    engine = Engine()
    tools = source(engine, WORD_COUNT)
    await timed(tools, count // 10)
    warm = await timed(tools, count)
    await many_at_once(tools, count // 10)
    per_s = await many_at_once(tools, count)
    await tools.close()
    start, loop = summary(await first_calls(engine, count // 20)), summary(await waits_beside_a_spin(engine))
    engine.close()
    return {
        "name": "wasm_tools",
        **summary(warm),
        "calls_per_s": round(per_s),
        "start_median": start["median"],
        "start_p99": start["p99"],
        "loop_median": loop["median"],
        "loop_p99": loop["p99"],
        "machine": machine(),
        "versions": versions(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--count", type=int, default=20_000)
    options = parser.parse_args()
    emit(uvloop.run(measure(options.count)), options.json)


if __name__ == "__main__":
    main()
