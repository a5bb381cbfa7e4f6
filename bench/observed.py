"""What it costs to be observed: `python bench/observed.py [--json]`.

The ring of `bench/throughput.py`, in turn with everything `off`; with the `recorder`, its bodies included; with
`telemetry` as well, that is export of traces, metrics and logs to a collector (a process that takes and throws away,
on loopback) and a scrape of all metrics every second, fifteen times as often as `ops/` has it; and with somebody
who is `looking` at `caxton top`, for whom the figures are made every two seconds. `median` and `p99` are microseconds a
message over windows of a tenth of a second; `kept` is the throughput as a part of that with everything off, of the
medians of all rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress
from statistics import median
from typing import TYPE_CHECKING

import uvloop
from harness import busy_cores, emit, machine, summary
from node import deploy_ring, pin, post_all, ring_message, running_rooms, versions

from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.stats import StatsFilter
from caxton.telemetry.settings import TelemetrySettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from caxton.server.rooms import Rooms

WINDOW_S = 0.1
ENDLESS = 1_000_000_000
OFF = {"recorder_bytes": 0, "body_bytes": 0}

COLLECTOR = """
import http.server, sys
class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


WAYS = ("off", "recorder", "telemetry", "looking")
"""Each has what the one before it has, and more."""


@asynccontextmanager
async def watched(rooms: Rooms, way: str, scrape_s: float) -> AsyncGenerator[None]:
    """Somebody scrapes, and somebody may look at `caxton top`."""

    async def scrape() -> None:
        while True:
            await rooms.status.metrics()
            await asyncio.sleep(scrape_s)

    async def top() -> None:
        while True:
            await rooms.stats.view(DEFAULT_WORKSPACE, StatsFilter(), window_s=10, limit=50, offset=0)
            await asyncio.sleep(2)

    tasks = [asyncio.ensure_future(scrape())] if way in ("telemetry", "looking") else []
    if way == "looking":
        tasks.append(asyncio.ensure_future(top()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def ring(rooms: Rooms, options: argparse.Namespace) -> tuple[list[int], int]:
    """Nanoseconds a message, for each window; and messages a second."""
    await deploy_ring(rooms, options.guests)
    await post_all(
        rooms,
        (
            ring_message(n, size=options.guests, hops=ENDLESS, body_bytes=options.body_bytes)
            for n in range(options.in_flight)
        ),
    )
    await asyncio.sleep(options.warm_up)
    windows_ns: list[int] = []
    began, settled = time.perf_counter_ns(), rooms.bus.settled
    at, seen = began, settled
    while at - began < options.seconds * 1e9:
        await asyncio.sleep(WINDOW_S)
        now, count = time.perf_counter_ns(), rooms.bus.settled
        windows_ns.append((now - at) // max(count - seen, 1))
        at, seen = now, count
    return windows_ns, round((seen - settled) / ((at - began) / 1e9))


async def one_round(options: argparse.Namespace, way: str, endpoint: str) -> tuple[list[int], int]:
    if way == "off":
        async with running_rooms(**OFF) as rooms:
            return await ring(rooms, options)
    exported = None if way == "recorder" else TelemetrySettings(endpoint=endpoint, protocol="http")
    async with running_rooms(telemetry=exported) as rooms:
        async with watched(rooms, way, options.scrape_every):
            found = await ring(rooms, options)
        if rooms.recorder.lost or not rooms.recorder.recorded:
            raise SystemExit(f"{rooms.recorder.lost} records were lost of {rooms.recorder.recorded}")
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--body-bytes", type=int, default=256, help="of each message's content")
    parser.add_argument("--core", type=int, help="keep the whole process on this processor")
    parser.add_argument("--rounds", type=int, default=3, help="of each way, in turn")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--scrape-every", type=float, default=1.0, help="seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args()
    pinned, busy = pin(options.core), busy_cores(0.5)
    windows: dict[str, list[int]] = {way: [] for way in WAYS}
    rates: dict[str, list[int]] = {way: [] for way in WAYS}
    with subprocess.Popen([sys.executable, "-c", COLLECTOR], stdout=subprocess.PIPE, text=True) as collector:
        try:
            assert collector.stdout is not None
            endpoint = f"http://127.0.0.1:{int(collector.stdout.readline())}"
            for _ in range(options.rounds):
                for way in WAYS:
                    taken_ns, rate = uvloop.run(one_round(options, way, endpoint))
                    windows[way] += taken_ns
                    rates[way].append(rate)
        finally:
            collector.kill()
    for way in windows:
        row: dict[str, object] = {"observed": way, **summary(windows[way]), "messages_per_s": rates[way]}
        row["kept"] = round(median(rates[way]) / median(rates["off"]), 3)
        emit({**row, "pinned": pinned, "busy_cores": busy, "machine": machine(), "versions": versions()}, options.json)


if __name__ == "__main__":
    main()
