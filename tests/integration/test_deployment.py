"""Deploying real guests: all of it happens, or nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from caxton.core.errors.agents import AgentAlreadyExists, AgentNotFound, DeploymentFailed, TooManyInstances
from caxton.core.errors.modules import InvalidWasm, WasmTooLarge
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import RESERVED_NAMES, AgentName, WorkspaceName
from caxton.testing.guests import (
    SINK_ME,
    SINK_ME_BYTES,
    SLOW_INIT,
    assemble,
    example,
    guest,
    guest_text,
)
from caxton.testing.rooms import open_node, spec, until

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.core.errors.error import CaxtonError
    from caxton.testing.rooms import LocalNode

BUSY_INIT = assemble(
    guest_text(
        imports="""(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
            (import "caxton" "subscribe" (func $subscribe (param i32 i32) (result i32)))
            (import "caxton" "set_timer" (func $set_timer (param i64) (result i32)))
            (import "caxton" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))""",
        more=f"""{SINK_ME} (data (i32.const 80) "news")
            (func (export "agent_init") (result i32)
              (drop (call $send (i32.const 16) (i32.const {SINK_ME_BYTES})))
              (drop (call $subscribe (i32.const 80) (i32.const 4)))
              (drop (call $set_timer (i64.const 0)))
              (drop (call $kv_set (i32.const 80) (i32.const 4) (i32.const 80) (i32.const 4)))
              i32.const 1)""",
    )
)
"""Sends, subscribes, sets a timer and keeps a value while it starts, and then fails."""

# --- what cannot be deployed -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wasm", "error"),
    [
        pytest.param(b"", InvalidWasm, id="empty"),
        pytest.param(b"\x7fELF" + bytes(100), InvalidWasm, id="garbage"),
        pytest.param(b"(module)", InvalidWasm, id="text"),
        pytest.param(guest("sink")[:-20], InvalidWasm, id="truncated"),
        pytest.param(bytes(10 << 20) + b"\0", WasmTooLarge, id="oversize"),
        pytest.param(guest("unknown_import"), InvalidWasm, id="unknown-import"),
        pytest.param(guest("missing_handle"), InvalidWasm, id="missing-export"),
        pytest.param(guest("memory_bomb_min"), InvalidWasm, id="too-much-memory"),
        pytest.param(guest("init_fails"), DeploymentFailed, id="init-fails"),
        pytest.param(guest("trap_init"), DeploymentFailed, id="init-traps"),
        pytest.param(guest("spin_init"), DeploymentFailed, id="init-spins"),
        pytest.param(guest("trap_start"), DeploymentFailed, id="start-traps"),
        pytest.param(guest("spin_start"), DeploymentFailed, id="start-spins"),
        pytest.param(guest("bad_capabilities"), DeploymentFailed, id="capabilities-too-long"),
        pytest.param(BUSY_INIT, DeploymentFailed, id="init-fails-after-much-work"),
    ],
)
async def test_failed_deployment_changes_nothing(
    tmp_path: Path, compiled_dir: Path, wasm: bytes, error: type[CaxtonError]
) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("sink", guest("sink"))
        with pytest.raises(error):
            await node.deploy("new", wasm, cpu_time="20ms", replicas=2)
        assert (node.names(), node.agents.instances, node.lines("new")) == (["sink"], 1, [])
        with pytest.raises(AgentNotFound):
            node.view("new")
        directory = node.rooms.bus.names.directory("default")
        assert sorted(directory.receivers.keys() - set(RESERVED_NAMES)) == ["sink"]
        assert len(directory.topics) == 0
        assert (node.receiver("sink").messages, node.view("sink").messages_handled) == (0, 0)
        await node.rooms.journal.commit()
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert node.names() == ["sink"]
        assert len(await node.rows("SELECT sha256 FROM modules")) == 1
        found = await node.rows(
            "SELECT key FROM kv UNION ALL SELECT timer_id FROM timers UNION ALL SELECT seq FROM messages UNION ALL "
            "SELECT topic FROM subscriptions"
        )
        assert found == []
        assert (await node.deploy("new", example("echo"))).revision == 1
        assert (await node.ask("new", 1))["content"] == 1


async def test_failed_deployment_says_why_and_gives_the_agents_last_words(node: LocalNode) -> None:
    with pytest.raises(DeploymentFailed) as caught:
        await node.deploy("a", guest("trap_init"))
    reason = "it gave up (unreachable: a failed assertion, panic or abort) in agent_init"
    assert caught.value.details() == {
        "name": "a",
        "reason": reason,
        "log": [f"did not start (unreachable): {reason}"],
    }
    with pytest.raises(DeploymentFailed) as caught:
        await node.deploy("a", guest("init_fails"))
    assert caught.value.reason == "agent_init returned 5"
    with pytest.raises(DeploymentFailed) as caught:
        await node.deploy("a", guest("bad_capabilities"))
    assert caught.value.reason == "get_capabilities returned the length 2147483647; the limit is 16384"


@pytest.mark.parametrize(
    "names",
    [b"", b"{}", b'["has space"]', b'["a", 1]', b'["../x"]', b"[\xff]", b'["\xff"]'],
    ids=lambda names: repr(names),
)
async def test_agent_whose_capabilities_are_no_names_is_refused(node: LocalNode, names: bytes) -> None:
    data = "".join(f"\\{byte:02x}" for byte in names)
    text = guest_text(
        more=f"""(data (i32.const 16) "{data}")
            (func (export "get_capabilities") (param i32 i32) (result i32)
              (memory.copy (local.get 0) (i32.const 16) (i32.const {len(names)}))
              i32.const {len(names)})"""
    )
    with pytest.raises(DeploymentFailed) as caught:
        await node.deploy("a", assemble(text))
    assert "get_capabilities" in caught.value.reason
    assert node.names() == []


async def test_taken_name_is_refused_and_its_agent_untouched(node: LocalNode) -> None:
    before = await node.deploy("a", example("echo"))
    with pytest.raises(AgentAlreadyExists):
        await node.deploy("a", guest("sink"))
    assert node.view("a").module_sha256 == before.module_sha256
    assert (await node.ask("a", "still"))["content"] == "still"


async def test_of_two_deployments_of_one_name_at_once_one_wins(node: LocalNode) -> None:
    modules = [example("echo"), guest("sink"), SLOW_INIT]
    answers = await asyncio.gather(*(node.deploy("a", wasm) for wasm in modules), return_exceptions=True)
    assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [AgentAlreadyExists] * 2
    assert (node.names(), node.agents.instances) == (["a"], 1)


async def test_deployments_of_different_names_do_not_wait_for_each_other(node: LocalNode) -> None:
    slow = asyncio.create_task(node.deploy("slow", SLOW_INIT))
    await node.deploy("quick", guest("sink"))
    assert not slow.done()
    await slow
    assert node.names() == ["quick", "slow"]


async def test_no_more_instances_than_allowed(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir, max_instances=3) as node:
        with pytest.raises(TooManyInstances) as caught:
            await node.deploy("a", guest("sink"), replicas=4)
        assert caught.value.details() == {"limit": 3}
        await node.deploy("a", guest("sink"), replicas=3)
        with pytest.raises(TooManyInstances):
            await node.deploy("b", guest("sink"))
        with pytest.raises(TooManyInstances):
            await node.scale("a", 4)
        assert (node.names(), node.agents.instances) == (["a"], 3)
        await node.scale("a", 2)
        await node.deploy("b", guest("sink"))
        await node.stop("b")
        await node.scale("a", 3)
        with pytest.raises(TooManyInstances):
            await node.start("b")
        assert node.view("b").status == "stopped"


async def test_deployments_at_once_share_the_room_there_is(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir, max_instances=3) as node:
        deploying = (node.deploy(name, SLOW_INIT, replicas=2) for name in ("a", "b"))
        outcomes = await asyncio.gather(*deploying, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [TooManyInstances]
        assert node.agents.instances == 2


async def test_unknown_workspace_and_agent_are_told(node: LocalNode) -> None:
    await node.deploy("counter", guest("sink"))
    other, name = WorkspaceName("other"), AgentName("counter")
    with pytest.raises(WorkspaceNotFound):
        await node.agents.deploy(other, spec("a"), guest("sink"))
    with pytest.raises(WorkspaceNotFound):
        node.agents.get(other, name)
    with pytest.raises(WorkspaceNotFound):
        node.agents.list(other)
    with pytest.raises(WorkspaceNotFound):
        await node.agents.remove(other, name, force=False)
    for attempt in (node.stop("contuer"), node.start("contuer"), node.scale("contuer", 2), node.remove("contuer")):
        with pytest.raises(AgentNotFound) as caught:
            await attempt
        assert caught.value.details() == {"name": "contuer", "nearest": "counter"}
    with pytest.raises(AgentNotFound):
        await node.replace("contuer", guest("sink"))


async def test_deployment_whose_caller_leaves_is_whole_or_not_at_all(node: LocalNode) -> None:
    """Its instances are not left behind, nor does what they did while starting happen."""
    await node.deploy("sink", guest("sink"))
    deploying = asyncio.create_task(node.deploy("a", SLOW_INIT))
    await until(lambda: node.tick_holders())
    deploying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deploying
    await until(lambda: not node.tick_holders())
    await until(lambda: not node.rooms.bus.has_work)
    assert (node.names(), node.view("sink").messages_handled, node.receiver("sink").messages) == (["sink"], 0, 0)
    await node.deploy("a", guest("sink"))
