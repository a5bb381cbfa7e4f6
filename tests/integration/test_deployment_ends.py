"""Stopping, starting and removing agents: what waits, what is freed, what is forgotten."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import pytest

from caxton.core.errors.agents import AgentNotFound, AgentStateConflict, DeploymentFailed
from caxton.core.errors.error import CaxtonError
from caxton.testing.guests import (
    SINK_ME,
    SINK_ME_BYTES,
    SLOW_INIT,
    SLOW_ROUNDS,
    STARTS_ONCE,
    assemble,
    guest,
    guest_text,
)
from caxton.testing.rooms import PATIENCE_S, open_node, until

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.testing.rooms import LocalNode

# --- stopping and starting ---------------------------------------------------------------------------------------


async def test_agent_that_does_not_start_again_has_failed_and_keeps_its_mail(node: LocalNode) -> None:
    await node.deploy("a", STARTS_ONCE)
    await node.post("a")
    await node.wait_for_quiet()
    await node.stop("a")
    await node.post("a")
    with pytest.raises(DeploymentFailed):
        await node.start("a")
    view = node.view("a")
    assert (view.status, view.mailbox_messages, view.healthy) == ("failed", 1, 0)


@pytest.mark.parametrize("status", ["running", "stopped"])
async def test_only_what_does_not_run_can_be_started_and_stopping_twice_is_stopping_once(
    node: LocalNode, status: str
) -> None:
    await node.deploy("a", guest("sink"))
    if status == "running":
        with pytest.raises(AgentStateConflict) as caught:
            await node.start("a")
        assert caught.value.details() == {"name": "a", "state": "running"}
    else:
        assert (await node.stop("a")).status == "stopped"
        assert (await node.stop("a")).status == "stopped"
        assert (await node.stop("a", force=True)).status == "stopped"
        assert (await node.start("a")).status == "running"


async def test_stopping_waits_for_the_message_in_hand_and_the_rest_waits_for_the_start(node: LocalNode) -> None:
    await node.deploy("a", assemble(guest_text(handle=f"{SLOW_ROUNDS} i32.const 0")))
    for _ in range(3):
        await node.post("a")
    await until(lambda: node.receiver("a").mailboxes[0].busy)
    settled = node.rooms.bus.settled
    view = await node.stop("a")
    assert (node.rooms.bus.settled - settled, view.mailbox_messages) == (1, 2 - settled)
    await node.start("a")
    await node.wait_for_quiet()
    assert (node.rooms.bus.settled, node.rooms.bus.failures) == (3, 0)


async def test_stopping_by_force_takes_the_message_out_of_hand_and_keeps_it(node: LocalNode) -> None:
    await node.deploy("a", guest("spin"), cpu_time="10s")
    await node.post("a")
    await until(lambda: node.receiver("a").mailboxes[0].busy)
    view = await node.stop("a", force=True)
    assert (view.status, view.mailbox_messages, view.messages_failed) == ("stopped", 1, 0)
    await node.replace("a", guest("sink"))
    await node.start("a")
    await node.wait_for_quiet()
    assert node.view("a").messages_handled == 1


async def test_force_cuts_a_stop_short_that_waits(node: LocalNode) -> None:
    await node.deploy("a", guest("spin"), cpu_time="60s", timeout="60s")
    await node.post("a")
    await until(lambda: node.receiver("a").mailboxes[0].busy)
    stopping = asyncio.create_task(node.stop("a"))
    await node.wait_for_status("a", "draining")
    with anyio.fail_after(PATIENCE_S):
        await node.stop("a", force=True)
        assert (await stopping).status == "stopped"


async def test_guest_is_told_of_its_end_unless_it_is_forced(node: LocalNode) -> None:
    await node.deploy("a", guest("shutdown_logger"), replicas=2)
    await node.stop("a", force=True)
    assert node.lines("a") == []
    await node.start("a")
    await node.stop("a")
    assert node.lines("a") == ["bye", "bye"]


async def test_shutdown_that_never_ends_is_cut_off(node: LocalNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caxton.agents.supervisor.SHUTDOWN_S", 0.05)
    await node.deploy("a", guest("spin_shutdown"), cpu_time="10s")
    assert (await node.stop("a")).status == "stopped"
    assert node.lines("a") == ["agent_shutdown took longer than 0.05 s and was cut off"]
    await node.replace("a", None, cpu_time="10ms")
    await node.start("a")
    await node.stop("a")
    assert node.lines("a")[1:] == ["agent_shutdown crashed: it computed for more than its 0.01 s of CPU time"]


async def test_what_a_shutdown_stages_happens_if_it_ends_well_and_else_leaves_no_trace(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caxton.agents.supervisor.SHUTDOWN_S", 0.05)
    await node.deploy("sink", guest("sink"))
    for name, end in (("good", ""), ("traps", "unreachable"), ("spins", "(loop $again (br $again))")):
        text = guest_text(
            imports='(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
            more=f"""{SINK_ME} (func (export "agent_shutdown")
                (drop (call $send (i32.const 16) (i32.const {SINK_ME_BYTES}))) {end})""",
        )
        await node.deploy(name, assemble(text), replicas=2)
        await node.stop(name)
        await until(lambda: not node.rooms.bus.has_work)
        assert (node.view("sink").messages_handled, node.receiver("sink").messages) == (2, 0), name
        assert node.receiver("sink").bytes == 0


async def test_every_instance_that_is_not_needed_any_more_is_freed(node: LocalNode) -> None:
    assert node.open_guests() == 0
    await node.deploy("a", guest("sink"), replicas=3)
    await node.scale("a", 2)
    assert node.open_guests() == 2
    await node.replace("a", guest("shutdown_logger"), replicas=4)
    assert node.open_guests() == 4
    for name in ("init_fails", "trap_init", "trap_start"):
        with pytest.raises(DeploymentFailed):
            await node.replace("a", guest(name), replicas=2)
        with pytest.raises(DeploymentFailed):
            await node.deploy("b", guest(name), replicas=2)
    assert node.open_guests() == 4
    await node.stop("a")
    assert node.open_guests() == 0
    await node.start("a")
    await node.stop("a", force=True)
    assert node.open_guests() == 0
    await node.replace("a", guest("trap_unreachable"))
    await node.start("a")
    await node.post("a")
    await node.wait_for_line("a", "crashed")
    assert node.open_guests() == 0
    await node.wait_for_status("a", "failed")
    await until(lambda: node.open_guests() == 0)
    await node.deploy("b", guest("spin"))
    await node.post("b")
    await until(lambda: node.receiver("b").mailboxes[0].busy)
    await node.remove("b", force=True)
    assert node.open_guests() == 0


# --- removing ----------------------------------------------------------------------------------------------------


async def test_nothing_of_a_removed_agent_is_left(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("a", guest("topic_subscriber"))
        await node.post("topic://news")
        await node.wait_for_quiet()
        assert node.receiver("a").kv == {b"n": b"1"}
        await node.stop("a")
        await node.post("a")
        await node.remove("a")
        assert (node.names(), node.lines("a"), node.rooms.bus.letters.count) == ([], [], 1)
        with pytest.raises(CaxtonError) as caught:
            await node.post("topic://news")
        assert caught.value.code == "UNKNOWN_RECEIVER"
        await node.deploy("a", guest("topic_subscriber"))
        assert node.receiver("a").kv == {}
        await node.remove("a", force=True)
        await node.rooms.drain()
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        found = await node.rows(
            "SELECT name FROM agents UNION ALL SELECT sha256 FROM modules UNION ALL SELECT key FROM kv UNION ALL "
            "SELECT timer_id FROM timers UNION ALL SELECT topic FROM subscriptions UNION ALL "
            "SELECT seq FROM messages WHERE settled_us IS NULL"
        )
        assert found == []


async def test_stop_that_waited_behind_a_removal_does_not_bring_the_agent_back(
    tmp_path: Path, compiled_dir: Path
) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("a", guest("spin"), cpu_time="100ms")
        await node.post("a")
        await until(lambda: node.receiver("a").mailboxes[0].busy)
        removing = asyncio.create_task(node.remove("a"))
        await node.wait_for_status("a", "draining")
        with anyio.fail_after(PATIENCE_S), pytest.raises(AgentNotFound):
            await node.stop("a")
        await removing
        await node.rooms.journal.commit()
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert node.names() == []


async def test_removing_one_agent_leaves_the_module_to_those_who_are_about_to_use_it(node: LocalNode) -> None:
    """A module that is freed too early ends the process when its next instance is made."""
    await node.deploy("gone", guest("sink"))
    deploying = asyncio.create_task(node.deploy("a", SLOW_INIT))
    await until(lambda: node.tick_holders() > 0)
    await node.remove("gone")
    assert not deploying.done()
    await deploying
    assert (await node.scale("a", 2)).healthy == 2
    await node.deploy("b", guest("sink"))
    await node.deploy("c", guest("sink"))
    await node.remove("b")
    assert (await node.scale("c", 3)).healthy == 3


async def test_modules_that_nobody_uses_are_freed(node: LocalNode) -> None:
    kept = node.agents._modules  # pyright: ignore[reportPrivateUsage]
    await node.deploy("a", guest("sink"))
    await node.replace("a", guest("shutdown_logger"))
    for name in ("init_fails", "trap_init"):
        with pytest.raises(DeploymentFailed):
            await node.deploy("b", guest(name))
        with pytest.raises(DeploymentFailed):
            await node.replace("a", guest(name))
    assert len(kept) == 1
    await node.deploy("b", guest("spin"))
    await node.remove("b")
    assert len(kept) == 1


async def test_modules_on_disk_are_those_in_use(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("a", guest("sink"))
        await node.replace("a", guest("shutdown_logger"))
        assert await node.rows("SELECT sha256 FROM modules") == [(node.view("a").module_sha256,)]
