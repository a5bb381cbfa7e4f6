"""What the flight recorder costs: `python bench/recorder.py [--json]`.

The bus alone, without sandboxes: pairs of agents that send each other messages of 200 bytes without end, in two nodes
of one process, one with a recorder and one without. They are pumped in turn, a window of 20 ms each, so that other work
on the machine disturbs one as well as the other. `median` and `p99` are microseconds of processor time a message, of
the thread that does it; `recorder_us` is how much longer the median is with the recorder, encoding and writing
included, and with the choice of bodies to keep. The last row: finding one conversation in a full ring.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from pathlib import Path

import uvloop
from harness import busy_cores, emit, machine, summary
from node import versions
from referee import WINDOW_S, WORKSPACE, Node, Says, message

from caxton.bus.envelope import Envelope
from caxton.bus.turn import Turn
from caxton.recorder.bodies import DEFAULT_BODY_BYTES, Bodies, open_shelf
from caxton.recorder.recorder import DEFAULT_RING_BYTES, Recorder, open_recorder
from caxton.server.tuning import tune_process

FINDS = 20


def node_of(directory: Path, recorder: Recorder | None, pairs: int) -> Node:
    """A node whose agents never stop talking."""
    directory.mkdir()
    node = Node(directory, recorder)
    for n in range(pairs):
        one, other = node.receiver(f"asks-{n}"), node.receiver(f"answers-{n}")
        for receiver, act, whom in ((one, "request", other.name), (other, "inform", one.name)):
            box = receiver.mailboxes[0]
            node.bus.queues.open(box, Says(Turn(node.bus, box), message(act, whom, None, f"conversation-{n}")))
        first = Envelope(
            node.bus.next_seq(), WORKSPACE, "client:bench", one.name, "m", None, b"{}", node.clock.wall_us()
        )
        one.take_room(2)
        node.bus.queues.enqueue(one, first)
    return node


def window_ns(node: Node) -> int:
    """Nanoseconds a message."""
    settled, began = node.bus.settled, time.thread_time_ns()
    node.bus.pump(WINDOW_S)
    return (time.thread_time_ns() - began) // (node.bus.settled - settled)


async def measure(pairs: int, seconds: float) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as top:
        recorder = open_recorder(Path(top) / "recorder", DEFAULT_RING_BYTES)
        nodes = {"off": node_of(Path(top) / "off", None, pairs), "on": node_of(Path(top) / "on", recorder, pairs)}
        bus, shelf = nodes["on"].bus, open_shelf(Path(top) / "recorder")
        if shelf is None:
            raise SystemExit("there is no file of bodies")
        bus.flight.bodies = bodies = Bodies(shelf, DEFAULT_BODY_BYTES, time.monotonic, bus.history.envelopes)
        found: dict[str, list[int]] = {way: [] for way in nodes}
        gc.collect()
        gc.freeze()
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for way, node in nodes.items():
                found[way].append(window_ns(node))
        if recorder.lost or recorder.recorded < nodes["on"].bus.settled:
            raise SystemExit(f"{recorder.lost} records were lost, {recorder.recorded} are there")
        finds_ns: list[int] = []
        for n in range(FINDS):
            began = time.perf_counter_ns()
            if not recorder.find(WORKSPACE, conversation_id=f"conversation-{n % pairs}"):
                raise SystemExit("nothing was found")
            finds_ns.append(time.perf_counter_ns() - began)
        in_ring = len(recorder.recent(limit=10_000_000))
        rows: list[dict[str, object]] = [{"way": way, **summary(taken)} for way, taken in found.items()]
        rows[1]["recorder_us"] = round((_median(found["on"]) - _median(found["off"])) / 1000, 3)
        rows[1]["bytes_each"] = round(recorder.used_bytes / in_ring)
        rows[1]["in_ring"] = in_ring
        rows.append({"way": "find one conversation of all", **summary(finds_ns)})
        for node in nodes.values():
            node.close()
        bodies.close()
        recorder.close()
        return rows


def _median(values: list[int]) -> int:
    return sorted(values)[len(values) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0, help="of both ways together")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args()
    tune_process()
    where = {"busy_cores": round(busy_cores(0.5), 2), "machine": machine(), "versions": versions()}
    for row in uvloop.run(measure(options.pairs, options.seconds)):
        emit({**row, "pairs": options.pairs, **where}, as_json=options.json)


if __name__ == "__main__":
    main()
