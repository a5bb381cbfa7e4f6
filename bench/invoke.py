"""Time of a REST request that asks a guest and returns its reply: `python bench/invoke.py [--json]`.

One connection, one request at a time, against a real server process. Beside it a route of the same server that does
nothing (`/health`) and one that checks the token as well (`/api/v1/agents/echo`); `over_bare` is the difference of the
medians to the first. The reply waits for a commit with fsync, `fsync_median` is what the disk takes for one.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

from harness import emit, machine, summary
from node import versions
from served import Connection, running_server


def times(connection: Connection, request: bytes, count: int) -> list[int]:
    """Nanoseconds of each exchange."""
    taken: list[int] = []
    for _ in range(count):
        began = time.perf_counter_ns()
        status, body = connection.exchange(request)
        taken.append(time.perf_counter_ns() - began)
        if status != 200:
            raise SystemExit(f"{status}: {body[:200]!r}")
    return taken


def fsync_times(count: int) -> list[int]:
    """Nanoseconds of writing and syncing one page, where temporary files lie."""
    taken: list[int] = []
    with tempfile.TemporaryFile() as file:
        for _ in range(count):
            began = time.perf_counter_ns()
            os.pwrite(file.fileno(), bytes(4096), 0)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter_ns() - began)
    return taken


def measure(count: int) -> dict[str, object]:
    with running_server() as server:
        connection = Connection(server)
        connection.deploy("echo", "echo")
        invoke = connection.request_bytes("POST", "/api/v1/agents/echo/invoke", b'{"ping": 1}')
        bare = connection.request_bytes("GET", "/health")
        known = connection.request_bytes("GET", "/api/v1/agents/echo")
        for request in (bare, known, invoke):
            times(connection, request, count // 10)
        bare_us, known_us, invoke_us = (summary(times(connection, r, count)) for r in (bare, known, invoke))
        connection.close()
    return {
        "name": "invoke",
        **invoke_us,
        "over_bare": round(invoke_us["median"] - bare_us["median"], 1),
        "bare_median": bare_us["median"],
        "bare_p99": bare_us["p99"],
        "agent_view_median": known_us["median"],
        "fsync_median": summary(fsync_times(200))["median"],
        "durability": "fsync",
        "machine": machine(),
        "versions": versions(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    emit(measure(options.count), options.json)


if __name__ == "__main__":
    main()
