"""A task and those who bid for it, on a real bus and a real file, one step at a time; the server may crash at any."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.bus.journal import IDLE_COMMIT_S
from caxton.bus.recovery import load_names, load_state
from caxton.bus.turn import Turn
from caxton.conversations.room import Conversations
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.tasks import TaskDetail, TaskSpec
from caxton.natives import native
from caxton.natives.tasks.agent import TaskAgent
from caxton.natives.tasks.service import TaskService
from caxton.security.principal import Principal
from caxton.testing.handlers import FakeCrash, FakeHandler, say
from tests.unit.bus.rig import Rig

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.bus.envelope import Envelope
    from caxton.messages.message import AclMessage
    from caxton.testing.clock import ManualClock
    from caxton.testing.handlers import Outcome
    from tests.unit.bus.rig import Agent

CALL_S, WORK_S = 3, 4
STEP_S = 0.5
HORIZON_S = 10
"""By then everything has happened."""

ADA = Principal("ada", frozenset({"admin"}))
ANSWERS = ("accept-proposal", "reject-proposal", "cancel")

Saying = tuple[int, str, object]
"""(after so many seconds, act, content)."""


@dataclass
class Script:
    """What a bidder does. It remembers only what its transactions keep."""

    on_call: list[Saying] = field(default_factory=list[Saying])
    on_award: list[Saying] = field(default_factory=list[Saying])
    crashes_on: dict[str, int] = field(default_factory=dict[str, int])
    """Act → how often it crashes when it gets one."""


def bid(cost: object, *, after: int = 0, result: list[Saying] | None = None, **more: Any) -> Script:
    """A bidder that proposes, and brings a result after a second unless told otherwise."""
    done: list[Saying] = [(1, "inform", {"answer": 42})]
    return Script([(after, "propose", {"cost": cost})], done if result is None else result, **more)


class Market:
    """Made inside a running event loop whose time is `clock`'s."""

    def __init__(self, path: Path, clock: ManualClock, scripts: dict[str, Script], *, watched: bool = True) -> None:
        self.path, self.clock, self.scripts, self._watched = path, clock, scripts, watched
        self._crashes = {name: dict(script.crashes_on) for name, script in scripts.items()}
        self.began_us = clock.wall_us()
        self._build()
        for agent in self.agents.values():
            self._run(agent)

    # --- the server ------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.rig = rig = Rig(self.path, self.clock)
        rig.database.query("PRAGMA synchronous = OFF")  # a crash loses what was in memory here, never the machine's
        if self._watched:
            self.room = Conversations(rig.bus, rig.journal, self.clock, rig.database.query, _unlogged)
        load_names(rig.database, rig.bus)
        tasks = TaskAgent()
        self.service = TaskService(rig.bus, rig.journal, tasks)
        (self.tasks,) = receivers = native.recover(rig.bus, rig.database, [tasks])
        self.agents = {name: rig.receiver(name) for name in self.scripts}
        for agent in self.agents.values():
            load_state(rig.database, agent.receiver)
        if self._watched:
            self.room.load(rig.database.query)
        rig.load()
        if self._watched:
            self.room.start()
        native.start(rig.bus, receivers)

    def crash(self) -> None:
        """What was not committed is gone; everybody runs again."""
        self.close()
        self._build()
        for agent in self.agents.values():
            self._run(agent)

    def close(self) -> None:
        if self._watched:
            self.room.close()
        self.rig.close()

    # --- bidders ---------------------------------------------------------------------------------------------

    def _run(self, agent: Agent) -> None:
        self.rig.start(agent, self._on_message, on_timer=self._on_timer)

    def stop(self, name: str) -> None:
        """Its mail waits."""
        self.rig.stop(self.agents[name])

    def revive(self, name: str) -> None:
        """It runs again."""
        self._run(self.agents[name])

    def _reopen(self) -> None:
        """Put a new handler in the place of one that crashed, as a supervisor does."""
        for agent in self.agents.values():
            for box in agent.receiver.mailboxes:
                if box.handler is None:
                    handler = FakeHandler(Turn(self.rig.bus, box), self._on_message, self._on_timer)
                    self.rig.bus.queues.open(box, handler)

    def _on_message(self, turn: Turn, message: AclMessage) -> Outcome:
        name, act = turn.receiver.name, message.performative
        if self._crashes[name].get(act):
            self._crashes[name][act] -= 1
            return FakeCrash()
        heard = msgspec.json.decode(turn.kv_get(b"heard") or b"[]")
        content = msgspec.json.decode(message.content) if message.content else None
        heard.append([act, message.sender, content, message.in_reply_to])
        turn.kv_set(b"heard", msgspec.json.encode(heard))
        script = self.scripts[name]
        sayings = {"cfp": script.on_call, "accept-proposal": script.on_award}.get(act, [])
        if act == "cancel":
            sayings = [(0, "inform", "cancelled")]
        for number, (after, said, told) in enumerate(sayings):
            out = say(
                message.sender, told, performative=said, protocol=message.protocol,
                conversation_id=message.conversation_id, in_reply_to=message.reply_with, reply_with=f"{said}-{number}",
            )  # fmt: skip
            if after:
                turn.kv_set(b"t%d" % turn.set_timer(after * 1_000_000), out)
            else:
                assert turn.send(out) == 0
        return 0

    def _on_timer(self, turn: Turn, timer_id: int) -> Outcome:
        out = turn.kv_get(b"t%d" % timer_id)
        assert out is not None
        assert turn.send(out) == 0
        return 0

    # --- the run ---------------------------------------------------------------------------------------------

    async def create(self, **spec: Any) -> TaskDetail:
        """Let somebody outside ask for it; it is on disk."""
        given = {"id": "t", "participants": list(self.scripts), "content": msgspec.Raw(b'{"do": "it"}')} | spec
        asked = msgspec.convert(given | {"deadline": CALL_S, "result_deadline": WORK_S}, TaskSpec)
        ((task, _),) = await self.rig.answer(self.service.create(DEFAULT_WORKSPACE, ADA, asked))
        return task

    async def step(self) -> bool:
        """The least thing that can happen next; False when nothing happens any more."""
        if self.rig.bus.has_work:
            self.rig.pump_once()
            self._reopen()
        elif self.rig.database.asked:
            self.rig.database.let_go()
        elif self.rig.bus.suspects.is_active:  # one at a time, each with its commit
            self.clock.advance(IDLE_COMMIT_S)
        elif self.clock.wall_us() < self.began_us + HORIZON_S * 1_000_000:
            self.clock.advance(STEP_S)
        else:
            return False
        await self.rig.turn_loop()
        return True

    async def run(self, *, crash_at: int = -1, committed: bool = False) -> int:
        """To the end; returns how many steps it took."""
        steps = 0
        while True:
            if steps == crash_at:
                if committed:
                    await self.rig.commit()
                self.crash()
            if not await self.step():
                return steps
            steps += 1

    # --- what came of it -------------------------------------------------------------------------------------

    async def task(self) -> TaskDetail:
        (found,) = await self.rig.answer(self.service.get(DEFAULT_WORKSPACE, "t"))
        return found

    def heard(self, name: str) -> list[list[Any]]:
        """[act, sender, content, in_reply_to] of each message that a bidder has handled."""
        return msgspec.json.decode(self.agents[name].receiver.kv.get(b"heard", b"[]"))

    def answers(self, name: str) -> list[str]:
        """What a bidder was answered: acts, with the reason if there is one."""
        return [
            f"{act} {content.get('reason', '')}".strip() for act, _, content, _ in self.heard(name) if act in ANSWERS
        ]

    def refused(self) -> list[Any]:
        """What the agent `tasks` said and the referee did not let pass."""
        return self.rig.rows("SELECT body FROM dead_letters WHERE sender = 'tasks' AND reason = 'protocol'")

    def leftovers(self) -> list[bytes]:
        """Keys of the agent `tasks` that are only there while a task goes on."""
        return [key for key in self.tasks.kv if key[:2] in (b"o/", b"i/", b"w/") or key == b"retry"]


def _unlogged(_workspace: str, _agent: str, _text: str, _about: Envelope | None) -> None:
    """Nobody reads the agents' logs."""
