"""Caxton in the game of the durable queues (`bench/peers/durable.py`): `python bench/work_queue.py`.

Posts go over HTTP to a real server, as in `bench/post.py`. The consumer is a guest: mail is posted while it is stopped;
the time runs from the request that starts it until everything is settled and that is on disk.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent / "peers"))

import uvloop
from durable import BACKLOG, BODY_BYTES, RATE_S, WINDOW, posts, report
from node import versions
from post import BATCH, POST, encoded, message, play
from served import Connection, Server, running_server

SETTINGS = "fsync (the default); single posts, batches of 1,000 over HTTP/1.1; a guest takes and settles"


def take_all(server: Server, batches: list[bytes]) -> float:
    """Messages taken and settled a second by one guest."""
    control = Connection(server)
    control.call("POST", "/api/v1/agents/sink-0/stop", {})
    for n in range(BACKLOG // WINDOW):
        status, answer = control.exchange(batches[n % len(batches)])
        if status != 202:
            raise SystemExit(f"{status}: {answer[:300]!r}")
    began = time.perf_counter()
    control.call("POST", "/api/v1/agents/sink-0/start")
    while control.call("GET", "/api/v1/health")["messages_pending"]:
        time.sleep(0.002)
    control.call("GET", "/api/v1/messages?conversation_id=none")  # answers once all that was settled before is on disk
    took = time.perf_counter() - began
    control.close()
    return BACKLOG / took


def main() -> None:
    n = posts()
    with running_server() as server:
        control = Connection(server)
        control.deploy("echo", "sink-0", mailbox_messages=2 * BACKLOG, mailbox_bytes=1 << 28)
        single = [control.request_bytes("POST", POST, encoded(message(8 * i, BODY_BYTES))) for i in range(100)]
        batches = [
            control.request_bytes(
                "POST", BATCH, encoded({"messages": [message(8 * i, BODY_BYTES) for i in range(WINDOW)]})
            )
        ]
        samples_ns: list[int] = []
        for number in range(-n // 10, n):
            began = time.perf_counter_ns()
            status, answer = control.exchange(single[number % len(single)])
            if status != 202:
                raise SystemExit(f"{status}: {answer[:300]!r}")
            if number >= 0:
                samples_ns.append(time.perf_counter_ns() - began)
        control.close()
        posted = uvloop.run(play(server, batches, connections=1, each=WINDOW, seconds=RATE_S))["messages_per_s"]
        taken = take_all(server, batches)
    assert isinstance(posted, int)
    report("caxton", samples_ns, posted_per_s=posted, taken_per_s=taken, settings=SETTINGS, versions=versions())


if __name__ == "__main__":
    main()
