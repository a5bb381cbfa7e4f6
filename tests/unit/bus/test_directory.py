"""Whom an address means: names also without an agent, groups, topics, capabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.bus.dead_letters import EXPIRED, REMOVED
from caxton.core.errors.messages import InvalidMessage
from caxton.core.errors.receivers import MailboxFull, UnknownReceiver
from caxton.core.errors.workspaces import WorkspaceFull
from caxton.sandbox.codes import INVALID, OK, UNKNOWN_RECEIVER, WOULD_BLOCK
from caxton.testing.handlers import say

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from tests.unit.bus.rig import Agent, Rig


def send_on(turn: Turn, message: AclMessage) -> int:
    """Send to the address that the content is."""
    address = bytes(message.content).decode().strip('"')
    turn.kv_set(b"told", str(turn.send(say(address, "hello"))).encode())
    return 0


def told(agent: Agent) -> int:
    return int(agent.receiver.kv[b"told"])


# --- names without an agent --------------------------------------------------------------------------------------


async def test_name_that_never_was_is_unknown_to_clients_and_guests(rig: Rig) -> None:
    with pytest.raises(UnknownReceiver):
        rig.post("never")
    a = rig.agent("a", send_on)
    rig.post("a", "never")
    rig.pump()
    assert told(a) == UNKNOWN_RECEIVER


async def test_mail_for_a_name_whose_agent_is_gone_waits_for_the_next_one_in_order(rig: Rig) -> None:
    sender = rig.agent("sender", send_on)
    rig.bus.names.remove(rig.agent("b").receiver)
    rig.post("b", 1)
    rig.post("sender", "b")
    rig.pump()
    rig.post("b", 2)
    assert told(sender) == OK
    b = rig.agent("b")
    rig.pump()
    assert b.contents == [1, "hello", 2]
    assert (b.receiver.messages, b.receiver.bytes) == (0, 0)
    await rig.commit()
    assert (rig.pending(), rig.dead()) == ([], [])


async def test_waiting_mail_survives_a_crash_and_a_message_for_a_forgotten_name_is_a_dead_letter(rig: Rig) -> None:
    for name in ("kept", "forgotten"):
        rig.bus.names.remove(rig.agent(name).receiver)
        rig.post(name, name)
        rig.journal.put_name("default", name, known=True)
    await rig.commit()
    again, _ = rig.recover([])
    again.bus.names.forget("default", "forgotten")
    kept = again.agent("kept")
    again.pump()
    assert kept.contents == ["kept"]
    with pytest.raises(UnknownReceiver):
        again.post("forgotten", 1)
    await again.commit()
    assert again.dead() == [("forgotten", REMOVED, None, 1)]
    once_more, _ = again.recover([])
    with pytest.raises(UnknownReceiver):
        once_more.post("forgotten", 1)
    once_more.close()


async def test_mailbox_of_a_name_without_an_agent_has_its_limits_too(rig: Rig) -> None:
    rig.bus.names.remove(rig.agent("b").receiver)
    rig.post("b", 0)
    rig.bus.names.directory("default").receivers["b"].max_messages = 1
    with pytest.raises(MailboxFull):
        rig.post("b", 1)


async def test_message_on_its_way_to_a_name_that_gets_an_agent_reaches_it(rig: Rig) -> None:
    rig.bus.names.remove(rig.agent("b").receiver)
    results: list[int | None] = [None, 0]

    def slow(turn: Turn, _message: AclMessage) -> None:
        assert turn.send(say("b", "hello")) == OK

    rig.agent("a", slow, on_resume=lambda _turn: results.pop(0))
    rig.post("a")
    rig.bus.pump(0)
    b = rig.agent("b")
    rig.pump()
    assert b.contents == ["hello"]
    assert (rig.bus.names.directory("default").messages, rig.bus.names.directory("default").bytes) == (0, 0)


@pytest.mark.parametrize("again", [True, False])
async def test_mail_without_an_agent_expires_and_gives_its_room_back(rig: Rig, again: bool) -> None:
    rig.bus.names.remove(rig.agent("b").receiver)
    rig.post("b", 1, ttl_ms=1000)
    if again:
        rig.receiver("b")
    await rig.later(1)
    await rig.commit()
    assert [reason for _, reason, *_ in rig.dead()] == [EXPIRED]
    assert rig.bus.names.directory("default").receivers["b"].messages == 0
    assert (rig.bus.names.directory("default").messages, rig.bus.names.directory("default").bytes) == (0, 0)


# --- groups and topics -------------------------------------------------------------------------------------------


async def test_group_reaches_its_members_once_but_not_the_sender(rig: Rig) -> None:
    agents = [rig.agent(name, send_on if name == "a" else None) for name in ("a", "b", "c", "d")]
    for agent in agents[:3]:
        agent.receiver.groups = ("crew",)
    rig.post("a", "broadcast://crew")
    rig.pump()
    assert [agent.contents for agent in agents] == [["broadcast://crew"], ["hello"], ["hello"], []]
    rig.post(["broadcast://crew", "b", "d"], 1)
    rig.pump()
    assert [agent.contents[-1] for agent in agents] == [1, 1, 1, 1]
    assert [len(agent.contents) for agent in agents] == [2, 2, 2, 1]


async def test_group_of_nobody_is_no_mistake_of_a_guest_but_of_a_client(rig: Rig) -> None:
    a = rig.agent("a", send_on)
    rig.post("a", "broadcast://nobody")
    rig.pump()
    assert told(a) == OK
    with pytest.raises(UnknownReceiver):
        rig.post("broadcast://nobody", 1)


async def test_agent_may_still_write_to_itself_by_name(rig: Rig) -> None:
    a = rig.agent("a", lambda turn, m: turn.send(say("a", "again")) if bytes(m.content) == b"1" else 0)
    rig.post("a", 1)
    rig.pump()
    assert a.contents == [1, "again"]


async def test_pattern_gets_what_fits_and_can_not_be_published_to(rig: Rig) -> None:
    watcher, a = rig.agent("watcher"), rig.agent("a", send_on)
    turn = rig.boot_turn(watcher)
    assert turn.subscribe(b"topic://orders/*") == OK
    assert turn.subscribe(b"orders/**/late") == INVALID
    assert turn.subscribe(b"ord*") == INVALID
    rig.bus.apply(turn)
    rig.post("topic://orders/created", 1)
    with pytest.raises(UnknownReceiver):
        rig.post("topic://orders", 2)
    with pytest.raises(InvalidMessage) as caught:
        rig.post("topic://orders/*", 3)
    assert caught.value.field == "receiver"
    rig.post("a", "topic://orders/*")
    rig.pump()
    assert (watcher.contents, told(a)) == ([1], INVALID)


async def test_fan_out_is_one_transaction(rig: Rig) -> None:
    for name in "bcd":
        agent = rig.receiver(name)
        rig.bus.names.directory("default").subscribe(agent.receiver, "t", subscribed=True)
    rig.agent("a", send_on)
    rig.post("a", "topic://t")
    rig.pump()
    rig.journal.after_commit(lambda: None)
    await rig.turn_loop()
    (statements,) = [statements for statements, _ in rig.database.asked]
    (rows,) = [rows for sql, rows in statements if "INTO messages" in sql]
    assert sorted(row[3] for row in rows if row[2] == "a") == ["b", "c", "d"]


async def test_fan_out_reaches_nobody_if_one_of_them_is_full(rig: Rig) -> None:
    free, full = rig.receiver("free"), rig.receiver("full", max_messages=1)
    for agent in (free, full):
        agent.receiver.groups = ("crew",)
    rig.post("full", 0)
    with pytest.raises(MailboxFull):
        rig.post("broadcast://crew", 1)
    a = rig.agent("a", send_on)
    rig.post("a", "broadcast://crew")
    rig.pump()
    assert (told(a), free.receiver.messages) == (WOULD_BLOCK, 0)


# --- quota -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["max_messages", "max_bytes"])
async def test_workspace_that_is_full_refuses_clients_and_guests_until_there_is_room(rig: Rig, limit: str) -> None:
    rig.agent("a", send_on)
    waiting = rig.receiver("waiting")
    rig.post("waiting", 1)
    rig.post("a", "waiting")
    directory = rig.bus.names.directory("default")
    setattr(directory, limit, 1)
    with pytest.raises(WorkspaceFull) as caught:
        rig.post("waiting", 2)
    assert caught.value.workspace == "default"
    rig.pump()
    assert waiting.receiver.messages == 1
    rig.start(waiting)
    rig.pump()
    rig.post("waiting", 3)
    rig.pump()
    assert (waiting.contents, directory.messages, directory.bytes) == ([1, 3], 0, 0)


# --- replicas ----------------------------------------------------------------------------------------------------


async def test_posts_without_a_conversation_go_to_idle_replicas_and_their_conversations_stay(rig: Rig) -> None:
    a = rig.receiver("a")
    rig.start(a, replicas=4)
    accepted = [rig.post("a", n) for n in range(4)]
    assert [len(list(box.inbox)) for box in a.receiver.mailboxes] == [1, 1, 1, 1]
    where = [a.receiver.choose(message.conversation_id) for message in accepted]
    rig.pump()
    for message, box in zip(accepted, where, strict=True):
        rig.post("a", "more", conversation_id=message.conversation_id)
        assert len(list(box.inbox)) == 1
        rig.pump()


async def test_message_of_no_conversation_goes_to_a_replica_that_is_idle(rig: Rig) -> None:
    done: list[int] = []

    def slow(turn: Turn, message: AclMessage) -> int | None:
        return None if bytes(message.content) == b'"slow"' else 0

    a = rig.agent("a", slow, on_resume=lambda _turn: done[0] if done else None, replicas=3)
    b = rig.agent("b", lambda turn, m: turn.send(say("a", "slow" if bytes(m.content) == b"0" else 1)))
    for n in range(7):
        rig.post("b", n)
        for _ in range(20):
            rig.bus.pump(1.0)
    counts = sorted(len(handler.delivered) for handler in a.handlers)
    assert counts == [1, 3, 3]  # one has the slow message and nothing else
    done.append(0)
    rig.pump()
    assert b.receiver.failed == 0
