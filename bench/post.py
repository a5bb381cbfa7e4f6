"""Post-and-ack from outside: `python bench/post.py [--json]`. A message is counted once its receipt is there (fsynced).

A real `caxton serve` and one client process over loopback; requests are bytes made before the clock starts, and an
answer is looked at only for its status and length, so that the client is not what is measured (`client_cores` is
what it used). First closed loops, as fast as the server answers: single messages over one connection, over many, and
batches over one. Then an open loop at half of the measured rate: messages are due at random times that nobody holds
back, and a time counts from when its message was due, so a server that stalls is charged for all who wait; so is
the client's own timer, which may be a millisecond late. `median` and `p99` are microseconds from there to the receipt.

The receivers are guests that take the message and answer nothing; they run in the same server at the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import uvloop
from harness import NS_PER_S, busy_cores, emit, machine, summary
from node import versions
from served import Connection, Server, running_server

if TYPE_CHECKING:
    from collections.abc import Callable

RECEIVERS = 8
"""So that one mailbox is not what fills up."""
POST, BATCH = "/api/v1/messages", "/api/v1/messages/batch"
SETTLE_S = 1.0
"""Between two games, for what was posted to be handled."""


class Poster(asyncio.Protocol):
    """One kept-alive connection with at most one request open."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._answer = b""
        self._on_answer: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, request: bytes, on_answer: Callable[[], None]) -> None:
        """Send a whole request; `on_answer` is called once its answer is there and says 202."""
        self._on_answer = on_answer
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer = data = self._answer + data if self._answer else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        at = data.find(b"content-length: ", 0, end)
        if len(data) < end + 4 + int(data[at + 16 : data.find(b"\r\n", at)]):
            return
        self._answer = b""
        if not data.startswith(b"HTTP/1.1 202"):
            raise SystemExit(f"not accepted: {data[:600]!r}")
        self._on_answer()

    def close(self) -> None:
        self._transport.close()


class Game:
    """Requests over some connections, and the time of each."""

    def __init__(self, posters: list[Poster], requests: list[bytes]) -> None:
        self.taken_ns: list[int] = []
        self._idle = deque(posters)
        self._posters, self._requests, self._next = posters, requests, 0
        self._due_ns: deque[int] = deque()
        self._done = asyncio.Event()
        self._until_ns = 0

    async def closed(self, seconds: float) -> float:
        """Every connection asks again as soon as it is answered; returns how long it took."""
        began = time.perf_counter_ns()
        self._until_ns = began + int(seconds * NS_PER_S)
        for _ in self._posters:
            self._due_ns.append(time.perf_counter_ns())
            self._send_due()
        await self._done.wait()
        return (time.perf_counter_ns() - began) / NS_PER_S

    async def open(self, seconds: float, per_s: float) -> float:
        """Requests fall due at `per_s`, whatever becomes of those before; returns how long it took."""
        chance = random.Random(1)
        began = due = time.perf_counter_ns()
        while due - began < seconds * NS_PER_S:
            await asyncio.sleep(max(due - time.perf_counter_ns(), 0) / NS_PER_S)
            while due <= time.perf_counter_ns():
                self._due_ns.append(due)
                self._send_due()
                due += int(chance.expovariate(per_s) * NS_PER_S)
        while len(self._idle) < len(self._posters):
            await asyncio.sleep(0.001)
        return (time.perf_counter_ns() - began) / NS_PER_S

    def _send_due(self) -> None:
        """As much of what is due as there are connections for; the rest waits, and its waiting counts."""
        while self._idle and self._due_ns:
            poster, due = self._idle.popleft(), self._due_ns.popleft()
            self._next += 1
            poster.send(self._requests[self._next % len(self._requests)], partial(self._answered, poster, due))

    def _answered(self, poster: Poster, due_ns: int) -> None:
        now = time.perf_counter_ns()
        self.taken_ns.append(now - due_ns)
        self._idle.append(poster)
        if now < self._until_ns:
            self._due_ns.append(now)
        elif self._until_ns and len(self._idle) == len(self._posters):
            self._done.set()
        self._send_due()


async def play(
    server: Server, requests: list[bytes], *, connections: int, each: int, seconds: float, per_s: float | None = None
) -> dict[str, object]:
    """One game; `each` is how many messages a request carries, `per_s` (messages) makes it an open loop."""
    loop = asyncio.get_running_loop()
    posters = [(await loop.create_connection(Poster, server.host, server.port))[1] for _ in range(connections)]
    if per_s is None:
        await Game(posters, requests).closed(seconds / 10)
    game, cpu = Game(posters, requests), time.process_time()
    elapsed_s = await (game.closed(seconds) if per_s is None else game.open(seconds, per_s / each))
    cpu = time.process_time() - cpu
    for poster in posters:
        poster.close()
    return {
        **summary(game.taken_ns),
        "messages_per_s": round(len(game.taken_ns) * each / elapsed_s),
        "connections": connections,
        "batch": each,
        "loop": "closed" if per_s is None else f"open, {per_s:.0f} messages/s due",
        "client_cores": round(cpu / elapsed_s, 2),
    }


def message(n: int, body_bytes: int) -> dict[str, object]:
    """Nobody answers an `inform`."""
    content = {"n": n, "pad": ""}
    content["pad"] = "x" * max(body_bytes - len(json.dumps(content, separators=(",", ":"))), 0)
    return {"performative": "inform", "receiver": f"sink-{n % RECEIVERS}", "content": content}


def encoded(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def measure(
    *, connections: int, batch: int, small_batch: int, body_bytes: int, seconds: float
) -> list[dict[str, object]]:
    """A row for each game."""
    with running_server() as server:
        control = Connection(server)
        for n in range(RECEIVERS):
            control.deploy("echo", f"sink-{n}")
        single = [control.request_bytes("POST", POST, encoded(message(n, body_bytes))) for n in range(1000)]

        def batches(size: int) -> list[bytes]:
            documents = [{"messages": [message(n * size + i, body_bytes) for i in range(size)]} for n in range(8)]
            return [control.request_bytes("POST", BATCH, encoded(document)) for document in documents]

        many, few = batches(batch), batches(small_batch)

        control.close()  # it would be silent for longer than the server allows
        rows: list[dict[str, object]] = []

        def run(name: str, requests: list[bytes], among: int, each: int, *, half_of: str | None = None) -> None:
            full = next((row["messages_per_s"] for row in rows if row["name"] == half_of), None)
            per_s = full / 2 if isinstance(full, int) else None
            row = uvloop.run(play(server, requests, connections=among, each=each, seconds=seconds, per_s=per_s))
            rows.append({"name": name, **row})
            time.sleep(SETTLE_S)

        run("post", single, 1, 1)
        run("post-connections", single, connections, 1)
        run("post-batch", many, 1, batch)
        run("post-small-batch", few, 1, small_batch)
        run("post-half-load", single, connections, 1, half_of="post-connections")
        run("post-small-batch-half-load", few, 1, small_batch, half_of="post-small-batch")
        control = Connection(server)
        view = control.call("GET", "/api/v1/health")
        control.close()
    if view["dead_letters"]:
        raise SystemExit(f"{view['dead_letters']} messages became dead letters")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=32, help="for the game over many")
    parser.add_argument("--batch", type=int, default=1000, help="messages a batch")
    parser.add_argument("--small-batch", type=int, default=100, help="messages a batch where its own time matters")
    parser.add_argument("--body-bytes", type=int, default=256, help="of each message's content")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each game")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args()
    busy = busy_cores(0.5)
    for row in measure(
        connections=options.connections,
        batch=options.batch,
        small_batch=options.small_batch,
        body_bytes=options.body_bytes,
        seconds=options.seconds,
    ):
        told = {"body_bytes": options.body_bytes, "durability": "fsync", "busy_cores": busy}
        emit(row | told | {"machine": machine(), "versions": versions()}, options.json)


if __name__ == "__main__":
    main()
