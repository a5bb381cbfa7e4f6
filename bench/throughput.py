"""Messages a second around a ring of guests, durable journal on: `python bench/throughput.py [--json]`.

Every hop is a real message: decoded, routed, encoded again, handed over and settled; the journal commits what it finds
unsettled each 50 ms with fsync. `median` and `p99` are microseconds a message over windows of a tenth of a second. One
row for each number of messages in flight: the shorter the queues, the fewer messages a commit finds to write.
`cpu_cores` is what the process used, all its threads together; with `--core` it cannot have more than one.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import uvloop
from harness import busy_cores, emit, machine, summary
from node import deploy_ring, pin, post_all, ring_message, running_rooms, versions

WINDOW_S = 0.1
ENDLESS = 1_000_000_000


async def measure(
    *, guests: int, in_flight: int, body_bytes: int, warm_up_s: float, seconds: float
) -> dict[str, object]:
    """Run the ring for `seconds` after warming up."""
    async with running_rooms() as rooms:
        await deploy_ring(rooms, guests)
        await post_all(
            rooms, (ring_message(n, size=guests, hops=ENDLESS, body_bytes=body_bytes) for n in range(in_flight))
        )
        await asyncio.sleep(warm_up_s)
        windows_ns: list[int] = []
        began, settled, rows = time.perf_counter_ns(), rooms.bus.settled, rooms.journal.rows_written
        cpu = time.process_time()
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
            "cpu_cores": round((time.process_time() - cpu) / elapsed_s, 2),
            "guests": guests,
            "in_flight": in_flight,
            "body_bytes": body_bytes,
            "durability": "fsync",
            "failures": rooms.bus.failures,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[100, 10_000], help="one row for each")
    parser.add_argument("--body-bytes", type=int, default=256, help="of each message's content")
    parser.add_argument("--core", type=int, help="keep the whole process on this processor")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args()
    pinned = pin(options.core)
    for in_flight in options.in_flight:
        busy = busy_cores(0.5)
        row = uvloop.run(
            measure(
                guests=options.guests,
                in_flight=in_flight,
                body_bytes=options.body_bytes,
                warm_up_s=options.warm_up,
                seconds=options.seconds,
            )
        )
        emit(row | {"pinned": pinned, "busy_cores": busy, "machine": machine(), "versions": versions()}, options.json)


if __name__ == "__main__":
    main()
