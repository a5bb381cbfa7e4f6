"""What every bench shares: a description of the machine, the summary of many samples, one way to print.

Standard library only, because the peers under `bench/peers/` import it from interpreters where Caxton is not
installed. It measures nothing itself: a bench takes its own times, with `time.perf_counter_ns`.
"""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NS_PER_US = 1_000
NS_PER_S = 1_000_000_000


class Machine(TypedDict):
    """Where a figure was taken."""

    cpu: str
    """The processor's own name, or its architecture where the system does not say."""
    cores: int
    """Processors this process may run on."""
    memory_gib: NotRequired[float]
    """Absent where the system does not say."""
    kernel: str
    python: str


class Summary(TypedDict):
    """Many samples in three numbers; merged as they are into the object that a bench prints."""

    unit: str
    """Of `median` and `p99`: always `us`."""
    n: int
    """How many samples there were."""
    median: float
    p99: float


def machine() -> Machine:
    """Describe this machine and interpreter."""
    found: Machine = {
        "cpu": _cpu_model(),
        "cores": _usable_cores(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    memory_gib = _memory_gib()
    if memory_gib is not None:
        found["memory_gib"] = memory_gib
    return found


def summary(samples_ns: Sequence[int]) -> Summary:
    """Median and 99th percentile of times in nanoseconds, given in microseconds.

    Both are samples that occurred (nearest rank), not values interpolated between two.

    Raises:
        ValueError: there is no sample.
    """
    if not samples_ns:
        raise ValueError("no samples: nothing was measured")
    ordered = sorted(samples_ns)
    return {
        "unit": "us",
        "n": len(ordered),
        "median": _rank_us(ordered, 50),
        "p99": _rank_us(ordered, 99),
    }


def busy_cores(window_s: float) -> float:
    """How many processors this machine kept busy during the next `window_s`, while this process sleeps.

    Called before measuring, it tells a quiet machine from one that somebody else uses. 0 where the system
    does not say (not Linux).
    """
    idle_before, all_before = _processor_ticks()
    time.sleep(window_s)
    idle, total = _processor_ticks()
    passed = total - all_before
    return round((1 - (idle - idle_before) / passed) * (os.cpu_count() or 1), 2) if passed else 0.0


def emit(result: Mapping[str, object], as_json: bool) -> None:
    """Print a bench's result: one JSON object on one line, or a line for each key for human eyes."""
    if as_json:
        print(json.dumps(result), flush=True)
        return
    width = max(map(len, result), default=0)
    for key, value in result.items():
        print(f"{key:<{width}}  {_for_eyes(value)}", flush=True)


def _rank_us(ordered_ns: Sequence[int], percent: int) -> float:
    """The smallest sample that at least `percent` per cent of all samples do not exceed."""
    rank = -(-len(ordered_ns) * percent // 100)
    return round(ordered_ns[rank - 1] / NS_PER_US, 3)


def _for_eyes(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        parts = cast("dict[object, object]", value)
        return ", ".join(f"{key} {part}" for key, part in parts.items())
    return str(value)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor_ticks() -> tuple[int, int]:
    """Idle time and all time of all processors since the start of the system, in ticks."""
    try:
        line = Path("/proc/stat").read_text(encoding="utf-8").partition("\n")[0]
    except OSError:
        return 0, 0
    # user nice system idle iowait irq softirq steal; guest time is in user already
    ticks = [int(field) for field in line.split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def _cpu_model() -> str:
    return _proc_value("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    total = _proc_value("/proc/meminfo", "MemTotal")
    return round(int(total.split()[0]) / 2**20, 1) if total else None


def _proc_value(path: str, key: str) -> str:
    """The first value of `key` in a `key : value` file; empty where there is none (not Linux)."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
