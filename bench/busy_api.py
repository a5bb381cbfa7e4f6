"""What the API still does while the bus is saturated: `python bench/busy_api.py [--json]`.

A ring of guests keeps a hundred messages in flight; meanwhile several connections ask `/api/v1/health`, each
one request at a time. `median` and `p99` are microseconds a request; `requests_per_s` is over all connections.
"""

from __future__ import annotations

import argparse
import threading
import time

from harness import emit, machine, summary
from node import ring_message, versions
from served import Connection, Server, running_server

GUESTS = 100
IN_FLIGHT = 100
ENDLESS = 1_000_000_000


def saturate(connection: Connection) -> None:
    for n in range(GUESTS):
        connection.deploy("ring", f"ring-{n}")
    for n in range(IN_FLIGHT):
        data = ring_message(n, size=GUESTS, hops=ENDLESS, body_bytes=64)
        status, body = connection.exchange(connection.request_bytes("POST", "/api/v1/messages", data))
        if status != 202:
            raise SystemExit(f"{status}: {body!r}")


def ask(server: Server, until: float, taken: list[int]) -> None:
    """Ask again and again until `until` (monotonic); the times go to `taken`."""
    connection = Connection(server)
    request = connection.request_bytes("GET", "/api/v1/health")
    while time.monotonic() < until:
        began = time.perf_counter_ns()
        connection.exchange(request)
        taken.append(time.perf_counter_ns() - began)
    connection.close()


def measure(connections: int, seconds: float) -> dict[str, object]:
    with running_server() as server:
        control = Connection(server)
        saturate(control)
        time.sleep(1.0)
        before, began = control.call("GET", "/api/v1/health")["messages_handled"], time.monotonic()
        taken: list[list[int]] = [[] for _ in range(connections)]
        threads = [threading.Thread(target=ask, args=(server, began + seconds, part)) for part in taken]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed_s = time.monotonic() - began
        handled = control.call("GET", "/api/v1/health")["messages_handled"] - before
        control.close()
    every = [ns for part in taken for ns in part]
    return {
        "name": "busy_api",
        **summary(every),
        "requests_per_s": round(len(every) / elapsed_s),
        "connections": connections,
        "messages_per_s": round(handled / elapsed_s),
        "machine": machine(),
        "versions": versions(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    emit(measure(options.connections, options.seconds), options.json)


if __name__ == "__main__":
    main()
