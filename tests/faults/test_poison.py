"""A message that its handler never survives (B3) is a dead letter after five attempts, and holds up nobody for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from caxton.client import CaxtonClient
from tests.faults.load import AGENTS, ROOT, WORKER, Address, Client, Server, copy, examine, finish
from tests.patience import until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from caxton.core.views.dead_letters import DeadLetterView

PATIENCE_S = 20.0


@contextmanager
def staged(place: Path) -> Generator[tuple[Server, Client, Address]]:
    """A server that serves, and a client that says what the test wants."""
    address = Address()
    server, client = Server(place, address), Client("c", place, address, 0, lambda: None)
    try:
        assert server.start(), server.stderr.read_text()
        yield server, client, address
        server.kill()
        server.wait()
    finally:
        client.close()
        server.close()
    asyncio.run(finish(place, 99))
    assert examine(place)[0] == []


def letter_of(address: Address, agent: str) -> tuple[str, int, str | None]:
    """(reason, attempts, trap) of the one dead letter, once it is there."""
    with CaxtonClient(address.url, address.token) as admin:

        def letters() -> list[DeadLetterView]:
            if admin.agent(agent).status == "failed":
                admin.start(agent)  # four crashes within a minute: somebody has to look
            return admin.dead_letters().letters

        (letter,) = until(letters)
    return letter.reason, letter.attempts, letter.trap


@pytest.mark.parametrize(("fate", "reason"), [("fail", ("failed", 5, None)), ("crash", ("failed", 5, "unreachable"))])
def test_handler_that_never_succeeds_buries_its_message_and_lets_the_next_ones_through(
    tmp_path: Path, template: Path, fate: str, reason: tuple[str, int, str | None]
) -> None:
    place = copy(template, tmp_path / "place")
    with staged(place) as (_, client, address):
        assert client.say(AGENTS[0], fate=fate)
        assert client.say(AGENTS[0])  # of the same pair: it waits
        assert client.say(AGENTS[1])
        assert letter_of(address, AGENTS[0]) == reason
    _, _, disk = examine(place)
    assert set(disk.handled) >= {(AGENTS[0], "c-1"), (AGENTS[1], "c-2")}
    assert disk.dead == {(AGENTS[0], "c-0"): 1}


def test_handler_that_kills_the_process_buries_its_message_and_the_server_stays_up(
    tmp_path: Path, template: Path
) -> None:
    place = copy(template, tmp_path / "place")
    kills = 0
    with staged(place) as (server, client, address):
        # The first attempt fails, so that it was acknowledged and is on disk before it kills.
        poison = client.message(AGENTS[0], fate="fail", kill=[2, 3, 4, 5])
        assert client.say_all(poison, client.message(AGENTS[0]), client.message(AGENTS[1]))
        while True:
            try:
                assert server.wait(1.5) == -signal.SIGKILL
            except subprocess.TimeoutExpired:
                break
            kills += 1
            assert kills <= 5, "it does not come up any more"
            server.start()
        assert letter_of(address, AGENTS[0]) == ("poison", 5, None)
        assert client.say(AGENTS[0])
    assert kills == 4
    _, _, disk = examine(place)
    assert set(disk.handled) >= {(AGENTS[0], "c-1"), (AGENTS[1], "c-2"), (AGENTS[0], "c-3")}
    assert disk.dead == {(AGENTS[0], "c-0"): 1}


@pytest.mark.slow
def test_worker_is_what_its_source_makes(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([str(ROOT / "tests/faults/build"), str(tmp_path)], env=environment, check=True, timeout=55)
    assert (tmp_path / "worker.wasm").read_bytes() == WORKER.read_bytes()
