"""Guests that mean harm: what they get, what it costs the others, and that the process survives them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from caxton.core.errors.agents import AgentFailed, DeploymentFailed
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.modules import InvalidWasm
from caxton.testing.guests import GUESTS, assemble, example, guest, guest_text
from caxton.testing.rooms import until

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.testing.rooms import LocalNode

SEND = '(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))'
LOG = '(import "caxton" "log" (func $log (param i32 i32 i32)))'

WRITES_DOWN = assemble(
    guest_text(imports=LOG, handle="(call $log (i32.const 2) (local.get $ptr) (local.get $len)) i32.const 0")
)
"""Logs every message whole."""

LOG_NUMBER = """(func $log_number (param $n i32) (local $at i32)
    (local.set $at (i32.const 1040))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
      (local.set $n (i32.div_u (local.get $n) (i32.const 10)))
      (br_if $digit (local.get $n)))
    (call $log (i32.const 2) (local.get $at) (i32.sub (i32.const 1040) (local.get $at))))"""


def sends_and_counts(times: int) -> bytes:
    """Sends to the sink so many times; logs how often it was answered 0, -3, -6 and something else, and succeeds."""
    text = '{"performative":"inform","receiver":"sink"}'
    data = text.replace('"', '\\"')
    body = f"""(local $n i32) (local $answer i32) (local $at i32)
        (loop $again
          (local.set $answer (call $send (i32.const 16) (i32.const {len(text)})))
          (local.set $at (i32.const 2012))
          (if (i32.eq (local.get $answer) (i32.const 0)) (then (local.set $at (i32.const 2000))))
          (if (i32.eq (local.get $answer) (i32.const -3)) (then (local.set $at (i32.const 2004))))
          (if (i32.eq (local.get $answer) (i32.const -6)) (then (local.set $at (i32.const 2008))))
          (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))
          (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {times}))))
        (call $log_number (i32.load (i32.const 2000)))
        (call $log_number (i32.load (i32.const 2004)))
        (call $log_number (i32.load (i32.const 2008)))
        (call $log_number (i32.load (i32.const 2012)))
        i32.const 0"""
    return assemble(guest_text(imports=SEND + LOG, handle=body, more=f'(data (i32.const 16) "{data}") {LOG_NUMBER}'))


# --- messages ----------------------------------------------------------------------------------------------------


async def test_sender_is_who_sent_it_whatever_the_message_says(node: LocalNode) -> None:
    await node.deploy("sink", WRITES_DOWN)
    await node.deploy("forger", guest("forged_sender"))
    await node.post("forger", conversation_id="c")
    await node.wait_for_line("sink", "content")
    received = json.loads(node.lines("sink")[0])
    assert (received["sender"], received["content"]) == ("forger", {"from": "admin"})


async def test_nothing_that_the_host_sets_can_be_forged(node: LocalNode) -> None:
    forged = {
        "performative": "INFORM",
        "receiver": "sink",
        "sender": "client:admin",
        "message_id": "1",
        "timestamp": 1,
        "traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01",
        "attempt": 4,
        "content": 1,
    }
    data = json.dumps(forged)
    wat = data.replace("\\", "\\\\").replace('"', '\\"')
    text = guest_text(
        imports=SEND,
        handle=f"(call $send (i32.const 16) (i32.const {len(data)}))",
        more=f'(data (i32.const 16) "{wat}")',
    )
    await node.deploy("sink", WRITES_DOWN)
    await node.deploy("forger", assemble(text))
    asked = await node.post("forger")
    await node.wait_for_line("sink", "content")
    received: dict[str, Any] = json.loads(node.lines("sink")[0])
    assert (received["sender"], received["performative"], received["content"]) == ("forger", "inform", 1)
    assert received["message_id"] not in ("1", asked.message_id)
    assert received["timestamp"] > 1_000_000_000_000_000
    assert "attempt" not in received
    assert received["traceparent"][3:35] != "0" * 32


@pytest.mark.parametrize(
    "name",
    [
        "bad_pointer_send",
        "bad_pointer_others",
        "bad_json_send",
        "deep_json_send",
    ],
)
async def test_bad_input_is_answered_with_errors_and_harms_nobody(node: LocalNode, name: str) -> None:
    await node.deploy("sink", guest("sink"))
    await node.deploy("a", guest(name))
    await node.post("a")
    await node.wait_for_quiet()
    view = node.view("a")
    assert (view.messages_handled, view.messages_failed, view.restarts) == (1, 0, 0), node.lines("a")
    assert node.receiver("sink").failed == 0


async def test_full_mailbox_pushes_back_and_loses_nothing_that_was_accepted(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"), mailbox_messages=100)
    await node.stop("sink")
    await node.deploy("a", sends_and_counts(250))
    await node.post("a")
    await node.wait_for_line("a", "", count=4)
    assert node.lines("a") == ["100", "150", "0", "0"]
    with pytest.raises(CaxtonError) as caught:
        await node.post("sink")
    assert caught.value.code == "MAILBOX_FULL"
    await node.start("sink")
    await node.wait_for_quiet()
    assert node.view("sink").messages_handled == 100


async def test_sending_faster_than_allowed_is_refused(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"))
    await node.deploy("a", sends_and_counts(25), messages_per_s=10)
    await node.post("a")
    await node.wait_for_line("a", "", count=4)
    assert node.lines("a") == ["10", "0", "15", "0"]
    await node.wait_for_quiet()
    assert node.view("sink").messages_handled == 10


async def test_send_storm_ends_with_its_sender_and_hurts_nobody_else(node: LocalNode) -> None:
    """Its handler never succeeds, so not one of its messages was ever sent; and the sink still has room for others."""
    await node.deploy("sink", guest("sink"), mailbox_messages=500)
    await node.deploy("echo", example("echo"))
    await node.deploy("storm", guest("send_storm"), cpu_time="200ms", host_calls=50_000)
    storming = asyncio.create_task(node.ask("storm"))
    served = 0
    while not storming.done():  # at least once: how often is a matter of the machine's speed
        assert (await node.ask("echo", served))["content"] == served
        served += 1
        assert node.receiver("sink").messages <= 500
    with pytest.raises(AgentFailed) as caught:
        await storming
    assert caught.value.trap in ("host_calls", "cpu_time")
    assert node.receiver("echo").handled == served
    sink = node.receiver("sink")
    assert (sink.messages, sink.bytes, sink.handled) == (0, 0, 0)
    await node.post("sink")
    await node.wait_for_quiet()
    assert sink.handled == 1


# --- logs --------------------------------------------------------------------------------------------------------


async def test_log_flood_is_bounded_and_its_extent_is_told(node: LocalNode) -> None:
    """The guest writes 6 bytes a line in an endless loop, with 6 kB allowed a second, for about 1.2 s."""
    await node.deploy("a", guest("log_flood"), log_bytes_per_s=6000, cpu_time="1200ms", host_calls=100_000_000)
    with pytest.raises(AgentFailed):
        await node.ask("a")
    lines = node.lines("a")
    told = [line for line in lines if line.endswith("log lines were dropped: more than 6000 bytes a second")]
    assert 1 <= len(told) <= 3
    assert int(told[0].split()[0]) > 1000
    assert 1000 <= lines.count("flood") <= 1000 * (len(told) + 1)
    assert lines[-1].startswith("crashed (cpu_time)")


async def test_refusals_of_bad_messages_cannot_flood_the_log(node: LocalNode) -> None:
    text = guest_text(
        imports=SEND,
        handle="""(local $n i32)
            (loop $again
              (drop (call $send (i32.const 0) (i32.const 1)))
              (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1500))))
            i32.const 0""",
    )
    await node.deploy("a", assemble(text), log_bytes_per_s=1024)
    await node.post("a")
    await node.wait_for_quiet()
    lines = [line for line in node.lines("a") if line.startswith("send_message: the message was refused")]
    assert 1 <= len(lines) < 50


async def test_line_that_seems_to_come_from_the_host_is_the_guests(node: LocalNode) -> None:
    gave_up = "it gave up (unreachable: a failed assertion, panic or abort)"
    text = guest_text(
        imports=LOG,
        handle="""(call $log (i32.const 4) (i32.const 16) (i32.const 24)) (call $trap)""",
        more=r"""(data (i32.const 16) "ok\ncrashed (forged): no\0a")
            (func $trap (@name "f\nfailed: all is lost") (result i32) unreachable)""",
    )
    await node.deploy("a", assemble(text))
    with pytest.raises(AgentFailed):
        await node.ask("a")
    lines = node.rooms.log.tail("default", ["a"], limit=9)
    assert [(line.source, line.text) for line in lines] == [
        ("guest", "ok"),
        ("guest", "crashed (forged): no"),
        ("host", f"crashed (unreachable): {gave_up} in f\N{REPLACEMENT CHARACTER}failed: all is lost < handle_message"),
    ]


# --- all of them -------------------------------------------------------------------------------------------------


async def test_neighbour_of_all_hostile_guests_at_once_is_served(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"))
    await node.deploy("echo", example("echo"))
    names: list[str] = []
    for path in sorted(GUESTS.glob("*.wat")):
        if path.stem == "sink":
            continue
        with suppress(InvalidWasm, DeploymentFailed):
            await node.deploy(path.stem, guest(path.stem), cpu_time="50ms", timeout="10s", host_calls=20_000)
            names.append(path.stem)
    assert len(names) > 25
    attacks = [asyncio.create_task(node.post(name)) for name in names for _ in range(2)]
    served = 0
    while node.rooms.bus.has_work or not all(attack.done() for attack in attacks):
        assert (await node.ask("echo", served))["content"] == served
        served += 1
    assert served >= 10
    assert {node.view(name).status for name in names} <= {"running", "failed"}
    view = node.view("echo")
    assert (view.status, view.restarts, view.messages_failed) == ("running", 0, 0)


RUN_ALL = """
import faulthandler, sys
assert faulthandler.is_enabled() == EXPECTED, "this run does not test what it should"
from caxton.sandbox.engine import Engine
from caxton.sandbox.guest import Guest
from caxton.sandbox.limits import Limits
from caxton.testing.guests import RecordingHost, guest, handle, load, to_end
engine = Engine()
engine.hold_ticks()
if LATER:
    faulthandler.enable()
for name in sys.argv[1:]:
    print(name, flush=True)
    for _ in range(2):
        made = Guest(load(engine, guest(name)), Limits(cpu_time_s=0.02), RecordingHost())
        if to_end(made.boot()) == 0:
            handle(made)
        made.close()
print("done")
"""


@pytest.mark.parametrize(
    ("flags", "enabled", "later"),
    [
        pytest.param([], False, False, id="as-it-is"),
        pytest.param(["-X", "faulthandler"], True, False, id="enabled-before"),
        pytest.param([], False, True, id="enabled-later"),
    ],
)
def test_process_survives_every_hostile_guest(flags: list[str], enabled: bool, later: bool) -> None:
    """In a process of its own: pytest enables the fault handler early, which alone would hide a wrong order."""
    names = [path.stem for path in sorted(GUESTS.glob("*.wat")) if starts(path)]
    script = RUN_ALL.replace("EXPECTED", str(enabled)).replace("LATER", str(later))
    run = subprocess.run(
        [sys.executable, *flags, "-c", script, *names],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
    )
    assert (run.returncode, run.stdout.split()[-1:]) == (0, ["done"]), run.stdout + run.stderr


def starts(path: Path) -> bool:
    """Whether the guest is one that can be loaded at all."""
    comment = path.read_text(encoding="utf-8").split("(module")[0]
    return "Refused" not in comment and path.stem not in ("component", "simd")


async def test_idle_node_does_not_compute(node: LocalNode) -> None:
    """After hostile work as after any: nothing ticks once all is quiet."""
    await node.deploy("a", guest("spin"), cpu_time="20ms")
    with pytest.raises(AgentFailed):
        await node.ask("a")
    await until(lambda: node.view("a").healthy == 1)
    await until(lambda: node.tick_holders() == 0)
