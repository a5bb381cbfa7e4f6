"""Extism's Python host: one synchronous call into one guest, which copies its input to its output.

There is no second agent and no router here: a round trip is one guest call, counted as one message.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from time import perf_counter_ns

import extism
from rounds import THROUGHPUT_NS, body, check, latency, per_s, report, round_trips

GUEST = Path(__file__).with_name("echo.wat")


def rate(plugin: extism.Plugin) -> float:
    """Guest calls per second, one after another: a plug-in takes one call at a time."""
    start = perf_counter_ns()
    deadline = start + THROUGHPUT_NS
    calls = 0
    while perf_counter_ns() < deadline:
        sent = body(calls)
        check(sent, plugin.call("echo", sent).decode())
        calls += 1
    return per_s(calls, perf_counter_ns() - start)


def main() -> None:
    n = round_trips()
    with extism.Plugin(GUEST.read_bytes()) as plugin:
        samples_ns = latency(lambda sent: plugin.call("echo", sent).decode(), n)
        calls_per_s = rate(plugin)
    versions = {"extism": version("extism"), "runtime": extism.extism_version()}
    report("extism", samples_ns, calls_per_s, 1, versions)


if __name__ == "__main__":
    main()
