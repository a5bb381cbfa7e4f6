"""kill -9 of a whole server under load, again and again (S1). `FAULTS_SEED` repeats what a failure names."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from typing import TYPE_CHECKING

import pytest

from tests.faults.load import Address, Client, Door, Server, copy, examine, finish, revive

if TYPE_CHECKING:
    from pathlib import Path

CLIENTS = 4
CYCLES = 30
SOAK_CYCLES = int(os.environ.get("FAULTS_CYCLES", "2000"))
EPOCH = 50
"""So many cycles on one data directory: the agents' state, which remembers every message, has a limit."""


class Told:
    """Counts answers, and lets somebody wait for so many of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def __call__(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait_for_more(self, more: int) -> None:
        with self._changed:
            until = self._count + more
            assert self._changed.wait_for(lambda: self._count >= until, 30), "the clients get no answers"


def cycles(number: int, place: Path, seed: int) -> tuple[int, int]:
    """Kill it so often, look after each time; (acknowledgements, deliveries)."""
    chance = random.Random(seed)  # noqa: S311
    address, told = Address(), Told()
    server = Server(place, address)
    clients = [Client(f"c{n}", place, address, seed, told) for n in range(CLIENTS)]
    door = Door(address)
    try:
        for cycle in range(number):
            assert server.start(), server.stderr.read_text()
            revive(door)
            if not cycle:
                for client in clients:
                    client.start()
            told.wait_for_more(chance.randint(1, 50))
            threading.Event().wait(chance.random() * 0.02)
            server.kill()
            server.wait()
            problems, _, _ = examine(place)
            assert problems == [], f"cycle {cycle}, FAULTS_SEED={seed}"
        address.end()
    finally:
        address.end()
        door.close()
        for client in clients:
            if client.ident is not None:
                client.join(30)
        server.close()
    assert [error for client in clients for error in client.errors] == [], f"FAULTS_SEED={seed}"
    asyncio.run(finish(place, number + 1))
    problems, history, disk = examine(place)
    assert problems == [], f"at rest, FAULTS_SEED={seed}"
    assert not disk.pending
    assert not disk.timers
    return len(history.acks), len(history.delivers)


def seed() -> int:
    return int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))  # noqa: S311


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_doubled_or_overtaken_by_kill_9_under_load(tmp_path: Path, template: Path) -> None:
    acks, deliveries = cycles(CYCLES, copy(template, tmp_path / "place"), seed())
    assert acks >= CYCLES
    assert deliveries >= CYCLES


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_nothing_acknowledged_is_lost_doubled_or_overtaken_by_two_thousand_kills(
    tmp_path: Path, template: Path
) -> None:
    began = seed()
    for epoch in range(-(-SOAK_CYCLES // EPOCH)):
        cycles(min(EPOCH, SOAK_CYCLES - epoch * EPOCH), copy(template, tmp_path / f"epoch-{epoch}"), began + epoch)
