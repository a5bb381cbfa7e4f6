"""The bus and its journal against a model: whatever happens, in whatever order, also with crashes in between.

Every message carries its own fate ("ok", "fail", …), so the model needs no machinery: a message that was acknowledged
must in the end be handled, or be a dead letter if its fate says so. Handling is noted in the handler's own key-value
state, so "settled" and its effects can be compared on disk after every step.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from caxton.bus.dead_letters import EXPIRED, FAILED, POISON
from caxton.bus.envelope import DEFAULT_PRIORITY, MAX_ATTEMPTS
from caxton.bus.receipts import WINDOW_S
from caxton.bus.turn import Turn
from caxton.core.errors.messages import MessageIdConflict
from caxton.core.errors.receivers import MailboxFull
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.security.principal import Principal
from caxton.testing.handlers import FakeCrash, FakeHandler, say
from tests.unit.bus.rig import Rig
from tests.unit.loop_machine import LoopMachine

if TYPE_CHECKING:
    from caxton.bus.mailbox import Receiver
    from caxton.messages.message import AclMessage
    from caxton.testing.handlers import Outcome
    from tests.unit.bus.rig import Agent

T = TypeVar("T")

Id: TypeAlias = tuple[int, ...]
"""(n,) for the n-th message from outside, (n, k) for the k-th that its handler sends."""

AGENTS = ("a", "b", "c")
SENDERS = ("x", "y")
ROOM = 12
FATES = ("ok", "slow", "third time", "fail", "crash")
FATAL = ("fail", "crash")
TTLS_MS = (None, None, 100, 100_000)
JUMPS_S = (0, 3600, -3600, 315_360_000, -315_360_000)
ADA = Principal("ada", frozenset({"admin"}))


class BusMachine(LoopMachine):
    """Rules are what may happen to a node; invariants are the delivery contract."""

    def __init__(self) -> None:
        super().__init__()
        self.began_us = self.clock.wall_us()
        self.posted: dict[Id, dict[str, Any]] = {}
        self.acknowledged: set[Id] = set()
        self.running: set[str] = set(AGENTS)
        self.slices = self.crashes = 0
        self.volatile: set[Id] = set()
        """Accepted for memory only, in this run."""
        self.archived: set[Id] = set()
        """Handled by agents that were removed, with all that they remembered."""
        self.first: dict[tuple[str, str, int], dict[Id, int]] = {}
        """(sender, receiver, priority) → what was delivered in this run, and when it was accepted."""
        self.attempts: dict[tuple[str, Id], int] = {}
        """(receiver, id) → the last attempt, unless it may be repeated."""
        self.agents: dict[str, Agent] = {}
        self.rig = self.run(self._make())

    async def _make(self) -> Rig:
        self.rig = Rig(Path(self.folder.name) / "journal.db", self.clock)
        self.agents = {name: self.rig.receiver(name, max_messages=ROOM) for name in AGENTS}
        self._start(*AGENTS)
        return self.rig

    def teardown(self) -> None:
        self.run(self._come_to_rest())
        self.rig.close()
        super().teardown()

    # --- rules -------------------------------------------------------------------------------------------------

    @rule(
        receiver=st.sampled_from(AGENTS),
        sender=st.sampled_from(SENDERS),
        fate=st.sampled_from(FATES),
        children=st.lists(st.sampled_from(AGENTS), max_size=2),
        priority=st.sampled_from([None, None, 7]),
        ttl_ms=st.sampled_from(TTLS_MS),
        durable=st.sampled_from([True, True, True, False]),
    )
    def post(
        self, receiver: str, sender: str, fate: str, children: list[str], priority: int | None, ttl_ms: int | None,
        durable: bool,
    ) -> None:  # fmt: skip
        key = (len(self.posted),)
        said: dict[str, Any] = {
            "content": {"id": key, "fate": fate, "children": children},
            "message_id": f"id-{key[0]}",
        }
        said |= {"receiver": receiver, "sender": sender, "durable": durable, "priority": priority, "ttl_ms": ttl_ms}

        async def act() -> None:
            try:
                self.rig.post(**said)
            except MailboxFull:
                assert self.agents[receiver].receiver.messages == ROOM
                return
            self._accepted(key, said)

        self.run(act())

    @rule(which=st.integers(0, 1000), is_same=st.booleans())
    def post_again(self, which: int, is_same: bool) -> None:
        """Within the window: what was accepted is known, unless a crash has made both vanish."""
        if not self.posted:
            return
        key = (which % len(self.posted),)
        post = self.posted[key]
        if self.clock.monotonic() - post["at"] >= WINDOW_S:
            return

        async def act() -> None:
            try:
                self.rig.post(**post["said"] | ({} if is_same else {"language": "other"}))
            except MessageIdConflict:
                assert not is_same
            except MailboxFull:
                assert post["vanished"]
            else:
                assert self.rig.is_queued == post["vanished"]
                assert is_same or post["vanished"]
                if self.rig.is_queued:
                    self._accepted(key, post["said"])

        if is_same or not post["vanished"]:
            self.run(act())

    def _accepted(self, key: Id, said: dict[str, Any]) -> None:
        rig, content, ttl_ms = self.rig, said["content"], said["ttl_ms"]
        expires_us = 0 if ttl_ms is None else self.clock.steady_us() + ttl_ms * 1000
        self.posted[key] = {
            "fate": content["fate"], "children": content["children"], "said": said, "vanished": False,
            "at": self.clock.monotonic(), "expires_us": expires_us,
        }  # fmt: skip
        if said["durable"]:
            rig.journal.after_commit(lambda: self._acknowledge(rig, key))
        else:
            self.volatile.add(key)

    @rule(jump_s=st.sampled_from(JUMPS_S))
    def set_clock(self, jump_s: int) -> None:
        """Somebody sets the machine's clock; time that passes does not notice before a start."""
        self.clock.set_wall_us(self.began_us + jump_s * 1_000_000)

    @rule(which=st.integers(0, 1000), times=st.integers(1, 2))
    def replay(self, which: int, times: int) -> None:
        """Twice gives one."""
        letters = self.rig.rows("SELECT seq, receiver, body FROM dead_letters WHERE replayed_us IS NULL ORDER BY seq")
        if not letters:
            return
        seq, receiver, body = letters[which % len(letters)]
        key = tuple(msgspec.json.decode(body)["content"]["id"])

        async def act() -> None:
            self.attempts.pop((receiver, key), None)
            letter = self.rig.letters.replay(DEFAULT_WORKSPACE, ADA, str(seq))
            others = [self.rig.letters.replay(DEFAULT_WORKSPACE, ADA, str(seq)) for _ in range(times - 1)]
            try:
                await self.rig.answer(letter, *others)
            except MailboxFull:
                assert self.agents[receiver].receiver.messages == ROOM

        self.run(act())

    @rule(name=st.sampled_from(AGENTS))
    def remove_and_deploy_again(self, name: str) -> None:
        """Its mail becomes dead letters; what it remembers goes."""

        async def act() -> None:
            rig, agent = self.rig, self.agents[name]
            rig.stop(agent)
            await rig.commit()
            keys = rig.rows(f"SELECT key FROM kv WHERE agent = '{name}'")  # noqa: S608
            rig.bus.names.remove(agent.receiver)
            await rig.commit()
            self.archived |= {tuple(msgspec.json.decode(key)) for (key,) in keys}
            for key in [key for key in self.attempts if key[0] == name]:
                del self.attempts[key]
            self.agents[name] = rig.receiver(name, max_messages=ROOM)
            if name in self.running:
                self._start(name)

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
            pending, handled, dead = self._disk()
            for key, post in self.posted.items():
                is_gone = key not in {*pending, *handled, *dead}
                post["vanished"] |= is_gone or not post["said"]["durable"]
                if not is_gone and not post["said"]["durable"]:
                    post["at"] -= WINDOW_S  # it is not known any more, but not gone either
            self.volatile.clear()
            self.first.clear()
            self.attempts = {owner: 1 for owner in self.attempts if owner[1] in pending}
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
            self.rig.bus.queues.set_mailboxes(agent.receiver, 1)
            self._open(agent)

    def _open(self, agent: Agent) -> None:
        (box,) = agent.receiver.mailboxes
        handler = FakeHandler(Turn(self.rig.bus, box), self._handle, on_resume=self._resume)
        self.rig.bus.queues.open(box, handler)

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
        assert turn.envelope is not None
        self._check_delivery(turn.receiver.name, message, key, turn.envelope.seq)
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

    def _check_delivery(self, name: str, message: AclMessage, key: Id, seq: int) -> None:
        assert message.attempt <= MAX_ATTEMPTS
        assert message.attempt > self.attempts.get((name, key), 0), "given twice, and it does not say so"
        self.attempts[name, key] = message.attempt
        if message.replayed:
            return
        expires_us = self.posted[key]["expires_us"] if len(key) == 1 else 0
        assert not expires_us or self.clock.steady_us() < expires_us, "its time was over"
        priority = DEFAULT_PRIORITY if message.priority is None else message.priority
        order = self.first.setdefault((message.sender, name, priority), {})
        if key not in order:
            assert seq > max(order.values(), default=0), "overtaken"
            order[key] = seq

    # --- the contract ------------------------------------------------------------------------------------------

    def _acknowledge(self, rig: Rig, key: Id) -> None:
        if rig is self.rig:  # not in a run that is over
            pending, handled, dead = self._disk()
            assert key in pending or key in handled or key in dead, "acknowledged, and not on disk"
            self.acknowledged.add(key)

    def _disk(self) -> tuple[list[Id], list[Id], list[Id]]:
        """(pending, handled, dead) as a restart would find them."""
        pending = [tuple(content["id"]) for content in self.rig.pending()]
        letters = self.rig.rows("SELECT body FROM dead_letters WHERE replayed_us IS NULL")
        dead = [tuple(msgspec.json.decode(body)["content"]["id"]) for (body,) in letters]
        handled = [tuple(msgspec.json.decode(key)) for (key,) in self.rig.rows("SELECT key FROM kv")]
        return pending, [*handled, *self.archived], dead

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
        for receiver, bodies in list(staged.items()):
            bodies += [envelope.body for envelope in receiver.held if not envelope.settled_us]
            for box in receiver.mailboxes:
                bodies += [envelope.body for envelope in box.inbox if not envelope.settled_us]
                if box.busy and box.turn is not None and box.turn.envelope is not None:
                    bodies.append(box.turn.envelope.body)
                    for target, envelope in box.turn.sends:
                        assert target is not None
                        staged.setdefault(target, []).append(envelope.body)
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
        letters = self.rig.rows("SELECT body, reason FROM dead_letters WHERE replayed_us IS NULL")
        ends = {tuple(msgspec.json.decode(body)["content"]["id"]): reason for body, reason in letters}
        assert POISON not in ends.values() or self.crashes >= MAX_ATTEMPTS
        assert pending == []
        for key in self.acknowledged | self.volatile:
            if self.posted[key]["fate"] in FATAL:
                assert key in dead
            elif ends.get(key) in (None, FAILED) and not self.posted[key]["children"]:
                assert key in handled  # with children it may have met full mailboxes for too long
            else:
                assert key in handled or key in dead
            assert ends.get(key) != EXPIRED or self.posted[key]["expires_us"]
        self.disk_is_a_consistent_cut()
        self.room_taken_is_room_used()


EXAMPLES, STEPS = (int(n) for n in os.environ.get("FAULTS_MODEL", "200x50").split("x"))


@pytest.mark.timeout(0 if EXAMPLES > 1000 else 120)
def test_bus_does_what_its_model_says_whatever_happens() -> None:
    run_state_machine_as_test(
        BusMachine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )  # fmt: skip
