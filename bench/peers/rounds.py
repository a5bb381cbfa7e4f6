"""The game every Python peer plays, so that all rows measure the same thing.

A ping sends a body of 64 bytes to a pong, which sends the same bytes back; the ping checks them. That is one
round trip and two messages. First with one message in flight (the latency), then with `WINDOW` in flight for
`THROUGHPUT_NS` (the rate). How a message travels is the peer's own business.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).resolve().parents[1]))  # appended, so that nothing in bench/ hides a package

from harness import NS_PER_S, emit, summary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WINDOW = 100
"""Messages in flight in the throughput game: enough to hide waiting, few enough for any mailbox."""
THROUGHPUT_NS = 2 * NS_PER_S
"""Length of the throughput game. A time and not a count: the peers differ by a factor of a thousand."""
BODY_BYTES = 64
ANSWER_TIMEOUT_S = 10.0
"""A peer that loses a message must fail, not hang."""


class WrongEcho(Exception):
    """A pong came back that was not the ping sent: the figures would be worthless."""


def body(number: int) -> str:
    """JSON of exactly `BODY_BYTES` bytes, different for each `number`."""
    head = f'{{"ping": {number}, "pad": "'
    return head + "x" * (BODY_BYTES - len(head) - 2) + '"}'


def check(sent: object, received: object) -> None:
    """Raise `WrongEcho` unless the pong carries what the ping sent."""
    if sent != received:
        raise WrongEcho(f"sent {sent!r}, received {received!r}")


def warm_up(n: int) -> int:
    """How many round trips are played before the clock counts: a tenth of `n`, from 100 to 1,000."""
    return max(100, min(n // 10, 1_000))


def round_trips() -> int:
    """The `--n` of the command line: how many round trips the latency game samples."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=5_000)
    n: int = parser.parse_args().n
    return n


def latency(call: Callable[[str], str], n: int) -> list[int]:
    """Nanoseconds of each of `n` round trips, one in flight, after the warm-up.

    Args:
        call: sends a ping, waits for its pong and returns it.
        n: how many are sampled.

    Raises:
        WrongEcho: a pong was not its ping.
    """
    samples_ns: list[int] = []
    for number in range(-warm_up(n), n):
        sent = body(number)
        start = perf_counter_ns()
        received = call(sent)
        took = perf_counter_ns() - start
        check(sent, received)
        if number >= 0:
            samples_ns.append(took)
    return samples_ns


async def latency_async(call: Callable[[str], Awaitable[str]], n: int) -> list[int]:
    """As `latency`, for a `call` that is awaited."""
    samples_ns: list[int] = []
    for number in range(-warm_up(n), n):
        sent = body(number)
        start = perf_counter_ns()
        received = await call(sent)
        took = perf_counter_ns() - start
        check(sent, received)
        if number >= 0:
            samples_ns.append(took)
    return samples_ns


async def rate_async(call: Callable[[str], Awaitable[str]]) -> float:
    """Messages per second with `WINDOW` calls in flight for `THROUGHPUT_NS`, drained at the end."""
    start = perf_counter_ns()
    deadline = start + THROUGHPUT_NS

    async def keep_one_in_flight(first: int) -> int:
        number = first
        while perf_counter_ns() < deadline:
            sent = body(number)
            check(sent, await call(sent))
            number += WINDOW
        return (number - first) // WINDOW

    done = await asyncio.gather(*(keep_one_in_flight(first) for first in range(WINDOW)))
    return messages_per_s(sum(done), perf_counter_ns() - start)


def messages_per_s(trips: int, took_ns: int) -> float:
    """Rate of `trips` round trips, each a ping and a pong."""
    return 2 * per_s(trips, took_ns)


def per_s(count: int, took_ns: int) -> float:
    """`count` things in `took_ns`, as a rate."""
    return count * NS_PER_S / took_ns


def report(name: str, samples_ns: list[int], rate: float, in_flight: int, versions: dict[str, str]) -> None:
    """Print the one line that `bench/peers.py` reads.

    Args:
        name: of the row.
        samples_ns: of the latency game.
        rate: messages per second.
        in_flight: round trips under way at once while `rate` was measured; 1 where the peer only does one.
        versions: of what was measured.
    """
    row = {"name": name, **summary(samples_ns)}
    row |= {"messages_per_s": round(rate), "in_flight": in_flight, "versions": versions}
    emit(row, as_json=True)
