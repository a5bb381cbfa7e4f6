"""Agents written in Python on the bus: what becomes of their mail when they fail, and of their state at a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from caxton.bus.dead_letters import FAILED
from caxton.bus.retry import MAX_DELAY_S
from caxton.logs.book import LogBook
from caxton.messages.codec import encode_message
from caxton.natives import native
from caxton.sandbox.codes import OK, WOULD_BLOCK
from caxton.testing.handlers import acl, say
from tests.unit.bus.conftest import anyio_backend, clock, rig
from tests.unit.bus.rig import Caller, Rig

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage

__all__ = ["anyio_backend", "clock", "rig"]


class Scripted:
    """A native agent that does what the test says, and counts in its state what it did not refuse to do."""

    name = "helper"

    def __init__(self, act: Callable[[AclMessage, Turn], int] | None = None) -> None:
        self.act: Callable[[AclMessage, Turn], int] = act or (lambda _message, _turn: 0)
        self.seen: list[tuple[object, int]] = []
        """(content, attempt)."""
        self.fired: list[int] = []

    def handle(self, message: AclMessage, turn: Turn) -> int:
        self.seen.append((msgspec.json.decode(message.content), message.attempt))
        turn.kv_set(b"n", str(int(turn.kv_get(b"n") or b"0") + 1).encode())
        return self.act(message, turn)

    def fire(self, timer_id: int, turn: Turn) -> int:
        self.fired.append(timer_id)
        return self.act(acl(content="timer"), turn)


def fails_on(*bad: bytes) -> Callable[[AclMessage, Turn], int]:
    def act(message: AclMessage, turn: Turn) -> int:
        assert turn.send(say("sink", msgspec.Raw(message.content))) == OK
        if bytes(message.content) in bad:
            raise RuntimeError(message.content)
        return 0

    return act


async def test_message_that_raises_comes_again_alone_and_leaves_nothing_behind(rig: Rig) -> None:
    agent, sink = Scripted(fails_on(b'"bad"')), rig.agent("sink")
    receiver = native.install(rig.bus, agent)
    rig.post("helper", "bad", sender="a")
    rig.post("helper", "good", sender="b")
    rig.pump()
    assert agent.seen == [("bad", 1), ("good", 1)]
    assert (sink.contents, receiver.kv) == (["good"], {b"n": b"1"})
    agent.act = lambda _message, _turn: 0
    await rig.later(MAX_DELAY_S)
    assert (agent.seen[2:], receiver.kv, receiver.messages) == ([("bad", 2)], {b"n": b"2"}, 0)


async def test_after_five_attempts_it_is_a_dead_letter_and_a_caller_who_waits_hears_at_once(rig: Rig) -> None:
    agent, log, caller = Scripted(fails_on(b"1")), LogBook(rig.clock), Caller()
    native.install(rig.bus, agent, log)
    rig.agent("sink")
    rig.post("helper", 1)
    rig.pump()
    for _ in range(5):
        await rig.later(MAX_DELAY_S)
    await rig.commit()
    assert [attempt for _, attempt in agent.seen] == [1, 2, 3, 4, 5]
    assert [(content, reason, attempts) for content, reason, _, attempts in rig.dead()] == [(1, FAILED, 5)]
    lines = [line.text for line in log.tail("default", ["helper"], limit=100)]
    assert sum("crashed (host_error)" in line for line in lines) == 5
    assert "dead letter" in lines[-1]
    rig.post("helper", 1, caller=caller, sender="other")
    rig.pump()
    await rig.commit()
    assert [crash.kind for _, crash in caller.failures if crash is not None] == ["host_error"]


async def test_result_other_than_0_is_a_failure_of_the_message(rig: Rig) -> None:
    agent, log = Scripted(lambda message, _turn: 7 if message.attempt == 1 else 0), LogBook(rig.clock)
    receiver = native.install(rig.bus, agent, log)
    rig.post("helper", "x")
    rig.pump()
    assert (receiver.kv, receiver.failed) == ({}, 1)
    await rig.later(MAX_DELAY_S)
    assert (receiver.kv, receiver.messages) == ({b"n": b"1"}, 0)
    assert "7" in log.tail("default", ["helper"], limit=1)[0].text


async def test_lack_of_room_for_what_it_sends_uses_up_no_attempt(rig: Rig) -> None:
    def act(_message: AclMessage, turn: Turn) -> int:
        return turn.send(say("full"))

    full = rig.receiver("full", max_messages=1)
    rig.post("full", 0)
    agent = Scripted(act)
    receiver = native.install(rig.bus, agent)
    rig.post("helper", 1)
    rig.pump()
    for _ in range(8):
        await rig.later(MAX_DELAY_S)
    assert (receiver.messages, receiver.failed, len(agent.seen) > 5) == (1, 0, True)
    rig.start(full)
    rig.pump()
    await rig.later(MAX_DELAY_S)
    assert (receiver.messages, full.contents) == (0, [0, None])


async def test_timer_that_raises_is_tried_again_and_is_gone_after_its_attempts(rig: Rig) -> None:
    def act(message: AclMessage, turn: Turn) -> int:
        if bytes(message.content) == b'"timer"':
            raise RuntimeError
        return 0 if turn.set_timer(1_000_000) > 0 else 1

    agent = Scripted(act)
    receiver = native.install(rig.bus, agent)
    rig.post("helper", "begin")
    rig.pump()
    for _ in range(6):
        await rig.later(MAX_DELAY_S)
    assert (agent.fired, receiver.timers) == ([1] * 5, {})


async def test_state_timers_and_mail_are_there_again_after_a_crash_without_a_row_in_agents(rig: Rig) -> None:
    native.install(rig.bus, Scripted(lambda _message, turn: 0 if turn.set_timer(1_000_000) > 0 else 1))
    rig.post("helper", 1)
    rig.pump()
    rig.post("helper", 2)
    await rig.commit()
    rig.close()

    again = Rig(rig.path, rig.clock)
    agent = Scripted()
    (receiver,) = native.recover(again.bus, again.database, [agent])
    again.load()
    again.pump()
    assert (agent.seen, receiver.kv, list(receiver.timers)) == ([], {b"n": b"1"}, [1])
    native.start(again.bus, [receiver])
    again.pump()
    assert (agent.seen, receiver.kv) == ([(2, 1)], {b"n": b"2"})
    await again.later(1)
    assert (agent.fired, receiver.timers) == ([1], {})
    assert again.rows("SELECT * FROM agents") == []
    again.close()


async def test_mail_that_waits_for_the_name_is_its_own(rig: Rig) -> None:
    rig.bus.names.remove(rig.agent("helper").receiver)
    rig.post("helper", "early")
    agent = Scripted()
    native.install(rig.bus, agent)
    rig.pump()
    assert agent.seen == [("early", 1)]


# --- answers -----------------------------------------------------------------------------------------------------


def test_reply_belongs_to_what_it_answers() -> None:
    asked = acl(
        "df", 1, performative="request", sender="a", conversation_id="c", reply_with="r", protocol="fipa-request",
        language="json", ontology="o", message_id="m", priority=9, ttl_ms=5, reply_by="2031-05-17T09:30:00Z",
    )  # fmt: skip
    asked.sender = "a"
    reply = native.reply_to(asked, "inform", {"ok": True})
    assert msgspec.json.decode(encode_message(reply)) == {
        "performative": "inform", "receiver": "a", "content": {"ok": True}, "conversation_id": "c",
        "in_reply_to": "r", "protocol": "fipa-request", "language": "json", "ontology": "o",
    }  # fmt: skip


@pytest.mark.parametrize("wanted", ["b", ["b", "c"]])
def test_reply_goes_where_the_asker_wants_it(wanted: str | list[str]) -> None:
    assert native.reply_to(acl("df", 1, reply_to=wanted), "inform", msgspec.Raw(b"[1]")).receiver == wanted


async def test_asker_that_is_gone_is_no_failure_but_one_without_room_is_waited_for(rig: Rig) -> None:
    codes: list[int] = []

    def act(message: AclMessage, turn: Turn) -> int:
        codes.append(native.answer(turn, message, "inform", "done"))
        return 0

    native.install(rig.bus, Scripted(act))
    full, asker = rig.receiver("full", max_messages=1), rig.agent("asker")
    rig.post("full", 0)
    for reply_to in ("nobody-ever", "full", "asker"):
        rig.post("helper", 1, reply_to=reply_to)
    rig.pump()
    assert codes == [OK, WOULD_BLOCK, OK]
    assert (full.receiver.messages, asker.contents) == (1, ["done"])
    assert asker.handler.delivered[0].sender == "helper"
