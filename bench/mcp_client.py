"""What a call of an MCP server costs us: `python bench/mcp_client.py [--http] [--json]`.

A server without an SDK answers at once, over stdio in a process of its own, over HTTP in a thread of this one, whose
CPU is taken off. Calls go one by one, then many at a time. CPU is that of this process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import threading
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvloop
from harness import NS_PER_S, NS_PER_US, emit, machine, summary

from caxton.observe.time import SystemClock
from caxton.tools.mcp.http import HttpSource
from caxton.tools.mcp.stdio import Command, StdioSource
from caxton.tools.mcp.supervised import Care
from caxton.tools.source import Call, Result

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable

    from caxton.tools.mcp.supervised import SupervisedSource

CLOCK = SystemClock()
REVISION = "2025-11-25"
AT_ONCE = 100

ANSWER = f"""
import json
def answer(message):
    number, method = message.get("id"), message["method"]
    if number is None:
        return None
    reply = {{"jsonrpc": "2.0", "id": number}}
    if method == "initialize":
        info = {{"name": "bench", "version": "1"}}
        reply["result"] = {{"protocolVersion": "{REVISION}", "capabilities": {{"tools": {{}}}}, "serverInfo": info}}
    elif method == "tools/call":
        reply["result"] = {{"content": [{{"type": "text", "text": "ok"}}], "structuredContent": {{"sum": 3}}}}
    else:
        reply["error"] = {{"code": -32601, "message": "no"}}
    return json.dumps(reply).encode()
"""

SERVE = """
import sys
for line in sys.stdin.buffer:
    reply = answer(json.loads(line))
    if reply is not None:
        sys.stdout.buffer.write(reply + b"\\n")
        sys.stdout.buffer.flush()
"""


server_cpu: list[HttpThread] = []


@asynccontextmanager
async def over_stdio() -> AsyncGenerator[StdioSource]:
    source = StdioSource(
        "bench", Command(name=sys.executable, arguments=("-c", ANSWER + SERVE)), CLOCK, Care(mode="legacy")
    )
    try:
        yield source
    finally:
        await source.close()


@asynccontextmanager
async def over_http() -> AsyncGenerator[HttpSource]:
    server = HttpThread()
    server.start()
    await asyncio.to_thread(server.ready.wait)
    source = HttpSource("bench", f"http://127.0.0.1:{server.port}/mcp", CLOCK, Care(mode="legacy"))
    server_cpu.append(server)
    try:
        yield source
    finally:
        await source.close()
        server.stop()


class HttpThread(threading.Thread):
    """The server over HTTP."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ready = threading.Event()
        self.port = 0
        self.cpu_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        names: dict[str, Any] = {}
        exec(ANSWER, names)
        self._answer = names["answer"]

    def run(self) -> None:
        loop = self._loop = uvloop.new_event_loop()
        loop.run_until_complete(self._main())

    def stop(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._over.set)
        self.join()

    async def _main(self) -> None:
        self._over = asyncio.Event()
        doors = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = doors.sockets[0].getsockname()[1]
        self.ready.set()
        await self._over.wait()
        doors.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                at = head.lower().find(b"content-length:")
                body = await reader.readexactly(int(head[at + 15 : head.index(b"\r", at)])) if at > 0 else b""
                reply = self._answer(json.loads(body)) if body else None
                status = b"200 OK" if reply else b"202 Accepted" if body else b"405 No"
                kind = b"content-type: application/json\r\n" if reply else b""
                writer.write(
                    b"HTTP/1.1 %s\r\n%scontent-length: %d\r\n\r\n%s" % (status, kind, len(reply or b""), reply or b"")
                )
                self.cpu_s = time.thread_time()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def one(source: SupervisedSource) -> None:
    until = CLOCK.monotonic() + 30
    call = Call(tool="add", arguments={"a": 1, "b": 2}, workspace="w", agent="a", key="k", until=until)
    made: Awaitable[Any] = source.call(call)  # type: ignore[assignment]
    outcome = await made
    assert isinstance(outcome, Result), outcome


def cpu_s() -> float:
    """Of this process, without the server that may run in it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime - sum(server.cpu_s for server in server_cpu)


async def measure(*, http: bool, calls: int) -> dict[str, object]:
    async with over_http() if http else over_stdio() as source:
        for _ in range(200):
            await one(source)
        samples: list[int] = []
        cpu_before = cpu_s()
        for _ in range(calls):
            began = time.perf_counter_ns()
            await one(source)
            samples.append(time.perf_counter_ns() - began)
        cpu_us = (cpu_s() - cpu_before) / calls * NS_PER_S / NS_PER_US
        began_s = time.perf_counter()
        for _ in range(calls // AT_ONCE):
            await asyncio.gather(*(one(source) for _ in range(AT_ONCE)))
        per_s = calls // AT_ONCE * AT_ONCE / (time.perf_counter() - began_s)
        return {
            "name": "mcp_client",
            "transport": "http" if http else "stdio",
            "revision": source.view()["revision"],
            **summary(samples),
            "cpu_us_per_call": round(cpu_us, 1),
            "calls_per_s_100_at_once": round(per_s),
            "machine": machine(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http", action="store_true", help="over HTTP instead of stdio")
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    emit(uvloop.run(measure(http=options.http, calls=options.calls)), options.json)


if __name__ == "__main__":
    main()
