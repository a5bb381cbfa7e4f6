"""Dead letters of real guests on a real node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from caxton.bus.dead_letters import LETTER_BYTES
from caxton.core.errors.agents import AgentFailed
from caxton.core.errors.dead_letters import DeadLettersFull
from caxton.core.errors.server import ShuttingDown
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.dead_letters import DeadLetterFilter
from caxton.testing.guests import example, guest
from caxton.testing.rooms import TESTER, LocalNode, open_node, until

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.core.views.dead_letters import DeadLetterView

ALL = DeadLetterFilter()


async def letters(node: LocalNode, *, replayed: bool = False) -> list[DeadLetterView]:
    page = await node.rooms.dead_letters.list(DEFAULT_WORKSPACE, ALL, replayed=replayed, limit=1000, after=None)
    return page.letters


async def kill(node: LocalNode, name: str, content: object) -> None:
    """A message on which the guest fails; who waits for a reply gets one attempt."""
    with pytest.raises(AgentFailed):
        await node.ask(name, content)


async def test_letter_tells_the_trap_and_where_in_the_guest_it_was(node: LocalNode) -> None:
    await node.deploy("a", guest("trap_unreachable"))
    await kill(node, "a", {"n": 1})
    (letter,) = await letters(node)
    assert (letter.reason, letter.trap, letter.functions, letter.attempts) == (
        "failed", "unreachable", ["handle_message"], 1,
    )  # fmt: skip
    assert letter.error == "it gave up (unreachable: a failed assertion, panic or abort)"
    detail = await node.rooms.dead_letters.get(DEFAULT_WORKSPACE, letter.id)
    message = msgspec.json.decode(detail.message)
    assert (message["content"], message["conversation_id"]) == ({"n": 1}, letter.conversation_id)
    assert letter.trace_id is not None
    assert letter.trace_id in message["traceparent"]


async def test_letter_is_answered_once_its_agent_is_mended_also_over_a_restart(
    tmp_path: Path, compiled_dir: Path
) -> None:
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        await node.deploy("a", guest("trap_unreachable"))
        await kill(node, "a", "late")
        await node.rooms.drain()
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        assert node.rooms.status.view().dead_letters == 1
        await node.replace("a", example("echo"))
        (letter,) = await letters(node)
        receipt = await node.rooms.dead_letters.replay(DEFAULT_WORKSPACE, TESTER, letter.id)
        await node.wait_for_quiet()
        assert node.rooms.status.view().dead_letters == 0
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        again = await node.rooms.dead_letters.replay(DEFAULT_WORKSPACE, TESTER, letter.id)
        assert again == msgspec.structs.replace(receipt, status="already-replayed")
        await node.wait_for_quiet()
        kept = await node.messages.conversation(DEFAULT_WORKSPACE, receipt.conversation_id or "", limit=10)
        told = [msgspec.json.decode(one) for one in kept]
        assert [(one["sender"], one["content"], one.get("replayed", False)) for one in told] == [
            ("client:tester", "late", False), ("client:tester", "late", True), ("a", "late", False),
        ]  # fmt: skip


async def test_letters_of_a_removed_agent_wait_until_there_is_one_of_its_name(node: LocalNode) -> None:
    await node.deploy("a", example("echo"))
    await node.stop("a")
    await node.post("a", 1)
    await node.remove("a")
    (letter,) = await letters(node)
    assert (letter.reason, letter.error, letter.trap, letter.functions) == ("removed", None, None, [])
    await node.rooms.dead_letters.replay(DEFAULT_WORKSPACE, TESTER, letter.id)
    await node.deploy("a", example("echo"))
    await until(lambda: node.view("a").messages_handled == 1)


async def test_full_store_refuses_clients_until_there_is_room_and_loses_nothing(node: LocalNode) -> None:
    await node.deploy("a", guest("returns_nonzero"))
    await node.configure("a", circuit_breaker={"threshold": 0})
    await node.deploy("b", example("echo"))
    content = "x" * 1000
    node.rooms.bus.letters.max_bytes = 10 * (LETTER_BYTES + 1000)
    refused = 0
    for _ in range(20):
        try:
            await kill(node, "a", content)
        except DeadLettersFull:
            refused += 1
    found = await letters(node)
    assert len(found) + refused == 20
    assert refused > 5
    with pytest.raises(DeadLettersFull):
        await node.ask("b", 1)
    receipt = await node.rooms.dead_letters.purge_matching(
        DEFAULT_WORKSPACE, TESTER, DeadLetterFilter(agent="a"), replayed=None
    )
    assert (receipt.purged, receipt.waiting) == (len(found), len(found))
    assert (await node.ask("b", 1))["content"] == 1


async def test_nothing_is_replayed_by_a_node_that_stops(node: LocalNode) -> None:
    await node.deploy("a", guest("trap_unreachable"))
    await kill(node, "a", 1)
    (letter,) = await letters(node)
    await node.rooms.drain()
    with pytest.raises(ShuttingDown):
        await node.rooms.dead_letters.replay(DEFAULT_WORKSPACE, TESTER, letter.id)


async def test_metrics_tell_what_waits_and_what_happened(node: LocalNode) -> None:
    await node.deploy("a", guest("trap_unreachable"))
    await kill(node, "a", 1)
    await kill(node, "a", 2)
    await node.replace("a", example("echo"))
    last, _ = await letters(node)
    await node.rooms.dead_letters.replay(DEFAULT_WORKSPACE, TESTER, last.id)
    lines = (await node.rooms.status.metrics()).decode().splitlines()
    assert 'caxton_dead_letters_total{reason="failed"} 2' in lines
    assert 'caxton_dead_letters_total{reason="expired"} 0' in lines
    assert "caxton_dead_letters 1" in lines
    assert "caxton_dead_letters_replayed_total 1" in lines
    (first,) = await letters(node)
    assert f"caxton_dead_letters_bytes {first.size_bytes + LETTER_BYTES}" in lines
