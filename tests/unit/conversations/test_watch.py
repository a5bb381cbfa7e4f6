"""Agents that wait for each other for ever are named; those that only seem to are not."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from caxton.conversations.watch import LOOK_EVERY_S
from caxton.testing.handlers import say

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from tests.unit.conversations.talk import Talk

pytestmark = pytest.mark.anyio


async def circle(talk: Talk, protocol: str | None = "fipa-request") -> None:
    talk.start("a", "b", "c")
    for n, (one, other) in enumerate((("a", "b"), ("b", "c"), ("c", "a"))):
        talk.says(one, other, "request", protocol, conversation_id=f"c-{n}", reply_with=f"r-{n}")


def named(talk: Talk) -> list[tuple[str, ...]]:
    return [deadlock.agents for deadlock in talk.room.watch.found.values()]


@pytest.mark.parametrize("protocol", ["fipa-request", None])
async def test_three_that_wait_for_each_other_are_named_within_a_second(talk: Talk, protocol: str | None) -> None:
    await circle(talk, protocol)
    await talk.rig.later(1)
    assert named(talk) == [("a", "b", "c")]
    assert {agent for agent, text in talk.warnings if "a → b → c → a" in text} == {"a", "b", "c"}
    await talk.rig.later(60)
    assert len(talk.warnings) == 3
    assert talk.room.watch.total == 1


async def test_waits_of_a_conversation_that_begins_anew_are_those_of_the_new_one(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request")
    assert talk.edges() == {("a", "b")}
    talk.says("b", "a", "inform")
    talk.says("a", "b", "request")
    talk.says("b", "a", "inform")
    assert talk.edges() == set()


@pytest.mark.parametrize("protocol", ["fipa-request", None])
async def test_an_answer_ends_it(talk: Talk, protocol: str | None) -> None:
    await circle(talk, protocol)
    await talk.rig.later(1)
    talk.says("b", "a", "inform", protocol, conversation_id="c-0", in_reply_to="r-0")
    await talk.rig.later(1)
    assert named(talk) == []


async def test_one_that_has_mail_or_a_timer_is_not_stuck(talk: Talk) -> None:
    await circle(talk)
    talk.rig.bus.queues.hold(talk.agents["b"].receiver)
    talk.rig.post("b", "news")
    await talk.rig.later(1)
    assert named(talk) == []
    talk.rig.bus.queues.let_go(talk.agents["b"].receiver, in_pump=False)
    talk.rig.pump()
    turn = talk.rig.boot_turn(talk.agents["c"])
    turn.set_timer(10_000_000)
    talk.rig.bus.apply(turn)
    await talk.rig.later(2)
    assert named(talk) == []
    await talk.rig.later(10)
    await talk.rig.later(1)
    assert named(talk) == [("a", "b", "c")]


async def test_one_that_also_waits_for_a_client_is_not_stuck(talk: Talk) -> None:
    await circle(talk)
    talk.says("c", "client:ada", "request", conversation_id="outside")
    await talk.rig.later(1)
    assert named(talk) == []


async def test_nobody_looks_while_nobody_waits(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request")
    talk.says("b", "a", "inform")
    await talk.rig.later(2 * LOOK_EVERY_S)
    assert not talk.room.watch.is_armed


async def test_deadlock_is_found_again_after_a_restart(talk: Talk) -> None:
    await circle(talk)
    await talk.rig.commit()
    talk.crash()
    await talk.rig.later(1)
    assert named(talk) == [("a", "b", "c")]


class Busy:
    """Agents that ask each other in circles, at once, after a timer, or after asking somebody else; all are answered.

    An agent waits for the same ones that wait for it all the time, and goes on whenever it gets mail or a timer.
    """

    def __init__(self, talk: Talk, names: tuple[str, ...], seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._names = names
        self._owed: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
        """By agent: (who asked, conversation), to be answered with its next timer."""
        self._inner: dict[str, tuple[str, str, str]] = {}
        """Conversation → the agent that began it, and whom it then answers in which one."""
        self.answered = 0
        for name in names:
            talk.agents[name] = talk.rig.agent(name, self._hears, on_timer=self._fires)

    def _hears(self, turn: Turn, message: AclMessage) -> int:
        me, conversation = turn.receiver.name, message.conversation_id or ""
        if message.performative != "request":
            self.answered += 1
            if conversation in self._inner:
                _, whom, outer = self._inner.pop(conversation)
                self._say(turn, whom, "inform", outer)
            return 0
        way = self._random.random()
        if way < 0.4:
            self._say(turn, message.sender, "inform", conversation)
        elif way < 0.7 or conversation.count("/") > 2:
            self._owed[me].append((message.sender, conversation))
            turn.set_timer(self._random.randrange(5_000_000))
        else:
            other = self._random.choice([name for name in self._names if name != me])
            self._inner[f"{conversation}/{me}"] = me, message.sender, conversation
            self._say(turn, other, "request", f"{conversation}/{me}")
        return 0

    def _fires(self, turn: Turn, _timer_id: int) -> int:
        whom, conversation = self._owed[turn.receiver.name].pop()
        self._say(turn, whom, "inform", conversation)
        return 0

    def begin(self, turn: Turn, whom: str, conversation: str) -> None:
        self._say(turn, whom, "request", conversation)

    @staticmethod
    def _say(turn: Turn, whom: str, act: str, conversation: str) -> None:
        assert turn.send(say(whom, performative=act, protocol="fipa-request", conversation_id=conversation)) == 0


async def test_ten_thousand_clean_conversations_raise_no_alarm(talk: Talk) -> None:
    names = ("a", "b", "c", "d")
    busy = Busy(talk, names, seed=1)
    looks = 0
    for round_ in range(1000):
        for n in range(10):
            one, other = names[n % 4], names[(n + 1 + round_) % 4]
            if one != other:
                turn = talk.rig.boot_turn(talk.agents[one])
                busy.begin(turn, other, f"{round_}-{n}")
                talk.rig.bus.apply(turn)
        while talk.rig.bus.has_work:
            talk.rig.pump_once()
            talk.room.watch.look()
            looks += 1
        await talk.rig.later(0.5)
        talk.room.watch.look()
    for _ in range(60):
        await talk.rig.later(1)
    assert busy.answered >= 10_000
    assert looks >= 5000
    assert talk.room.watch.total == 0
    assert talk.edges() == set()
