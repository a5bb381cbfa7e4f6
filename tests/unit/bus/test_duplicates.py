"""The same once more (B2): a message posted again whatever became of it, and results that come too late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.bus.receipts import WINDOW_S
from caxton.core.errors.messages import MessageIdConflict
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.sandbox.codes import OK
from caxton.security.principal import Principal
from caxton.testing.handlers import say

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from tests.unit.bus.rig import Agent, Rig

ADA = Principal("ada", frozenset({"admin"}))
STATES = (
    "accepted", "written", "in hand", "paused", "handled", "dead", "expired", "replayed", "crashed", "handled, crashed",
)  # fmt: skip


def act(turn: Turn, message: AclMessage) -> int | None:
    fate = bytes(message.content)
    if fate == b'"slow"':
        return None
    if fate == b'"fail"':
        return 1
    return turn.send(say("sink", "done"))


async def bring(rig: Rig, state: str) -> tuple[Rig, Agent, Agent, dict[str, Any]]:
    """A message with an id that has come so far; and what was posted."""
    content = {"in hand": "slow", "paused": "fail", "dead": "fail"}.get(state, "ok")
    said: dict[str, Any] = {"receiver": "a", "content": content, "message_id": "once"}
    sink = rig.agent("sink")
    agent = rig.receiver("a")
    if state in ("expired", "replayed"):
        said["ttl_ms"] = 1000
    if state not in ("accepted", "written", "expired", "replayed", "crashed"):
        rig.start(agent, act, on_resume=lambda _turn: None)
    rig.post(**said)
    match state:
        case "written":
            await rig.commit()
        case "in hand":
            rig.pump_once()
        case "paused":
            rig.pump()
        case "handled":
            rig.pump()
            await rig.commit()
        case "dead":
            rig.pump()
            for _ in range(4):
                await rig.later(60)
            await rig.commit()
            assert len(rig.dead()) == 1
        case "expired" | "replayed":
            await rig.later(2)
            await rig.commit()
            ((seq, *_),) = rig.rows("SELECT seq FROM dead_letters")
            if state == "replayed":
                one = str(seq)
                await rig.answer(*(rig.letters.replay(DEFAULT_WORKSPACE, ADA, one) for _ in range(2)))
        case "crashed" | "handled, crashed":
            rig.pump()
            await rig.commit()
            rig, agents = rig.recover(["a", "sink"])
            agent, sink = agents["a"], agents["sink"]
            rig.start(sink)
        case _:
            pass
    return rig, agent, sink, said


def finished(state: str) -> int:
    """How often the handler has succeeded once all has come to its end."""
    return 0 if state in ("in hand", "paused", "dead", "expired", "handled, crashed") else 1


async def come_to_rest(rig: Rig, agent: Agent) -> None:
    rig.stop(agent)  # a handler that is in the middle of it is gone
    rig.start(agent, act, on_resume=lambda _turn: 1)
    for _ in range(8):
        await rig.later(60)
        await rig.commit()


@pytest.mark.parametrize("state", STATES)
async def test_same_post_again_is_one_message_whatever_became_of_the_first(rig: Rig, state: str) -> None:
    rig, agent, sink, said = await bring(rig, state)
    for _ in range(2):
        rig.post(**said)
        assert not rig.is_queued
    await come_to_rest(rig, agent)
    assert sink.receiver.handled == finished(state)
    rig.close()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("other", [{"content": "other"}, {"language": "other"}], ids=["content", "field"])
async def test_another_post_under_the_id_is_refused_whatever_became_of_the_first(
    rig: Rig, state: str, other: dict[str, Any]
) -> None:
    rig, agent, sink, said = await bring(rig, state)
    with pytest.raises(MessageIdConflict):
        rig.post(**(said | other))
    await come_to_rest(rig, agent)
    assert sink.receiver.handled == finished(state)
    rig.close()


@pytest.mark.parametrize("state", ["handled", "dead", "expired", "replayed", "crashed"])
async def test_after_the_window_the_same_is_a_new_message(rig: Rig, state: str) -> None:
    rig, agent, sink, said = await bring(rig, state)
    await rig.later(WINDOW_S + 1)
    again: dict[str, Any] = said | {"ttl_ms": None, "content": "ok"}
    rig.post(**again)
    assert rig.is_queued
    await come_to_rest(rig, agent)
    assert sink.receiver.handled == finished(state) + 1
    rig.close()


@pytest.mark.parametrize("ending", ["succeeds", "fails", "sends"])
async def test_result_that_comes_after_a_forced_stop_settles_nothing(rig: Rig, ending: str) -> None:
    """The message was given back and is handled anew; what the old handler does now is nobody's."""
    sink = rig.agent("sink")
    agent = rig.agent("a", lambda _turn, _message: None, on_resume=lambda _turn: 0 if ending == "succeeds" else 1)
    rig.post("a", "ok")
    (box,) = agent.receiver.mailboxes
    assert box.turn is not None
    old = box.turn
    rig.bus.handle(box, box.inbox.lane.popleft())
    rig.stop(agent)
    rig.start(agent, act)
    if ending == "sends":
        old.kv_set(b"late", b"1")
    rig.pump()
    await rig.commit()
    assert agent.contents == ["ok"]
    assert (sink.receiver.handled, agent.receiver.kv, agent.receiver.messages) == (1, {}, 0)
    assert rig.dead() == rig.pending() == []


async def test_handler_that_is_slow_over_a_restart_of_its_agent_is_resumed_no_more(rig: Rig) -> None:
    agent = rig.agent("a", lambda _turn, _message: None, on_resume=lambda _turn: None)
    rig.post("a", 1)
    rig.pump_once()
    old = agent.handler
    resumed = old.resumed
    rig.stop(agent)
    rig.start(agent, lambda _turn, _message: OK)
    rig.pump()
    assert old.resumed == resumed
    assert [message.attempt for message in agent.handler.delivered] == [1]  # it was not its fault
