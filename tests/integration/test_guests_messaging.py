"""Real guests that find each other: replicas, capabilities, topics, timers; and a node that drains and comes back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from zlib import crc32

import anyio
import pytest

from caxton.core.errors.error import CaxtonError
from caxton.core.errors.messages import ReplyInterrupted, ReplyTimeout
from caxton.core.errors.server import ShuttingDown
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.testing.guests import assemble, example, guest, guest_text
from caxton.testing.rooms import PATIENCE_S, TESTER, message, open_node, until

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.testing.rooms import LocalNode

LOG = '(import "caxton" "log" (func $log (param i32 i32 i32)))'
SEND = '(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))'

WRITES_DOWN = assemble(
    guest_text(imports=LOG, handle="(call $log (i32.const 2) (local.get $ptr) (local.get $len)) i32.const 0")
)
"""Logs every message whole."""

SLOW = assemble(
    guest_text(
        handle="""(local $left i32) (local.set $left (i32.const 60000000))
            (loop $again (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1))))) i32.const 0"""
    )
)


def sends(**fields: object) -> bytes:
    """A guest that sends this message for every one it gets; it fails if that is refused."""
    data = json.dumps({"performative": "inform", **fields})
    wat = data.replace('"', '\\"')
    handle = f"(i32.lt_s (call $send (i32.const 16) (i32.const {len(data)})) (i32.const 0))"
    return assemble(guest_text(imports=SEND, handle=handle, more=f'(data (i32.const 16) "{wat}")'))


def written(node: LocalNode, name: str) -> list[tuple[int, str | None]]:
    """Replica and conversation of every message that a guest wrote down."""
    lines = node.rooms.log.tail(DEFAULT_WORKSPACE, [name], limit=1000)
    return [(line.replica, json.loads(line.text).get("conversation_id")) for line in lines]


# --- who receives ------------------------------------------------------------------------------------------------


async def test_nobody_who_receives_is_told_to_the_sender(node: LocalNode) -> None:
    with pytest.raises(CaxtonError) as caught:
        await node.post("nobody")
    assert caught.value.code == "UNKNOWN_RECEIVER"
    with pytest.raises(CaxtonError) as caught:
        await node.post("", capability="sorting")
    assert caught.value.code == "CAPABILITY_NOT_FOUND"
    await node.deploy("a", sends(receiver="nobody"))
    await node.post("a")
    await node.wait_for_line("a", "handler returned 1")


async def test_message_to_a_capability_reaches_those_who_offer_it_in_turn(node: LocalNode) -> None:
    await node.deploy("guest-says", guest("capable"))
    assert node.view("guest-says").capabilities == ["sorting"]
    await node.deploy("spec-says", guest("sink"), capabilities=["sorting", "sinking"])
    await node.deploy("neither", guest("sink"))
    await node.deploy("asker", sends(capability="sorting"))
    for _ in range(4):
        await node.post("", capability="sorting")
        await node.post("asker")
    await node.wait_for_quiet()
    handled = {name: node.view(name).messages_handled for name in ("guest-says", "spec-says", "neither")}
    assert handled == {"guest-says": 4, "spec-says": 4, "neither": 0}
    await node.post("", capability="sinking")
    await node.wait_for_quiet()
    assert node.view("spec-says").messages_handled == 5


async def test_conversation_stays_with_one_replica(node: LocalNode) -> None:
    await node.deploy("a", WRITES_DOWN, replicas=3)
    conversations = [f"conversation-{n % 30}" for n in range(90)]
    for conversation in conversations:
        await node.post("a", conversation_id=conversation)
    await node.wait_for_quiet()
    seen = written(node, "a")
    assert sorted(str(c) for _, c in seen) == sorted(conversations)
    assert {c: r for r, c in seen} == {c: crc32(c.encode()) % 3 for c in conversations}
    assert len({r for r, _ in seen}) == 3
    assert len(set(seen)) == 30


async def test_messages_of_one_conversation_arrive_in_the_order_they_were_sent(node: LocalNode) -> None:
    await node.deploy("a", WRITES_DOWN, replicas=2)
    for n in range(50):
        await node.post("a", n, conversation_id="c")
    await node.wait_for_quiet()
    assert [json.loads(line)["content"] for line in node.lines("a")] == list(range(50))


async def test_messages_of_no_conversation_go_round_the_replicas(node: LocalNode) -> None:
    await node.deploy("a", WRITES_DOWN, replicas=3)
    await node.deploy("asker", sends(receiver="a"))
    for _ in range(30):
        await node.post("asker")
    await node.wait_for_quiet()
    replicas = [replica for replica, _ in written(node, "a")]
    assert {replica: replicas.count(replica) for replica in range(3)} == {0: 10, 1: 10, 2: 10}


async def test_message_to_several_reaches_each_once_or_nobody(node: LocalNode) -> None:
    for name in ("a", "b"):
        await node.deploy(name, guest("sink"))
    await node.deploy("asker", sends(receiver=["a", "b", "a"]))
    await node.deploy("half", sends(receiver=["a", "nobody"]))
    await node.post(["a", "b"])
    await node.post("asker")
    with pytest.raises(CaxtonError):
        await node.post(["a", "nobody"])
    await until(lambda: not node.rooms.bus.has_work)
    await node.post("half")
    await node.wait_for_line("half", "handler returned 1")
    assert [node.view(name).messages_handled for name in ("a", "b")] == [2, 2]


async def test_message_to_a_topic_reaches_every_subscriber(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        for name in ("one", "two"):
            await node.deploy(name, guest("topic_subscriber"))
        await node.deploy("asker", sends(receiver="topic://news"))
        await node.post("topic://news")
        await node.post("asker")
        await node.wait_for_quiet()
        assert [node.receiver(name).kv for name in ("one", "two")] == [{b"n": b"2"}] * 2
        await node.stop("two")
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.post("topic://news")
        await until(lambda: node.receiver("one").kv == {b"n": b"3"})
        assert node.view("two").mailbox_messages == 1
        await node.start("two")
        await node.wait_for_quiet()
        assert node.receiver("two").kv == {b"n": b"3"}
        await node.remove("one")
        await node.remove("two")
        with pytest.raises(CaxtonError) as caught:
            await node.post("topic://news")
        assert caught.value.code == "UNKNOWN_RECEIVER"


async def test_reply_that_never_comes_is_waited_for_no_longer_than_asked(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"))
    with pytest.raises(ReplyTimeout) as caught:
        await node.ask("sink", timeout_s=0.05, conversation_id="c")
    assert caught.value.details() == {"receiver": "sink", "timeout_s": 0.05, "conversation_id": "c"}


async def test_many_who_ask_at_once_each_get_their_own_answer(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"), replicas=2)
    with anyio.fail_after(PATIENCE_S):
        answers = await asyncio.gather(*(node.ask("echo", n) for n in range(200)))
    assert [answer["content"] for answer in answers] == list(range(200))


# --- timers ------------------------------------------------------------------------------------------------------


async def test_timer_fires_once_and_what_it_sends_arrives(node: LocalNode) -> None:
    await node.deploy("sink", WRITES_DOWN)
    await node.deploy("a", guest("timer_guest"))
    await node.post("a")
    await node.wait_for_line("sink", '"timer"')
    await node.wait_for_quiet()
    assert len(node.lines("sink")) == 1
    assert node.receiver("a").timers == {}


async def test_timer_of_a_stopped_agent_waits_for_its_start(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("sink", WRITES_DOWN)
        await node.deploy("a", guest("timer_guest"))
        await node.post("a")
        await until(lambda: node.receiver("a").handled == 1)
        await node.stop("a")
        await node.rooms.drain()
        assert node.lines("sink") == []
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await until(lambda: node.receiver("a").held)
        assert node.lines("sink") == []
        await node.start("a")
        await node.wait_for_line("sink", '"timer"')


async def test_timer_for_which_there_is_no_handler_is_told(node: LocalNode) -> None:
    text = guest_text(
        imports='(import "caxton" "set_timer" (func $set (param i64) (result i32)))',
        handle="(drop (call $set (i64.const 0))) i32.const 0",
    )
    await node.deploy("a", assemble(text))
    await node.post("a")
    await node.wait_for_line("a", "timer 1 fired, but the module does not export handle_timer")


# --- the node ends and comes back --------------------------------------------------------------------------------


async def test_draining_finishes_what_is_in_hand_and_keeps_the_rest(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("slow", SLOW)
        await node.deploy("bye", guest("shutdown_logger"))
        for _ in range(3):
            await node.post("slow")
        waiting = asyncio.create_task(node.ask("slow"))
        await until(lambda: node.receiver("slow").mailboxes[0].busy)
        settled = node.rooms.bus.settled
        draining = asyncio.create_task(node.rooms.drain())
        await until(lambda: node.rooms.bus.is_draining)
        with pytest.raises(ShuttingDown):
            await node.post("slow")
        assert not waiting.done()  # its reply might still come
        with anyio.fail_after(PATIENCE_S):
            await draining
        with pytest.raises(ReplyInterrupted):
            await waiting
        await until(lambda: not node.rooms.bus.has_work)
        assert node.rooms.bus.settled == settled + 1
        assert node.lines("bye") == ["bye"]
        left = node.view("slow").mailbox_messages
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.wait_for_quiet()
        assert node.rooms.bus.settled == left
        assert node.view("slow").status == "running"


async def test_counter_its_timers_and_its_mail_survive_the_end_of_the_node(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("counter", example("counter"), capabilities=["adding"])
        await node.deploy("other", example("counter"), replicas=2)
        assert (await node.ask("counter", {"add": 5}))["content"] == {"count": 5}
        assert (await node.ask("counter", {"tick_us": 50_000}))["content"] == {"count": 5}
        await node.stop("counter")
        await node.post("counter", {"add": 10}, performative="request")
        await node.rooms.journal.commit()
        identity = node.view("counter").id
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        view = node.view("counter")
        assert (view.status, view.id, view.revision, view.mailbox_messages) == ("stopped", identity, 1, 1)
        assert (node.view("other").status, node.view("other").healthy) == ("running", 2)
        await node.start("counter")
        assert node.view("counter").capabilities == ["adding", "counting"]
        await node.wait_for_line("counter", "tick")
        await node.wait_for_quiet()
        assert (await node.ask("counter", {"get": True}))["content"] == {"count": 16}
        assert (await node.ask("other", {"get": True}))["content"] == {"count": 0}


async def test_accepted_messages_survive_the_end_without_a_drain(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("a", guest("topic_subscriber"))
        receipts = await node.messages.post_batch(DEFAULT_WORKSPACE, TESTER, [message("a", n) for n in range(500)])
        assert not [receipt for receipt in receipts if isinstance(receipt, CaxtonError)]
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.wait_for_quiet()
        assert node.receiver("a").kv == {b"n": b"500"}
