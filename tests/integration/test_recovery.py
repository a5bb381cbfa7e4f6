"""A node on the directory of an earlier one, with real guests: what it takes up, after a stop and after a crash."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import pytest

from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.testing.guests import example, guest
from caxton.testing.rooms import PATIENCE_S, TESTER, message, open_node, until

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.testing.rooms import LocalNode


def add(amount: int = 1) -> dict[str, int]:
    return {"add": amount}


async def count(node: LocalNode) -> int:
    return (await node.ask("counter", {"get": True}))["content"]["count"]


async def test_every_acknowledged_message_is_counted_once_after_a_crash(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("counter", example("counter"))
        await asyncio.gather(*(node.post("counter", add(), performative="request") for _ in range(100)))
    async with open_node(tmp_path, compiled=compiled_dir) as node:  # the first one was not drained
        assert await count(node) == 100
        await node.messages.post_batch(
            DEFAULT_WORKSPACE, TESTER, [message("counter", add(), performative="request") for _ in range(100)]
        )
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert await count(node) == 200


async def test_crash_before_any_commit_leaves_nothing(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("counter", example("counter"))
        assert await count(node) == 0
        for _ in range(20):
            node.rooms.postbox.accept(DEFAULT_WORKSPACE, "tester", message("counter", add(), performative="request"))
        node.rooms.bus.pump(1)
        assert node.rooms.bus.settled == 21
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert await count(node) == 0


async def test_tokens_in_a_ring_are_neither_lost_nor_doubled_by_crashes(tmp_path: Path, compiled_dir: Path) -> None:
    ring, tokens = 3, 10
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        for n in range(ring):
            await node.deploy(f"ring-{n}", example("ring"), messages_per_s=1_000_000)
        for n in range(tokens):
            await node.post(f"ring-{n % ring}", {"hops": 10**9, "ring": ring, "token": n})
        await until(lambda: node.rooms.bus.settled > 1000)
    for _ in range(3):
        async with open_node(tmp_path, compiled=compiled_dir) as node:
            assert sum(receiver.messages for receiver in node.rooms.bus.names.receivers()) == tokens
            commits = node.rooms.journal.commits
            await until(lambda node=node, commits=commits: node.rooms.journal.commits > commits)
            await until(lambda node=node: node.rooms.bus.settled > 1000)


async def test_drain_commits_everything_and_leaves_the_mail_for_the_next(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("slow", guest("slow_cpu"))
        for n in range(5):
            await node.post("slow", n)
        await until(lambda: any(box.busy for box in node.receiver("slow").mailboxes))
        with anyio.fail_after(PATIENCE_S):
            await node.rooms.drain()
        done = node.rooms.bus.settled
        assert 1 <= done < 5
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.wait_for_quiet()
        assert node.rooms.bus.settled == 5 - done


async def test_agents_come_back_as_they_were(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("runs", guest("sink"), replicas=2)
        await node.deploy("stopped", guest("sink"))
        await node.deploy("removed", guest("sink"))
        await node.stop("stopped")
        for name in ("stopped", "removed"):
            await node.stop(name)
            await node.post(name, 1)
        await node.remove("removed")
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert node.names() == ["runs", "stopped"]
        runs, stopped = node.view("runs"), node.view("stopped")
        assert (runs.status, runs.healthy, stopped.status, stopped.mailbox_messages) == ("running", 2, "stopped", 1)
        await node.start("stopped")
        await node.wait_for_quiet()
        assert node.view("stopped").messages_handled == 1
        assert node.rooms.bus.letters.count == 1  # what the removed agent had not handled


async def test_timers_state_and_subscriptions_outlive_a_crash(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("counter", example("counter"))
        await node.deploy("news", guest("topic_subscriber"))
        await node.ask("counter", {"tick_us": 300_000})
        await node.post("topic://news", 1)
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await until(lambda: node.receiver("counter").kv.get(b"count") == b"1")
        await node.post("topic://news", 2)
        await node.wait_for_quiet()
        assert (node.receiver("news").kv[b"n"], node.receiver("counter").timers) == (b"2", {})


async def test_first_effects_of_a_started_agent_are_not_left_lying(node: LocalNode) -> None:
    """A message staged by `agent_init` reaches an idle agent, though nothing else wakes the pump."""
    from caxton.testing.guests import assemble, guest_text

    sends = b'{"performative":"inform","receiver":"sink"}'
    greets = assemble(
        guest_text(
            imports='(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
            more=f"""(data (i32.const 16) "{sends.decode().replace('"', chr(92) + '"')}")
              (func (export "agent_init") (result i32) (call $send (i32.const 16) (i32.const {len(sends)})))""",
        )
    )
    await node.deploy("sink", guest("sink"))
    await until(lambda: not node.rooms.bus.has_work)
    await node.deploy("greeter", greets)
    await until(lambda: node.view("sink").messages_handled == 1)


@pytest.mark.parametrize("replicas", [1, 3])
async def test_waiting_mail_is_dealt_out_again_when_replicas_change(node: LocalNode, replicas: int) -> None:
    await node.deploy("counter", example("counter"), replicas=2)
    await node.stop("counter")
    for n in range(30):
        await node.post("counter", add(), performative="request", conversation_id=f"c{n}")
    await node.scale("counter", replicas)
    await node.start("counter")
    await node.wait_for_quiet()
    assert await count(node) == 30
    await node.scale("counter", 4 - replicas)
    assert await count(node) == 30


async def test_what_the_node_says_of_itself_is_true(node: LocalNode) -> None:
    await node.deploy("counter", example("counter"))
    await node.ask("counter", add())
    with pytest.raises(Exception, match="nobody"):
        await node.post("nobody")
    view = node.rooms.status.view()
    assert (view.status, view.agents, view.instances) == ("ready", {"running": 1}, 1)
    assert (view.messages_handled, view.messages_pending, view.dead_letters) == (1, 0, 0)
    metrics = (await node.rooms.status.metrics()).decode()
    assert 'caxton_messages_settled_total{outcome="handled"} 1\n' in metrics
    assert 'caxton_agents{state="running"} 1\n' in metrics
