"""What the referee costs: `python bench/referee.py [--json]`, and `--open 1000000` for memory.

The bus alone, without sandboxes: pairs of agents, one asks, the other answers, and asks again once it has the answer.
The same exchange is free (no protocol), follows `fipa-request`, which begins and ends a conversation for every two
messages, and follows `fipa-iterated-contract-net`, which goes on in one conversation; each with the referee off and on.
`median` and `p99` are microseconds of processor time a message, of the thread that does it, over windows of 20 ms.
`referee_us` is what it takes longer with the referee than without. The ways are taken in turn, several times, since
other work on the machine disturbs one as well as the other.

With `--open N`, N conversations are begun and stay open: memory of the process before and after, their rows committed
as in a server, how long it then takes until one that left memory is there again, and what they cost a start.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvloop
from harness import NS_PER_S, busy_cores, emit, machine, summary
from node import versions

from caxton.bus.bus import Bus
from caxton.bus.envelope import Envelope
from caxton.bus.journal import Journal
from caxton.bus.mailbox import Receiver
from caxton.bus.turn import Turn
from caxton.conversations.room import Conversations
from caxton.observe.time import SystemClock
from caxton.server.tuning import tune_process
from caxton.storage.database import Database
from caxton.storage.lookup import Lookup
from caxton.testing.handlers import FakeSupervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.conversations.settings import Mode
    from caxton.recorder.recorder import Recorder

WORKSPACE = "default"
ROUNDS = 5
"""How often each way is taken, in turn with the others."""
WINDOW_S = 0.02
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Node:
    """A bus with its journal and its conversations, on a directory."""

    def __init__(self, directory: Path, recorder: Recorder | None = None) -> None:
        self.clock = SystemClock()
        self.database = Database(directory / "journal.db")
        self.journal = Journal(self.database, self.clock, _give_up)
        self.bus = Bus(self.journal, self.clock, lambda: None, recorder=recorder)
        self.lookup = Lookup(directory / "journal.db")
        self.room = Conversations(self.bus, self.journal, self.clock, self.lookup.query, lambda *_: None)
        began = time.perf_counter()
        self.room.load(self.database.query)
        self.loaded_s = time.perf_counter() - began
        self.database.start()
        self.room.start()

    def receiver(self, name: str) -> Receiver:
        receiver = Receiver(self.bus.names.directory(WORKSPACE), name, FakeSupervisor())
        receiver.messages_per_s = 1 << 60
        receiver.max_messages = receiver.max_bytes = 1 << 60
        receiver.is_running = True
        self.bus.names.add(receiver)
        self.bus.queues.set_mailboxes(receiver, 1)
        return receiver

    def close(self) -> None:
        self.room.close()
        self.bus.close()
        self.journal.close()
        self.lookup.close()
        self.database.close()


class Says:
    """A handler that sends the same message whenever it gets one."""

    def __init__(self, turn: Turn, data: bytes) -> None:
        self.turn, self._data = turn, data

    def deliver(self, _body: bytes) -> int:
        return self.turn.send(self._data)

    def fire(self, _timer_id: int) -> int:
        return 0

    def resume(self) -> int:
        return 0


def _give_up(error: Exception) -> None:
    raise SystemExit(f"the journal failed: {error}")


def message(act: str, receiver: str, protocol: str | None, conversation: str) -> bytes:
    body = {"performative": act, "receiver": receiver, "conversation_id": conversation, "content": {"pad": "x" * 200}}
    return msgspec.json.encode(body if protocol is None else {**body, "protocol": protocol})


def windows(directory: Path, pairs: int, seconds: float, protocol: str | None, mode: Mode) -> Iterator[int]:
    """Nanoseconds a message, one figure for each window."""
    node = Node(directory)
    node.room.set_mode(WORKSPACE, mode)
    for n in range(pairs):
        one, other = node.receiver(f"asks-{n}"), node.receiver(f"answers-{n}")
        asks, answers = ACTS.get(protocol or "", ("request", "inform"))
        for receiver, act, whom in ((one, asks, other.name), (other, answers, one.name)):
            box = receiver.mailboxes[0]
            node.bus.queues.open(box, Says(Turn(node.bus, box), message(act, whom, protocol, f"c-{n}")))
        first = Envelope(
            node.bus.next_seq(), WORKSPACE, "client:bench", one.name, "m", None, b"{}", node.clock.wall_us()
        )
        one.take_room(2)
        node.bus.queues.enqueue(one, first)
    until = time.perf_counter_ns() + int(seconds * NS_PER_S)
    node.bus.pump(WINDOW_S)
    while time.perf_counter_ns() < until:
        settled, began = node.bus.settled, time.thread_time_ns()
        node.bus.pump(WINDOW_S)
        yield (time.thread_time_ns() - began) // (node.bus.settled - settled)
    if node.room.referee.violations or node.bus.failures:
        raise SystemExit(f"{node.room.referee.violations} violations, {node.bus.failures} failures")
    if (node.room.referee.judged > 0) != (protocol is not None and mode == "enforce"):
        raise SystemExit("the referee did not do what was to be measured")
    node.close()


LONG = "fipa-iterated-contract-net"
"""Calls and proposals without end, in one conversation."""

ACTS = {LONG: ("cfp", "propose")}

WAYS: dict[str, tuple[str | None, Mode]] = {
    "free": (None, "enforce"),
    "short, referee off": ("fipa-request", "off"),
    "short, referee on": ("fipa-request", "enforce"),
    "long, referee off": (LONG, "off"),
    "long, referee on": (LONG, "enforce"),
}


async def cost(pairs: int, seconds: float) -> dict[str, list[int]]:
    """Way → nanoseconds a message."""
    found: dict[str, list[int]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way, (protocol, mode) in WAYS.items():
            with tempfile.TemporaryDirectory() as directory:
                found[way] += windows(Path(directory), pairs, seconds / ROUNDS, protocol, mode)
            gc.collect()
    return found


async def many(count: int) -> dict[str, object]:
    """Begin `count` conversations that nobody ends."""
    with tempfile.TemporaryDirectory() as directory:
        node = Node(Path(directory))
        before = rss_bytes()
        one, other = node.receiver("asks"), node.receiver("answers")
        turn = Turn(node.bus, one.mailboxes[0])
        node.bus.queues.open(other.mailboxes[0], Says(Turn(node.bus, other.mailboxes[0]), b""))
        began = time.perf_counter()
        for n in range(count):
            turn.begin(None, node.clock.wall_us())
            turn.send(message("request", other.name, "fipa-request", f"conversation-{n}"))
            node.bus.apply(turn)
            other.mailboxes[0].inbox.clear()  # as if they had been handled
            other.messages = other.bytes = 0
            if n % 1000 == 999:
                node.journal.born.clear()
                await node.journal.commit()
        took_s = time.perf_counter() - began
        gc.collect()
        after = rss_bytes()
        book = node.room.book
        taken_ns: list[int] = []
        for n in random.Random(1).sample(range(count), min(1000, count)):
            start = time.perf_counter_ns()
            if book.find((WORKSPACE, f"conversation-{n}")) is None:
                raise SystemExit(f"conversation-{n} is lost")
            taken_ns.append(time.perf_counter_ns() - start)
        found = {
            **summary(taken_ns), "what": "one that left memory is there again", "open": book.open,
            "in_memory": sum(1 for _ in book.in_memory()), "rss_mib": round((after - before) / (1 << 20)),
            "bytes_each": round((after - before) / count), "took_s": round(took_s, 1),
            "journal_mib": round((Path(directory) / "journal.db").stat().st_size / (1 << 20)),
        }  # fmt: skip
        node.close()
        again = Node(Path(directory))
        if again.room.book.open != count:
            raise SystemExit(f"{again.room.book.open} conversations are there after a restart")
        found["loaded_s"] = round(again.loaded_s, 2)
        again.close()
        return found


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each way")
    parser.add_argument("--open", type=int, help="conversations to leave open, instead")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args()
    tune_process()
    busy = busy_cores(0.5)
    where = {"busy_cores": round(busy, 2), "machine": machine(), "versions": versions()}
    if options.open:
        emit({**uvloop.run(many(options.open)), **where}, as_json=options.json)
        return
    found = uvloop.run(cost(options.pairs, options.seconds))
    for way, taken_ns in found.items():
        row = {"way": way, **summary(taken_ns), "best": round(min(taken_ns) / 1000, 3)}
        if way.endswith("on"):
            without = found[f"{way.partition(',')[0]}, referee off"]
            row["referee_us"] = round(summary(taken_ns)["median"] - summary(without)["median"], 3)
            row["referee_us_best"] = round((min(taken_ns) - min(without)) / 1000, 3)
        emit({**row, "pairs": options.pairs, **where}, as_json=options.json)


if __name__ == "__main__":
    main()
