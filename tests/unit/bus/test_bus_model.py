"""The bus and its journal against a model: whatever happens, in whatever order, also with crashes in between.

Every message carries its own fate ("ok", "fail", …), so the model needs no machinery: a message that was acknowledged
must in the end be handled, or be a dead letter if its fate says so. Handling is noted in the handler's own key-value
state, so "settled" and its effects can be compared on disk after every step.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from caxton.bus.dead_letters import POISON
from caxton.bus.envelope import MAX_ATTEMPTS
from caxton.bus.turn import Turn
from caxton.core.errors import MailboxFull
from caxton.testing.clock import ManualClock, ManualLoop
from caxton.testing.handlers import FakeCrash, FakeHandler, say
from tests.unit.bus.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from caxton.bus.mailbox import Receiver
    from caxton.messages.message import AclMessage
    from caxton.testing.handlers import Outcome
    from tests.unit.bus.rig import Agent

T = TypeVar("T")

Id: TypeAlias = tuple[int, ...]
"""(n,) for the n-th message from outside, (n, k) for the k-th that its handler sends."""

AGENTS = ("a", "b", "c")
ROOM = 12
FATES = ("ok", "slow", "third time", "fail", "crash")
FATAL = ("fail", "crash")


class BusMachine(RuleBasedStateMachine):
    """Rules are what may happen to a node; invariants are the delivery contract."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.loop = ManualLoop(self.clock)
        self.loop.set_exception_handler(self._callback_failed)
        self.errors: list[BaseException] = []
        self.folder = tempfile.TemporaryDirectory()
        self.posted: dict[Id, dict[str, Any]] = {}
        self.acknowledged: set[Id] = set()
        self.running: set[str] = set(AGENTS)
        self.slices = self.crashes = 0
        self.first: dict[tuple[str, str], list[Id]] = {}
        """(sender, receiver) → ids in the order of their first delivery in this run."""
        self.attempts: dict[tuple[str, Id], int] = {}
        """(receiver, id) → the last attempt, unless it may be repeated."""
        self.agents: dict[str, Agent] = {}
        self.rig = self.run(self._make())

    async def _make(self) -> Rig:
        self.rig = Rig(Path(self.folder.name) / "journal.db", self.clock)
        self.agents = {name: self.rig.receiver(name, max_messages=ROOM) for name in AGENTS}
        self._start(*AGENTS)
        return self.rig

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        result = self.loop.run_until_complete(work)
        if self.errors:
            raise self.errors[0]
        return result

    def _callback_failed(self, _loop: object, context: dict[str, Any]) -> None:
        self.errors.append(context.get("exception") or AssertionError(context["message"]))

    def teardown(self) -> None:
        self.run(self._come_to_rest())
        self.rig.close()
        self.loop.close()
        self.folder.cleanup()

    # --- rules -------------------------------------------------------------------------------------------------

    @rule(
        receiver=st.sampled_from(AGENTS),
        fate=st.sampled_from(FATES),
        children=st.lists(st.sampled_from(AGENTS), max_size=2),
    )
    def post(self, receiver: str, fate: str, children: list[str]) -> None:
        async def act() -> None:
            key = (len(self.posted),)
            rig = self.rig
            try:
                rig.post(receiver, {"id": key, "fate": fate, "children": children})
            except MailboxFull:
                assert self.agents[receiver].receiver.messages == ROOM
                return
            self.posted[key] = {"fate": fate, "children": children}
            rig.journal.after_commit(lambda: self._acknowledge(rig, key))

        self.run(act())

    @rule(budget_s=st.sampled_from([0.0, 1.0]))
    def pump(self, budget_s: float) -> None:
        async def act() -> None:
            self.rig.bus.pump(budget_s)

        self.run(act())

    @rule(seconds=st.sampled_from([0.05, 0.2, 60.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.run(self.rig.turn_loop())

    @rule(is_told=st.booleans())
    def disk_finishes(self, is_told: bool) -> None:
        """One transaction is on disk; the loop may not have heard of it yet."""
        if self.rig.database.asked:
            self.rig.database.let_go()
        if is_told:
            self.run(self.rig.turn_loop())

    @rule()
    def crash(self) -> None:
        self.crashes += 1

        async def act() -> None:
            self.rig, self.agents = self.rig.recover(list(AGENTS))
            for agent in self.agents.values():
                agent.receiver.max_messages = ROOM
            self.first.clear()
            self.attempts.clear()
            self._start(*sorted(self.running))

        self.run(act())

    @rule(name=st.sampled_from(AGENTS))
    def stop(self, name: str) -> None:
        async def act() -> None:
            self.rig.stop(self.agents[name])
            self.running.discard(name)
            for key in [key for key in self.attempts if key[0] == name]:
                del self.attempts[key]  # what was in hand comes again, and it was not its fault

        self.run(act())

    @rule()
    def start_or_replace_all(self) -> None:
        async def act() -> None:
            self._revive()

        self.run(act())

    # --- the agents --------------------------------------------------------------------------------------------

    def _start(self, *names: str) -> None:
        for name in names:
            agent = self.agents[name]
            agent.receiver.is_running = True
            self.rig.bus.set_mailboxes(agent.receiver, 1)
            self._open(agent)

    def _open(self, agent: Agent) -> None:
        (box,) = agent.receiver.mailboxes
        handler = FakeHandler(Turn(self.rig.bus, box), self._handle, on_resume=self._resume)
        self.rig.bus.open(box, handler)

    def _revive(self) -> None:
        for name, agent in self.agents.items():
            if name not in self.running:
                self.running.add(name)
                self._start(name)
            elif agent.receiver.mailboxes[0].handler is None:
                self._open(agent)

    def _handle(self, turn: Turn, message: AclMessage) -> Outcome:
        content = msgspec.json.decode(message.content)
        key, fate = tuple(content["id"]), content["fate"]
        self._check_delivery(turn.receiver.name, message, key)
        turn.kv_set(msgspec.json.encode(key), b"handled")
        for number, child in enumerate(content["children"]):
            result = turn.send(say(child, {"id": (*key, number), "fate": "ok", "children": []}))
            if result != 0:
                return result
        if fate == "third time":
            return 0 if message.attempt >= 3 else 1
        return {"ok": 0, "slow": None, "fail": 1, "crash": FakeCrash()}[fate]

    def _resume(self, _turn: Turn) -> Outcome:
        self.slices += 1
        return None if self.slices % 3 else 0

    def _check_delivery(self, name: str, message: AclMessage, key: Id) -> None:
        assert message.attempt <= MAX_ATTEMPTS
        assert message.attempt > self.attempts.get((name, key), 0), "given twice, and it does not say so"
        self.attempts[name, key] = message.attempt
        order = self.first.setdefault((message.sender, name), [])
        if key not in order:
            assert not order or order[-1] < key, "overtaken"
            order.append(key)

    # --- the contract ------------------------------------------------------------------------------------------

    def _acknowledge(self, rig: Rig, key: Id) -> None:
        if rig is self.rig:  # not in a run that is over
            pending, handled, dead = self._disk()
            assert key in pending or key in handled or key in dead, "acknowledged, and not on disk"
            self.acknowledged.add(key)

    def _disk(self) -> tuple[list[Id], list[Id], list[Id]]:
        """(pending, handled, dead) as a restart would find them."""
        pending = [tuple(content["id"]) for content in self.rig.pending()]
        dead = [tuple(letter[0]["id"]) for letter in self.rig.dead()]
        return pending, [tuple(msgspec.json.decode(key)) for (key,) in self.rig.rows("SELECT key FROM kv")], dead

    @invariant()
    def disk_is_a_consistent_cut(self) -> None:
        pending, handled, dead = self._disk()
        everything = [*pending, *handled, *dead]
        assert len(everything) == len(set(everything)), "in two places at once"
        assert self.acknowledged <= set(everything), "lost"
        for key, post in self.posted.items():
            children = {(*key, number) for number in range(len(post["children"]))}
            assert children & set(everything) == (children if key in handled else set()), "half a transaction"
            assert not (key in handled and post["fate"] in FATAL)

    @invariant()
    def room_taken_is_room_used(self) -> None:
        staged: dict[Receiver, list[bytes]] = {agent.receiver: [] for agent in self.agents.values()}
        for receiver, envelope in self.rig.bus.suspects:
            staged[receiver].append(envelope.body)
        for receiver, bodies in staged.items():
            bodies += [envelope.body for envelope in receiver.held]
            for box in receiver.mailboxes:
                bodies += [envelope.body for envelope in box.inbox]
                if box.busy and box.turn is not None and box.turn.envelope is not None:
                    bodies.append(box.turn.envelope.body)
                    for target, envelope in box.turn.sends:
                        assert target is not None
                        staged[target].append(envelope.body)
        for receiver, bodies in staged.items():
            assert (receiver.messages, receiver.bytes) == (len(bodies), sum(map(len, bodies)))
            assert receiver.messages <= ROOM

    async def _come_to_rest(self) -> None:
        """Let everything run to its end: each acknowledged message must then have met its fate."""
        for _ in range(200):
            self._revive()
            self.rig.pump()
            self.clock.advance(60)
            await self.rig.commit()
            if not any(agent.receiver.messages for agent in self.agents.values()):
                break
        await self.rig.commit()
        pending, handled, dead = self._disk()
        poisoned = {tuple(content["id"]) for content, reason, *_ in self.rig.dead() if reason == POISON}
        assert poisoned == set() or self.crashes >= MAX_ATTEMPTS
        assert pending == []
        for key in self.acknowledged:
            fate, children = self.posted[key]["fate"], self.posted[key]["children"]
            if fate in FATAL or key in poisoned:
                assert key in dead
            elif not children:
                assert key in handled  # with children it may have met full mailboxes on every attempt
        self.disk_is_a_consistent_cut()
        self.room_taken_is_room_used()


TestBusAgainstModel = BusMachine.TestCase
TestBusAgainstModel.settings = settings(
    max_examples=200, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
