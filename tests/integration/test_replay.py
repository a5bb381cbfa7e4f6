"""What agents recorded runs again: the same bytes from the same module, and the first difference of another one."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from caxton.agents.wasm_runner import WasmRunner
from caxton.core.errors.agents import DeploymentFailed
from caxton.replay.record import CALLS, KINDS, START
from caxton.replay.store import Store
from caxton.sandbox.codes import TIMED_OUT
from caxton.sandbox.guest import Guest
from caxton.testing.guests import SLOW_ROUNDS, STARTS_ONCE, assemble, example, guest, guest_text
from caxton.testing.rooms import open_node, until
from caxton.tools.wanted import Pending
from tests.integration.conversation_talks import hold_contract_net, hold_job, hold_subscription
from tests.integration.replayed import RecordedNode, Replayer, recorded, replayer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from caxton.testing.rooms import LocalNode
    from caxton.tools.wanted import Wanted

CALL_TOOL, KV_SET = CALLS.index("call_tool"), CALLS.index("kv_set")


@pytest.fixture
def again() -> Generator[Replayer]:
    with replayer() as found:
        yield found


@pytest.fixture
async def recording(node: LocalNode) -> RecordedNode:
    """A node on which every agent records."""
    return RecordedNode(node.rooms)


@pytest.fixture
async def sink(recording: RecordedNode) -> RecordedNode:
    """The same with the agent that guests in tests write to."""
    await recording.deploy("sink", guest("sink"), record=False)
    return recording


def counting(third: str) -> bytes:
    """A guest that counts in its memory alone and tells the sink; at its third message it says `third`."""
    said = '{"performative":"inform","receiver":"sink","content":"%s"}'
    one, three = said % "count", said % third
    escaped = [text.replace('"', '\\"') for text in (one, three)]
    return assemble(
        guest_text(
            imports='(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
            handle=f"""(global.set $seen (i32.add (global.get $seen) (i32.const 1)))
              (drop (if (result i32) (i32.eq (global.get $seen) (i32.const 3))
                (then (call $send (i32.const 512) (i32.const {len(three)})))
                (else (call $send (i32.const 16) (i32.const {len(one)})))))
              i32.const 0""",
            more=f"""(global $seen (mut i32) (i32.const 0))
              (data (i32.const 16) "{escaped[0]}") (data (i32.const 512) "{escaped[1]}")""",
        )
    )


# --- the same again ----------------------------------------------------------------------------------------------


async def test_hundred_conversations_of_the_examples_replay_identically_after_a_restart(
    tmp_path: Path, compiled_dir: Path, again: Replayer
) -> None:
    names = ["contract-net-manager", "contract-net-bidder", "cancel-worker", "cancel-requester", "echo", "echo-as",
             "counter", "pong", "ring", "subscription-publisher", "subscription-subscriber"]  # fmt: skip
    async with open_node(tmp_path / "node", compiled=compiled_dir) as plain:
        node = RecordedNode(plain.rooms)
        await hold_contract_net(node)
        await hold_subscription(node, values=(1, "two", {"three": [3]}))
        await hold_job(node, cancel_after=3)
        for name, replicas in (("echo", 1), ("echo-as", 2), ("counter", 3), ("pong", 1)):
            await node.deploy(name, example(name), replicas=replicas)
        for n in range(3):
            await node.deploy(f"ring-{n}", example("ring"))
        for n in range(26):
            for name, content in (("echo", ["x" * n]), ("echo-as", {"n": n}), ("counter", {"add": n}), ("pong", n)):
                await node.ask(name, content, conversation_id=f"{name}-{n}")
        await node.post("ring-0", {"hops": 30, "ring": 3, "token": 1}, conversation_id="round")
        await node.wait_for_quiet()
        _, before = await recorded(node)
    ids = {handling.conversation_id for life in before for handling in life.handlings} - {None}
    assert len(ids) > 110
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        for conversation_id in sorted(ids, key=str):
            page, lives = await recorded(node, conversation_id=conversation_id)
            assert (page.not_recorded, page.partly_recorded, page.unreadable) == ([], {}, {}), conversation_id
            assert again.same(lives, *map(example, names), conversation_id=str(conversation_id))


async def test_guest_that_uses_all_the_host_has_does_the_same_bytes_again(sink: RecordedNode, again: Replayer) -> None:
    await sink.deploy("asker", guest("asks_all"))
    for _ in range(5):
        await sink.post("asker", 1)
    await until(lambda: sink.receiver("asker").handled == 10)  # as many timers
    await sink.stop("asker")
    _, lives = await recorded(sink, agent="asker")
    kinds = [KINDS[handling.kind] for handling in lives[0].handlings]
    assert (len(lives), kinds[0], kinds[-1]) == (1, "start", "shutdown")
    assert (kinds.count("message"), kinds.count("timer")) == (5, 5)
    assert {number for handling in lives[0].handlings for number, _, _ in handling.calls} == set(range(len(CALLS)))
    assert again.same(lives, guest("asks_all")) == 12


async def test_every_answer_of_the_host_counts(sink: RecordedNode, again: Replayer) -> None:
    """If one were left out, or taken from elsewhere than the recording, the bytes could not be the same."""
    await sink.deploy("asker", guest("asks_all"))
    await sink.post("asker", 1)
    await sink.wait_for_quiet()
    _, [life] = await recorded(sink, agent="asker")
    calls = life.handlings[0].calls
    for at, (number, arguments, answer) in enumerate(calls):
        if answer is None:  # nothing was answered, or nothing was there: it is a fact all the same
            continue
        other = answer + 1 if isinstance(answer, int) else bytes(byte ^ 1 for byte in answer)
        calls[at] = number, arguments, other
        assert again.run([life], guest("asks_all"))[-1][1].divergence is not None, CALLS[number]  # pyright: ignore[reportOptionalMemberAccess]
        calls[at] = number, arguments, answer
    assert again.same([life], guest("asks_all"))


async def test_failed_attempts_are_replayed_in_the_memory_that_they_left(
    recording: RecordedNode, again: Replayer
) -> None:
    failing = assemble(
        guest_text(
            handle="(global.set $n (i32.add (global.get $n) (i32.const 1))) (i32.lt_s (global.get $n) (i32.const 3))",
            more="(global $n (mut i32) (i32.const 0))",
        )
    )
    await recording.deploy("failing", failing)
    receipt = await recording.post("failing", 1)
    await recording.wait_for_quiet()
    _, lives = await recorded(recording, message_id=receipt.message_id)
    assert [(h.attempt, h.outcome.status) for h in lives[0].handlings[1:]] == [(1, 1), (2, 1), (3, 0)]
    assert again.same(lives, failing, message_id=receipt.message_id) == 4


async def test_crashes_end_a_life_and_each_attempt_is_replayed_in_its_own(
    recording: RecordedNode, again: Replayer
) -> None:
    await recording.deploy("crashing", guest("kv_then_trap"))
    receipt = await recording.post("crashing", 1)
    await recording.wait_for_status("crashing", "failed")
    _, lives = await recorded(recording, message_id=receipt.message_id)
    assert len(lives) == 4
    assert {life.handlings[-1].outcome.text for life in lives} == {"unreachable"}
    assert again.same(lives, guest("kv_then_trap")) == 8


async def test_start_that_failed_is_recorded_and_fails_again(recording: RecordedNode, again: Replayer) -> None:
    for name in ("trap_init", "init_fails", "bad_capabilities"):
        with pytest.raises(DeploymentFailed):
            await recording.deploy("starting", guest(name))
    _, lives = await recorded(recording, agent="starting")
    assert [life.handlings[0].outcome.kind for life in lives] == ["trapped", "not started", "not started"]
    assert again.same(lives, *map(guest, ("trap_init", "init_fails", "bad_capabilities"))) == 3


@pytest.mark.parametrize("name", ["slow_cpu", "recursion", "trap_div", "host_call_flood", "wasi_exit"])
async def test_slices_and_limits_do_not_matter(recording: RecordedNode, again: Replayer, name: str) -> None:
    await recording.deploy("busy", guest(name), host_calls=500)
    receipt = await recording.post("busy", 1)
    await until(lambda: recording.receiver("busy").handled + recording.receiver("busy").failed > 0)
    _, lives = await recorded(recording, message_id=receipt.message_id)
    assert again.same(lives[:1], guest(name)) == 2


async def test_handling_that_ran_out_of_time_is_the_same_up_to_there(recording: RecordedNode, again: Replayer) -> None:
    await recording.deploy("endless", guest("spin"), cpu_time=0.02)
    receipt = await recording.post("endless", 1)
    await until(lambda: recording.receiver("endless").failed > 0)
    _, lives = await recorded(recording, message_id=receipt.message_id)
    assert lives[0].handlings[-1].outcome.text == "cpu_time"
    assert again.same(lives[:1], guest("spin")) == 2
    played = again.run(lives[:1], guest("spin"), against=guest("sink"))[-1][1]
    assert played is not None
    assert played.divergence is not None
    assert played.divergence.got == "returned 0"


async def test_handling_that_was_cut_off_is_the_end_of_its_life(recording: RecordedNode, again: Replayer) -> None:
    await recording.deploy("slow", guest("spin"), timeout=60, cpu_time=60)
    receipt = await recording.post("slow", 1)
    await until(lambda: recording.receiver("slow").mailboxes[0].busy)
    await recording.stop("slow", force=True)
    _, lives = await recorded(recording, message_id=receipt.message_id)
    assert [handling.outcome.kind for handling in lives[0].handlings] == ["returned", "cut"]
    assert lives[0].handlings[-1].message_id == receipt.message_id
    assert again.same(lives, guest("spin")) == 2


async def test_each_replica_has_a_recording_and_reads_what_the_others_wrote(
    recording: RecordedNode, again: Replayer
) -> None:
    await recording.deploy("counter", example("counter"), replicas=3)
    for n in range(12):
        reply = await recording.ask("counter", {"add": 1}, conversation_id=f"c{n}")
    assert reply["content"] == {"count": 12}  # pyright: ignore[reportPossiblyUnboundVariable]
    _, lives = await recorded(recording, agent="counter")
    assert sorted(life.life.replica for life in lives) == [0, 1, 2]
    assert again.same(lives, example("counter")) == 15


class Dice:
    """A tool that answers something else each time, and knows how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def call(self, _wanted: Wanted, /) -> bytes | int | Pending:
        self.asked += 1
        return b'{"thrown":%d}' % self.asked if self.asked % 3 else TIMED_OUT


class LateDice(Dice):
    """The same, but it takes a turn of the event loop, in which the agent waits."""

    def call(self, wanted: Wanted, /) -> Pending:
        pending = Pending()
        answer = super().call(wanted)
        assert isinstance(answer, int | bytes)
        asyncio.get_running_loop().call_soon(pending.settle, answer)
        return pending


@pytest.mark.parametrize("kind", [Dice, LateDice])
async def test_answers_of_tools_are_recorded_and_no_tool_is_called_again(
    tmp_path: Path, compiled_dir: Path, again: Replayer, kind: type[Dice]
) -> None:
    thrower = assemble(
        guest_text(
            imports="""(import "caxton" "call_tool" (func $call_tool (param i32 i32) (result i32)))
              (import "caxton" "read_result" (func $read_result (param i32 i32) (result i32)))
              (import "caxton" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))""",
            handle=f"""(i32.store (i32.const 96) (call $call_tool (i32.const 16) (i32.const {len('{"tool":"dice"}')})))
              (drop (call $read_result (i32.const 100) (i32.const 32)))
              (drop (call $kv_set (i32.const 16) (i32.const 4) (i32.const 96) (i32.const 36))) i32.const 0""",
            more=r'(data (i32.const 16) "{\"tool\":\"dice\"}")',
        )
    )
    dice = kind()
    async with open_node(tmp_path / "node", compiled=compiled_dir, tools=dice) as node:
        await node.deploy("thrower", thrower, record=True)
        for n in range(4):
            await node.post("thrower", n)
        await node.wait_for_quiet()
        _, lives = await recorded(node)
    answers = [answer for h in lives[0].handlings for number, _, answer in h.calls if number == CALL_TOOL]
    assert answers == [b'{"thrown":1}', b'{"thrown":2}', TIMED_OUT, b'{"thrown":4}']
    assert again.same(lives, thrower) == 5
    assert dice.asked == 4


# --- what is told ------------------------------------------------------------------------------------------------


async def test_changed_module_is_caught_at_the_right_message_and_call(sink: RecordedNode, again: Replayer) -> None:
    await sink.deploy("counting", counting("three"))
    receipts = [await sink.post("counting", n, conversation_id="c") for n in range(5)]
    await sink.wait_for_quiet()
    _, lives = await recorded(sink, conversation_id="c")
    assert again.same(lives, counting("three"), conversation_id="c") == 6
    *same, (step, played) = again.run(lives, against=counting("threw"), conversation_id="c")
    assert [one.divergence for _, one in same if one is not None] == [None] * 3
    assert (step.number, step.handling.message_id) == (4, receipts[2].message_id)
    assert played is not None
    assert played.divergence is not None
    assert played.divergence.call == 1
    assert '"content":"three"' in played.divergence.expected
    assert '"content":"threw"' in played.divergence.got
    assert played.divergence.diff.startswith("at byte 58: ")


@pytest.mark.parametrize(
    ("name", "other", "expected", "got"),
    [
        ("returns_nonzero", "slow_cpu", "returned 7", "returned 0"),
        ("trap_div", "trap_oob", "trapped (integer_division_by_zero)", "trapped (memory_out_of_bounds)"),
        ("slow_cpu", "trap_div", "returned 0", "trapped (integer_division_by_zero)"),
        ("init_fails", "slow_cpu", "did not start", "returned 0"),
    ],
)
async def test_end_of_a_handling_is_compared(
    recording: RecordedNode, again: Replayer, name: str, other: str, expected: str, got: str
) -> None:
    with suppress(DeploymentFailed):
        await recording.deploy("a", guest(name))
        await recording.post("a", 1)
        await until(lambda: recording.receiver("a").handled + recording.receiver("a").failed > 0)
    _, lives = await recorded(recording, agent="a")
    played = again.run(lives[:1], against=guest(other))[-1][1]
    assert played is not None
    assert played.divergence is not None
    assert played.divergence.expected.startswith(expected)
    assert played.divergence.got.startswith(got)


async def test_fork_goes_on_freely_and_shows_what_would_have_been_sent(sink: RecordedNode, again: Replayer) -> None:
    await sink.deploy("counter", example("counter"))
    for _ in range(4):
        await sink.ask("counter", {"add": 10}, conversation_id="c")
    _, lives = await recorded(sink, conversation_id="c")
    edited = lives[0].handlings[3].body.replace(b'{"add":10}', b'{"add":5}')
    done = again.run(lives, example("counter"), fork_at=4, body=edited, conversation_id="c")
    assert [played is not None and played.is_free for _, played in done] == [False] * 3 + [True] * 2
    said = [arguments[1] for _, played in done if played for number, arguments, _ in played.calls if number == KV_SET]
    assert said == [b"10", b"20", b"25", b"35"], "the state at the fork is that of the recording"
    assert sink.receiver("counter").kv == {b"count": b"40"}, "a replay touches nobody who lives"


async def test_who_took_part_and_has_no_recording_is_named(node: LocalNode) -> None:
    await node.deploy("ping", example("ring"), record=True)
    await node.deploy("ring-0", example("ring"), record=True)
    await node.deploy("ring-1", example("ring"))
    await node.post("ring-0", {"hops": 3, "ring": 2}, conversation_id="round")
    await node.wait_for_quiet()
    page, lives = await recorded(node, conversation_id="round")
    assert [life.life.agent for life in lives] == ["ring-0"]
    assert page.not_recorded == ["ring-1"]
    page, lives = await recorded(node, conversation_id="of nobody")
    assert (page.recordings, lives, page.not_recorded) == ([], [], [])


async def test_messages_of_before_the_recording_are_counted(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"))
    await node.ask("echo", 1, conversation_id="c")
    await node.configure("echo", record=True)  # pyright: ignore[reportArgumentType]
    await node.ask("echo", 2, conversation_id="c")
    page, lives = await recorded(node, conversation_id="c")
    assert page.partly_recorded == {"echo": 1}
    assert [bytes(handling.body).count(b'"content":2') for handling in lives[0].handlings] == [0, 1]


async def test_what_is_damaged_is_not_said_to_have_never_been_recorded(
    tmp_path: Path, compiled_dir: Path, again: Replayer
) -> None:
    async with open_node(tmp_path / "node", compiled=compiled_dir) as plain:
        node = RecordedNode(plain.rooms)
        await node.deploy("echo", example("echo"))
        for n in range(4):
            await node.ask("echo", f"number {n}", conversation_id=f"conversation-{n // 2}")
        await node.wait_for_quiet()
        _, [whole] = await recorded(node)
    [path] = (tmp_path / "node" / "recordings").glob("*.life")
    good = path.read_bytes()
    lost = [handling.message_id for handling in whole.handlings[2:] if handling.message_id]
    for place in (b"number 1", b"conversation-1", lost[0].encode()):
        data = bytearray(good)
        for at in range(len(good)):  # wherever it stands, so that nobody can find it
            if at > good.index(b"number 1") - 300 and good.startswith(place, at):
                data[at : at + 2] = b"xx"
        path.write_bytes(data)
        async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
            page, lives = await recorded(node, conversation_id="conversation-1")
            assert (page.not_recorded, page.not_in_recordings) == ([], []), place
            assert [view.agent for view in page.recordings] == ["echo"]
            assert page.recordings[0].damage is not None
            assert lives[0].damage is not None
            page, _ = await recorded(node, message_id=lost[-1])
            assert (len(page.recordings), page.not_recorded) == (1, []), "it stands behind the damage"
            assert again.same(lives, example("echo")) >= 2


async def test_file_of_another_format_is_named_where_it_holds_what_is_asked_for(
    tmp_path: Path, compiled_dir: Path
) -> None:
    async with open_node(tmp_path / "node", compiled=compiled_dir) as plain:
        node = RecordedNode(plain.rooms)
        await node.deploy("echo", example("echo"))
        await node.ask("echo", 1, conversation_id="c-17")
    [path] = (tmp_path / "node" / "recordings").glob("*.life")
    data = bytearray(path.read_bytes())
    data[8] = 9
    path.write_bytes(data)
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        for wanted in ({"conversation_id": "c-17"}, {"agent": "echo"}, {"agent": "echo", "conversation_id": "c-17"}):
            page, _ = await recorded(node, **wanted)
            assert ([*page.unreadable], page.unreadable_others) == ([path.name], 0), wanted
            assert "format 9" in page.unreadable[path.name]
        for wanted in ({"conversation_id": "c-18"}, {"agent": "ech"}, {"agent": "pong", "conversation_id": "c-17"}):
            page, _ = await recorded(node, **wanted)
            assert (page.unreadable, page.unreadable_others) == ({}, 1), wanted


async def test_who_records_and_has_nothing_of_it_is_not_said_not_to_record(recording: RecordedNode) -> None:
    await recording.deploy("echo", example("echo"))
    await recording.ask("echo", 1, conversation_id="before")
    await recording.stop("echo")
    await recording.post("echo", 2, conversation_id="waits")
    page, _ = await recorded(recording, conversation_id="waits")
    assert (page.recordings, page.not_recorded, page.not_in_recordings) == ([], [], ["echo"])
    page, _ = await recorded(recording, conversation_id="before", message_id="nope")
    assert (page.recordings, page.not_recorded, page.not_in_recordings) == ([], [], [])


# --- switching it on and off -------------------------------------------------------------------------------------


async def test_it_is_switched_on_and_off_while_the_agent_runs_and_outlives_a_restart(
    tmp_path: Path, compiled_dir: Path, again: Replayer
) -> None:
    place: dict[str, Any] = {"data_dir": tmp_path / "node", "compiled": compiled_dir}
    async with open_node(**place) as node:
        await node.deploy("sink", guest("sink"))
        await node.deploy("counting", counting("three"))
        await node.post("counting", 1)
        assert not (await recorded(node))[1]
        assert (await node.configure("counting", record=True)).record  # pyright: ignore[reportArgumentType]
        for n in range(3):
            await node.post("counting", n)
        await node.wait_for_quiet()
    async with open_node(**place) as node:
        assert node.settings("counting").record
        await node.post("counting", 1)
        await node.wait_for_quiet()
        _, lives = await recorded(node)
        assert [len(life.handlings) for life in lives] == [4, 2]
        assert again.same(lives, counting("three")) == 6
        await node.configure("counting", record=False)  # pyright: ignore[reportArgumentType]
        await node.post("counting", 2)
        await node.wait_for_quiet()
        _, lives = await recorded(node)
        assert [len(life.handlings) for life in lives] == [4, 2]
        assert lives[1].end is not None
        assert lives[1].end.why == "it was switched off"
        assert is_plain(node, "counting"), "who does not record has nothing of it on its way"


async def test_switching_it_on_waits_for_the_message_in_hand_and_loses_none(node: LocalNode, again: Replayer) -> None:
    slow = assemble(guest_text(handle=f"{SLOW_ROUNDS} i32.const 0"))
    await node.deploy("slow", slow)
    async with anyio.create_task_group() as tasks:
        for n in range(4):
            tasks.start_soon(node.post, "slow", n)
        await until(lambda: node.receiver("slow").messages > 0)
        await node.configure("slow", record=True)  # pyright: ignore[reportArgumentType]
    await node.wait_for_quiet()
    assert (node.receiver("slow").handled, node.receiver("slow").failed) == (4, 0)
    _, [life] = await recorded(node, agent="slow")
    assert life.handlings[0].kind == START
    assert again.same([life], slow) == len(life.handlings)


async def test_agent_that_cannot_start_anew_goes_on_unrecorded(node: LocalNode) -> None:
    await node.deploy("once", STARTS_ONCE)
    await node.post("once", 1)
    await node.wait_for_quiet()
    with pytest.raises(DeploymentFailed):
        await node.configure("once", record=True)  # pyright: ignore[reportArgumentType]
    assert not node.settings("once").record
    await node.post("once", 2)
    await node.wait_for_quiet()
    assert node.receiver("once").handled == 2


async def test_agent_that_does_not_record_has_nothing_of_it_on_its_way(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"))
    assert is_plain(node, "echo")
    await node.deploy("recorded", example("echo"), record=True)
    assert not is_plain(node, "recorded")


def is_plain(node: LocalNode, name: str) -> bool:
    """Whether the bus calls the guest, and the guest the turn, with nobody in between."""
    box = node.receiver(name).mailboxes[0]
    runner: Any = box.handler
    straight = runner.deliver.__func__ is Guest.deliver and runner.resume.__func__ is Guest.resume
    return straight and runner.send_message == box.turn.send and runner.log.__func__ is WasmRunner.log  # type: ignore[union-attr]


# --- trouble -----------------------------------------------------------------------------------------------------


async def test_recording_that_cannot_be_written_costs_no_message(node: LocalNode, tmp_path: Path) -> None:
    (tmp_path / "node" / "recordings").write_text("in the way", encoding="utf-8")
    await node.deploy("echo", example("echo"), record=True)
    assert (await node.ask("echo", 1))["content"] == 1
    assert any("not recorded" in line for line in node.lines("echo"))


async def test_large_state_is_written_in_a_thread_before_anything_is_handled(
    recording: RecordedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, began = recording.rooms.recordings, list[tuple[str, int]]()
    write = store.write_beginning

    def noting(*arguments: Any) -> Any:
        began.append((threading.current_thread().name, len(store.entries("default"))))
        return write(*arguments)

    monkeypatch.setattr(store, "write_beginning", noting)
    await recording.deploy("echo", example("echo"), replicas=2)
    assert [entries for _, entries in began] == [0, 1]
    assert threading.main_thread().name not in {name for name, _ in began}
    await recording.ask("echo", 1)
    _, lives = await recorded(recording)
    assert all(life.handlings[0].kind == START for life in lives)


async def test_modules_are_written_and_what_is_there_is_read_in_threads(
    tmp_path: Path, compiled_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []

    def noting(call: Callable[..., None]) -> Callable[..., None]:
        def noted(*arguments: Any) -> None:
            done.append((call.__name__, threading.current_thread().name))
            call(*arguments)

        return noted

    monkeypatch.setattr(Store, "load", noting(Store.load))
    monkeypatch.setattr(Store, "write_module", noting(Store.write_module))
    for n in range(2):
        async with open_node(tmp_path / "node", compiled=compiled_dir) as plain:
            node = RecordedNode(plain.rooms)
            assert node.rooms.recordings.lives == 2 * n, "those of before, and those that the start began"
            await node.deploy(f"echo-{n}", example("echo"))
            await node.ask(f"echo-{n}", 1)
    assert [name for name, _ in done] == ["load", "write_module", "load"], "a module that is there is not written again"
    assert threading.main_thread().name not in {thread for _, thread in done}


async def test_module_whose_deployment_is_not_waited_for_any_more_still_counts(
    recording: RecordedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, goes_on, is_there = recording.rooms.recordings, threading.Event(), anyio.Event()
    write, loop = store.write_module, asyncio.get_running_loop()

    def slow(*arguments: Any) -> None:
        loop.call_soon_threadsafe(is_there.set)
        goes_on.wait(5)
        write(*arguments)

    monkeypatch.setattr(store, "write_module", slow)
    deploying = asyncio.ensure_future(recording.deploy("echo", example("echo")))
    await is_there.wait()
    deploying.cancel()
    with suppress(asyncio.CancelledError):
        await deploying
    assert store.used_bytes == 0
    goes_on.set()
    await until(lambda: store.used_bytes == len(example("echo")))


async def test_module_that_cannot_be_kept_costs_no_message(
    recording: RecordedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(recording.rooms.recordings, "write_module", refuse)
    await recording.deploy("echo", example("echo"))
    assert (await recording.ask("echo", 1))["content"] == 1


async def test_state_that_is_too_large_to_record_costs_no_message(recording: RecordedNode) -> None:
    recording.rooms.recordings.max_life_bytes = 100
    await recording.deploy("echo", example("echo"))
    assert (await recording.ask("echo", 1))["content"] is not None
    assert is_plain(recording, "echo")
    assert any("this instance is not recorded: the state" in line for line in recording.lines("echo"))
    assert recording.rooms.recordings.used_bytes == len(example("echo"))


async def test_beginning_that_is_not_waited_for_any_more_leaves_no_file(
    recording: RecordedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, goes_on, is_there = recording.rooms.recordings, threading.Event(), anyio.Event()
    write, loop = store.write_beginning, asyncio.get_running_loop()
    deleted: list[Any] = []

    def slow(*arguments: Any) -> Any:
        loop.call_soon_threadsafe(is_there.set)
        goes_on.wait(5)
        return write(*arguments)

    monkeypatch.setattr(store, "write_beginning", slow)
    monkeypatch.setattr(store, "discard", deleted.append)
    deploying = asyncio.ensure_future(recording.deploy("echo", example("echo")))
    await is_there.wait()
    deploying.cancel()
    with suppress(asyncio.CancelledError):
        await deploying
    goes_on.set()
    await until(lambda: len(deleted) == 1)
    assert store.entries("default") == []


async def test_recording_that_gets_too_large_ends_with_a_line_in_the_log(
    recording: RecordedNode, again: Replayer
) -> None:
    recording.rooms.recordings.max_life_bytes = 3000
    await recording.deploy("echo", example("echo"))
    for n in range(10):
        await recording.ask("echo", n)
    assert is_plain(recording, "echo")
    assert sum("its recording has ended: it is full" in line for line in recording.lines("echo")) == 1
    _, lives = await recorded(recording)
    assert 1 < len(lives[0].handlings) < 11
    assert again.same(lives, example("echo"))


async def test_module_of_a_recording_stays_when_the_agent_has_another(recording: RecordedNode) -> None:
    await recording.deploy("a", example("echo"))
    await recording.ask("a", 1, conversation_id="c")
    await recording.replace("a", example("pong"))
    _, [life] = await recorded(recording, conversation_id="c")
    assert await recording.rooms.recording_service.module("default", life.life.module_sha256) == example("echo")  # type: ignore[arg-type]
