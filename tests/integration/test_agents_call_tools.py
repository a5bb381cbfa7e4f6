"""Agents call real tools of a real node: what is granted works, what is not does not, and nobody else waits."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from caxton.core.views.agents import ToolGrant
from caxton.sandbox.codes import INVALID, NOT_APPROVED, NOT_FOUND, NOT_PERMITTED
from caxton.testing.guests import EXAMPLES, assemble, guest_text
from caxton.testing.rooms import open_node, until
from caxton.tools.desk import ToolDesk
from caxton.tools.tables import read_tools

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from caxton.testing.rooms import LocalNode

CLOCK = {"type": "builtin", "builtin": "time"}
WORDS_TOOL = {"type": "wasm", "module": str(EXAMPLES / "tools" / "word_count.wasm")}


def caller(tool: str, **arguments: Any) -> bytes:
    """A guest that calls `tool` with each message, and keeps what it got: the code, and the result behind it."""
    request = json.dumps({"tool": tool, "arguments": arguments})
    escaped = request.replace("\\", "\\\\").replace('"', '\\"')
    return assemble(
        guest_text(
            imports="""(import "caxton" "call_tool" (func $call_tool (param i32 i32) (result i32)))
              (import "caxton" "read_result" (func $read_result (param i32 i32) (result i32)))
              (import "caxton" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))""",
            handle=f"""(local $n i32) (local.set $n (call $call_tool (i32.const 1024) (i32.const {len(request)})))
              (i32.store (i32.const 8192) (local.get $n))
              (if (i32.lt_s (local.get $n) (i32.const 0)) (then (local.set $n (i32.const 0)))
                (else (drop (call $read_result (i32.const 8196) (local.get $n)))))
              (drop (call $kv_set (i32.const 16) (i32.const 4) (i32.const 8192)
                (i32.add (local.get $n) (i32.const 4)))) i32.const 0""",
            more=f'''(data (i32.const 16) "last") (data (i32.const 1024) "{escaped}")''',
        )
    )


def last(node: LocalNode, agent: str) -> dict[str, Any] | int:
    """What the agent got: a result, or a code below 0."""
    kept = node.receiver(agent).kv[b"last"]
    code = int.from_bytes(kept[:4], "little", signed=True)
    return code if code < 0 else json.loads(kept[4:])


@asynccontextmanager
async def node_with(tmp_path: Path, compiled: Path, **tables: dict[str, Any]) -> AsyncGenerator[LocalNode]:
    async with open_node(tmp_path / "node", compiled=compiled, sources=read_tools(tables, "config.toml")) as node:
        yield node


async def ask(node: LocalNode, agent: str) -> dict[str, Any] | int:
    """Let `agent` call its tool once."""
    await node.post(agent, "go")
    await node.wait_for_quiet()
    return last(node, agent)


async def test_granted_tool_answers_and_one_that_is_not_granted_does_not(tmp_path: Path, compiled_dir: Path) -> None:
    async with node_with(tmp_path, compiled_dir, clock=CLOCK) as node:
        await node.deploy("may", caller("clock.now"), tools=ToolGrant(required=["clock.*"]))
        await node.deploy("may-not", caller("clock.now"), tools=ToolGrant(required=["clock.difference"]))
        found = await ask(node, "may")
        assert isinstance(found, dict)
        assert found["structuredContent"]["utc"] == json.loads(found["content"][0]["text"])["utc"]
        assert await ask(node, "may-not") == NOT_PERMITTED
        assert any("tools.required" in line for line in node.lines("may-not"))


async def test_unknown_tools_and_wrong_arguments_have_codes_and_a_line_in_the_log(
    tmp_path: Path, compiled_dir: Path
) -> None:
    async with node_with(tmp_path, compiled_dir, clock=CLOCK) as node:
        await node.deploy("lost", caller("clock.tomorrow"), tools=ToolGrant(required=["clock.*"]))
        await node.deploy("wrong", caller("clock.now", zone=7), tools=ToolGrant(required=["clock.*"]))
        assert await ask(node, "lost") == NOT_FOUND
        assert await ask(node, "wrong") == INVALID
        assert any("zone" in line for line in node.lines("wrong"))


async def test_tool_in_the_sandbox_is_compiled_started_and_asked(tmp_path: Path, compiled_dir: Path) -> None:
    async with node_with(tmp_path, compiled_dir, words=WORDS_TOOL) as node:
        first = next(name for name in await tools_of(node, "words") if name.endswith(".count"))
        await node.deploy("counts", caller(first, text="one two three"), tools=ToolGrant(required=["words.*"]))
        found = await ask(node, "counts")
        assert isinstance(found, dict)
        assert "3" in found["content"][0]["text"]


async def test_sandboxed_tool_reads_what_its_table_grants_and_nothing_else(tmp_path: Path, compiled_dir: Path) -> None:
    granted, other = tmp_path / "granted", tmp_path / "other"
    for folder in (granted, other):
        folder.mkdir()
        (folder / "a.txt").write_text("one two three")
    table = {**WORDS_TOOL, "allowed_dirs": [{"path": str(granted), "mode": "ro"}]}
    async with node_with(tmp_path, compiled_dir, words=table) as node:
        for name, folder in (("may", granted), ("may-not", other)):
            wasm = caller("words.count_file", path=str(folder / "a.txt"))
            await node.deploy(name, wasm, tools=ToolGrant(required=["words.*"]))
        found, refused = await ask(node, "may"), await ask(node, "may-not")
        assert isinstance(found, dict)
        assert found["structuredContent"]["words"] == 3
        assert isinstance(refused, dict)
        assert refused["isError"]


async def test_state_that_one_agent_keeps_another_finds_after_a_restart(tmp_path: Path, compiled_dir: Path) -> None:
    table = {"type": "builtin", "builtin": "state"}
    async with node_with(tmp_path, compiled_dir, state=table) as node:
        await node.deploy("keeps", caller("state.set", key="k", value=[1, 2]), tools=ToolGrant(required=["state.*"]))
        assert isinstance(await ask(node, "keeps"), dict)
    async with node_with(tmp_path, compiled_dir, state=table) as node:
        await node.deploy("finds", caller("state.get", key="k"), tools=ToolGrant(required=["state.get"]))
        found = await ask(node, "finds")
        assert isinstance(found, dict)
        assert found["structuredContent"] == {"found": True, "value": [1, 2]}


async def tools_of(node: LocalNode, source: str) -> list[str]:
    desk = ToolDesk(node.rooms.broker)
    await desk.ask("default", source)
    return [tool.name for tool in desk.tools("default") if tool.source == source]


async def test_call_that_a_person_has_to_allow_waits_and_nobody_waits_with_it(
    tmp_path: Path, compiled_dir: Path
) -> None:
    async with node_with(tmp_path, compiled_dir, clock={**CLOCK, "approval": "always"}, free=CLOCK) as node:
        desk = ToolDesk(node.rooms.broker)
        await node.deploy("careful", caller("clock.now"), tools=ToolGrant(required=["clock.*"]))
        await node.deploy("free", caller("free.now"), tools=ToolGrant(required=["free.*"]))
        await node.post("careful", "go")
        await until(lambda: desk.approvals("default"))
        await node.post("free", "go")
        await until(lambda: b"last" in node.receiver("free").kv)
        assert b"last" not in node.receiver("careful").kv
        desk.answer("default", desk.approvals("default")[0].id, "ada", is_granted=True)
        await node.wait_for_quiet()
        assert isinstance(last(node, "careful"), dict)
        await node.post("careful", "go")
        await until(lambda: desk.approvals("default"))
        desk.answer("default", desk.approvals("default")[0].id, "ada", is_granted=False)
        await node.wait_for_quiet()
        assert last(node, "careful") == NOT_APPROVED


async def test_agent_that_is_stopped_or_removed_while_it_waits_leaves_nothing_behind(
    tmp_path: Path, compiled_dir: Path
) -> None:
    async with node_with(tmp_path, compiled_dir, clock={**CLOCK, "approval": "always"}) as node:
        desk = ToolDesk(node.rooms.broker)
        await node.deploy("waits", caller("clock.now"), tools=ToolGrant(required=["clock.*"]))
        await node.post("waits", "go")
        await until(lambda: desk.approvals("default"))
        await node.stop("waits", force=True)
        assert (desk.approvals("default"), node.rooms.bus.queues.waiting) == ([], {})
        await node.start("waits")
        await until(lambda: desk.approvals("default"))  # its message came again
        await node.remove("waits", force=True)
        assert (desk.approvals("default"), node.rooms.bus.queues.waiting) == ([], {})


async def test_node_that_stops_does_not_wait_for_a_person(tmp_path: Path, compiled_dir: Path) -> None:
    async with node_with(tmp_path, compiled_dir, clock={**CLOCK, "approval": "always"}) as node:
        desk = ToolDesk(node.rooms.broker)
        await node.deploy("waits", caller("clock.now"), tools=ToolGrant(required=["clock.*"]))
        await node.post("waits", "go")
        await until(lambda: desk.approvals("default"))
        with anyio.fail_after(20):
            await node.rooms.drain()
    async with node_with(tmp_path, compiled_dir, clock={**CLOCK, "approval": "always"}) as node:
        await until(lambda: ToolDesk(node.rooms.broker).approvals("default"))
        (box,) = node.receiver("waits").mailboxes
        assert box.turn is not None
        assert box.turn.envelope is not None
        assert box.turn.envelope.attempt == 1


async def test_thousand_agents_may_wait_at_once(tmp_path: Path, compiled_dir: Path) -> None:
    table = {**CLOCK, "approval": "always"}
    async with node_with(tmp_path, compiled_dir, clock=table) as node:
        desk = ToolDesk(node.rooms.broker)
        await node.deploy(
            "many", caller("clock.now"), replicas=1000, tools=ToolGrant(required=["clock.*"], calls_per_s=1e6)
        )
        for n in range(1000):
            await node.post("many", n)
        await until(lambda: len(desk.approvals("default")) == 1000)
        for question in desk.approvals("default"):
            desk.answer("default", question.id, "ada", is_granted=True)
        await node.wait_for_quiet()
        assert node.view("many").messages_handled == 1000
