"""Circuit breakers around real guests, and settings that change while they run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from caxton.core.errors.agents import AgentFailed, AgentNotFound
from caxton.core.errors.messages import ReplyTimeout
from caxton.core.errors.receivers import BulkheadFull, CircuitOpen, MailboxFull
from caxton.core.errors.values import InvalidValue
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.agents import Bulkhead, CircuitBreaker
from caxton.testing.guests import assemble, example, guest, guest_text
from caxton.testing.rooms import PATIENCE_S, open_node, until

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.testing.rooms import LocalNode

FAILS_THRICE = assemble(
    guest_text(
        handle="""(local $at i32)
    (local.set $at (local.get $ptr))
    (loop $next
      (if (i64.eq (i64.load (local.get $at)) (i64.const 0x3a2274706d657474)) ;; ttempt":
        (then (return (select (i32.const 0) (i32.const 7)
          (i32.ge_u (i32.load8_u offset=8 (local.get $at)) (i32.const 52))))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (i32.add (local.get $ptr) (local.get $len)))))
    i32.const 7"""
    )
)
"""Fails on each message's first three attempts."""


def breaker(**settings: Any) -> CircuitBreaker:
    return CircuitBreaker(**settings)


async def wait_for_state(node: LocalNode, name: str, state: str) -> None:
    await until(lambda: node.view(name).circuit_breaker.state == state)


async def test_agent_that_fails_is_left_alone_until_its_settings_let_it_be_tried(node: LocalNode) -> None:
    """Opened by failures, half-open as soon as a shorter timeout says so, closed by a success; not one restart."""
    before = await node.deploy("a", FAILS_THRICE, circuit_breaker=breaker(threshold=3, timeout="1h"))
    first = await node.post("a", "first", conversation_id="c-1", traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01")
    await wait_for_state(node, "a", "open")
    await node.post("a", "second")
    view = node.view("a")
    assert (view.messages_failed, view.mailbox_messages, view.circuit_breaker.failures) == (3, 2, 3)
    settings = await node.configure("a", circuit_breaker={"timeout": "100ms", "threshold": 100})
    assert (settings.circuit_breaker.timeout_s, settings.circuit_breaker.threshold) == (0.1, 100)
    await node.wait_for_quiet()
    view = node.view("a")
    assert (view.circuit_breaker.state, view.messages_handled, view.messages_failed) == ("closed", 2, 6)
    assert (view.revision, view.restarts, view.deployed_at) == (1, 0, before.deployed_at)
    assert node.rooms.bus.letters.count == 0
    assert [line for line in node.lines("a") if "circuit" in line] == [
        "circuit open: 3 failures in a row; mail waits, callers are refused, next try in 1h",
        "circuit half-open: 1 let through to see whether it works again",
        "circuit closed: it works again",
    ]
    lines = [line for line in node.rooms.log.tail(DEFAULT_WORKSPACE, ["a"], limit=99) if "circuit" in line.text]
    named = [(line.message_id, line.conversation_id, line.attempt) for line in lines]
    assert named == [(first.message_id, "c-1", 3), (None,) * 3, (None,) * 3]
    assert [line.trace_id for line in lines] == ["ab" * 16, None, None]


@pytest.mark.parametrize("name", ["returns_nonzero", "trap_unreachable", "spin"])
async def test_handler_that_fails_or_crashes_or_runs_out_of_time_opens_it(node: LocalNode, name: str) -> None:
    await node.deploy("a", guest(name), cpu_time="50ms", circuit_breaker=breaker(threshold=2, timeout="1h"))
    for _ in range(2):
        with pytest.raises(AgentFailed):
            await node.ask("a")
        await until(lambda: node.view("a").healthy == 1)
    with anyio.fail_after(PATIENCE_S), pytest.raises(CircuitOpen) as caught:
        await node.ask("a")
    assert (caught.value.name, caught.value.failures) == ("a", 2)
    assert 3500 < caught.value.retry_after_s <= 3600
    view = node.view("a")
    assert (view.status, view.messages_failed, view.mailbox_messages, view.bulkhead.waiting) == ("running", 2, 0, 0)


async def test_caller_by_capability_is_refused_when_all_that_offer_it_are_open(node: LocalNode) -> None:
    settings = breaker(threshold=1, timeout="1h")
    await node.deploy("a", guest("returns_nonzero"), capabilities=["sorting"], circuit_breaker=settings)
    with pytest.raises(AgentFailed):
        await node.ask("", capability="sorting")
    with pytest.raises(CircuitOpen):
        await node.ask("", capability="sorting")
    await node.deploy("b", example("echo"), capabilities=["sorting"])
    for n in range(3):
        assert (await node.ask("", n, capability="sorting"))["content"] == n


async def test_callers_beyond_the_bulkhead_are_refused_and_those_before_them_go_on(node: LocalNode) -> None:
    await node.deploy("a", guest("sink"), bulkhead=Bulkhead(max_waiting=2))
    waiting = [asyncio.create_task(node.ask("a", timeout_s=60)) for _ in range(2)]
    await until(lambda: node.view("a").bulkhead.waiting == 2)
    with pytest.raises(BulkheadFull) as caught:
        await node.ask("a")
    assert caught.value.details() == {"name": "a", "max_waiting": 2}
    await node.post("a")  # who does not wait is not counted
    await node.configure("a", bulkhead={"max_waiting": 3})
    with pytest.raises(ReplyTimeout):
        await node.ask("a", timeout_s=0.01)
    for caller in waiting:
        caller.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert node.view("a").bulkhead.waiting == 0


async def test_caller_whose_message_was_not_accepted_leaves_its_place(node: LocalNode) -> None:
    await node.deploy("a", guest("spin"), mailbox_messages=1, cpu_time="60s", timeout="60s")
    await node.post("a")
    with pytest.raises(MailboxFull):
        await node.ask("a")
    assert node.view("a").bulkhead.waiting == 0


async def test_agent_that_is_started_or_replaced_begins_with_a_closed_circuit(node: LocalNode) -> None:
    settings = breaker(threshold=1, timeout="1h")
    await node.deploy("a", guest("returns_nonzero"), circuit_breaker=settings)

    async def open_it() -> None:
        with pytest.raises(AgentFailed):
            await node.ask("a")
        assert node.view("a").circuit_breaker.state == "open"

    await open_it()
    assert (await node.stop("a", force=True)).circuit_breaker.state == "closed"
    await node.start("a")
    await open_it()
    view = await node.replace("a", example("echo"), circuit_breaker=settings)
    assert view.circuit_breaker.state == "closed"
    assert (await node.ask("a", 1))["content"] == 1


async def test_scaling_changes_nothing_about_an_open_circuit(node: LocalNode) -> None:
    await node.deploy("a", FAILS_THRICE, circuit_breaker=breaker(threshold=3, timeout="1h"))
    await node.post("a", conversation_id="c")
    await wait_for_state(node, "a", "open")
    for replicas in (4, 1, 2):
        await node.scale("a", replicas)
        for n in range(8):
            await node.post("a", n)
    view = node.view("a")
    assert (view.circuit_breaker.state, view.messages_failed, view.mailbox_messages) == ("open", 3, 25)


# --- settings ----------------------------------------------------------------------------------------------------


async def test_only_what_is_said_changes_and_null_is_the_default_again(node: LocalNode) -> None:
    await node.deploy("a", example("echo"), circuit_breaker=breaker(threshold=7, probes=2), mailbox_messages=50)
    await node.configure("a", circuit_breaker={"timeout": 3})
    await node.configure("a", resources={"messages_per_s": 5}, bulkhead={"max_waiting": 9})
    settings = await node.configure("a", circuit_breaker={"probes": None})
    circuit, resources = settings.circuit_breaker, settings.resources
    assert (circuit.threshold, circuit.timeout_s, circuit.probes) == (7, 3.0, 1)
    assert (resources.messages_per_s, resources.mailbox_messages, settings.bulkhead.max_waiting) == (5, 50, 9)
    assert node.settings("a") == settings


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("circuit_breaker", "threshold", -1),
        ("circuit_breaker", "threshold", 1001),
        ("circuit_breaker", "threshold", "often"),
        ("circuit_breaker", "threshold", True),
        ("circuit_breaker", "timeout", 0),
        ("circuit_breaker", "timeout", "2h"),
        ("circuit_breaker", "timeout", "soon"),
        ("circuit_breaker", "probes", 0),
        ("circuit_breaker", "probes", 101),
        ("bulkhead", "max_waiting", 0),
        ("bulkhead", "max_waiting", 100_001),
        ("resources", "mailbox_messages", 0),
    ],
)
async def test_value_out_of_bounds_is_refused_and_nothing_changes(
    node: LocalNode, group: str, key: str, value: object
) -> None:
    await node.deploy("a", example("echo"), circuit_breaker=breaker(threshold=7))
    before = node.settings("a")
    asked: dict[str, dict[str, Any]] = {"circuit_breaker": {"timeout": 3}, "bulkhead": {}, "resources": {}}
    asked[group][key] = value
    with pytest.raises(InvalidValue) as caught:
        await node.configure("a", **asked)
    assert caught.value.what == (key if group == "resources" else f"{group}.{key}")
    assert node.settings("a") == before
    assert node.view("a").circuit_breaker.timeout_s == 10.0
    await node.scale("a", 2)  # which goes back to what is kept
    assert node.settings("a") == before


async def test_settings_of_an_agent_that_is_not_there_are_refused_with_the_nearest_name(node: LocalNode) -> None:
    await node.deploy("sorter", example("echo"))
    with pytest.raises(AgentNotFound) as caught:
        await node.configure("sortr", bulkhead={"max_waiting": 3})
    assert caught.value.nearest == "sorter"
    with pytest.raises(AgentNotFound):
        node.settings("sortr")


async def test_smaller_mailbox_holds_at_once_and_what_waits_in_it_stays(node: LocalNode) -> None:
    await node.deploy("a", example("echo"))
    await node.stop("a")
    for n in range(3):
        await node.post("a", n)
    await node.configure("a", resources={"mailbox_messages": 3})
    with pytest.raises(MailboxFull):
        await node.post("a", 3)
    assert node.view("a").mailbox_messages == 3


async def test_settings_outlive_the_node_and_the_next_revision_has_only_its_own(
    tmp_path: Path, compiled_dir: Path
) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("a", example("echo"))
        await node.configure(
            "a", circuit_breaker={"threshold": "off"}, bulkhead={"max_waiting": 9}, resources={"mailbox_bytes": "2MB"}
        )
        changed = node.settings("a")
        await node.scale("a", 2)
        assert node.settings("a") == changed
    async with open_node(tmp_path, compiled=compiled_dir) as node:  # the first one was not drained
        assert node.settings("a") == changed
        view = node.view("a")
        assert (view.revision, view.circuit_breaker.state, view.bulkhead.max_waiting) == (1, "off", 9)
        await node.replace("a", None, bulkhead=Bulkhead(max_waiting=5))
        assert node.settings("a").bulkhead.max_waiting == 5
        assert node.settings("a").circuit_breaker.threshold == 5


async def test_circuits_are_in_the_metrics(node: LocalNode) -> None:
    await node.deploy("a", guest("returns_nonzero"), circuit_breaker=breaker(threshold=1, timeout="1h"))
    await node.deploy("b", example("echo"), circuit_breaker=breaker(threshold="off"))
    for kind in (AgentFailed, CircuitOpen):
        with pytest.raises(kind):
            await node.ask("a")
    text = (await node.rooms.status.metrics()).decode()
    for line in (
        'caxton_circuit_breaker_state{target="agent",state="open"} 1',
        'caxton_circuit_breaker_state{target="agent",state="off"} 1',
        'caxton_circuit_breaker_state{target="agent",state="closed"} 0',
        'caxton_circuit_breaker_transitions_total{to="open"} 1',
        'caxton_callers_refused_total{code="CIRCUIT_OPEN"} 1',
    ):
        assert line in text.splitlines()
