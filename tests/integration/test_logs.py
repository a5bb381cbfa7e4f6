"""What gets into an agent's log: its own lines, and what the host says about it."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
import pytest

from caxton.core.errors import AgentFailed, DeploymentFailed
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.logs.filter import LogFilter
from caxton.testing.guests import assemble, guest, guest_text
from caxton.testing.rooms import PATIENCE_S, until

if TYPE_CHECKING:
    from caxton.testing.rooms import LocalNode

LOG = '(import "caxton" "log" (func $log (param i32 i32 i32)))'


def logs(text: str, *, level: int = 2) -> bytes:
    data = "".join(f"\\{byte:02x}" for byte in text.encode())
    handle = f"(call $log (i32.const {level}) (i32.const 16) (i32.const {len(text.encode())})) i32.const 0"
    return assemble(guest_text(imports=LOG, handle=handle, more=f'(data (i32.const 16) "{data}")'))


async def test_log_of_a_failed_start_is_told_and_then_forgotten(node: LocalNode) -> None:
    text = guest_text(
        imports=LOG,
        more="""(data (i32.const 16) "no licence")
            (func (export "agent_init") (result i32)
              (call $log (i32.const 4) (i32.const 16) (i32.const 10)) i32.const 3)""",
    )
    with pytest.raises(DeploymentFailed) as caught:
        await node.deploy("a", assemble(text))
    assert caught.value.details()["log"] == ["no licence", "did not start: agent_init returned 3"]
    assert node.lines("a") == []


async def test_crash_stands_in_the_log_behind_the_guests_last_words(node: LocalNode) -> None:
    text = guest_text(
        imports=LOG,
        handle="(call $log (i32.const 1) (i32.const 16) (i32.const 8)) (call $helper)",
        more='(data (i32.const 16) "dividing") (func $helper (result i32) (i32.div_u (i32.const 1) (i32.const 0)))',
    )
    await node.deploy("a", assemble(text), replicas=2)
    with pytest.raises(AgentFailed) as caught:
        await node.ask("a", conversation_id="one")
    assert caught.value.details() == {
        "name": "a",
        "trap": "integer_division_by_zero",
        "functions": ["helper", "handle_message"],
        "log": ["dividing", "crashed (integer_division_by_zero): it divided by zero in helper < handle_message"],
    }
    lines = node.rooms.log.tail(DEFAULT_WORKSPACE, ["a"], limit=9)
    assert [(line.replica, line.level, line.source) for line in lines] == [(1, "debug", "guest"), (1, "error", "host")]
    await until(lambda: node.view("a").healthy == 2)


async def test_handler_that_fails_is_told_with_its_result(node: LocalNode) -> None:
    await node.deploy("a", guest("returns_nonzero"))
    await node.post("a")
    await node.wait_for_line("a", "its handler returned 7")


async def test_lines_have_their_level_source_and_order(node: LocalNode) -> None:
    await node.deploy("a", logs("one\ntwo", level=3))
    await node.deploy("wasi", guest("wasi_hello"))
    await node.post("a")
    await node.wait_for_quiet()
    await node.post("wasi")
    await node.wait_for_quiet()
    lines = node.rooms.log.tail(DEFAULT_WORKSPACE, None, limit=9)
    assert [(line.agent, line.level, line.source, line.text) for line in lines] == [
        ("a", "warn", "guest", "one"),
        ("a", "warn", "guest", "two"),
        ("wasi", "info", "stdout", "hello from wasi"),
    ]
    assert [line.seq for line in lines] == sorted({line.seq for line in lines})


async def test_bytes_that_are_no_text_and_escape_sequences_are_made_harmless(node: LocalNode) -> None:
    text = guest_text(
        imports=LOG,
        handle="(call $log (i32.const 2) (i32.const 16) (i32.const 10)) i32.const 0",
        more=r'(data (i32.const 16) "\ff\fe\1b[31mred!")',
    )
    await node.deploy("a", assemble(text))
    await node.post("a")
    await node.wait_for_line("a", "red")
    assert node.lines("a") == ["��red"]


async def test_log_outlives_restart_and_new_version_but_not_removal(node: LocalNode) -> None:
    await node.deploy("a", logs("first"))
    await node.post("a")
    await node.wait_for_quiet()
    await node.stop("a")
    await node.replace("a", logs("second"))
    await node.start("a")
    await node.post("a")
    await node.wait_for_quiet()
    assert node.lines("a") == ["first", "second"]
    await node.remove("a")
    assert node.lines("a") == []


async def test_follower_sees_lines_as_they_are_written_and_across_a_crash(node: LocalNode) -> None:
    await node.deploy("a", logs("hello"))
    await node.deploy("b", guest("trap_unreachable"))
    got: list[tuple[str, str]] = []
    with anyio.fail_after(PATIENCE_S):
        async with aclosing(
            node.rooms.log.follow(DEFAULT_WORKSPACE, LogFilter(agents=frozenset("ab")), after_seq=0)
        ) as lines:
            for name in ("a", "b", "a"):
                if name == "b":
                    with pytest.raises(AgentFailed):
                        await node.ask("b")
                else:
                    await node.post(name)
                line = await anext(lines)
                got.append((line.agent, line.text.split(":")[0]))
    assert got == [("a", "hello"), ("b", "crashed (unreachable)"), ("a", "hello")]
