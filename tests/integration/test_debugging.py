"""Looking into real guests that really run: figures, mail, state, memory, stacks, profiles, and a bug report."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from caxton.core import redact
from caxton.core.errors.agents import AgentIsNative, AgentNotFound, AgentStateConflict
from caxton.core.errors.debugging import OutsideMemory, ProfileRunning
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.values import InvalidValue
from caxton.core.ids import DEFAULT_WORKSPACE, AgentName
from caxton.core.redact import REMOVED
from caxton.recorder.record import TOOL
from caxton.sandbox.trap import MAX_FRAMES
from caxton.server.config.catalogue import SETTINGS
from caxton.server.config.effective import effective
from caxton.server.config.secrets import public, secrets_of
from caxton.services import bundle
from caxton.services.debugging import MAX_VALUE_SHOWN_BYTES
from caxton.testing.guests import assemble, guest, guest_text
from caxton.testing.rooms import until
from tests.integration.sdk_builds import run

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from caxton.core.ids import WorkspaceName
    from caxton.core.views.agents import AgentView
    from caxton.core.views.debugging import StackDebug
    from caxton.testing.rooms import LocalNode

SPINS = assemble(
    guest_text(
        handle="(call $look_for_stock (i32.const 1)) unreachable",
        more="(func $look_for_stock (param i32) (loop $again (br_if $again (local.get 0))))",
    )
)
"""Never comes back from `look_for_stock`."""

DEPTH = 40
"""More than a backtrace of wasmtime's has frames."""

PATIENT: dict[str, Any] = {"cpu_time": "60s", "timeout": "60s"}

KEEPS = assemble(
    guest_text(
        imports='(import "caxton" "kv_set" (func $set (param i32 i32 i32 i32) (result i32)))',
        handle="""(drop (call $set (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 5)))
          (drop (call $set (i32.const 4) (i32.const 3) (i32.const 21) (i32.const 3)))
          (drop (call $set (i32.const 7) (i32.const 4) (i32.const 24) (i32.const 9)))
          (drop (call $set (i32.const 11) (i32.const 4) (i32.const 1024) (i32.const 3000)))
          i32.const 0""",
        more=r"""(data (i32.const 0) "kv/a\00\ff\01kv/bkv/c") (data (i32.const 16) "plain\00\01\02\1b[31mred!")
          (data (i32.const 1024) "\c3\a4")""",
    )
)
"""Sets `kv/a` to text, the key 00 ff 01 to bytes, `kv/b` to an escape sequence, `kv/c` to 3,000 bytes."""

GROWS = assemble(
    guest_text(handle="(drop (memory.grow (i32.const 1))) (i32.store (i32.const 131072) (i32.const 7)) i32.const 0")
)
"""Has one page more after each message, and writes into the first new one."""

FAILS = assemble(guest_text(handle="i32.const 1"))

DEBUG_C = """\
#define EXPORT(name) __attribute__((export_name(name)))
static char region[1 << 16];
__attribute__((noinline)) static int look_for_stock(volatile int *p) {
    while (*p)
        *p |= 1;
    return 0;
}
EXPORT("caxton_alloc") char *caxton_alloc(int size) { return size > (int)sizeof region ? 0 : region; }
EXPORT("handle_message") int handle_message(const char *message, int len) {
    volatile int x = len + *message;
    int found =
        look_for_stock(&x);
    return found + 1;
}
"""


def name_of(name: str) -> AgentName:
    return AgentName(name)


async def stack(node: LocalNode, name: str) -> StackDebug:
    return await node.rooms.debugging.stack(DEFAULT_WORKSPACE, name_of(name))


def is_busy(node: LocalNode, name: str, replica: int = 0) -> bool:
    return node.receiver(name).mailboxes[replica].busy


# --- who is not there --------------------------------------------------------------------------------------------


async def test_agent_that_is_not_there_cannot_be_looked_into(node: LocalNode) -> None:
    debugging, nobody = node.rooms.debugging, name_of("nobody")
    for work in (
        debugging.figures(DEFAULT_WORKSPACE, nobody, window_s=60), debugging.stack(DEFAULT_WORKSPACE, nobody),
        debugging.profile(DEFAULT_WORKSPACE, nobody, duration_s=1),
        debugging.state(DEFAULT_WORKSPACE, nobody, prefix=b"", limit=1),
    ):  # fmt: skip
        with pytest.raises(AgentNotFound):
            await work
    with pytest.raises(AgentNotFound):
        debugging.mailbox(DEFAULT_WORKSPACE, nobody, limit=1)
    with pytest.raises(AgentNotFound):
        debugging.memory(DEFAULT_WORKSPACE, nobody, replica=0, offset=0, length=1)


async def test_stopped_agent_has_mail_and_state_and_no_inside(node: LocalNode) -> None:
    debugging, name = node.rooms.debugging, name_of("a")
    await node.deploy("a", KEEPS)
    await node.post("a")
    await node.wait_for_quiet()
    await node.stop("a")
    await node.post("a", conversation_id="c1")
    mail = debugging.mailbox(DEFAULT_WORKSPACE, name, limit=10)
    assert [(one.state, one.replica, one.conversation_id) for one in mail.messages] == [("held", None, "c1")]
    assert (await debugging.state(DEFAULT_WORKSPACE, name, prefix=b"", limit=10)).total == 4
    assert (await stack(node, "a")).replicas == []
    figures = await debugging.figures(DEFAULT_WORKSPACE, name, window_s=60)
    assert (figures.status, figures.memory_bytes, figures.replicas) == ("stopped", 0, [])
    with pytest.raises(AgentStateConflict):
        debugging.memory(DEFAULT_WORKSPACE, name, replica=0, offset=0, length=1)
    with pytest.raises(AgentStateConflict):
        await debugging.profile(DEFAULT_WORKSPACE, name, duration_s=1)


# --- where it is -------------------------------------------------------------------------------------------------


async def test_idle_agent_is_not_running(node: LocalNode) -> None:
    await node.deploy("a", guest("sink"), replicas=2)
    found = await stack(node, "a")
    assert [(one.replica, one.state, one.note, one.frames) for one in found.replicas] == [
        (0, "not running", "it has nothing in hand", []), (1, "not running", "it has nothing in hand", []),
    ]  # fmt: skip


async def test_spinning_guest_is_found_where_it_spins_and_with_what(node: LocalNode) -> None:
    await node.deploy("a", SPINS, replicas=2, **PATIENT)
    await node.post("a", performative="request", conversation_id="order-1")
    await until(lambda: is_busy(node, "a") or is_busy(node, "a", 1))
    found = sorted((await stack(node, "a")).replicas, key=lambda one: one.state)
    assert [one.state for one in found] == ["not running", "running"]
    spinning = found[1]
    assert [frame.function for frame in spinning.frames] == ["look_for_stock", "handle_message"]
    assert spinning.in_hand is not None
    assert (spinning.in_hand.performative, spinning.in_hand.conversation_id) == ("request", "order-1")
    assert {guest.probes for guest in node.agents.supervisor(DEFAULT_WORKSPACE, name_of("a")).guests.values()} == {()}


async def test_guest_that_gets_no_slice_is_said_to_be_so(node: LocalNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caxton.services.debugging.STACK_WAIT_S", 0.05)
    await node.deploy("a", SPINS, **PATIENT)
    await node.post("a")
    await until(lambda: is_busy(node, "a"))
    node.rooms.pump.pause()
    (found,) = (await stack(node, "a")).replicas
    assert (found.state, found.frames) == ("not running", [])
    assert found.note is not None
    assert "no slice" in found.note


@pytest.mark.parametrize("dwarf", [4, 5])
async def test_module_with_debug_information_is_shown_by_lines_of_its_source(
    node: LocalNode, tmp_path: Path, dwarf: int
) -> None:
    source, out = tmp_path / "stock.c", tmp_path / "stock.wasm"
    source.write_text(DEBUG_C)
    run(
        [
            *debug_compiler(dwarf),
            "-o", str(out), "stock.c",
        ],
        cwd=tmp_path,
    )  # fmt: skip
    await node.deploy("a", out.read_bytes(), **PATIENT)
    await node.post("a")
    await until(lambda: is_busy(node, "a"))
    found = await stack(node, "a")
    inner, outer = found.replicas[0].frames
    assert (found.has_source_lines, inner.function, outer.function) == (True, "look_for_stock", "handle_message")
    assert inner.source in ("stock.c:4", "stock.c:5")
    assert outer.source == "stock.c:12"


def debug_compiler(dwarf: int) -> list[str]:
    target = ["-target", "wasm32-freestanding", "-ffreestanding", "-nostdlib", "-Wl,--no-entry"]
    return [sys.executable, "-m", "ziglang", "cc", "-g", f"-gdwarf-{dwarf}", "-O1", *target]


# --- mail --------------------------------------------------------------------------------------------------------


async def test_mail_is_shown_in_its_order_with_what_is_in_hand(node: LocalNode) -> None:
    await node.deploy("a", SPINS, **PATIENT)
    await node.post("a", performative="request", conversation_id="first")
    await until(lambda: is_busy(node, "a"))
    for conversation, priority in (("late", 1), ("plain", 4), ("urgent", 9)):
        await node.post("a", conversation_id=conversation, priority=priority)
    mail = node.rooms.debugging.mailbox(DEFAULT_WORKSPACE, name_of("a"), limit=2)
    assert [one.in_hand.conversation_id for one in mail.in_hand if one.in_hand] == ["first"]
    assert [(one.conversation_id, one.priority, one.state) for one in mail.messages] == [
        ("urgent", 9, "waiting"), ("plain", 4, "waiting"),
    ]  # fmt: skip
    first = mail.messages[0]
    assert (mail.waiting, mail.left_out, first.sender, first.performative, first.attempt) == (
        3, 1, "client:tester", "inform", 1,
    )  # fmt: skip
    assert first.size > 0


async def test_message_that_is_to_be_repeated_is_shown_as_paused_with_those_behind_it(node: LocalNode) -> None:
    await node.deploy("a", FAILS)
    await asyncio.gather(node.post("a", conversation_id="bad"), node.post("a", conversation_id="behind"))
    await until(lambda: node.receiver("a").mailboxes[0].inbox.paused)
    mail = node.rooms.debugging.mailbox(DEFAULT_WORKSPACE, name_of("a"), limit=10)
    assert [(one.conversation_id, one.state) for one in mail.messages] == [("bad", "paused"), ("behind", "paused")]
    assert mail.messages[0].attempt > 1


# --- state -------------------------------------------------------------------------------------------------------


async def test_state_is_shown_as_text_or_in_hex_and_cut(node: LocalNode) -> None:
    await node.deploy("a", KEEPS)
    await node.post("a")
    await node.wait_for_quiet()
    found = await node.rooms.debugging.state(DEFAULT_WORKSPACE, name_of("a"), prefix=b"", limit=10)
    shown = {one.key: (one.key_encoding, one.value_encoding, one.value_bytes, one.is_cut) for one in found.entries}
    assert shown == {
        "00ff01": ("hex", "hex", 3, False), "kv/a": ("text", "text", 5, False), "kv/b": ("text", "hex", 9, False),
        "kv/c": ("text", "hex", 3000, True),
    }  # fmt: skip
    values = {one.key: one.value for one in found.entries}
    assert (values["kv/a"], values["00ff01"]) == ("plain", "000102")
    assert values["kv/b"] == b"\x1b[31mred!".hex()
    assert len(values["kv/c"]) == 2 * MAX_VALUE_SHOWN_BYTES


async def test_state_is_filtered_by_prefix_and_bounded(node: LocalNode) -> None:
    await node.deploy("a", KEEPS)
    await node.post("a")
    await node.wait_for_quiet()
    found = await node.rooms.debugging.state(DEFAULT_WORKSPACE, name_of("a"), prefix=b"kv/", limit=2)
    assert ([one.key for one in found.entries], found.total, found.left_out) == (["kv/a", "kv/b"], 3, 1)


# --- memory ------------------------------------------------------------------------------------------------------


async def test_memory_is_that_of_the_guest_and_its_end_is_a_wall(node: LocalNode) -> None:
    await node.deploy("a", SPINS, **PATIENT)
    await node.post("a", "where are you")
    await until(lambda: is_busy(node, "a"))

    def read(offset: int, length: int, replica: int = 0) -> str:
        found = node.rooms.debugging.memory(
            DEFAULT_WORKSPACE, name_of("a"), replica=replica, offset=offset, length=length
        )
        return found.data

    assert b"where are you" in bytes.fromhex(read(65536, 1000))
    assert read(2 * 65536 - 1, 1) == "00"
    for offset, length in ((2 * 65536, 1), (2 * 65536 - 1, 2), ((1 << 32) - 1, 1), ((1 << 32) - 1, 65536)):
        with pytest.raises(OutsideMemory) as refused:
            read(offset, length)
        assert refused.value.memory_bytes == 2 * 65536
    with pytest.raises(InvalidValue):
        read(0, 1, replica=1)


async def test_memory_that_has_grown_is_seen(node: LocalNode) -> None:
    await node.deploy("a", GROWS)
    await node.post("a")
    await node.wait_for_quiet()
    found = node.rooms.debugging.memory(DEFAULT_WORKSPACE, name_of("a"), replica=0, offset=131072, length=4)
    assert (found.data, found.memory_bytes) == ("07000000", 3 * 65536)


# --- figures -----------------------------------------------------------------------------------------------------


async def test_figures_are_those_of_the_flight_recorder_and_the_instances(node: LocalNode) -> None:
    await node.deploy("a", GROWS, replicas=2, memory="1MB")
    await node.deploy("b", FAILS)
    for _ in range(3):
        await node.post("a")
    now = node.rooms.clock.wall_us()
    for took_us in (100_000, 5_200_000):
        node.rooms.recorder.note(
            (TOOL, 0, "default", "a", "a", "", None, b"", "", 1, now - took_us, now - took_us, now, 0, "stock")
        )
    await node.wait_for_quiet()
    node.rooms.recorder.flush()
    found = await node.rooms.debugging.figures(DEFAULT_WORKSPACE, name_of("a"), window_s=10)
    assert (found.memory_bytes, found.memory_limit_bytes) == (7 * 65536, 2 << 20)
    assert (found.handlings.count, found.waits.count, found.failed, found.is_recorded) == (3, 3, 0, True)
    assert (found.tool_calls.count, found.tool_calls.p99_s) == (2, 5.2)
    assert found.window_s < 10
    assert found.tool_calls.per_s == pytest.approx(2 / found.window_s, rel=0.01)
    assert sum(one.handled for one in found.replicas) == 3


async def test_rates_are_those_that_the_live_figures_have(node: LocalNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caxton.services.stats.MAX_RECORDS", 10)
    await node.deploy("a", FAILS, replicas=3)
    await node.deploy("b", guest("sink"))
    for n in range(30):
        await node.post("b", n)
    await node.wait_for_quiet()
    found = await node.rooms.debugging.figures(DEFAULT_WORKSPACE, name_of("b"), window_s=60)
    live = await node.rooms.stats.agent(DEFAULT_WORKSPACE, name_of("b"), window_s=60, limit=1)
    assert (found.is_cut, found.handlings.count, live.agent.ended_in_window) == (True, 10, 10)
    assert found.handlings.per_s * found.window_s == pytest.approx(10, rel=0.01)
    stopped = name_of("a")
    await node.stop("a")
    debug = await node.rooms.debugging.figures(DEFAULT_WORKSPACE, stopped, window_s=60)
    figures = (await node.rooms.stats.agent(DEFAULT_WORKSPACE, stopped, window_s=60, limit=1)).agent
    assert debug.memory_limit_bytes == figures.memory_limit_bytes > 0


async def test_rates_of_a_recorder_that_has_turned_over_are_of_what_it_still_has(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.deploy("a", guest("sink"))
    for n in range(5):
        await node.post("a", n)
    await node.wait_for_quiet()
    clock = node.rooms.clock
    monkeypatch.setattr(node.rooms.recorder, "whole_since_us", lambda: clock.wall_us() - 2_000_000)
    found = await node.rooms.debugging.figures(DEFAULT_WORKSPACE, name_of("a"), window_s=60)
    assert (found.window_s, found.is_cut) == (pytest.approx(2, abs=0.5), True)


@pytest.mark.parametrize("name", ["ams", "df", "tasks"])
async def test_of_the_servers_own_agents_figures_and_mail_are_seen_and_the_rest_is_refused(
    node: LocalNode, name: str
) -> None:
    debugging, own = node.rooms.debugging, name_of(name)
    figures = await debugging.figures(DEFAULT_WORKSPACE, own, window_s=60)
    assert (figures.type, figures.status, [one.is_up for one in figures.replicas]) == ("native", "running", [True])
    assert debugging.mailbox(DEFAULT_WORKSPACE, own, limit=1).waiting == 0
    for work in (
        debugging.stack(DEFAULT_WORKSPACE, own), debugging.profile(DEFAULT_WORKSPACE, own, duration_s=1),
        debugging.state(DEFAULT_WORKSPACE, own, prefix=b"", limit=1),
    ):  # fmt: skip
        with pytest.raises(AgentIsNative):
            await work
    with pytest.raises(AgentIsNative):
        debugging.memory(DEFAULT_WORKSPACE, own, replica=0, offset=0, length=1)


# --- profiles ----------------------------------------------------------------------------------------------------


def samples(profile: bytes) -> tuple[int, set[str]]:
    (thread,) = json.loads(profile)["threads"]
    return thread["samples"]["length"], {thread["stringArray"][name] for name in thread["funcTable"]["name"]}


def assert_opens(profile: bytes) -> None:
    """What the Firefox profiler takes for granted in a file of its processed format; seen to open there as it is."""
    whole: dict[str, Any] = json.loads(profile)
    meta: dict[str, Any] = whole["meta"]
    assert (meta["preprocessedProfileVersion"], meta["version"]) == (55, 24)
    assert {"interval", "startTime", "processType", "product", "categories"} <= set(meta)
    thread: dict[str, Any]
    (thread,) = whole["threads"]
    for name in ("samples", "stackTable", "frameTable", "funcTable", "resourceTable", "markers", "nativeSymbols"):
        table: dict[str, Any] = thread[name]
        assert {len(column) for column in table.values() if isinstance(column, list)} == {table["length"]}, name  # type: ignore[arg-type]
    size = {name: thread[name]["length"] for name in ("stackTable", "frameTable", "funcTable")}
    refers(thread["samples"]["stack"], size["stackTable"])
    refers(thread["stackTable"]["frame"], size["frameTable"])
    refers(thread["frameTable"]["func"], size["funcTable"])
    refers(thread["frameTable"]["category"], len(meta["categories"]))
    refers(thread["funcTable"]["name"], len(thread["stringArray"]))
    callers: list[int | None] = thread["stackTable"]["prefix"]
    assert all(caller is None or 0 <= caller < n for n, caller in enumerate(callers)), "callers come first"
    times: list[float] = thread["samples"]["timeDeltas"]
    assert all(time >= 0 for time in times)


def refers(column: list[int | None], size: int) -> None:
    assert all(row is None or 0 <= row < size for row in column)


async def test_profile_has_what_the_page_that_shows_it_needs_and_the_whole_depth_of_a_stack(node: LocalNode) -> None:
    deep = "".join(f"(func $level_{n} (param i32) (call $level_{n + 1} (local.get 0)))" for n in range(DEPTH))
    loop = f"(func $level_{DEPTH} (param i32) (loop $again (br_if $again (local.get 0))))"
    await node.deploy(
        "a", assemble(guest_text(handle="(call $level_0 (i32.const 1)) unreachable", more=deep + loop)), **PATIENT
    )
    await node.post("a")
    guests = node.agents.supervisor(DEFAULT_WORKSPACE, name_of("a")).guests
    profiling = asyncio.create_task(node.rooms.debugging.profile(DEFAULT_WORKSPACE, name_of("a"), duration_s=300))
    await until(lambda: guests[0].probes)
    (one,) = (await stack(node, "a")).replicas
    node.rooms.debugging.refuse()
    profile = await profiling
    assert_opens(profile)
    assert len(one.frames) == MAX_FRAMES - 1  # one is ours
    assert samples(profile)[1] == {"handle_message", *(f"level_{n}" for n in range(DEPTH + 1))}


async def test_profile_of_a_busy_agent_has_its_functions_and_ends_when_the_node_stops(node: LocalNode) -> None:
    await node.deploy("a", SPINS, **PATIENT)
    await node.post("a")
    guests = node.agents.supervisor(DEFAULT_WORKSPACE, name_of("a")).guests
    profiling = asyncio.create_task(node.rooms.debugging.profile(DEFAULT_WORKSPACE, name_of("a"), duration_s=300))
    await until(lambda: guests[0].probes)
    with pytest.raises(ProfileRunning):
        await node.rooms.debugging.profile(DEFAULT_WORKSPACE, name_of("a"), duration_s=1)
    (one,) = (await stack(node, "a")).replicas  # both may look at the same time
    assert one.frames
    node.rooms.debugging.refuse()
    count, functions = samples(await profiling)
    assert count > 0
    assert functions == {"look_for_stock", "handle_message"}
    assert guests[0].probes == ()
    with pytest.raises(ShuttingDown):
        await node.rooms.debugging.profile(DEFAULT_WORKSPACE, name_of("a"), duration_s=1)


async def test_profile_goes_on_with_the_instance_that_follows_a_crash(node: LocalNode) -> None:
    await node.deploy("a", SPINS, cpu_time="0.05s", timeout="60s")
    supervisor = node.agents.supervisor(DEFAULT_WORKSPACE, name_of("a"))
    profiling = asyncio.create_task(node.rooms.debugging.profile(DEFAULT_WORKSPACE, name_of("a"), duration_s=300))
    await until(lambda: supervisor.on_instance)
    first = supervisor.guests[0]
    await node.post("a")
    await until(lambda: 0 in supervisor.guests and supervisor.guests[0] is not first)
    assert supervisor.guests[0].probes
    node.rooms.debugging.refuse()
    assert samples(await profiling)[0] > 0
    assert supervisor.on_instance is None


async def test_profile_of_an_idle_agent_is_empty_and_whole(node: LocalNode) -> None:
    await node.deploy("a", guest("sink"))
    profile = await node.rooms.debugging.profile(DEFAULT_WORKSPACE, name_of("a"), duration_s=0.01)
    assert json.loads(profile)["threads"][0]["samples"]["length"] == 0
    assert_opens(profile)


async def test_whoever_leaves_ends_the_profile(node: LocalNode) -> None:
    await node.deploy("a", SPINS, **PATIENT)
    guests = node.agents.supervisor(DEFAULT_WORKSPACE, name_of("a")).guests
    profiling = asyncio.create_task(node.rooms.debugging.profile(DEFAULT_WORKSPACE, name_of("a"), duration_s=300))
    await until(lambda: guests[0].probes)
    profiling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await profiling
    assert guests[0].probes == ()
    await node.rooms.debugging.profile(DEFAULT_WORKSPACE, name_of("a"), duration_s=0.01)


# --- the server's part of a bug report ---------------------------------------------------------------------------

SECRETS = {
    "settings": "settings-hush-0001", "log": "log-hush-0002", "record": "record-hush-0003",
    "server log": "serverlog-hush-0004", "token file": "tokenfile-hush-0005", "key file": "keyfile-hush-0006",
    "reason": "reason-hush-0007", "body": "body-hush-0008", "state": "state-hush-0009", "thread": "thread-hush-0010",
}  # fmt: skip


async def test_bug_report_has_every_part_and_no_secret_planted_anywhere(node: LocalNode) -> None:
    rooms, data_dir = node.rooms, node.rooms.data_dir
    (data_dir / "keys").mkdir(exist_ok=True)
    (data_dir / "admin.token").write_text(SECRETS["token file"] + "\n")
    (data_dir / "keys" / "extra.key").write_text(SECRETS["key file"])
    (data_dir / "server.log").write_text(
        f"seen {SECRETS['token file']} and {SECRETS['key file']} and password={SECRETS['server log']}\n"
    )
    rooms.bundle.settings = {"port": 8080, "telemetry": {"api_key": SECRETS["settings"]}}
    await node.deploy("a", guest("sink"))
    node.receiver("a").put(b"api_key", SECRETS["state"].encode())
    await node.post("a", {"note": SECRETS["body"]}, conversation_id="c1")
    rooms.log.append("default", "a", 0, 2, "guest", f'got {{"token": "{SECRETS["log"]}"}} from a client')
    supervisor = node.agents.supervisor(DEFAULT_WORKSPACE, name_of("a"))
    supervisor.state = replace(supervisor.state, reason=f"it said secret={SECRETS['reason']}")
    rooms.recorder.note(
        (1, 9, "default", "b", "a", "m-9", "c9", b'inform","content":"' + SECRETS["body"].encode(), "", 1, 1, 2, 3, 4,
         f"it failed: Authorization: Bearer {SECRETS['record']}")
    )  # fmt: skip
    rooms.recorder.flush()
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, name=f"token={SECRETS['thread']}")
    thread.start()
    try:
        files = (await rooms.bundle.collect(DEFAULT_WORKSPACE)).files
    finally:
        ended.set()
        thread.join()
    assert set(files) == {
        "versions.json", "settings.json", "server.json", "metrics.txt", "agents.json", "logs.jsonl", "threads.txt",
        "storage.json", "records.jsonl", "server.log",
    }  # fmt: skip
    whole = "\n".join(files.values())
    assert [where for where, secret in SECRETS.items() if secret in whole] == []
    assert "could not be had" not in whole
    records: list[dict[str, Any]] = [json.loads(line) for line in files["records.jsonl"].splitlines()]
    assert "m-9" in {record["message_id"] for record in records}
    assert {record["act"] for record in records} == {"inform"}
    assert json.loads(files["settings.json"])["port"] == 8080
    assert "from a client" in files["logs.jsonl"]
    assert "MainThread" in files["threads.txt"]


async def test_values_of_secret_settings_are_nowhere_in_a_bug_report(node: LocalNode) -> None:
    found = effective(
        {"config": None, "telemetry.endpoint": "http://collector:4317",
         "telemetry.headers": {"authorization": "Bearer first-hush-1", "x-honeycomb-team": "second-hush-2",
                               "x-scope-orgid": 'third"hush/3'}},
        {},
    )  # fmt: skip
    rooms = node.rooms
    rooms.bundle.settings, rooms.bundle.secrets = public(found), secrets_of(found)
    said = "export failed: first-hush-1 second-hush-2 third%22hush%2F3 " + json.dumps('third"hush/3')
    (rooms.data_dir / "server.log").write_text(said)
    rooms.log.append("default", "a", 0, 2, "guest", said)
    files = (await rooms.bundle.collect(DEFAULT_WORKSPACE)).files
    assert "hush" not in "\n".join(files.values())
    settings = json.loads(files["settings.json"])
    assert settings["telemetry.headers"] == {"value": REMOVED, "source": "flag"}
    assert settings["telemetry.endpoint"] == {"value": "http://collector:4317", "source": "flag"}
    assert set(settings) == {setting.key for setting in SETTINGS}


async def test_bug_report_of_hostile_text_is_made_in_small_steps_beside_the_event_loop(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "AGENTS_AT_ONCE", 2)
    rooms = node.rooms
    for n in range(5):
        await node.deploy(f"a{n}", guest("sink"))
    (rooms.data_dir / "server.log").write_text("token" * 40_000 + "\n" + "token token\n" * 20_000)
    for _ in range(200):
        rooms.log.append("default", "a0", 0, 2, "guest", "token" * 800)
    steps: list[int] = []
    threads: set[int] = set()

    def counted(text: str, known: Collection[str]) -> str:
        steps.append(len(text))
        threads.add(threading.get_ident())
        return text

    def encoded(value: Any) -> Any:
        threads.add(threading.get_ident())
        return value

    turns, looked = 0, list[int]()
    get = rooms.agents.get

    def look(workspace: WorkspaceName, name: AgentName) -> AgentView:
        looked.append(turns)
        return get(workspace, name)

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(redact, "redact_text", counted)
    monkeypatch.setattr(bundle, "redact", encoded)
    monkeypatch.setattr(rooms.agents, "get", look)
    monkeypatch.setattr(rooms.log, "tail", None)  # it looks through all lines at once
    others = asyncio.create_task(take_turns())
    files = (await rooms.bundle.collect(DEFAULT_WORKSPACE)).files
    others.cancel()
    assert (max(steps) <= redact.PIECE_CHARS, len(steps) > 40) == (True, True)
    assert threading.get_ident() not in threads
    assert (len(json.loads(files["agents.json"])), max(map(looked.count, looked))) == (5, 2)


async def test_part_that_cannot_be_had_does_not_cost_the_others(node: LocalNode) -> None:
    files = (await node.rooms.bundle.collect(DEFAULT_WORKSPACE)).files
    assert "FileNotFoundError" in files["server.log"]
    assert json.loads(files["versions.json"])["wasmtime"]
