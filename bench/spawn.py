"""Time to make an instance of a guest that can take a message: `python bench/spawn.py [--json]`.

Store, limits, instance, driver, memory view and the agent's own start (`agent_init` if there is one), from a module
that is compiled already; and beside it the same without Caxton, through the `wasmtime` package's own classes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
import wasmtime
from harness import emit, machine, summary
from node import EXAMPLES, deploy, running_rooms, versions

from caxton.agents.tools import NoTools, ToolDoor
from caxton.agents.wasm_runner import WasmRunner
from caxton.bus.turn import Turn
from caxton.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable


def timed(make: Callable[[], Any], end: Callable[[Any], None], count: int) -> list[int]:
    """Nanoseconds of each `make()`; `end` is called outside of the time."""
    times: list[int] = []
    for _ in range(count):
        began = time.perf_counter_ns()
        made = make()
        times.append(time.perf_counter_ns() - began)
        end(made)
    return times


def plain_wasmtime(count: int) -> list[int]:
    """Store and instance through the package's classes, imports defined once."""
    engine = wasmtime.Engine()
    module = wasmtime.Module(engine, Path(EXAMPLES / "echo.wasm").read_bytes())
    linker = wasmtime.Linker(engine)
    linker.define_unknown_imports_as_traps(module)
    prepared = linker.instantiate_pre(module) if hasattr(linker, "instantiate_pre") else None

    def make() -> object:
        store = wasmtime.Store(engine)
        instance = prepared.instantiate(store) if prepared else linker.instantiate(store, module)
        return store, instance

    return timed(make, lambda _: None, count)


async def measure(count: int) -> dict[str, object]:
    async with running_rooms() as rooms:
        await deploy(rooms, "echo", "echo")
        box = rooms.bus.names.directory("default").receivers["echo"].mailboxes[0]
        module: Any = box.handler.guest.module

        tools = ToolDoor(NoTools(), rooms.bus.flight, rooms.clock)

        def make() -> WasmRunner:
            runner = WasmRunner(module, Limits(), Turn(rooms.bus, box), rooms.log, rooms.clock, tools)
            for _ in runner.boot():
                pass
            return runner

        timed(make, WasmRunner.close, count // 10)
        times = timed(make, WasmRunner.close, count)
    plain = summary(plain_wasmtime(count))
    return {
        "name": "spawn",
        **summary(times),
        "plain_wasmtime_median": plain["median"],
        "plain_wasmtime_p99": plain["p99"],
        "machine": machine(),
        "versions": versions(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    emit(uvloop.run(measure(options.count)), options.json)


if __name__ == "__main__":
    main()
