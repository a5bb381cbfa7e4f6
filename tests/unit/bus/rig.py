"""A bus on a real journal and a real file, in one thread: a commit happens when the test says so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.bus.bus import Bus
from caxton.bus.journal import IDLE_COMMIT_S, Journal
from caxton.bus.mailbox import Receiver
from caxton.bus.postbox import Postbox
from caxton.bus.receipts import Receipts
from caxton.bus.recovery import last_seq, load_mail, load_names, load_state, load_timers, load_topics
from caxton.bus.replies import Waiter
from caxton.bus.turn import Turn
from caxton.services.dead_letters import DeadLetterService
from caxton.storage.database import Database
from caxton.storage.inflight import InFlight
from caxton.testing.handlers import FakeHandler, FakeSupervisor, acl

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.messages.message import AclMessage
    from caxton.recorder.recorder import Recorder
    from caxton.storage.database import Row, Statement
    from caxton.testing.clock import ManualClock
    from caxton.testing.handlers import OnMessage, OnResume, OnTimer

WORKSPACE = "default"
MOST_COMMITS = 2000
"""Enough for anything that is asked."""

TURNS = 6
"""Turns of the event loop that are enough for anything that is ready to happen."""


class StepDatabase(Database):
    """A real file whose transactions wait until the test lets them go, one after the other."""

    def __init__(self, path: Path, *, vfs: str | None = None) -> None:
        super().__init__(path, vfs=vfs)
        self.asked: list[tuple[list[Statement], Callable[[Exception | None], None]]] = []
        self.fails_with: Exception | None = None
        """The next transaction fails with this instead of being written."""

    def write(self, statements: list[Statement], done: Callable[[Exception | None], None]) -> None:
        self.asked.append((statements, done))

    def read(self, sql: str, parameters: Row, done: Callable[[list[Row] | Exception], None]) -> None:
        """At once: what waits is not committed, so nobody may see it."""
        done(self.query(sql, parameters))

    def let_go(self) -> list[Statement]:
        """Commit the oldest transaction; its statements are returned."""
        statements, done = self.asked.pop(0)
        error, self.fails_with = self.fails_with, None
        if error is None:
            self._transaction(statements)
        done(error)
        return statements


class Agent:
    """A receiver and its fake handlers, by replica."""

    def __init__(self, receiver: Receiver, supervisor: FakeSupervisor) -> None:
        self.receiver, self.supervisor = receiver, supervisor
        self.handlers: list[FakeHandler] = []

    @property
    def handler(self) -> FakeHandler:
        (only,) = self.handlers
        return only

    @property
    def contents(self) -> list[Any]:
        """What the handlers were given, parsed, replica by replica."""
        return [
            msgspec.json.decode(message.content) if message.content else None
            for handler in self.handlers
            for message in handler.delivered
        ]


class Caller:
    """Somebody outside who waits, and what they heard."""

    def __init__(self) -> None:
        self.replies: list[dict[str, Any]] = []
        self.failures: list[tuple[str, Crash | None]] = []
        self.waiter = Waiter(self._replied, self._failed)

    def _replied(self, envelope: Envelope) -> None:
        self.replies.append(msgspec.json.decode(envelope.body))

    def _failed(self, _envelope: Envelope, reason: str, crash: Crash | None) -> None:
        self.failures.append((reason, crash))

    @property
    def has_heard(self) -> bool:
        return bool(self.replies or self.failures)


class Rig:
    """Make it inside a running event loop whose time is `clock`'s."""

    def __init__(
        self, path: Path, clock: ManualClock, *, database: StepDatabase | None = None, recorder: Recorder | None = None
    ) -> None:
        self.path, self.clock = path, clock
        clock.restart()
        self.database = StepDatabase(path) if database is None else database
        self.storage_errors: list[Exception] = []
        in_flight = InFlight(path.with_suffix(".in-flight"))
        self.journal = Journal(self.database, clock, self.storage_errors.append, in_flight)
        self.wakes = 0
        self.is_queued = self.is_durable = False
        """Whether the last post was a new one, and is to be written."""
        first_seq = last_seq(self.database) + 1
        self.bus = Bus(self.journal, clock, self._woken, first_seq=first_seq, recorder=recorder)
        self.receipts = Receipts(self.journal, clock)
        self.receipts.load(self.database)
        self.postbox = Postbox(self.bus, self.journal, self.receipts, self._woken)
        self.letters = DeadLetterService(self.bus, self.postbox, self.journal, self.database, clock)

    def _woken(self) -> None:
        self.wakes += 1

    # --- agents ------------------------------------------------------------------------------------------------

    def receiver(self, name: str, *, max_messages: int = 10_000, max_bytes: int = 16 << 20) -> Agent:
        """An agent that does not run."""
        supervisor = FakeSupervisor()
        receiver = Receiver(self.bus.names.directory(WORKSPACE), name, supervisor)
        receiver.max_messages, receiver.max_bytes = max_messages, max_bytes
        self.bus.names.add(receiver)
        return Agent(receiver, supervisor)

    def agent(
        self, name: str, on_message: OnMessage | None = None, *, on_timer: OnTimer | None = None,
        on_resume: OnResume | None = None, replicas: int = 1, max_messages: int = 10_000, max_bytes: int = 16 << 20,
    ) -> Agent:  # fmt: skip
        """An agent that runs."""
        agent = self.receiver(name, max_messages=max_messages, max_bytes=max_bytes)
        self.start(agent, on_message, on_timer=on_timer, on_resume=on_resume, replicas=replicas)
        return agent

    def start(
        self, agent: Agent, on_message: OnMessage | None = None, *, on_timer: OnTimer | None = None,
        on_resume: OnResume | None = None, replicas: int = 1,
    ) -> None:  # fmt: skip
        """Give it new handlers, as a supervisor does."""
        agent.receiver.is_running = True
        self.bus.queues.set_mailboxes(agent.receiver, replicas)
        agent.handlers = []
        for box in agent.receiver.mailboxes:
            handler = FakeHandler(Turn(self.bus, box), on_message, on_timer, on_resume)
            agent.handlers.append(handler)
            self.bus.queues.open(box, handler)

    def stop(self, agent: Agent) -> None:
        """At once, as `stop --force` does."""
        agent.receiver.is_running = False
        for box in agent.receiver.mailboxes:
            self.bus.queues.drop(box)
        self.bus.queues.set_mailboxes(agent.receiver, 0)

    def boot_turn(self, agent: Agent) -> Turn:
        """For effects outside of any message, as `agent_init` has them."""
        turn = Turn(self.bus, agent.receiver.mailboxes[0])
        turn.begin(None, self.clock.wall_us())
        return turn

    # --- work --------------------------------------------------------------------------------------------------

    def post(self, receiver: str | list[str] = "", content: object = None, *, caller: Caller | None = None,
             sender: str = "admin", durable: bool = True, **fields: object) -> AclMessage:  # fmt: skip
        waiter, message = None if caller is None else caller.waiter, acl(receiver, content, **fields)
        self.is_queued, self.is_durable = self.postbox.accept(
            WORKSPACE, sender, message, waiter=waiter, durable=durable
        )
        return message

    def pump(self) -> None:
        """Until there is nothing more to do."""
        for _ in range(10_000):
            if not self.bus.has_work:
                return
            self.bus.pump(1.0)
        raise AssertionError("the bus does not come to rest")

    def pump_once(self) -> None:
        """One visit to each mailbox with work, and one slice for one handler that is in the middle of something."""
        self.bus.pump(0.0)

    async def pump_suspects(self) -> None:
        """Until what a crash left behind was handled, each with its commit."""
        self.pump()
        while self.bus.suspects.is_active:
            await self.commit()
            self.pump()

    async def turn_loop(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def commit(self) -> list[Statement]:
        """Let everything that has changed be written; returns the statements."""
        statements: list[Statement] = []
        while not self.journal.failed:
            self.journal.touch()
            self.clock.advance(IDLE_COMMIT_S)
            await self.turn_loop()
            if not self.database.asked:
                break
            statements += self.database.let_go()
            await self.turn_loop()
        return statements

    async def answer(self, *work: Coroutine[Any, Any, Any]) -> list[Any]:
        """Let these go on at the same time, committing as they need it; their results, exceptions raised."""
        tasks = [asyncio.ensure_future(one) for one in work]
        for _ in range(MOST_COMMITS):
            if all(task.done() for task in tasks):
                return [task.result() for task in tasks]
            await self.commit()
        for task in tasks:
            task.cancel()
        raise AssertionError("somebody gets no answer")

    async def later(self, seconds: float) -> None:
        """Let time pass and what was waiting for it happen, without a commit."""
        self.clock.advance(seconds)
        await self.turn_loop()
        self.pump()
        await self.turn_loop()

    # --- what is on disk ---------------------------------------------------------------------------------------

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.database.query(sql)

    def pending(self) -> list[Any]:
        """Contents of the messages that a restart would hand over, in order."""
        rows = self.rows("SELECT body FROM messages WHERE settled_us IS NULL ORDER BY seq")
        return [msgspec.json.decode(body).get("content") for (body,) in rows]

    def dead(self) -> list[tuple[Any, str, str | None, int]]:
        """(content, reason, last error, attempts) of every dead letter, in order."""
        rows = self.rows("SELECT body, reason, last_error, attempts FROM dead_letters ORDER BY seq")
        return [(msgspec.json.decode(body).get("content"), *rest) for body, *rest in rows]

    def close(self) -> None:
        """As a crash does: what was not committed is gone."""
        self.bus.close()
        self.database.asked.clear()
        self.database.close()
        self.journal.close()

    def recover(self, agents: list[str]) -> tuple[Rig, dict[str, Agent]]:
        """Crash, and a new bus on the same file; the agents do not run yet."""
        self.close()
        rig = Rig(self.path, self.clock)
        load_names(rig.database, rig.bus)
        found = {name: rig.receiver(name) for name in agents}
        for agent in found.values():
            load_state(rig.database, agent.receiver)
        rig.load()
        return rig, found

    def load(self) -> None:
        """What the journal holds, beside names and state."""
        in_flight = self.journal.in_flight.found
        load_topics(self.database, self.bus)
        load_timers(self.database, self.bus, in_flight)
        self.bus.letters.load(self.database)
        load_mail(self.database, self.bus, in_flight)
