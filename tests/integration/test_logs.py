"""What gets into an agent's log: its own lines, and what the host says about it."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from caxton.core.errors.agents import AgentFailed, DeploymentFailed
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.logs.block import MAGIC
from caxton.logs.files import LogFiles
from caxton.logs.filter import LogFilter
from caxton.logs.line import MAX_LINE_CHARS
from caxton.logs.pages import MAX_BYTES
from caxton.observe.log import set_up_logging
from caxton.testing.guests import assemble, guest, guest_text
from caxton.testing.rooms import PATIENCE_S, open_node, until

if TYPE_CHECKING:
    from pathlib import Path

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


# --- which message a line is about -------------------------------------------------------------------------------


def speaks(*parts: str) -> str:
    """Text of a guest that logs what it is told to, in this order, for each message."""
    data, calls, at = "", "", 1024
    for part in parts:
        size = len(part.encode())
        data += f'(data (i32.const {at}) "{"".join(f"{chr(92)}{byte:02x}" for byte in part.encode())}")'
        calls += f"(call $log (i32.const 2) (i32.const {at}) (i32.const {size}))"
        at += size
    return guest_text(imports=LOG, handle=f"{calls} i32.const 0", more=data)


async def test_each_line_names_the_message_that_was_in_hand_and_its_trace(node: LocalNode) -> None:
    await node.deploy("a", assemble(speaks("one", "two")))
    for conversation in ("c-1", "c-2"):
        await node.post("a", conversation_id=conversation, traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01")
    await node.wait_for_quiet()
    lines = node.rooms.log.tail(DEFAULT_WORKSPACE, ["a"], limit=9)
    assert [(line.text, line.conversation_id) for line in lines] == [
        ("one", "c-1"), ("two", "c-1"), ("one", "c-2"), ("two", "c-2"),
    ]  # fmt: skip
    assert {line.attempt for line in lines} == {1}
    assert len({line.message_id for line in lines}) == len({line.span_id for line in lines}) == 2
    found = await node.rooms.log.find(DEFAULT_WORKSPACE, LogFilter(conversation_id="c-2", grep="^t"), limit=9)
    assert [line.text for line in found] == ["two"]


async def test_agents_that_work_on_the_same_thing_log_under_the_same_trace(node: LocalNode) -> None:
    say = r"{\"performative\":\"inform\",\"receiver\":\"b\",\"conversation_id\":\"c-9\",\"content\":1}"
    send = '(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))'
    first = guest_text(
        imports=LOG + send,
        handle=f"""(call $log (i32.const 2) (i32.const 16) (i32.const 5))
            (call $send (i32.const 64) (i32.const {len(say.replace(chr(92), ""))}))""",
        more=f'(data (i32.const 16) "first") (data (i32.const 64) "{say}")',
    )
    await node.deploy("a", assemble(first))
    await node.deploy("b", assemble(speaks("second")))
    await node.post("a", conversation_id="c-9")
    await node.wait_for_line("b", "second")
    one, two = node.rooms.log.tail(DEFAULT_WORKSPACE, None, limit=9)
    assert (one.text, two.text) == ("first", "second")
    assert one.trace_id == two.trace_id
    assert one.trace_id is not None
    assert int(one.trace_id, 16)
    assert one.conversation_id == two.conversation_id == "c-9"
    assert one.span_id != two.span_id


async def test_what_the_host_says_of_a_failure_names_the_message_and_the_attempt(node: LocalNode) -> None:
    await node.deploy("fails", guest("returns_nonzero"))
    await node.deploy("crashes", guest("trap_unreachable"))
    for name in ("fails", "crashes"):
        with pytest.raises(AgentFailed):
            await node.ask(name, conversation_id=f"c-{name}")
    lines = node.rooms.log.tail(DEFAULT_WORKSPACE, None, limit=9)
    told = [(line.agent, line.source, line.conversation_id, line.attempt) for line in lines]
    assert told == [("fails", "host", "c-fails", 1), ("crashes", "host", "c-crashes", 1)]
    assert all(line.trace_id and line.message_id and line.span_id for line in lines)


async def test_last_word_about_a_message_that_failed_too_often_names_it(node: LocalNode) -> None:
    await node.deploy("a", guest("returns_nonzero"))
    receipt = await node.post("a", conversation_id="c-1")
    await node.wait_for_line("a", "it is a dead letter")
    lines = node.rooms.log.tail(DEFAULT_WORKSPACE, ["a"], limit=99)
    about = [(line.message_id, line.conversation_id, line.attempt) for line in lines if "returned" in line.text]
    assert about == [(receipt.message_id, "c-1", attempt) for attempt in range(1, 6)]
    (last,) = [line for line in lines if "dead letter" in line.text]
    assert (last.message_id, last.conversation_id, last.attempt) == (receipt.message_id, "c-1", 5)


async def test_line_that_is_about_no_message_names_none(node: LocalNode) -> None:
    text = guest_text(
        imports=LOG,
        more="""(data (i32.const 16) "hello")
            (func (export "agent_init") (result i32)
              (call $log (i32.const 2) (i32.const 16) (i32.const 5)) i32.const 0)""",
    )
    await node.deploy("a", assemble(text))
    (line,) = node.rooms.log.tail(DEFAULT_WORKSPACE, ["a"], limit=9)
    assert (line.message_id, line.conversation_id, line.trace_id, line.span_id, line.attempt) == (None,) * 5


async def test_lines_of_a_timer_have_a_trace_and_no_message(node: LocalNode) -> None:
    text = guest_text(
        imports=LOG + '(import "caxton" "set_timer" (func $timer (param i64) (result i32)))',
        handle="(drop (call $timer (i64.const 0))) i32.const 0",
        more="""(data (i32.const 16) "ticks")
            (func (export "handle_timer") (param i32) (result i32)
              (call $log (i32.const 2) (i32.const 16) (i32.const 5)) i32.const 0)""",
    )
    await node.deploy("a", assemble(text))
    for count in (1, 2):
        await node.post("a")
        await node.wait_for_line("a", "ticks", count=count)
    first, second = node.rooms.log.tail(DEFAULT_WORKSPACE, ["a"], limit=9)
    assert (first.message_id, first.span_id, first.attempt) == (None, None, 1)
    assert first.trace_id
    assert second.trace_id
    assert first.trace_id != second.trace_id


async def test_error_of_ours_in_a_handling_is_logged_with_its_message(
    node: LocalNode, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a host function, which the sandbox logs; and in handing over, which the bus does."""
    set_up_logging("info", readable=False)

    append = node.rooms.log.append

    def breaks(*facts: Any) -> None:
        if "host" not in facts:
            raise RuntimeError("broken")
        append(*facts)

    await node.deploy("a", logs("said"))
    await node.deploy("b", logs("said"))
    with monkeypatch.context() as patch:
        patch.setattr(node.rooms.log, "append", breaks)
        with pytest.raises(AgentFailed):
            await node.ask("a", conversation_id="c-a")
    box = node.receiver("b").mailboxes[0]
    assert box.handler is not None
    monkeypatch.setattr(box.handler, "deliver", breaks)
    with pytest.raises(AgentFailed):
        await node.ask("b", conversation_id="c-b")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = {line["event.name"]: line for line in lines if line.get("error.type") == "RuntimeError"}
    assert {"sandbox.host_error", "bus.host_error"} <= told.keys()
    for name, agent in (("sandbox.host_error", "a"), ("bus.host_error", "b")):
        line = told[name]
        assert (line["caxton.agent.id"], line["caxton.workspace.id"]) == (agent, "default")
        assert line["messaging.message.conversation_id"] == f"c-{agent}"
        assert line["messaging.message.id"]
        assert len(line["trace_id"]) == 32
        assert line["caxton.delivery.attempt"] == 1


# --- hostile loggers ---------------------------------------------------------------------------------------------


async def test_agent_that_logs_megabytes_keeps_its_share_and_nobody_else_suffers(node: LocalNode) -> None:
    """1,000 lines of 16 KiB for each message: 16 MB in a few milliseconds of its own time."""
    text = guest_text(
        imports=LOG,
        handle="""(local $n i32)
            (memory.fill (i32.const 1024) (i32.const 120) (i32.const 16384))
            (loop $again
              (call $log (i32.const 2) (i32.const 1024) (i32.const 16384))
              (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
            i32.const 0""",
    )
    await node.deploy("loud", assemble(text))
    await node.deploy("quiet", logs("still here"))
    await node.post("quiet")
    for _ in range(5):
        await node.post("loud")
    await node.wait_for_quiet()
    await node.post("quiet")
    await node.wait_for_quiet()
    assert node.view("loud").status == "running"
    assert node.lines("quiet") == ["still here", "still here"]
    page = node.rooms.log.pages.get(DEFAULT_WORKSPACE, "loud")
    assert page is not None
    assert page.bytes <= MAX_BYTES
    lines = node.lines("loud")
    assert sum(line.startswith("it logs more than it may in a second") for line in lines) >= 1
    assert sum(line == "x" * MAX_LINE_CHARS for line in lines) < 100


async def test_text_of_nothing_but_line_ends_is_too_much_at_once(node: LocalNode) -> None:
    text = guest_text(
        imports=LOG,
        handle="""(memory.fill (i32.const 1024) (i32.const 10) (i32.const 16384))
            (call $log (i32.const 2) (i32.const 1024) (i32.const 16384)) i32.const 0""",
    )
    await node.deploy("a", assemble(text))
    await node.post("a")
    await node.wait_for_quiet()
    assert node.lines("a") == ["it logs more than it may in a second: the next lines are dropped"]


async def test_every_byte_there_is_may_be_logged(node: LocalNode) -> None:
    text = guest_text(
        imports=LOG,
        handle="""(local $n i32)
            (loop $again
              (i32.store8 (i32.add (i32.const 1024) (local.get $n)) (local.get $n))
              (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 256))))
            (call $log (i32.const 2) (i32.const 1024) (i32.const 256)) i32.const 0""",
    )
    await node.deploy("a", assemble(text))
    await node.post("a")
    await node.wait_for_quiet()
    first, second = node.lines("a")
    assert first == "\N{REPLACEMENT CHARACTER}" * 9 + "\t"
    assert second.startswith("\N{REPLACEMENT CHARACTER}" * 21 + ' !"#$%')
    assert second.endswith("xyz{|}~" + "\N{REPLACEMENT CHARACTER}" * 129)


async def test_log_call_with_nonsense_for_arguments_logs_nothing_or_what_is_there(node: LocalNode) -> None:
    text = guest_text(
        imports=LOG,
        handle="""(call $log (i32.const -5) (i32.const 16) (i32.const 3))
            (call $log (i32.const 99) (i32.const 16) (i32.const 3))
            (call $log (i32.const 2) (i32.const -1) (i32.const 3))
            (call $log (i32.const 2) (i32.const 16) (i32.const -3))
            (call $log (i32.const 2) (i32.const 131070) (i32.const 3))
            i32.const 0""",
        more='(data (i32.const 16) "odd")',
    )
    await node.deploy("a", assemble(text))
    await node.post("a")
    await node.wait_for_quiet()
    lines = node.rooms.log.tail(DEFAULT_WORKSPACE, ["a"], limit=9)
    assert [(line.level, line.text) for line in lines] == [("trace", "odd"), ("error", "odd")]


# --- after a restart ---------------------------------------------------------------------------------------------


async def test_log_is_there_again_after_a_restart_and_goes_on(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        await node.deploy("a", logs("before"))
        await node.deploy("gone", logs("gone"))
        await node.post("a", conversation_id="c-1")
        await node.post("gone")
        await node.wait_for_quiet()
        await node.remove("gone")
        before = node.rooms.log.tail(DEFAULT_WORKSPACE, None, limit=9)
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        assert node.rooms.log.tail(DEFAULT_WORKSPACE, None, limit=9) == before
        assert [(line.text, line.conversation_id) for line in before] == [("before", "c-1")]
        await node.replace("a", logs("after"))
        await node.post("a")
        await node.wait_for_quiet()
        lines = node.rooms.log.tail(DEFAULT_WORKSPACE, None, limit=9)
        wanted = LogFilter()
        async with aclosing(node.rooms.log.follow(DEFAULT_WORKSPACE, wanted, after_seq=before[0].seq)) as later:
            with anyio.fail_after(PATIENCE_S):
                assert await anext(later) == lines[1]
    assert [line.text for line in lines] == ["before", "after"]
    assert lines[0].seq < lines[1].seq


async def test_lines_are_on_disk_soon_without_a_stop(tmp_path: Path, compiled_dir: Path) -> None:
    """What was handed to the kernel survives the process, however that ends."""
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        await node.deploy("a", logs("last words"))
        await node.post("a")
        await until(lambda: [line.text for line in reader(tmp_path / "node").load()] == ["last words"])


def reader(data_dir: Path) -> LogFiles:
    return LogFiles(data_dir / "logs", 1 << 20, lambda: 1 << 40, lambda _space, _agent, _seq: True)


async def test_damaged_log_costs_lines_and_not_the_start(tmp_path: Path, compiled_dir: Path) -> None:
    (tmp_path / "node" / "logs").mkdir(parents=True)
    (tmp_path / "node" / "logs" / "000000000001.log").write_bytes(MAGIC + b"\xff" * 100)
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        await node.deploy("a", logs("works"))
        await node.post("a")
        await node.wait_for_line("a", "works")
