"""Replacing and scaling agents that work: nothing is lost, and what fails changes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from zlib import crc32

import anyio
import pytest

from caxton.core.errors.agents import DeploymentFailed
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.modules import InvalidWasm
from caxton.core.views.agents import CapabilitySpec
from caxton.testing.guests import (
    SLOW_INIT,
    SLOW_ROUNDS,
    STARTS_ONCE,
    assemble,
    example,
    guest,
    guest_text,
)
from caxton.testing.rooms import PATIENCE_S, until

if TYPE_CHECKING:
    from caxton.testing.rooms import LocalNode

# --- replacing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["init_fails", "trap_init", "spin_init", "trap_start", "missing_alloc", "memory_bomb_min"]
)
async def test_version_that_does_not_start_leaves_the_old_one_serving(node: LocalNode, name: str) -> None:
    before = await node.deploy("a", example("echo"), replicas=2)
    replacing = asyncio.create_task(node.replace("a", guest(name), replicas=3, cpu_time="50ms"))
    count = 0
    while not replacing.done():
        assert (await node.ask("a", count))["content"] == count
        count += 1
    with pytest.raises((DeploymentFailed, InvalidWasm)):
        await replacing
    after = node.view("a")
    assert (after.revision, after.module_sha256, after.healthy) == (1, before.module_sha256, 2)
    assert node.agents.instances == 2
    assert (await node.ask("a", "still"))["content"] == "still"


async def test_new_version_takes_over_between_two_messages_and_none_is_lost(node: LocalNode) -> None:
    await node.deploy("a", example("counter"))
    asked = [asyncio.create_task(node.ask("a", {"add": 1})) for _ in range(50)]
    for wasm in (example("counter"), example("echo"), example("counter")):
        await node.replace("a", wasm)
    asked += [asyncio.create_task(node.ask("a", {"add": 1})) for _ in range(50)]
    with anyio.fail_after(PATIENCE_S):
        answers = [(await reply)["content"] for reply in asked]
    echoed = sum("add" in answer for answer in answers)
    assert (await node.ask("a", {"get": True}))["content"] == {"count": 100 - echoed}
    assert (node.view("a").revision, node.rooms.bus.letters.count) == (4, 0)


async def test_message_in_hand_is_finished_by_the_version_that_began_it(node: LocalNode) -> None:
    await node.deploy("a", assemble(guest_text(handle=f"{SLOW_ROUNDS} i32.const 0")))
    await node.post("a")
    receiver = node.receiver("a")
    await until(lambda: receiver.mailboxes[0].busy)
    await node.replace("a", guest("returns_nonzero"))
    assert (receiver.messages, receiver.failed, node.rooms.bus.settled) == (0, 0, 1)


async def test_replacement_whose_caller_leaves_while_a_message_is_in_hand_leaves_the_old_version(
    node: LocalNode,
) -> None:
    await node.deploy("a", guest("spin"), cpu_time="200ms")
    await node.post("a")
    await until(lambda: node.receiver("a").mailboxes[0].busy)
    replacing = asyncio.create_task(node.replace("a", guest("sink")))
    await until(lambda: not node.receiver("a").mailboxes[0].is_open)
    replacing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await replacing
    assert node.receiver("a").mailboxes[0].is_open
    await node.wait_for_line("a", "crashed", count=2)
    assert (node.view("a").revision, node.open_guests()) == (1, 0)


async def test_settings_alone_can_be_replaced(node: LocalNode) -> None:
    before = await node.deploy("a", example("echo"))
    after = await node.replace("a", None, replicas=2, memory="2MiB", capabilities=["echoing"], version="two")
    assert (after.revision, after.replicas, after.healthy, after.memory_limit_bytes) == (2, 2, 2, 2 << 20)
    assert (after.capabilities, after.version, after.module_sha256) == (["echoing"], "two", before.module_sha256)
    assert (await node.ask("a", 1))["content"] == 1
    await node.deploy("sink", guest("sink"))
    with pytest.raises(InvalidWasm):
        await node.replace("sink", None, memory="1MiB")
    view = node.view("sink")
    assert (view.revision, view.memory_limit_bytes, view.status) == (1, 10 << 20, "running")


async def test_stopped_agent_that_is_replaced_starts_as_the_new_version(node: LocalNode) -> None:
    await node.deploy("a", guest("sink"), capabilities=["sinking"])
    await node.stop("a")
    view = await node.replace("a", example("echo"), replicas=2, capabilities=["echoing"])
    assert (view.status, view.revision, view.healthy, view.capabilities) == ("stopped", 2, 0, ["echoing"])
    await node.start("a")
    assert (await node.ask("a", 1))["content"] == 1


async def test_agent_stopped_by_force_while_it_is_replaced_stays_stopped(node: LocalNode) -> None:
    await node.deploy("a", guest("sink"))
    replacing = asyncio.create_task(node.replace("a", SLOW_INIT))
    await until(lambda: node.tick_holders() > 0 and not replacing.done())
    await node.stop("a", force=True)
    with anyio.fail_after(PATIENCE_S):
        await asyncio.wait([replacing])
    await node.post("a")
    view = node.view("a")
    assert (view.status, view.healthy, view.mailbox_messages, node.agents.memory_bytes) == ("stopped", 0, 1, 0)
    await node.start("a")
    await node.wait_for_quiet()
    assert node.view("a").messages_handled == 1


# --- scaling -----------------------------------------------------------------------------------------------------


async def test_scaling_that_fails_changes_nothing(node: LocalNode) -> None:
    await node.deploy("a", STARTS_ONCE, replicas=2)
    await node.post("a")
    await node.wait_for_quiet()
    with pytest.raises(DeploymentFailed):
        await node.scale("a", 5)
    view = node.view("a")
    assert (view.replicas, view.healthy, view.status, node.agents.instances) == (2, 2, "running", 2)
    for count in (0, 1001):
        with pytest.raises(CaxtonError) as caught:
            await node.scale("a", count)
        assert caught.value.code == "INVALID_VALUE"


async def test_scaling_under_load_loses_nothing_and_answers_everybody(node: LocalNode) -> None:
    await node.deploy("a", example("echo"))
    answered: list[object] = []

    async def keep_asking(who: int) -> None:
        for n in range(40):
            reply = await node.ask("a", [who, n])
            answered.append(reply["content"])

    asking = [asyncio.create_task(keep_asking(who)) for who in range(10)]
    for replicas in (5, 2, 8, 1, 3):
        seen = len(answered)
        await node.scale("a", replicas)
        enough = min(seen + 20, 400)
        await until(lambda enough=enough: len(answered) >= enough)
        assert node.view("a").healthy == replicas
    with anyio.fail_after(PATIENCE_S):
        await asyncio.gather(*asking)
    assert sorted(map(str, answered)) == sorted(str([who, n]) for who in range(10) for n in range(40))
    assert (node.rooms.bus.letters.count, node.rooms.bus.failures, node.agents.instances) == (0, 0, 3)


async def test_message_in_hand_of_a_replica_that_goes_is_finished(node: LocalNode) -> None:
    log = '(import "caxton" "log" (func $log (param i32 i32 i32)))'
    begins = "(call $log (i32.const 2) (i32.const 0) (i32.const 0))"
    slow = assemble(guest_text(imports=log, handle=f"{SLOW_ROUNDS.replace('(loop', begins + '(loop', 1)} i32.const 0"))
    await node.deploy("a", slow, replicas=2)
    receiver = node.receiver("a")
    for conversation in ("two", "one"):
        assert crc32(conversation.encode()) % 2 == (conversation == "one")
        await node.post("a", conversation_id=conversation)
    await until(lambda: all(box.busy for box in receiver.mailboxes))
    await node.scale("a", 1)
    assert len(receiver.mailboxes) == 1
    await node.wait_for_quiet()
    assert (node.rooms.bus.settled, node.rooms.bus.failures, len(node.lines("a"))) == (2, 0, 2)


async def test_stopped_agent_remembers_its_new_number_of_replicas(node: LocalNode) -> None:
    await node.deploy("a", guest("sink"))
    await node.stop("a")
    assert (await node.scale("a", 3)).replicas == 3
    assert (await node.start("a")).healthy == 3


async def test_what_a_guest_says_that_it_offers_stays_when_it_is_scaled(node: LocalNode) -> None:
    await node.deploy("a", guest("capable"), replicas=3, capabilities=["ranking"])
    assert node.view("a").capabilities == ["ranking", "sorting"]
    for replicas in (1, 2):
        await node.scale("a", replicas)
        assert node.view("a").capabilities == ["ranking", "sorting"]


async def test_new_priority_of_a_capability_holds_from_the_next_revision_on(node: LocalNode) -> None:
    for name, priority in (("a", 10), ("b", 20)):
        await node.deploy(name, guest("sink"), capabilities=[CapabilitySpec(name="sorting", priority=priority)])
    await node.post("", capability="sorting", routing_strategy="best")
    await node.replace("a", None, capabilities=[CapabilitySpec(name="sorting", priority=30)])
    await node.post("", capability="sorting", routing_strategy="best")
    await node.wait_for_quiet()
    assert [node.view(name).messages_handled for name in ("a", "b")] == [1, 1]
