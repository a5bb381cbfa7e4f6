"""Pykka: two threading actors of one process that `tell` each other; the ping's handler takes the times."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from importlib.metadata import version
from time import perf_counter_ns
from typing import Any

import pykka
from rounds import (
    ANSWER_TIMEOUT_S,
    NS_PER_S,
    THROUGHPUT_NS,
    WINDOW,
    body,
    check,
    messages_per_s,
    report,
    round_trips,
    warm_up,
)

SLOWEST_TRIP_S = 0.02
"""Past this a round trip is not slow but lost: two thread switches take at most 5 ms each."""


@dataclass(frozen=True)
class Ball:
    """The message measured."""

    body: str
    reply_to: pykka.ActorRef[Any]


class Pong(pykka.ThreadingActor):
    """Sends every ball back to whoever it names."""

    def on_receive(self, message: Ball) -> None:
        message.reply_to.tell(Ball(message.body, self.actor_ref))


class LatencyPing(pykka.ThreadingActor):
    """Keeps one ball in flight; answers with the samples."""

    def __init__(self, pong: pykka.ActorRef[Pong], n: int, answer: Future[list[int]]) -> None:
        super().__init__()
        self._pong, self._n, self._answer = pong, n, answer
        self._number = -warm_up(n)
        self._sent, self._sent_at = "", 0
        self._samples_ns: list[int] = []

    def on_start(self) -> None:
        self._send()

    def on_receive(self, message: Ball) -> None:
        took = perf_counter_ns() - self._sent_at
        check(self._sent, message.body)
        if self._number >= 0:
            self._samples_ns.append(took)
        self._number += 1
        if self._number < self._n:
            self._send()
        else:
            self._answer.set_result(self._samples_ns)

    def _send(self) -> None:
        self._sent = body(self._number)
        self._sent_at = perf_counter_ns()
        self._pong.tell(Ball(self._sent, self.actor_ref))


class RatePing(pykka.ThreadingActor):
    """Keeps `WINDOW` balls in flight; answers with the rate."""

    def __init__(self, pong: pykka.ActorRef[Pong], answer: Future[float]) -> None:
        super().__init__()
        self._pong, self._answer = pong, answer
        self._sent = self._received = 0
        self._start = self._deadline = 0

    def on_start(self) -> None:
        self._start = perf_counter_ns()
        self._deadline = self._start + THROUGHPUT_NS
        for _ in range(WINDOW):
            self._send()

    def on_receive(self, message: Ball) -> None:
        check(body(self._received), message.body)
        self._received += 1
        now = perf_counter_ns()
        if now < self._deadline:
            self._send()
        elif self._received == self._sent:
            self._answer.set_result(messages_per_s(self._received, now - self._start))

    def _send(self) -> None:
        self._pong.tell(Ball(body(self._sent), self.actor_ref))
        self._sent += 1


def main() -> None:
    n = round_trips()
    samples_ns: Future[list[int]] = Future()
    rate: Future[float] = Future()
    pong = Pong.start()
    try:
        LatencyPing.start(pong, n, samples_ns)
        samples_ns.result(timeout=ANSWER_TIMEOUT_S + n * SLOWEST_TRIP_S)
        RatePing.start(pong, rate)
        rate.result(timeout=ANSWER_TIMEOUT_S + THROUGHPUT_NS / NS_PER_S)
    finally:
        pykka.ActorRegistry.stop_all()
    report("pykka", samples_ns.result(), rate.result(), WINDOW, {"pykka": version("pykka")})


if __name__ == "__main__":
    main()
