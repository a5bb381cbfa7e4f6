"""Messages a second around a ring of guests, durable journal on: `python bench/throughput.py [--json]`.

Every hop is a real message: decoded, routed, encoded again, handed over and settled; the journal commits what it finds
unsettled each 50 ms with fsync. `median` and `p99` are microseconds a message over windows of a tenth of a second.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import uvloop
from harness import emit, machine, summary
from node import deploy_ring, post, ring_message, running_rooms, versions

WINDOW_S = 0.1
ENDLESS = 1_000_000_000


async def measure(*, guests: int, in_flight: int, body_bytes: int, seconds: float) -> dict[str, object]:
    """Run the ring for `seconds` after a second of warming up."""
    async with running_rooms() as rooms:
        await deploy_ring(rooms, guests)
        for n in range(in_flight):
            await post(rooms, ring_message(n, size=guests, hops=ENDLESS, body_bytes=body_bytes))
        await asyncio.sleep(1.0)
        windows_ns: list[int] = []
        began, settled, rows = time.perf_counter_ns(), rooms.bus.settled, rooms.journal.rows_written
        at, seen = began, settled
        while at - began < seconds * 1e9:
            await asyncio.sleep(WINDOW_S)
            now, count = time.perf_counter_ns(), rooms.bus.settled
            windows_ns.append((now - at) // max(count - seen, 1))
            at, seen = now, count
        messages, elapsed_s = seen - settled, (at - began) / 1e9
        return {
            "name": "throughput",
            **summary(windows_ns),
            "messages": messages,
            "messages_per_s": round(messages / elapsed_s),
            "rows_per_message": round((rooms.journal.rows_written - rows) / messages, 4),
            "guests": guests,
            "in_flight": in_flight,
            "body_bytes": body_bytes,
            "durability": "fsync",
            "failures": rooms.bus.failures,
            "machine": machine(),
            "versions": versions(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=int, default=100)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--body-bytes", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = uvloop.run(
        measure(
            guests=options.guests,
            in_flight=options.in_flight,
            body_bytes=options.body_bytes,
            seconds=options.seconds,
        )
    )
    emit(result, options.json)


if __name__ == "__main__":
    main()
