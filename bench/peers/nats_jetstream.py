"""NATS JetStream: a file stream that syncs before each acknowledgement, atomic batches, a pull consumer."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nats
from durable import BACKLOG, RATE_S, TAKE, WINDOW, body, free_port, posts, report, running
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig

SERVER = Path(sys.executable).parent / "nats-server"
SETTINGS = (
    "file storage, 1 replica, sync_interval always; js.publish; atomic batches of 1,000 or js.publish_async with 1,000 "
    "pending, the faster; pull fetch of 1,000 and one ack for all of them (AckAll), messages stay"
)
BATCH_ID, BATCH_SEQUENCE = "Nats-Batch-Id", "Nats-Batch-Sequence"


async def single(js: Any, n: int) -> list[int]:
    """Nanoseconds from publishing to the acknowledgement."""
    taken: list[int] = []
    for number in range(-n // 10, n):
        data = body(number)
        began = time.perf_counter_ns()
        await js.publish("work", data)
        if number >= 0:
            taken.append(time.perf_counter_ns() - began)
    return taken


async def batch(connection: Any, first: int) -> None:
    """One atomic batch of `WINDOW`; the answer to its last message acknowledges all."""
    name = f"b{first}"
    for n in range(1, WINDOW):
        await connection.publish("work", body(first + n), headers={BATCH_ID: name, BATCH_SEQUENCE: str(n)})
    last = {BATCH_ID: name, BATCH_SEQUENCE: str(WINDOW), "Nats-Batch-Commit": "1"}
    answer = await connection.request("work", body(first + WINDOW), headers=last, timeout=10)
    acknowledged = json.loads(answer.data)
    if acknowledged.get("count") != WINDOW:
        raise SystemExit(f"not accepted: {acknowledged}")


async def in_batches(connection: Any, seconds: float) -> float:
    """Messages a second."""
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        await batch(connection, number)
        number += WINDOW
    return number / (time.perf_counter() - began)


async def many(js: Any, seconds: float) -> float:
    """Publishes a second; `publish_async` itself waits while too many are pending."""
    acks: list[asyncio.Future[Any]] = []
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        acks += [await js.publish_async("work", body(number + n)) for n in range(100)]
        number += 100
    await asyncio.gather(*acks)
    return number / (time.perf_counter() - began)


async def take_all(connection: Any, js: Any) -> float:
    """Takes and acknowledgements a second, until the server holds nothing any more."""
    for first in range(0, BACKLOG, WINDOW):
        await batch(connection, first)
    config = ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=-1)
    consumer = await js.pull_subscribe("work", durable="worker", config=config)
    began, left = time.perf_counter(), BACKLOG
    while left:
        messages = await consumer.fetch(min(TAKE, left), timeout=10)
        await messages[-1].ack_sync()
        left -= len(messages)
    if (await consumer.consumer_info()).num_ack_pending:
        raise SystemExit("some messages are left")
    return BACKLOG / (time.perf_counter() - began)


async def play(port: int) -> None:
    connection = await nats.connect(f"nats://127.0.0.1:{port}", pending_size=64 << 20)
    js = connection.jetstream(publish_async_max_pending=WINDOW)
    stream = StreamConfig(name="queue", subjects=["work"], storage=StorageType.FILE, allow_atomic=True)
    await js.add_stream(stream)
    samples_ns = await single(js, posts())
    asynchronous = await many(js, RATE_S)
    await js.purge_stream("queue")
    batches = await in_batches(connection, RATE_S)
    await js.purge_stream("queue")
    taken = await take_all(connection, js)
    await connection.close()
    server = subprocess.run([SERVER, "--version"], capture_output=True, text=True, check=True).stdout
    rates = f"batches {batches:,.0f}/s, publish_async {asynchronous:,.0f}/s"
    report(
        "nats-jetstream",
        samples_ns,
        posted_per_s=max(asynchronous, batches),
        taken_per_s=taken,
        settings=f"{SETTINGS} ({rates})",
        versions={"nats-server": server.split()[-1].lstrip("v"), "nats-py": version("nats-py")},
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        config = Path(directory) / "server.conf"
        store = Path(directory) / "store"
        config.write_text(f'jetstream {{ store_dir: "{store}", sync_interval: always }}\n', encoding="utf-8")
        with running([str(SERVER), "-a", "127.0.0.1", "-p", str(port), "-c", str(config)], port):
            asyncio.run(play(port))


if __name__ == "__main__":
    main()
