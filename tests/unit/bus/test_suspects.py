"""A message that ends the process is found out and buried, and takes no other message along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.bus.dead_letters import POISON, REMOVED
from caxton.bus.envelope import MAX_ATTEMPTS
from caxton.bus.suspects import ALONE_S
from caxton.sandbox.codes import OK
from caxton.testing.handlers import say
from tests.unit.bus.rig import Rig

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from caxton.testing.handlers import OnMessage, OnTimer
    from tests.unit.bus.rig import Agent


class Killed(BaseException):
    """The process ends here."""


def deadly(_turn: Turn, message: AclMessage) -> int:
    if bytes(message.content) == b'"poison"':
        raise Killed
    return OK


async def live(rig: Rig, agents: dict[str, Agent], on_message: OnMessage, on_timer: OnTimer | None = None) -> bool:
    """Run the node until it is at rest, or ends; True if it lives."""
    for agent in agents.values():
        rig.start(agent, on_message, on_timer=on_timer)
    try:
        for _ in range(100):
            await rig.later(0)
            await rig.commit()
            if not any(agent.receiver.messages for agent in agents.values()) and not rig.bus.suspects.is_active:
                return True
    except Killed:
        return False
    raise AssertionError("it does not come to rest")


async def test_poison_is_a_dead_letter_after_its_attempts_and_nothing_else_is(rig: Rig) -> None:
    agents = {name: rig.receiver(name) for name in ("a", "b")}
    for n in range(20):
        rig.post("ab"[n % 2], n, sender=f"s{n % 3}")
    rig.post("a", "poison")
    for n in range(20, 40):
        rig.post("ab"[n % 2], n, sender=f"s{n % 3}")
    await rig.commit()
    ends, run = 0, rig
    while not await live(run, agents, deadly):
        ends += 1
        assert ends <= MAX_ATTEMPTS
        run, agents = run.recover(["a", "b"])
    assert ends == MAX_ATTEMPTS
    assert run.dead() == [("poison", POISON, None, MAX_ATTEMPTS)]
    assert run.pending() == []
    run.close()


async def test_child_that_kills_before_it_was_ever_written_is_found_too(rig: Rig) -> None:
    def handle(turn: Turn, message: AclMessage) -> int:
        if bytes(message.content) == b'"parent"':
            return turn.send(say("a", "poison"))
        return deadly(turn, message)

    agents = {"a": rig.receiver("a")}
    rig.post("a", "parent")
    await rig.commit()
    ends, run = 0, rig
    while not await live(run, agents, handle):
        ends += 1
        assert ends <= 2 * MAX_ATTEMPTS
        run, agents = run.recover(["a"])
    assert [content for content, *_ in run.dead()] == ["poison"]
    run.close()


async def test_timer_that_kills_is_dropped_after_its_attempts(rig: Rig) -> None:
    def kill(_turn: Turn, _timer_id: int) -> int:
        raise Killed

    agents = {"a": rig.agent("a")}
    turn = rig.boot_turn(agents["a"])
    turn.set_timer(0)
    rig.bus.apply(turn)
    rig.post("a", 1)
    await rig.commit()
    ends, run = 0, rig
    while not await live(run, agents, deadly, kill):
        ends += 1
        assert ends <= MAX_ATTEMPTS
        run, agents = run.recover(["a"])
    assert ends == MAX_ATTEMPTS
    assert run.rows("SELECT * FROM timers") == []
    run.close()


async def in_hand(rig: Rig, *contents: object, agents: tuple[str, ...] = ("a",)) -> None:
    """So many messages for each agent were handled when the node ends, and not committed."""
    for name in agents:
        rig.agent(name)
        for content in contents:
            rig.post(name, content)
    await rig.commit()
    rig.pump()


async def test_suspects_run_alone_each_between_commits_of_its_own(rig: Rig) -> None:
    await in_hand(rig, 0, 1, 2)
    run, agents = rig.recover(["a"])
    other = run.agent("other")
    run.start(agents["a"])
    seen: list[int] = []
    for _ in range(10):
        run.post("other", len(seen))
        before = len(agents["a"].contents), len(other.contents)
        run.pump()
        after = len(agents["a"].contents), len(other.contents)
        seen.append(after[0] - before[0])
        assert after[0] == before[0] or (after[0], after[1]) == (before[0] + 1, before[1]), "not alone"
        await run.commit()
    assert (seen[:5], agents["a"].contents) == ([0, 1, 1, 1, 0], [0, 1, 2])
    assert {message.attempt for message in agents["a"].handler.delivered} == {2}
    run.pump()
    assert other.contents == list(range(10))
    run.close()


async def test_nothing_is_handled_before_the_attempt_of_the_suspects_is_on_disk(rig: Rig) -> None:
    await in_hand(rig, 1)
    run, agents = rig.recover(["a"])
    run.start(agents["a"])
    run.pump()
    assert agents["a"].contents == []
    await run.commit()
    assert run.rows("SELECT attempt FROM messages") == [(2,)]
    run.pump()
    assert agents["a"].contents == [1]
    run.close()


async def test_mail_of_suspects_whose_agent_does_not_run_waits_in_its_order(rig: Rig) -> None:
    await in_hand(rig, 0, 1, 2)
    run, agents = rig.recover(["a"])
    other = run.agent("other")
    run.post("a", "new")
    run.post("other", 1)
    run.pump()
    assert (other.contents, run.bus.suspects.is_active) == ([1], False)  # nobody waits for an agent that does not run
    run.start(agents["a"])
    await run.pump_suspects()
    assert agents["a"].contents == [0, 1, 2, "new"]
    run.close()


@pytest.mark.parametrize("replicas", [1, 3])
async def test_agent_that_starts_or_is_scaled_later_still_handles_its_suspects_alone(rig: Rig, replicas: int) -> None:
    await in_hand(rig, "innocent 1", "innocent 2", "poison", agents=("a",))
    ends, run, agents = 0, rig, {}
    try:
        for _ in range(10):
            run, agents = run.recover(["a"])
            run.pump()  # the node works before the agent is up
            run.start(agents["a"], deadly, replicas=replicas)
            try:
                await run.pump_suspects()
                await run.later(60)
                await run.commit()
                break
            except Killed:
                ends += 1
    finally:
        run.close()
    assert ends == MAX_ATTEMPTS - 1
    dead = Rig(rig.path, rig.clock)
    assert ([content for content, *_ in dead.dead()], dead.pending()) == (["poison"], [])
    dead.close()


async def test_suspects_of_one_sender_that_fail_keep_their_order_and_none_is_forgotten(rig: Rig) -> None:
    await in_hand(rig, 0, 1, 2)
    run, agents = rig.recover(["a"])
    run.start(agents["a"], lambda _turn, message: int(message.attempt == 2))
    for _ in range(40):
        await run.pump_suspects()
        await run.later(1)
        await run.commit()
    given = [(bytes(message.content), message.attempt) for message in agents["a"].handler.delivered]
    assert given == [(b"0", 2), (b"0", 3), (b"1", 2), (b"1", 3), (b"2", 2), (b"2", 3)]
    assert (run.pending(), run.dead(), agents["a"].receiver.messages) == ([], [], 0)
    run.close()


async def test_long_running_suspect_lets_the_others_go_on(rig: Rig) -> None:
    await in_hand(rig, "slow")
    run, agents = rig.recover(["a"])
    other = run.agent("other")
    run.start(agents["a"], lambda _turn, _message: None, on_resume=lambda _turn: None)
    run.bus.pump(1.0)
    await run.commit()
    run.post("other", 1)
    for _ in range(10):
        run.bus.pump(1.0)
    assert (len(agents["a"].contents), other.contents) == (1, [])
    run.clock.advance(ALONE_S + 0.1)
    for _ in range(10):
        run.bus.pump(1.0)
    assert other.contents == [1]
    run.close()


async def test_clean_stop_leaves_no_suspects(rig: Rig) -> None:
    rig.agent("a", lambda _turn, _message: 1)
    rig.post("a", 1)
    await rig.commit()
    rig.pump()
    await rig.commit()
    rig.journal.in_flight.clear()
    run, agents = rig.recover(["a"])
    assert not run.bus.suspects.is_active
    run.start(agents["a"])
    run.pump()
    assert [message.attempt for message in agents["a"].handler.delivered] == [2]
    run.close()


async def test_what_is_in_hand_over_a_commit_has_had_an_attempt_when_the_node_ends(rig: Rig) -> None:
    rig.agent("a", lambda _turn, _message: None, on_resume=lambda _turn: None)
    rig.post("a", "slow")
    rig.pump_once()
    await rig.commit()
    again, agents = rig.recover(["a"])
    again.start(agents["a"])
    again.pump()
    await again.commit()
    again.pump()
    assert [message.attempt for message in agents["a"].handler.delivered] == [2]
    again.close()


async def test_timer_that_kills_after_a_commit_is_dropped_after_its_attempts(rig: Rig) -> None:
    def resume(_turn: Turn) -> None:
        if slices:
            raise Killed
        slices.append(1)

    slices: list[int] = []
    agents = {name: rig.receiver(name) for name in "ab"}
    rig.start(agents["a"])
    turn = rig.boot_turn(agents["a"])
    turn.set_timer(0)
    rig.bus.apply(turn)
    await rig.commit()
    ends, run = 0, rig
    while agents["a"].receiver.timers:
        slices.clear()
        run.start(agents["a"], on_timer=lambda _turn, _timer_id: None, on_resume=resume)
        while not slices:
            await run.turn_loop()
            run.pump_once()
            await run.commit()
        run.post("b", "of somebody else")
        await run.commit()
        with pytest.raises(Killed):
            run.pump_once()
        ends += 1
        assert ends <= MAX_ATTEMPTS
        run, agents = run.recover(["a", "b"])
    assert ends == MAX_ATTEMPTS
    run.close()


async def test_suspects_of_an_agent_that_is_removed_are_dead_letters_like_its_other_mail(rig: Rig) -> None:
    rig.agent("a", lambda _turn, _message: None, on_resume=lambda _turn: None)
    rig.post("a", 1)
    rig.pump_once()
    rig.post("a", 2)
    await rig.commit()
    again, agents = rig.recover(["a"])
    again.bus.names.remove(agents["a"].receiver)
    await again.commit()
    assert [(content, reason) for content, reason, *_ in again.dead()] == [(1, REMOVED), (2, REMOVED)]
    assert again.pending() == []
    again.close()
