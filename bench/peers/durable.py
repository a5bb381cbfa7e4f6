"""The game of the durable queues, so that all rows measure the same thing.

One server process of its own, one client process, one connection over loopback, bodies of `BODY_BYTES`; a message
counts as posted once the server has said that it is on disk (fsync or fdatasync). Four figures: the time of a post
with one message in flight; posts a second with `WINDOW` in flight, in the way that the queue's own client offers for
it; and how fast one consumer takes and acknowledges `BACKLOG` messages that wait, up to `TAKE` at a time.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).resolve().parents[1]))  # appended, so that nothing in bench/ hides a package

from harness import NS_PER_S, emit, summary

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

BODY_BYTES = 256
WINDOW = 1000
"""Messages in flight: a batch of Caxton's, a pipeline of Redis', pending acknowledgements of NATS'."""
TAKE = 1000
BACKLOG = 50_000
RATE_S = 4.0
"""Length of the game with many in flight."""
START_TIMEOUT_S = 10.0


def posts() -> int:
    """The `--n` of the command line: how many posts the game with one in flight samples."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=5_000)
    n: int = parser.parse_args().n
    return n


def body(number: int) -> bytes:
    """JSON of exactly `BODY_BYTES` bytes, different for each `number`."""
    head = f'{{"n":{number},"pad":"'
    return (head + "x" * (BODY_BYTES - len(head) - 2) + '"}').encode()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str], port: int) -> Generator[None]:
    """A server, from when it takes connections; stopped by its own process id."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_TIMEOUT_S
        while not _takes_connections(port):
            if child.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{Path(command[0]).name} did not start")
            time.sleep(0.02)
        yield
    finally:
        child.terminate()
        child.wait()


def _takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def report(
    name: str, samples_ns: list[int], *, posted_per_s: float, taken_per_s: float, settings: str,
    versions: dict[str, str],
) -> None:  # fmt: skip
    """Print the one line that `bench/queues.py` reads.

    Args:
        name: of the row.
        samples_ns: of posts with one in flight.
        posted_per_s: with `WINDOW` in flight.
        taken_per_s: taken and acknowledged.
        settings: what decides about durability, and how the client did it.
        versions: of what was measured.
    """
    row = {"name": name, **summary(samples_ns), "single_per_s": round(len(samples_ns) * NS_PER_S / sum(samples_ns))}
    row |= {"messages_per_s": round(posted_per_s), "in_flight": WINDOW, "taken_per_s": round(taken_per_s)}
    row |= {"backlog": BACKLOG, "body_bytes": BODY_BYTES, "settings": settings, "versions": versions}
    emit(row, as_json=True)
