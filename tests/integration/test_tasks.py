"""Tasks on a whole node, with real guests that bid; and a node that is killed in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.tasks import TaskDetail, TaskSpec
from caxton.testing.guests import example, guest
from caxton.testing.rooms import PATIENCE_S, TESTER, open_node

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.testing.rooms import LocalNode

BIDDER = "contract-net-bidder"
COSTS = {"ann": 30, "bob": 25, "cid": 20.5, "dot": 27, "eve": 99}


async def hire(node: LocalNode, wasm: str = BIDDER) -> None:
    """Deploy the bidders, and tell each what it costs."""
    for name, cost in COSTS.items():
        await node.deploy(name, example(wasm))
        await node.ask(name, {"cost": cost})


async def create(node: LocalNode, **given: Any) -> TaskDetail:
    spec = msgspec.convert(
        {"id": "t", "participants": [*COSTS], "content": msgspec.Raw(b'"paint the fence"'), "deadline": "10s"} | given,
        TaskSpec,
    )
    task, _ = await node.rooms.tasks.create(DEFAULT_WORKSPACE, TESTER, spec)
    return task


async def ended(node: LocalNode) -> TaskDetail:
    return await node.rooms.tasks.get(DEFAULT_WORKSPACE, "t", wait_s=PATIENCE_S)


@pytest.mark.parametrize("wasm", [BIDDER, "contract-net-bidder-as"])
async def test_the_cheapest_of_five_guests_gets_the_task_and_does_it(node: LocalNode, wasm: str) -> None:
    await hire(node, wasm)
    await create(node, max_cost=50)
    task = await ended(node)
    assert (task.status, task.awarded_to) == ("done", ["cid"])
    assert bytes(task.results[0].content) == b'{"done":"paint the fence"}'
    reasons = {one.agent: one.reason for one in task.bidders}
    assert reasons == {"ann": "outbid", "bob": "outbid", "cid": None, "dot": "outbid", "eve": "over-budget"}
    await node.wait_for_quiet()
    assert [sum("lost" in line for line in node.lines(name)) for name in COSTS] == [1, 1, 0, 1, 1]
    assert node.rooms.bus.letters.count == 0


async def test_a_capability_finds_the_bidders(node: LocalNode) -> None:
    await hire(node)
    await node.deploy("other", guest("sink"))
    await create(node, participants=[], capability="bidding", winners=2)
    task = await ended(node)
    assert (task.participants, task.awarded_to) == (5, ["bob", "cid"])


async def test_without_a_bid_the_reasons_are_told(node: LocalNode) -> None:
    await node.deploy("ann", example(BIDDER))
    await create(node, participants=["ann"])
    task = await ended(node)
    assert (task.status, task.bidders[0].reason) == ("no-bids", "nobody has said what I cost")


async def test_a_killed_node_takes_the_task_up_where_it_was(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await hire(node)
        node.rooms.pump.pause()
        assert (await create(node)).status == "calling"
    async with open_node(tmp_path, compiled=compiled_dir) as node:  # the first was not drained
        task = await ended(node)
        assert (task.status, task.awarded_to) == ("done", ["cid"])
        await node.wait_for_quiet()
        assert [sum("lost" in line for line in node.lines(name)) for name in COSTS] == [1, 1, 0, 1, 1]


async def test_a_deadline_that_passes_while_the_node_is_away_passes_at_its_start(
    tmp_path: Path, compiled_dir: Path
) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("mute", guest("sink"))
        await create(node, participants=["mute"], deadline=0.1)
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert (await ended(node)).status == "no-bids"
