"""SPADE 4 with its own XMPP server, pyjabber, on loopback; two ways to deploy the same two agents.

Without `--xmpp` both agents and the server share a process, and SPADE's container hands the messages over by
itself: the server only logs the agents in. With `--xmpp` server, ping and pong are a process each, and every
message goes through the server (TLS, XML).
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import shutil
import socket
import tempfile
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, TypeVar, cast

import loguru
import pyjabber
from pyjabber import AppConfig
from pyjabber.server import Server
from pyjabber.server_parameters import Parameters
from rounds import (
    ANSWER_TIMEOUT_S,
    THROUGHPUT_NS,
    WINDOW,
    body,
    check,
    latency_async,
    messages_per_s,
    report,
)
from spade.agent import Agent
from spade.behaviour import CyclicBehaviour, OneShotBehaviour
from spade.container import Container
from spade.message import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from multiprocessing.connection import Connection

T = TypeVar("T")

HOST = "localhost"
PASSWORD = "bench"  # of accounts that live in the memory of a server on loopback, for seconds
PING, PONG = f"ping@{HOST}", f"pong@{HOST}"
START_TIMEOUT_S = 30.0
"""Making a 2,048-bit key and logging in take one to three seconds here."""


class Pong(CyclicBehaviour):
    """Sends every message back."""

    async def run(self) -> None:
        message = await self.receive(timeout=ANSWER_TIMEOUT_S)
        if message is not None:
            reply = message.make_reply()
            reply.body = message.body
            await self.send(reply)


class Ping(OneShotBehaviour):
    """Plays both games; what it measured, or the reason why not, is in `played`."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self._n = n
        self.played: asyncio.Future[tuple[list[int], float]] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        try:
            self.played.set_result((await latency_async(self._call, self._n), await self._rate()))
        except Exception as error:
            self.played.set_exception(error)

    async def _call(self, sent: str) -> str:
        await self._send(sent)
        return await self._receive()

    async def _rate(self) -> float:
        start = perf_counter_ns()
        sent = received = 0
        while (in_time := perf_counter_ns() - start < THROUGHPUT_NS) or received < sent:
            while in_time and sent - received < WINDOW:
                await self._send(body(sent))
                sent += 1
            check(body(received), await self._receive())
            received += 1
        return messages_per_s(received, perf_counter_ns() - start)

    async def _send(self, text: str) -> None:
        await self.send(Message(to=PONG, body=text))

    async def _receive(self) -> str:
        message = await self.receive(timeout=ANSWER_TIMEOUT_S)
        if message is None:
            raise TimeoutError("no pong: the message was lost")
        return message.body or ""


def make_server(client_port: int, server_port: int, certificates: Path) -> Server:
    """An XMPP server with its data in memory, its key in `certificates`, and no port but the two given.

    Left to itself pyjabber keeps the key in its package, serves files and an administration page on port
    9090, and listens on the machine's own address beside loopback. No setting takes the page away: it comes
    with the upload plug-in, and without that every session of 0.4.5 dies at login.
    """
    loguru.logger.remove()
    shutil.copytree(Path(pyjabber.__file__).parent / "network" / "certs", certificates)
    server = Server(
        Parameters(
            host=HOST,
            client_port=client_port,
            server_port=server_port,
            cert_path=str(certificates),
            database_in_memory=True,
        )
    )
    server._http_server = None
    server._public_ip = None
    return server


@asynccontextmanager
async def running_server(client_port: int, server_port: int, certificates: Path) -> AsyncIterator[None]:
    """Serve on this loop."""
    server = make_server(client_port, server_port, certificates)
    serving = asyncio.create_task(server.start())
    try:
        await asyncio.wait_for(server.ready.wait(), START_TIMEOUT_S)
        yield
    finally:
        serving.cancel()
        await asyncio.wait([serving], timeout=ANSWER_TIMEOUT_S)
        if AppConfig.app_config:
            AppConfig.app_config.process_pool_exe.shutdown()


@asynccontextmanager
async def running_pong(port: int) -> AsyncIterator[None]:
    """Log the pong agent in and let it answer."""
    agent = Agent(PONG, PASSWORD, port=port)
    await asyncio.wait_for(agent.start(), START_TIMEOUT_S)
    agent.add_behaviour(Pong())
    try:
        yield
    finally:
        await agent.stop()


async def play(n: int, port: int) -> tuple[list[int], float]:
    """Log the ping agent in and let it play both games."""
    agent = Agent(PING, PASSWORD, port=port)
    await asyncio.wait_for(agent.start(), START_TIMEOUT_S)
    game = Ping(n)
    agent.add_behaviour(game)
    try:
        return await game.played
    finally:
        await agent.stop()


async def one_process(n: int, certificates: Path) -> tuple[list[int], float]:
    """Server and both agents on this loop."""
    port, server_port = free_ports()
    async with running_server(port, server_port, certificates), running_pong(port):
        return await play(n, port)


def three_processes(n: int, certificates: Path) -> tuple[list[int], float]:
    """Server and pong in a child each, the ping here."""
    ports = free_ports()
    with child(serve_in_child, ports, certificates), child(answer_in_child, ports[0]):
        return run(play(n, ports[0]))


@contextmanager
def child(target: Callable[..., None], *arguments: object) -> Iterator[None]:
    """A process that runs `target(parent, *arguments)`, entered once it says it is ready, stopped on leaving.

    It stops when its end of the pipe is closed, so also when this process dies.
    """
    context = multiprocessing.get_context("spawn")  # a fork would share the container and its loop
    pipe, childs_end = context.Pipe()
    process = context.Process(target=target, args=(childs_end, *arguments))
    process.start()
    childs_end.close()
    try:
        if not pipe.poll(START_TIMEOUT_S):
            raise TimeoutError(f"{target.__name__} was not ready after {START_TIMEOUT_S:.0f} s")
        pipe.recv()
        yield
    finally:
        pipe.close()
        process.join(ANSWER_TIMEOUT_S)
        if process.is_alive():
            process.kill()


async def ready_until_parent_leaves(parent: Connection) -> None:
    """Say that this child is ready; return when the parent closes the pipe."""
    parent.send("ready")
    with suppress(EOFError):
        await asyncio.to_thread(parent.recv)


def serve_in_child(parent: Connection, ports: tuple[int, int], certificates: Path) -> None:
    """Be the XMPP server."""

    async def serve() -> None:
        async with running_server(*ports, certificates):
            await ready_until_parent_leaves(parent)

    run(serve())


def answer_in_child(parent: Connection, port: int) -> None:
    """Be the pong agent."""

    async def answer() -> None:
        async with running_pong(port):
            await ready_until_parent_leaves(parent)

    run(answer())


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on the loop of SPADE's container, the only one on which agents can live."""
    loop: asyncio.AbstractEventLoop = cast("Any", Container()).loop
    return loop.run_until_complete(work)


def free_ports() -> tuple[int, int]:
    """Two ports of loopback that were free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=5_000)
    parser.add_argument("--xmpp", action="store_true", help="a process each, every message through the server")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        certificates = Path(directory) / "certificates"
        if options.xmpp:
            samples_ns, rate = three_processes(options.n, certificates)
        else:
            samples_ns, rate = run(one_process(options.n, certificates))
    versions = {name: version(name) for name in ("spade", "pyjabber", "slixmpp_multiplatform")}
    report("spade-xmpp" if options.xmpp else "spade", samples_ns, rate, WINDOW, versions)


if __name__ == "__main__":
    main()
