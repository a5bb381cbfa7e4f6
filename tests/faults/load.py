"""Clients outside of the server, and the server's process: what the proofs that kill are made of."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.agents import AgentSpec, CircuitBreaker
from caxton.testing.rooms import CACHE_KEY, open_node, until
from tests.faults.checker import check, look
from tests.faults.history import FAILED, FSYNC, MEMORY, REPLY, Pen, digest, read
from tests.faults.node import tapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.testing.rooms import LocalNode
    from tests.faults.checker import Disk
    from tests.faults.history import History

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.wasm")
AGENTS = ("w0", "w1", "w2", "w3")
MANY = ("topic://news/s1", "broadcast://all")
WAIT_S = 30.0


class Address:
    """Where the server is now; clients wait here while there is none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._netloc = self.url = self.token = ""
        self.is_over = False

    def tell(self, url: str, token: str) -> None:
        with self._changed:
            self._netloc, self.url, self.token = urlsplit(url).netloc, url, token
            self._changed.notify_all()

    def forget(self) -> None:
        with self._changed:
            self._netloc = ""

    def end(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self.is_over = True
            self._changed.notify_all()

    def wait(self) -> str:
        """Empty when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._netloc or self.is_over, WAIT_S)
            return "" if self.is_over else self._netloc


class Door:
    """One connection that is made again when the server has gone."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: http.client.HTTPConnection | None = None
        self._netloc = ""

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any] | None:
        """Status and JSON; None if there was no answer: the request may have been heard or not."""
        netloc = self._address.wait()
        if not netloc:
            return None
        if self._connection is None or netloc != self._netloc:
            self.close()
            self._connection, self._netloc = http.client.HTTPConnection(netloc, timeout=WAIT_S), netloc
        headers = {"Authorization": f"Bearer {self._address.token}", "Content-Type": "application/json"}
        try:
            self._connection.request(method, path, body, headers)
            with self._connection.getresponse() as response:
                data = response.read()
            return response.status, json.loads(data) if data else None
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Client(threading.Thread):
    """Posts one thing after the other, and each until it is answered. What it does follows from its seed."""

    def __init__(self, name: str, place: Path, address: Address, seed: int, told: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._pen = Pen(place / f"client-{name}.lines")
        self._address, self._door = address, Door(address)
        self._chance = Random(f"{seed}-{name}")  # noqa: S311 - a script, no secret
        self._told = told
        self._n = 0
        self.errors: list[str] = []

    def run(self) -> None:
        try:
            while not self._address.is_over:
                self.step()
        except Exception as exc:  # the test's thread asks for it
            self.errors.append(f"{self.name}: {exc!r}")
        finally:
            self.close()

    def step(self) -> None:
        """One thing of those that clients do."""
        kind = self._chance.choices(("post", "ask", "batch", "again", "memory"), (10, 3, 2, 2, 1))[0]
        messages = [self.make(kind) for _ in range(4 if kind == "batch" else 1)]
        while not self._address.is_over and not self._try(kind, messages):
            pass

    def make(self, kind: str) -> dict[str, Any]:
        """A message with an id and a fate."""
        chance, token = self._chance, f"{self.name}-{self._n}"
        fate = chance.choices(("ok", "third", "fail", "timer", "spin", "trap"), (24, 3, 1, 3, 1, 0.4))[0]
        content: dict[str, Any] = {"t": token, "fate": fate}
        receiver = chance.choices((*AGENTS, *MANY), (6, 6, 6, 6, 1, 1))[0]
        if receiver in AGENTS and chance.random() < 0.4:  # only the last of a chain is for many: names tell one kid
            to = f"{chance.choice(AGENTS)}|{chance.choice((*AGENTS, *MANY))}"
            content |= {"kids": chance.randint(1, 2), "to": to}
        message = {
            "performative": "inform", "receiver": receiver, "content": content, "message_id": f"id-{token}",
            "priority": chance.choice((4, 4, 4, 4, 7, 1)),
        }  # fmt: skip
        if chance.random() < 0.05:
            message["ttl_ms"] = chance.randint(1, 200)
        if kind == "ask":
            message |= {"performative": "request", "receiver": chance.choice(AGENTS)}
        if fate == "trap":  # it may fail its agent: only one is spoilt
            message |= {"receiver": AGENTS[-1], "performative": "inform"}
        self._n += 1
        return message

    def say(self, receiver: str, *, kind: str = "post", fields: dict[str, Any] | None = None, **content: Any) -> bool:
        """Post something that is not left to chance; whether it was answered."""
        return self._try(kind, [self.message(receiver, kind=kind, **content) | (fields or {})])

    def say_all(self, *messages: dict[str, Any]) -> bool:
        """Post what `message` made, in one request."""
        return self._try("batch", list(messages))

    def message(self, receiver: str, *, kind: str = "post", **content: Any) -> dict[str, Any]:
        """The next message of this client."""
        token = f"{self.name}-{self._n}"
        self._n += 1
        return {
            "performative": "request" if kind == "ask" else "inform", "receiver": receiver, "priority": 4,
            "message_id": f"id-{token}", "content": {"t": token, "fate": "ok"} | content,
        }  # fmt: skip

    def close(self) -> None:
        """If it was not started."""
        self._door.close()
        self._pen.close()

    def _try(self, kind: str, messages: list[dict[str, Any]]) -> bool:
        bodies = [json.dumps(message).encode() for message in messages]
        for message in messages:
            content = json.dumps(message["content"]).encode()
            n = int(message["content"]["t"].rpartition("-")[2])
            self._pen.write(
                "attempt", self.name, n, message["message_id"], message["receiver"], message["priority"],
                message["content"], digest(content),
            )  # fmt: skip
        path = "/api/v1/messages"
        if kind == "batch":
            answer = self._door.ask("POST", f"{path}/batch", b'{"messages":[' + b",".join(bodies) + b"]}")
        elif kind == "ask":
            answer = self._door.ask("POST", f"{path}?wait=10s", bodies[0])
        else:
            answer = self._door.ask("POST", path + ("?durability=memory" if kind == "memory" else ""), bodies[0])
        if answer is None:
            return False
        status, said = answer
        if status in (429, 503, 507):
            return False  # later, under the same id
        for message, one in zip(messages, said["receipts"] if kind == "batch" else [said], strict=True):
            self._note(message["message_id"], status, one, kind)
        if kind == "again":
            self._again(messages[0], said)
        self._told()
        return True

    def _note(self, message_id: str, status: int, said: dict[str, Any], kind: str) -> None:
        if "durability" in said:
            self._pen.write("ack", message_id, {FSYNC: FSYNC, "memory": MEMORY}[said["durability"]])
        elif status == 200:
            self._pen.write("ack", message_id, REPLY)
        elif said.get("code") == "AGENT_FAILED":
            self._pen.write("ack", message_id, FAILED)
        elif said.get("code") in ("REPLY_TIMEOUT", "REPLY_INTERRUPTED"):
            self._pen.write("ack", message_id, FSYNC)
        elif not (kind == "ask" and said.get("code") == "AGENT_STATE_CONFLICT"):
            raise AssertionError(f"{status} for {message_id}: {said}")

    def _again(self, message: dict[str, Any], receipt: dict[str, Any]) -> None:
        """The same once more is the same; another under its id is refused."""
        same = self._door.ask("POST", "/api/v1/messages", json.dumps(message).encode())
        if same is not None and same != (202, receipt):
            raise AssertionError(f"posted again: {receipt}, then {same}")
        other = json.dumps(message | {"language": "another"}).encode()
        refused = self._door.ask("POST", "/api/v1/messages", other)
        if refused is not None and refused[0] != 409:
            raise AssertionError(f"another message under the id of {message}: {refused}")


class Server:
    """A server on `place`, run after run."""

    def __init__(self, place: Path, address: Address) -> None:
        self._place, self._address = place, address
        self._pen = Pen(place / "driver.lines")
        self.stderr = place / "stderr"
        self.run = 0
        self.process: subprocess.Popen[str] | None = None

    def start(self, crash_at: str = "") -> bool:
        """Whether it serves: a server may be told to end before that."""
        self.run += 1
        environment = {"HOME": str(self._place), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
        if crash_at:
            environment["CAXTON_CRASH_AT"] = crash_at
        arguments = [sys.executable, "-m", "tests.faults.node", str(self._place), str(self.run)]
        with self.stderr.open("a") as stderr:
            self.process = subprocess.Popen(
                arguments, cwd=ROOT, env=environment, encoding="utf-8", stdout=subprocess.PIPE, stderr=stderr
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            self._address.tell(*line.split())
        return bool(line)

    def wait(self, timeout_s: float = WAIT_S) -> int:
        """Its exit code, once it has ended; raises `subprocess.TimeoutExpired`."""
        assert self.process is not None
        code = self.process.wait(timeout_s)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._address.forget()
        self._pen.write("exit", self.run, code)
        return code

    def kill(self) -> None:
        """At once."""
        assert self.process is not None
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(WAIT_S)

    def close(self) -> None:
        """No process is left behind."""
        if self.process is not None:
            self.kill()
            if self.process.stdout is not None:
                self.process.stdout.close()
        self._pen.close()


def prepare(place: Path) -> None:
    """Make a data directory with the agents, and what the checker must know."""
    place.mkdir()
    (place / "agents.json").write_bytes(msgspec.json.encode(AGENTS))
    asyncio.run(_deploy(place / "data"))
    (place / "data" / "keys").mkdir(mode=0o700)
    (place / "data" / "keys" / "cache.key").write_bytes(CACHE_KEY)
    (place / "data").chmod(0o700)


async def _deploy(data_dir: Path) -> None:
    async with open_node(data_dir) as node:
        for name in AGENTS:
            spec = AgentSpec(name=name, groups=["all"], circuit_breaker=CircuitBreaker(threshold=0))
            await node.agents.deploy(DEFAULT_WORKSPACE, spec, WORKER.read_bytes())
        await node.rooms.drain()


def copy(template: Path, place: Path) -> Path:
    """A fresh start on what `prepare` made."""
    shutil.copytree(template, place)
    return place


def revive(door: Door) -> None:
    """An agent that has crashed too often waits for somebody to start it."""
    door.ask("POST", f"/api/v1/agents/{AGENTS[-1]}/start")


async def finish(place: Path, run: int) -> None:
    """Start once more, in this process, and let everything come to its end."""
    with tapped(place / "node.lines", run) as pen:
        async with open_node(place / "data") as node:
            pen.write("ready", run)
            for name in node.names():
                if node.view(name).status == "stopped":
                    await node.start(name)
            while not _is_quiet(node):
                for name in _failed(node):
                    await node.start(name)
                await until(lambda: _is_quiet(node) or _failed(node))
            for n, name in enumerate(node.names()):  # whatever it is now, it is wholly that
                content = {"t": f"finish-{run}-{n}"}
                message_id, body = f"id-{content['t']}", digest(msgspec.json.encode(content))
                pen.write("attempt", "finish", 100 * run + n, message_id, name, 4, content, body)
                await node.ask(name, content, message_id=message_id)
                pen.write("ack", message_id, REPLY)
            await until(lambda: _is_quiet(node))
            await node.rooms.drain()


def _is_quiet(node: LocalNode) -> bool:
    return not any(receiver.messages or receiver.timers for receiver in node.rooms.bus.names.receivers())


def _failed(node: LocalNode) -> list[str]:
    return [name for name in node.names() if node.view(name).status == "failed"]


def examine(place: Path) -> tuple[list[str], History, Disk]:
    """(violations, history, disk)."""
    history, disk = read(place), look(place / "data" / "journal.db")
    return check(history, disk), history, disk
