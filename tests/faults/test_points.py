"""The server dies once at each place where a crash might do harm (S2), and nothing that was promised is broken."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import apsw
import msgspec
import pytest

from caxton.client import CaxtonClient
from caxton.core.errors.error import CaxtonError
from caxton.core.views.agents import AgentSpec, CircuitBreaker
from caxton.core.views.dead_letters import DeadLetterFilter
from caxton.testing.guests import ROOT
from tests.faults.history import FSYNC, Pen, digest
from tests.faults.load import AGENTS, WORKER, Address, Client, Server, copy, examine, finish
from tests.patience import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.checker import Disk

EXTRA = "extra"
"""An agent that comes and goes. What it has handled goes with it, so only its unhandled mail is looked at."""

POINT = re.compile(r'crash_point\("([\w.]+)"\)')


@dataclass(slots=True)
class Stage:
    """A running server, somebody who posts, and somebody who administers."""

    server: Server
    client: Client
    admin: CaxtonClient

    def write_off(self) -> None:
        """A letter: the message is told to have failed."""
        self.client.say("w0", kind="ask", fate="fail")

    def expire(self) -> str:
        """A letter of a message that would be handled if it were replayed; its id."""
        self.admin.stop("w1")
        self.client.say("w1", fields={"ttl_ms": 1})
        letters = until(lambda: self.admin.dead_letters(DeadLetterFilter(agent="w1")).letters)
        self.admin.start("w1")
        return letters[0].id


def spec(**changes: Any) -> AgentSpec:
    return AgentSpec(name=EXTRA, circuit_breaker=CircuitBreaker(threshold=0), **changes)


def nothing(stage: Stage) -> None:
    """The clients who post at random do it all."""


def fail(stage: Stage) -> None:
    stage.client.say("w0", fate="third")


def write_off(stage: Stage) -> None:
    stage.write_off()


def set_timer(stage: Stage) -> None:
    stage.client.say("w0", fate="timer")


def ask(stage: Stage) -> None:
    stage.client.say("w0", kind="ask")


def deploy(stage: Stage) -> None:
    stage.admin.deploy(spec(), WORKER.read_bytes())


def replace(stage: Stage) -> None:
    deploy(stage)
    stage.admin.replace(spec(replicas=2), WORKER.read_bytes())


def stop_one(stage: Stage) -> None:
    stage.admin.stop("w2")


def remove(stage: Stage) -> None:
    deploy(stage)
    stage.admin.stop(EXTRA)
    for _ in range(3):
        stage.client.say(EXTRA)
    stage.admin.remove(EXTRA)


def replay(stage: Stage) -> None:
    stage.admin.replay(stage.expire())


def purge(stage: Stage) -> None:
    letter = stage.expire()
    stage.admin.replay(letter)
    stage.admin.purge(letter)


def compact(stage: Stage) -> None:
    stage.admin.compact_storage()


def end(stage: Stage) -> None:
    process = stage.server.process
    assert process is not None
    process.send_signal(signal.SIGTERM)


def with_one_in_hand(place: Path) -> None:
    """A run that is ended by a handler, at an attempt that comes after the message was acknowledged."""
    address = Address()
    server, client = Server(place, address), Client("k", place, address, 0, lambda: None)
    try:
        assert server.start()
        assert client.say("w3", fate="third", kill=[2])
        assert server.wait() == -signal.SIGKILL
    finally:
        client.close()
        server.close()


def as_before(place: Path) -> None:
    """The journal is one of the first version, with mail in it."""
    journal = place / "data" / "journal.db"
    first = (ROOT / "src/caxton/storage/migrations/0001_first.sql").read_text(encoding="utf-8")
    connection: Any = apsw.Connection(str(place / "old.db"))
    with closing(connection):
        connection.execute(first)
        connection.execute("ATTACH ? AS new", (str(journal),))
        for table in ("agents", "modules", "subscriptions"):
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM new.{table}")  # noqa: S608
        pen = Pen(place / "client-old.lines")
        for n in range(5):
            content = {"t": f"old-{n}", "fate": "ok"}
            body = {"performative": "inform", "sender": "client:admin", "content": content, "message_id": f"id-old-{n}"}
            connection.execute(
                "INSERT INTO messages (seq, workspace, sender, receiver, message_id, attempt, max_attempts, kept, body)"
                " VALUES (?, 'default', 'client:admin', 'w0', ?, 1, 5, 0, ?)",
                (n + 1, f"id-old-{n}", msgspec.json.encode(body)),
            )
            raw = digest(msgspec.json.encode(content))
            pen.write("attempt", "old", n, f"id-old-{n}", "w0", 4, content, raw)
            pen.write("ack", f"id-old-{n}", FSYNC)
        pen.close()
        connection.pragma("user_version", 1)
    for path in (place / "data").glob("journal.db*"):
        path.unlink()
    (place / "old.db").rename(journal)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What must happen for a point to be passed."""

    act: Callable[[Stage], None] = nothing
    time: int = 1
    """The n-th time it is passed is the one."""
    before: Callable[[Path], None] | None = None
    is_start: bool = False
    """It is passed before the server serves."""


SCENARIOS: dict[str, Scenario] = {
    "migration.before": Scenario(is_start=True, before=as_before),
    "migration.between": Scenario(is_start=True, before=as_before),
    "migration.after": Scenario(is_start=True, before=as_before),
    "start.loaded": Scenario(is_start=True),
    "start.started": Scenario(is_start=True),
    "suspect.taken": Scenario(is_start=True, before=with_one_in_hand),
    "stop.drained": Scenario(end),
    "stop.committed": Scenario(end),
    "accept.checked": Scenario(time=5),
    "accept.queued": Scenario(time=5),
    "settle.before": Scenario(time=7),
    "settle.applied": Scenario(time=7),
    "settle.sent": Scenario(time=7),
    "reply.kept": Scenario(ask, time=1),
    "fail.before": Scenario(fail),
    "redelivery.counted": Scenario(fail),
    "letter.buried": Scenario(write_off),
    "timer.due": Scenario(set_timer),
    "commit.asked": Scenario(time=6),
    "commit.begin": Scenario(time=6),
    "commit.half": Scenario(time=6),
    "commit.before": Scenario(time=6),
    "commit.after": Scenario(time=6),
    "commit.untold": Scenario(time=6),
    "checkpoint.before": Scenario(compact),
    "checkpoint.after": Scenario(compact),
    "compact.begun": Scenario(compact),
    "compact.given_back": Scenario(compact),
    "deploy.kept": Scenario(deploy),
    "deploy.started": Scenario(deploy),
    "deploy.committed": Scenario(deploy),
    "replace.swapped": Scenario(replace),
    "change.kept": Scenario(stop_one),
    "remove.begun": Scenario(remove),
    "remove.done": Scenario(remove),
    "replay.queued": Scenario(replay),
    "replay.before_commit": Scenario(replay),
    "replay.after_commit": Scenario(replay),
    "purge.before_commit": Scenario(purge),
    "purge.after_commit": Scenario(purge),
}


def test_every_crash_point_of_the_server_has_its_scenario() -> None:
    found = {point for path in (ROOT / "src").rglob("*.py") for point in POINT.findall(path.read_text("utf-8"))}
    assert found == SCENARIOS.keys()
    assert len(found) >= 25


def die(place: Path, point: str, scenario: Scenario) -> int:
    """The exit code of a server that is told to end at `point`."""
    address = Address()
    server = Server(place, address)
    clients = [Client(f"c{n}", place, address, n, lambda: None) for n in range(3)]
    try:
        if not server.start(f"{point}:{scenario.time}"):
            assert scenario.is_start, server.stderr.read_text()
            return server.wait()
        for client in clients[1:]:
            client.start()
        with CaxtonClient(address.url, address.token) as admin, suppress(CaxtonError):
            scenario.act(Stage(server, clients[0], admin))
        code = server.wait()
    except subprocess.TimeoutExpired:
        pytest.fail(f"{point} is never reached")
    finally:
        address.end()
        for client in clients:
            client.join(30) if client.ident is not None else client.close()
        server.close()
    assert [error for client in clients for error in client.errors] == []
    return code


def check_promises(place: Path, *, is_up: bool) -> Disk:
    problems, _, disk = examine(place)
    assert [problem for problem in problems if is_up or "did not come up" not in problem] == []
    return disk


@pytest.mark.parametrize("point", SCENARIOS)
def test_server_that_dies_there_loses_doubles_and_alters_nothing(tmp_path: Path, template: Path, point: str) -> None:
    scenario = SCENARIOS[point]
    place = copy(template, tmp_path / "place")
    (place / "agents.json").write_bytes(msgspec.json.encode(AGENTS))
    if scenario.before is not None:
        scenario.before(place)
    assert die(place, point, scenario) == -signal.SIGKILL
    if scenario.before is not as_before:  # the checker knows only the tables of today
        check_promises(place, is_up=not scenario.is_start)
    asyncio.run(finish(place, 9))
    assert not check_promises(place, is_up=True).pending
