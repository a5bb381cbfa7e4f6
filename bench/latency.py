"""Latency of one hop between two guests at a tenth of full load: `python bench/latency.py [--json]`.

Messages enter at random times (Poisson) and make ten hops each. A hop is the time from the sender's `send_message` to
the call of the receiver's handler; the rest of the sender's own handler is in it, and so is its settlement.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import uvloop
from harness import emit, machine, summary
from node import CLIENT, deploy_ring, ring_message, running_rooms, versions

from caxton.messages.codec import decode_message

if TYPE_CHECKING:
    from caxton.server.rooms import Rooms

HOPS = 10
GUESTS_DEFAULT = 1000


class Stopwatch:
    """Notes when each message is staged and when it is handed over."""

    def __init__(self, rooms: Rooms) -> None:
        self.hops_ns: list[int] = []
        self._staged_ns: dict[bytes, int] = {}
        for receiver in rooms.bus.names.receivers():
            for box in receiver.mailboxes:
                self._watch(box)

    def _watch(self, box: Any) -> None:
        turn, handler, staged, hops = box.turn, box.handler, self._staged_ns, self.hops_ns
        send, deliver = turn.send, handler.deliver
        clock = time.perf_counter_ns

        def timed_send(data: bytes) -> int:
            began = clock()
            result = send(data)
            staged[turn.sends[-1][1].body] = began
            return result

        def timed_deliver(body: bytes) -> object:
            began = staged.pop(body, None)
            if began is not None:
                hops.append(clock() - began)
            return deliver(body)

        box.handler.send_message = timed_send
        box.handler.deliver = timed_deliver


async def measure(*, guests: int, messages_per_s: int, seconds: float, body_bytes: int) -> dict[str, object]:
    """Keep `messages_per_s` hops a second going for `seconds`."""
    chance = random.Random(1)
    async with running_rooms() as rooms:
        await deploy_ring(rooms, guests)
        watch = Stopwatch(rooms)
        posted, began = 0, time.perf_counter()
        arrival = began
        while arrival - began < seconds:
            await asyncio.sleep(max(arrival - time.perf_counter(), 0))
            while arrival <= time.perf_counter():
                data = ring_message(chance.randrange(guests), size=guests, hops=HOPS, body_bytes=body_bytes)
                rooms.postbox.accept("default", CLIENT.name, decode_message(data))
                arrival += chance.expovariate(messages_per_s / (HOPS + 1))
                posted += 1
        elapsed_s = time.perf_counter() - began
        await asyncio.sleep(0.2)
        return {
            "name": "latency",
            **summary(watch.hops_ns),
            "messages_per_s": round(posted * (HOPS + 1) / elapsed_s),
            "guests": guests,
            "body_bytes": body_bytes,
            "durability": "fsync",
            "machine": machine(),
            "versions": versions(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=int, default=GUESTS_DEFAULT)
    parser.add_argument("--messages-per-s", type=int, default=12_000, help="a tenth of what bench/throughput.py gives")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--body-bytes", type=int, default=256, help="of each message's content")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = uvloop.run(
        measure(
            guests=options.guests,
            messages_per_s=options.messages_per_s,
            seconds=options.seconds,
            body_bytes=options.body_bytes,
        )
    )
    emit(result, options.json)


if __name__ == "__main__":
    main()
