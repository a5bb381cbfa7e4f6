"""Ray core: two actors, each a process of its own, on a local cluster that listens on loopback only."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import deque
from importlib.metadata import version
from time import perf_counter_ns
from typing import Any

# Read at import. The second, whatever its name says, works on Linux too: without it Ray takes the machine's
# own address in place of 127.0.0.1, and its processes listen on every interface.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

import ray
from rounds import (
    ANSWER_TIMEOUT_S,
    THROUGHPUT_NS,
    WINDOW,
    body,
    check,
    latency,
    messages_per_s,
    report,
    round_trips,
)

OBJECT_STORE_BYTES = 80 * 2**20
"""Ray's smallest allowed store is 75 MiB; bodies of 64 bytes travel inline and never reach it."""


@ray.remote(num_cpus=0)
class Pong:
    """Returns every ball."""

    def echo(self, sent: str) -> str:
        return sent


@ray.remote(num_cpus=0)
class Ping:
    """Plays both games from inside its own process, so that only actor calls are measured."""

    def __init__(self, pong: Any) -> None:
        self._pong = pong

    def latency(self, n: int) -> list[int]:
        return latency(lambda sent: ray.get(self._pong.echo.remote(sent), timeout=ANSWER_TIMEOUT_S), n)

    def rate(self) -> float:
        flying: deque[tuple[str, ray.ObjectRef]] = deque()
        start = perf_counter_ns()
        deadline = start + THROUGHPUT_NS
        trips = 0
        while perf_counter_ns() < deadline or flying:
            while len(flying) < WINDOW and perf_counter_ns() < deadline:
                sent = body(trips + len(flying))
                flying.append((sent, self._pong.echo.remote(sent)))
            sent, answer = flying.popleft()
            check(sent, ray.get(answer, timeout=ANSWER_TIMEOUT_S))
            trips += 1
        return messages_per_s(trips, perf_counter_ns() - start)


def main() -> None:
    n = round_trips()
    ray.init(
        address="local",
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
        _node_ip_address="127.0.0.1",
        _temp_dir=os.path.join(tempfile.gettempdir(), "ray"),
    )
    try:
        ping = Ping.remote(Pong.remote())
        samples_ns: list[int] = ray.get(ping.latency.remote(n))
        rate: float = ray.get(ping.rate.remote())
    finally:
        ray.shutdown()
    report("ray", samples_ns, rate, WINDOW, {"ray": version("ray")})


if __name__ == "__main__":
    main()
