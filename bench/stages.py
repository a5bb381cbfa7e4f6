"""What one message costs, stage by stage: `python bench/stages.py [--json]`; microseconds a message on one core.

The ring of `bench/throughput.py` runs for a while; that gives the whole, as CPU time of the process for each message.
Then the pump is stopped and the same messages are moved on by hand, through the same functions and the same guests, one
stage for all of them after the other: each stage is timed over the whole lot, so that no clock is read between two
messages. A stage is the median of its rounds. `sum` is all stages together, `unaccounted` what the whole has beyond it:
caches that are warmer when one stage runs alone, the event loop, the epoch's ticker, threads changing over.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

import uvloop
from harness import busy_cores, emit, machine
from node import deploy_ring, pin, post_all, ring_message, running_rooms, versions

from caxton.messages.codec import decode_message, encode_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.server.rooms import Rooms

ENDLESS = 1_000_000_000
ROUNDS = 200


class Stages:
    """Samples of each stage, in nanoseconds a message."""

    def __init__(self) -> None:
        self._samples: dict[str, list[float]] = {}

    def time(self, stage: str, work: Callable[[Any], object], items: list[Any]) -> list[Any]:
        """Do `work` with each of `items`; returns what it gave."""
        began = time.perf_counter_ns()
        results = [work(item) for item in items]
        self.note(stage, (time.perf_counter_ns() - began) / len(items))
        return results

    def note(self, stage: str, nanoseconds: float) -> None:
        self._samples.setdefault(stage, []).append(nanoseconds)

    def us(self, stage: str) -> float:
        return statistics.median(self._samples[stage]) / 1000


class ByHand:
    """Moves the messages that wait in a ring's mailboxes on, one stage after the other."""

    def __init__(self, rooms: Rooms, stages: Stages) -> None:
        self._bus, self._journal, self._database = rooms.bus, rooms.journal, rooms.database
        self._stages = stages
        self._boxes: list[Any] = [box for receiver in rooms.bus.names.receivers() for box in receiver.mailboxes]
        self._sent: list[bytes] = []
        self._real: dict[int, tuple[Any, Any]] = {}

    def hop(self) -> None:
        """Every waiting message goes one agent further."""
        stages, bus = self._stages, self._bus
        waiting = self._take()
        self._listen(waiting)
        stages.time("call and write", _deliver, waiting)
        sent, self._sent = self._sent, []
        stages.time("write", self._copy, [(*pair, data) for pair, data in zip(waiting, sent, strict=True)])
        messages = stages.time("decode", decode_message, sent)
        stages.time("encode", encode_message, messages)
        for box, envelope in waiting:
            box.turn.begin(envelope, bus.now_us())
        stages.time(
            "send",
            lambda item: item[0].turn.send(item[1]),
            [(pair[0], d) for pair, d in zip(waiting, sent, strict=True)],
        )
        born = [box.turn.sends[0][1] for box, _ in waiting]
        stages.time("journal", self._in_and_out, born)
        stages.time("settle and journal", lambda pair: bus._settle(pair[0], pair[0].turn), waiting)
        for box in self._boxes:  # nobody stands in line: they are looked through
            box.queued = False
        bus.queues.ready.clear()

    def pump(self) -> None:
        """The pump's own part: the same messages through handlers that do nothing, less the settling of nothing."""
        stages, bus = self._stages, self._bus
        waiting = self._take()
        for box, envelope in waiting:
            box.turn.begin(envelope, bus.now_us())
            self._count(box, envelope)
        stages.time("settle nothing", lambda pair: bus._settle(pair[0], pair[0].turn), waiting)
        for box, envelope in waiting:
            envelope.settled_us = 0
            self._count(box, envelope)
            bus.queues.enqueue(box.receiver, envelope)
            box.handler.deliver = _nothing
        bus.is_draining = False
        began = time.perf_counter_ns()
        while bus.has_work:
            bus.pump(0.0015)
        stages.note("pump and settle nothing", (time.perf_counter_ns() - began) / len(waiting))
        bus.is_draining = True
        for box, envelope in waiting:  # as before: they wait, unsettled
            envelope.settled_us = 0
            box.receiver.messages += 1
            box.receiver.bytes += len(envelope.body)
            box.inbox.put(envelope)

    def commit(self) -> None:
        """What one row costs, both threads together: gathered on the loop, then written."""
        stages, journal = self._stages, self._journal
        waiting = self._take()
        for box, envelope in waiting:
            box.inbox.put(envelope)
            envelope.written = False
            journal.born[envelope.seq] = envelope
        written = threading.Event()
        cpu = time.process_time_ns()
        self._database.write(journal._take(), lambda _: written.set())
        written.wait()
        stages.note("row in", (time.process_time_ns() - cpu) / len(waiting))
        for _, envelope in waiting:
            journal.settle(envelope, 1)
            envelope.settled_us = 0
        written.clear()
        cpu = time.process_time_ns()
        self._database.write(journal._take(), lambda _: written.set())
        written.wait()
        stages.note("row out", (time.process_time_ns() - cpu) / len(waiting))
        for _, envelope in waiting:
            envelope.written = False

    def _take(self) -> list[tuple[Any, Any]]:
        return [(box, box.inbox.take()) for box in self._boxes if box.inbox]

    def _listen(self, waiting: list[tuple[Any, Any]]) -> None:
        def listen(data: bytes) -> int:
            self._sent.append(data)
            return 0

        for box, _ in waiting:
            if id(box) not in self._real:
                box.handler.send_message = listen
                self._real[id(box)] = box.handler, box.handler.guest.call("caxton_alloc", 2048)

    def _copy(self, item: tuple[Any, Any, bytes]) -> None:
        """As a hop does: the message into the guest's memory, what it sends out of it."""
        box, envelope, data = item
        guest, region = box.handler.guest, self._real[id(box)][1]
        guest.write(region, envelope.body)
        guest.read(region, len(data))

    def _in_and_out(self, envelope: Any) -> None:
        """Born and settled between two commits."""
        self._journal.born[envelope.seq] = envelope
        self._journal.settle(envelope, 1)
        envelope.settled_us = 0

    def _count(self, box: Any, envelope: Any) -> None:
        """As accepted: settling gives its room back."""
        box.receiver.messages += 1
        box.receiver.bytes += len(envelope.body)


def _deliver(pair: tuple[Any, Any]) -> None:
    """To its end, though a machine that does other things meanwhile may cut it into slices."""
    handler, body = pair[0].handler, pair[1].body
    result = handler.deliver(body)
    while result is None:
        result = handler.resume()


def _nothing(_body: bytes) -> int:
    return 0


async def measure(*, guests: int, in_flight: int, body_bytes: int, seconds: float) -> dict[str, object]:
    """The whole first, then its parts."""
    async with running_rooms() as rooms:
        await deploy_ring(rooms, guests)
        await post_all(
            rooms, (ring_message(n, size=guests, hops=ENDLESS, body_bytes=body_bytes) for n in range(in_flight))
        )
        await asyncio.sleep(2.0)
        settled, rows, cpu = rooms.bus.settled, rooms.journal.rows_written, time.process_time()
        await asyncio.sleep(seconds)
        messages = rooms.bus.settled - settled
        whole_us = (time.process_time() - cpu) / messages * 1e6
        rows_per_message = (rooms.journal.rows_written - rows) / messages
        rooms.bus.is_draining = True
        await rooms.journal.commit()
        stages = Stages()
        by_hand = ByHand(rooms, stages)
        for _ in range(ROUNDS):
            by_hand.hop()
        for _ in range(ROUNDS // 4):
            by_hand.commit()
            by_hand.pump()
    us = stages.us
    parts = {
        "decode": us("decode"),
        "route": us("send") - us("decode") - us("encode"),
        "encode": us("encode"),
        "write": us("write"),
        "call": us("call and write") - us("write"),
        "settle": us("settle and journal") - us("journal"),
        "journal": us("journal") + (us("row in") + us("row out")) / 2 * rows_per_message,
        "pump": us("pump and settle nothing") - us("settle nothing"),
    }
    return {
        "name": "stages",
        "unit": "us",
        "n": ROUNDS * in_flight,
        **{stage: round(value, 2) for stage, value in parts.items()},
        "sum": round(sum(parts.values()), 2),
        "whole": round(whole_us, 2),
        "unaccounted": round(whole_us - sum(parts.values()), 2),
        "row_in": round(us("row in"), 2),
        "row_out": round(us("row out"), 2),
        "rows_per_message": round(rows_per_message, 4),
        "guests": guests,
        "in_flight": in_flight,
        "body_bytes": body_bytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[100, 10_000], help="one row for each")
    parser.add_argument("--body-bytes", type=int, default=256, help="of each message's content")
    parser.add_argument("--core", type=int, help="keep the whole process on this processor")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args()
    pinned = pin(options.core)
    for in_flight in options.in_flight:
        busy = busy_cores(0.5)
        row = uvloop.run(
            measure(guests=options.guests, in_flight=in_flight, body_bytes=options.body_bytes, seconds=options.seconds)
        )
        emit(row | {"pinned": pinned, "busy_cores": busy, "machine": machine(), "versions": versions()}, options.json)


if __name__ == "__main__":
    main()
