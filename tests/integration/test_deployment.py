"""Deploying, replacing, scaling, stopping, starting and removing real guests: all of it happens, or nothing."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING
from zlib import crc32

import anyio
import pytest

from caxton.core.errors import (
    AgentAlreadyExists,
    AgentNotFound,
    AgentStateConflict,
    CaxtonError,
    DeploymentFailed,
    InvalidWasm,
    TooManyInstances,
    WasmTooLarge,
    WorkspaceNotFound,
)
from caxton.core.ids import AgentName, WorkspaceName
from caxton.sandbox.guest import Guest
from caxton.testing.guests import assemble, example, guest, guest_text
from caxton.testing.rooms import PATIENCE_S, open_node, spec, until

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.testing.rooms import LocalNode

SINK_ME = r'(data (i32.const 16) "{\"performative\":\"inform\",\"receiver\":\"sink\"}")'
SINK_ME_BYTES = len('{"performative":"inform","receiver":"sink"}')

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

SLOW_ROUNDS = """(local $left i32) (local.set $left (i32.const 120000000))
    (loop $again (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"""
"""Takes several slices, well under a second."""

SLOW_INIT = assemble(
    guest_text(
        imports='(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
        more=f"""{SINK_ME} (func (export "agent_init") (result i32)
            {SLOW_ROUNDS} (drop (call $send (i32.const 16) (i32.const {SINK_ME_BYTES}))) i32.const 0)""",
    )
)
"""Takes several slices to start, and then sends to the sink."""

SLOW_ONCE_SET = assemble(
    guest_text(
        imports="""(import "caxton" "kv_get" (func $kv_get (param i32 i32) (result i32)))
            (import "caxton" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))""",
        handle="(drop (call $kv_set (i32.const 80) (i32.const 4) (i32.const 80) (i32.const 4))) i32.const 0",
        more="""(data (i32.const 80) "bomb")
            (func (export "agent_init") (result i32)
              (if (i32.ge_s (call $kv_get (i32.const 80) (i32.const 4)) (i32.const 0)) (then unreachable))
              i32.const 0)""",
    )
)
"""Starts well until it got its first message."""

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
        directory = node.rooms.bus.directory("default")
        assert (sorted(directory.receivers), directory.topics) == (["sink"], {})
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
    await until(lambda: ticking(node))
    deploying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deploying
    await until(lambda: not ticking(node))
    await until(lambda: not node.rooms.bus.has_work)
    assert (node.names(), node.view("sink").messages_handled, node.receiver("sink").messages) == (["sink"], 0, 0)
    await node.deploy("a", guest("sink"))


def ticking(node: LocalNode) -> int:
    return node.rooms.engine._tick_holders  # pyright: ignore[reportPrivateUsage]


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
    assert (node.view("a").revision, node.rooms.bus.dead_letters) == (4, 0)


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
    assert (node.view("a").revision, open_guests(node)) == (1, 0)


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
    await until(lambda: ticking(node) > 0 and not replacing.done())
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
    await node.deploy("a", SLOW_ONCE_SET, replicas=2)
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
    assert (node.rooms.bus.dead_letters, node.rooms.bus.failures, node.agents.instances) == (0, 0, 3)


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


# --- stopping and starting ---------------------------------------------------------------------------------------


async def test_agent_that_does_not_start_again_has_failed_and_keeps_its_mail(node: LocalNode) -> None:
    await node.deploy("a", SLOW_ONCE_SET)
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
    assert open_guests(node) == 0
    await node.deploy("a", guest("sink"), replicas=3)
    await node.scale("a", 2)
    assert open_guests(node) == 2
    await node.replace("a", guest("shutdown_logger"), replicas=4)
    assert open_guests(node) == 4
    for name in ("init_fails", "trap_init", "trap_start"):
        with pytest.raises(DeploymentFailed):
            await node.replace("a", guest(name), replicas=2)
        with pytest.raises(DeploymentFailed):
            await node.deploy("b", guest(name), replicas=2)
    assert open_guests(node) == 4
    await node.stop("a")
    assert open_guests(node) == 0
    await node.start("a")
    await node.stop("a", force=True)
    assert open_guests(node) == 0
    await node.replace("a", guest("trap_unreachable"))
    await node.start("a")
    await node.post("a")
    await node.wait_for_line("a", "crashed")
    assert open_guests(node) == 0
    await node.wait_for_status("a", "failed")
    await until(lambda: open_guests(node) == 0)
    await node.deploy("b", guest("spin"))
    await node.post("b")
    await until(lambda: node.receiver("b").mailboxes[0].busy)
    await node.remove("b", force=True)
    assert open_guests(node) == 0


def open_guests(node: LocalNode) -> int:
    guests = [thing for thing in gc.get_objects() if isinstance(thing, Guest) and thing.memory_bytes > 0]
    return sum(made.engine is node.rooms.engine for made in guests)


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
        assert (node.names(), node.lines("a"), node.rooms.bus.dead_letters) == ([], [], 1)
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
    await until(lambda: ticking(node) > 0)
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
