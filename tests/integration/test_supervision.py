"""Crashes: who is restarted, when, with which message, and who never notices."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING
from zlib import crc32

import anyio
import pytest

from caxton.agents.store import load_module
from caxton.core.errors.agents import AgentFailed, AgentStateConflict, DeploymentFailed
from caxton.testing.clock import ManualClock
from caxton.testing.guests import assemble, example, guest, guest_text
from caxton.testing.rooms import PATIENCE_S, open_node, until

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.sandbox.guest import Guest
    from caxton.storage.database import Database
    from caxton.testing.rooms import LocalNode

FIND_SECOND_ATTEMPT = """(local $at i32)
    (local.set $at (local.get $ptr))
    (loop $next
      (if (i64.eq (i64.load (local.get $at)) (i64.const 0x3a2274706d657474)) ;; ttempt":
        (then (if (i32.eq (i32.load8_u offset=8 (local.get $at)) (i32.const 50)) (then (return (i32.const 0))))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (i32.add (local.get $ptr) (local.get $len)))))"""

CRASHES_ONCE = assemble(guest_text(handle=f"{FIND_SECOND_ATTEMPT} unreachable"))
"""Traps on every message but a second attempt."""

KV = """(import "caxton" "kv_get" (func $kv_get (param i32 i32) (result i32)))
    (import "caxton" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))"""

INIT_CRASHES_LATER = assemble(
    guest_text(
        imports=KV,
        handle="unreachable",
        more="""(func $agent_init (export "agent_init") (result i32)
              (if (i32.ge_s (call $kv_get (i32.const 0) (i32.const 1)) (i32.const 0)) (then unreachable))
              (call $kv_set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)))""",
    )
)
"""Starts once; every later start traps, and so does every message."""

SLOW_RESTART = assemble(
    guest_text(
        imports=KV,
        handle="unreachable",
        more="""(func (export "agent_init") (result i32) (local $left i32)
              (if (i32.ge_s (call $kv_get (i32.const 0) (i32.const 1)) (i32.const 0)) (then
                (local.set $left (i32.const 200000000))
                (loop $again (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
              (call $kv_set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)))""",
    )
)
"""Starts at once the first time, and takes many slices later; every message traps."""


# --- one crash ---------------------------------------------------------------------------------------------------


async def test_crashed_instance_is_replaced_after_a_while_and_gets_its_message_again(node: LocalNode) -> None:
    await node.deploy("a", CRASHES_ONCE)
    began = perf_counter()
    await node.post("a")
    await node.wait_for_quiet()
    assert perf_counter() - began >= 0.1
    view = node.view("a")
    assert (view.status, view.restarts, view.messages_handled, view.messages_failed) == ("running", 1, 1, 1)
    assert node.lines("a") == [
        "crashed (unreachable): it gave up (unreachable: a failed assertion, panic or abort) in handle_message"
    ]


async def test_who_waits_for_a_reply_is_told_of_the_crash_at_once_and_with_its_facts(node: LocalNode) -> None:
    """The message is not tried again: the one who waits decides."""
    await node.deploy("a", CRASHES_ONCE)
    with pytest.raises(AgentFailed) as caught:
        await node.ask("a")
    reason = "it gave up (unreachable: a failed assertion, panic or abort)"
    assert caught.value.details() == {
        "name": "a",
        "trap": "unreachable",
        "functions": ["handle_message"],
        "log": [f"crashed (unreachable): {reason} in handle_message"],
    }
    assert node.rooms.bus.letters.count == 1
    await until(lambda: node.view("a").healthy == 1)
    assert node.view("a").messages_handled == 0


async def test_mail_behind_a_message_that_crashed_is_handled_after_it(node: LocalNode) -> None:
    await node.deploy("a", guest("topic_subscriber"))
    await node.replace("a", guest("trap_unreachable"))
    await node.post("a")
    await node.wait_for_line("a", "crashed")
    for _ in range(20):
        await node.post("a")
    await node.replace("a", guest("topic_subscriber"))
    await node.wait_for_quiet()
    assert (node.receiver("a").kv[b"n"], node.rooms.bus.letters.count) == (b"21", 0)


@pytest.mark.parametrize("name", ["kv_then_trap", "kv_then_fail"])
async def test_handler_that_does_not_succeed_leaves_neither_state_nor_message(
    tmp_path: Path, compiled_dir: Path, name: str
) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("sink", guest("sink"))
        await node.deploy("a", guest(name))
        for _ in range(2):
            with pytest.raises(AgentFailed):
                await node.ask("a")
            await until(lambda: node.view("a").healthy == 1)
        sink = node.receiver("sink")
        assert (node.receiver("a").kv, sink.messages, sink.bytes, sink.handled) == ({}, 0, 0, 0)
        await node.rooms.drain()
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.post("sink")
        await node.wait_for_quiet()
        assert (node.receiver("a").kv, node.view("sink").messages_handled) == ({}, 1)


async def test_crash_of_one_replica_does_not_disturb_the_others(node: LocalNode) -> None:
    await node.deploy("a", guest("trap_unreachable"), replicas=2)
    await node.deploy("echo", example("echo"))
    with pytest.raises(AgentFailed):
        await node.ask("a", conversation_id="two")
    assert (node.view("a").healthy, node.view("a").status) == (1, "running")
    assert crc32(b"two") % 2 != crc32(b"one") % 2
    box = node.receiver("a").mailboxes[crc32(b"one") % 2]
    assert box.is_open
    await until(lambda: node.view("a").healthy == 2)


# --- four crashes ------------------------------------------------------------------------------------------------


async def test_fourth_crash_fails_the_agent_whose_mail_waits_until_it_is_started(node: LocalNode) -> None:
    await node.deploy("a", guest("trap_unreachable"))
    await node.deploy("sibling", example("echo"))
    before = node.view("sibling")
    await node.post("a", "poison")
    asked = 0
    with anyio.fail_after(PATIENCE_S):
        while node.view("a").status != "failed":
            assert (await node.ask("sibling", asked))["content"] == asked
            asked += 1
    await node.post("a", "later")
    view = node.view("a")
    reason = "4 crashes within 60 s, the last: it gave up (unreachable: a failed assertion, panic or abort)"
    assert (view.reason, view.restarts, view.healthy, view.mailbox_messages) == (reason, 3, 0, 2)
    assert node.lines("a")[-1] == f"failed: {reason}; its mail waits, 'caxton agent start a' revives it"
    with pytest.raises(AgentStateConflict) as caught:
        await node.ask("a")
    assert caught.value.details() == {"name": "a", "state": "failed"}
    sibling = node.view("sibling")
    assert (sibling.restarts, sibling.messages_failed, sibling.messages_handled) == (0, 0, asked)
    assert sibling.memory_bytes == before.memory_bytes
    await node.replace("a", guest("sink"))
    await node.start("a")
    await node.wait_for_quiet()
    view = node.view("a")
    assert (view.status, view.reason, view.messages_handled) == ("running", None, 2)


async def test_message_that_fails_five_times_is_a_dead_letter_and_the_agent_goes_on(node: LocalNode) -> None:
    await node.deploy("a", guest("trap_unreachable"))
    await node.post("a", "poison")
    await node.wait_for_status("a", "failed")
    assert node.rooms.bus.letters.count == 0
    await node.start("a")
    await until(lambda: node.rooms.bus.letters.count == 1)
    await until(lambda: node.view("a").healthy == 1)
    assert (node.view("a").status, node.view("a").mailbox_messages) == ("running", 0)


@pytest.mark.parametrize(("gap_s", "status"), [(19.9, "failed"), (20.4, "running")])
async def test_only_crashes_within_a_minute_count(
    tmp_path: Path, compiled_dir: Path, gap_s: float, status: str
) -> None:
    """Four of them in 59.7 s, and in 61.2 s."""
    clock = ManualClock()
    async with open_node(tmp_path, compiled=compiled_dir, clock=clock) as node:
        await node.deploy("a", guest("trap_unreachable"))
        for _ in range(4):
            with pytest.raises(AgentFailed):
                await node.ask("a")
            clock.advance(gap_s)
            await until(lambda: node.view("a").healthy == 1 or node.view("a").status == "failed")
        assert node.view("a").status == status


async def test_failed_agent_is_still_failed_after_the_node_was_restarted(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("a", INIT_CRASHES_LATER)
        await node.deploy("echo", example("echo"))
        await node.post("a", "waits")
        await node.wait_for_status("a", "failed")
        reason = node.view("a").reason
        assert reason is not None
        await node.rooms.journal.commit()
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        view = node.view("a")
        assert (view.status, view.reason, view.healthy, view.mailbox_messages) == ("failed", reason, 0, 1)
        assert (await node.ask("echo", 1))["content"] == 1


async def test_restarts_that_fail_count_as_crashes(node: LocalNode) -> None:
    await node.deploy("a", INIT_CRASHES_LATER)
    await node.post("a")
    await node.wait_for_status("a", "failed")
    view = node.view("a")
    assert (view.restarts, view.mailbox_messages, view.messages_failed) == (3, 1, 1)
    assert view.reason == (
        "4 crashes within 60 s, the last: it gave up (unreachable: a failed assertion, panic or abort) in agent_init"
    )
    with pytest.raises(DeploymentFailed):
        await node.start("a")
    assert (node.view("a").status, node.view("a").mailbox_messages) == ("failed", 1)


async def test_agent_can_be_stopped_and_removed_while_it_waits_for_a_restart(node: LocalNode) -> None:
    for end in (node.stop, node.remove):
        await node.deploy("a" + end.__name__, guest("trap_unreachable"))
        await node.post("a" + end.__name__)
        await node.wait_for_line("a" + end.__name__, "crashed")
        with anyio.fail_after(PATIENCE_S):
            await end("a" + end.__name__)
    assert (node.names(), node.view("astop").status, node.view("astop").healthy) == (["astop"], "stopped", 0)
    assert node.agents.memory_bytes == 0


async def test_restart_of_a_replica_that_was_given_up_meanwhile_comes_to_nothing(
    node: LocalNode, caplog: pytest.LogCaptureFixture
) -> None:
    await node.deploy("a", SLOW_RESTART, replicas=2)
    with pytest.raises(AgentFailed):
        await node.ask("a", conversation_id="one")
    assert crc32(b"one") % 2 == 1
    await until(lambda: booting(node))
    await node.scale("a", 1)
    await until(lambda: not booting(node))
    view = node.view("a")
    assert (view.replicas, view.healthy, view.memory_bytes, view.restarts) == (1, 1, 131072, 1)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_instance_that_comes_up_after_its_agent_was_replaced_is_not_used(node: LocalNode) -> None:
    await node.deploy("a", SLOW_RESTART)
    with pytest.raises(AgentFailed):
        await node.ask("a")
    await until(lambda: booting(node))
    await node.replace("a", example("echo"))
    await until(lambda: not booting(node))
    assert (await node.ask("a", 1))["content"] == 1
    assert (node.view("a").healthy, node.agents.memory_bytes) == (1, node.view("a").memory_bytes)


def booting(node: LocalNode) -> bool:
    return node.tick_holders() > node.rooms.pump._holding  # pyright: ignore[reportPrivateUsage]


async def test_error_of_our_own_while_a_guest_starts_fails_its_agent_alone_and_nobody_waits_for_ever(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.deploy("echo", example("echo"))

    def breaks(_: Guest) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("caxton.sandbox.guest.Guest._link", breaks)
        with anyio.fail_after(PATIENCE_S), pytest.raises(DeploymentFailed) as caught:
            await node.deploy("a", guest("sink"))
    assert caught.value.reason == "internal error; the server log has the details"
    assert (node.names(), (await node.ask("echo", 1))["content"]) == (["echo"], 1)


async def test_agent_whose_module_cannot_be_loaded_at_the_start_has_failed_and_can_be_repaired(
    tmp_path: Path, compiled_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        for name, wasm in (("a", guest("sink")), ("b", example("echo")), ("c", example("echo"))):
            await node.deploy(name, wasm)
        await node.stop("a")
        await node.post("a")

    def rotten(database: Database, sha256: str) -> bytes | None:
        wasm = load_module(database, sha256)
        return wasm if wasm == example("echo") else b"rotten"

    monkeypatch.setattr("caxton.agents.service.load_module", rotten)
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert (node.view("a").status, node.view("b").status) == ("failed", "running")
        assert "it begins with b'rotten'" in (node.view("a").reason or "")
        with anyio.fail_after(PATIENCE_S), pytest.raises(DeploymentFailed):
            await node.start("a")
        with pytest.raises(DeploymentFailed):
            await node.replace("a", None, replicas=2)
        await node.remove("c")
        await node.replace("a", guest("sink"))
        await node.start("a")
        await node.wait_for_quiet()
        assert node.view("a").messages_handled == 1


# --- guests that do not crash but compute ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["spin", "spin_alloc"])
async def test_others_are_served_while_a_guest_spins(node: LocalNode, name: str) -> None:
    await node.deploy("spinner", guest(name), cpu_time="300ms")
    await node.deploy("echo", example("echo"))
    spinning = asyncio.create_task(node.ask("spinner"))
    await until(lambda: node.receiver("spinner").mailboxes[0].busy)
    served = 0
    while not spinning.done():
        await asyncio.gather(*(node.ask("echo", n) for n in range(10)))
        served += 10
    with pytest.raises(AgentFailed) as caught:
        await spinning
    assert caught.value.trap == "cpu_time"
    assert served >= 50


async def test_others_start_and_restart_while_a_guest_spins_in_its_start(node: LocalNode) -> None:
    deploying = asyncio.create_task(node.deploy("spinner", guest("spin_init"), cpu_time="300ms"))
    await until(lambda: booting(node))
    await node.deploy("echo", example("echo"))
    assert (await node.ask("echo", 1))["content"] == 1
    assert not deploying.done()
    with pytest.raises(DeploymentFailed):
        await deploying


async def test_two_guests_that_spin_share_the_time_fairly(node: LocalNode) -> None:
    for name in ("a", "b"):
        await node.deploy(name, guest("spin"), cpu_time="100ms", timeout="60s")
    outcomes = await asyncio.gather(node.ask("a"), node.ask("b"), return_exceptions=True)
    assert [getattr(outcome, "trap", outcome) for outcome in outcomes] == ["cpu_time", "cpu_time"]


async def test_message_without_room_fails_alone_and_the_instance_stays(node: LocalNode) -> None:
    await node.deploy("a", guest("bad_alloc_zero"))
    for _ in range(5):
        with anyio.fail_after(PATIENCE_S), pytest.raises(AgentFailed) as caught:
            await node.ask("a")
        assert caught.value.trap is None
    assert (node.view("a").status, node.view("a").restarts) == ("running", 0)
    assert node.lines("a")[:5] == ["it had no room for the message (caxton_alloc returned 0)"] * 5
