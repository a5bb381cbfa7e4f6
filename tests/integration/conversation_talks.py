"""How one talks to the example agents that hold conversations, and what is heard; the same for every build of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caxton.testing.guests import example
from caxton.testing.rooms import until
from tests.integration.overheard import said_in

if TYPE_CHECKING:
    from caxton.testing.clock import ManualClock
    from caxton.testing.rooms import LocalNode

Transcript = list[Any]

COSTS: dict[str, float | None] = {"ann": 40, "bob": 30, "cid": 20.5, "dot": 30, "eve": 1e3}
LIMITS = {"ann": 100, "bob": 72, "cid": 55}
ROUND_S = 0.01


async def hold_contract_net(
    node: LocalNode,
    *,
    manager: bytes | None = None,
    bidder: bytes | None = None,
    costs: dict[str, float | None] = COSTS,
) -> dict[str, Any]:
    """One manager and a bidder for each cost; the answer to who asked."""
    await node.deploy("manager", manager or example("contract-net-manager"))
    for name, cost in costs.items():
        await node.deploy(name, bidder or example("contract-net-bidder"))
        if cost is not None:
            assert (await node.ask(name, {"cost": cost}))["content"] == {"cost": cost}
    task = {"task": "paint the fence", "bidders": list(costs), "deadline_ms": 3_600_000}
    reply = await node.ask("manager", task, protocol="fipa-request", conversation_id="asked")
    await node.wait_for_quiet()
    return reply


async def talk_to_manager(node: LocalNode, wasm: bytes) -> Transcript:
    reply = await hold_contract_net(node, manager=wasm)
    return [reply["content"], sorted(said_in(node, "fipa-contract-net"), key=repr), sorted(node.lines("manager"))]


async def talk_to_bidder(node: LocalNode, wasm: bytes) -> Transcript:
    reply = await hold_contract_net(node, bidder=wasm, costs={**COSTS, "fay": None})
    odd = [await node.ask("ann", content) for content in ({}, {"cost": "much"}, {"cost": 1}, {"cost": -2.5e-3})]
    odd += [await node.ask("ann", None, performative="query-ref"), await node.ask("ann", None, performative="cancel")]
    return [
        reply["content"],
        [(answer["performative"], answer.get("content")) for answer in odd],
        sorted(said_in(node, "fipa-contract-net"), key=repr),
        [node.lines(name) for name in [*COSTS, "fay"]],
        node.view("ann").capabilities,
    ]


async def hold_auction(
    node: LocalNode,
    clock: ManualClock,
    *,
    auctioneer: bytes | None = None,
    bidder: bytes | None = None,
    limits: dict[str, int] = LIMITS,
    start: int = 40,
) -> None:
    """An auction to its end; time passes only when nobody has anything to say any more."""
    await node.deploy("auctioneer", auctioneer or example("auctioneer"))
    for name, limit in limits.items():
        await node.deploy(name, bidder or example("auction-bidder"))
        assert (await node.ask(name, {"limit": limit}))["content"] == {"limit": limit}
    sale = {"item": "clock", "bidders": list(limits), "start": start, "step": 10, "round_ms": round(ROUND_S * 1000)}
    await node.post("auctioneer", sale, performative="request", protocol="fipa-request", conversation_id="sale")
    await node.wait_for_quiet()
    timers = node.receiver("auctioneer").timers
    while timers:
        before = set(timers)
        clock.advance(ROUND_S)
        await until(lambda before=before: set(timers) != before)
        await node.wait_for_quiet()


async def talk_to_auctioneer(node: LocalNode, wasm: bytes, clock: ManualClock) -> Transcript:
    await hold_auction(node, clock, auctioneer=wasm)
    lines = [line for line in node.lines("auctioneer") if " bids " not in line]
    return [without_luck(node), lines, node.receiver("auctioneer").kv]


async def talk_to_auction_bidder(node: LocalNode, wasm: bytes, clock: ManualClock) -> Transcript:
    await hold_auction(node, clock, bidder=wasm)
    odd = [await node.ask("ann", content) for content in ({}, {"pay": 101}, {"pay": 100}, {"limit": -1})]
    odd += [await node.ask("ann", {}, performative="cfp"), await node.ask("ann", None, performative="cancel")]
    said = [(answer["performative"], answer.get("content")) for answer in odd]
    lines = [[line for line in node.lines(name) if line != "I have the highest bid"] for name in LIMITS]
    return [said, without_luck(node), lines]


def without_luck(node: LocalNode) -> Transcript:
    """What was said at an auction, whoever was the first to bid."""
    heard = said_in(node, "fipa-auction-english")
    answers = sorted(line[1] for line in heard if line[1].endswith("-proposal"))
    return [answers, sorted((line for line in heard if not line[1].endswith("-proposal")), key=repr)]


async def hold_subscription(
    node: LocalNode, *, publisher: bytes | None = None, subscriber: bytes | None = None, values: tuple[Any, ...] = ()
) -> list[int]:
    """Subscribe, publish, cancel, publish once more; how many were told each time."""
    await node.deploy("publisher", publisher or example("subscription-publisher"))
    await node.deploy("subscriber", subscriber or example("subscription-subscriber"))
    await node.ask("subscriber", {"subscribe": "publisher"})
    await node.wait_for_line("subscriber", "subscribed")
    told = [(await node.ask("publisher", {"value": value}))["content"]["told"] for value in values]
    await node.ask("subscriber", {"cancel": True})
    await node.wait_for_line("subscriber", "the subscription is over")
    told.append((await node.ask("publisher", {"value": "unheard"}))["content"]["told"])
    await node.wait_for_quiet()
    return told


async def talk_to_publisher(node: LocalNode, wasm: bytes) -> Transcript:
    told = await hold_subscription(node, publisher=wasm, values=(1, "two", {"three": [3]}))
    odd = [await node.ask("publisher", {}), await node.ask("publisher", 1, performative="cfp")]
    odd.append(await node.ask("publisher", None, performative="cancel"))
    said = [(answer["performative"], answer.get("content")) for answer in odd]
    return [told, said, said_in(node, "fipa-subscribe"), node.lines("publisher"), node.receiver("publisher").kv]


async def talk_to_subscriber(node: LocalNode, wasm: bytes) -> Transcript:
    told = await hold_subscription(node, subscriber=wasm, values=(1, "two"))
    odd = [await node.ask("subscriber", content) for content in ({}, {"cancel": True}, {"subscribe": "nobody"})]
    odd.append(await node.ask("subscriber", 1, performative="cfp"))
    said = [(answer["performative"], answer.get("content")) for answer in odd]
    return [told, said, said_in(node, "fipa-subscribe"), node.lines("subscriber"), node.receiver("subscriber").kv]


async def hold_job(
    node: LocalNode, *, worker: bytes | None = None, requester: bytes | None = None, cancel_after: int
) -> None:
    """A job of three steps, and one that would take an hour and is cancelled after `cancel_after` steps or more."""
    await node.deploy("worker", worker or example("cancel-worker"))
    await node.deploy("requester", requester or example("cancel-requester"))
    await node.ask("requester", {"worker": "worker", "steps": 3, "step_us": 1000})
    await node.wait_for_line("requester", "job: inform")
    await node.ask("requester", {"worker": "worker", "steps": 3_600_000, "step_us": 1000})
    await node.wait_for_line("worker", f"step {cancel_after} of 3600000")
    await node.ask("requester", {"cancel": True})
    await node.wait_for_line("requester", "cancel: inform")
    await node.wait_for_quiet()


async def talk_to_worker(node: LocalNode, wasm: bytes) -> Transcript:
    await hold_job(node, worker=wasm, cancel_after=2)
    odd = [await node.ask("worker", content) for content in ({}, {"steps": 0}, {"steps": 1, "step_us": -1})]
    odd += [await node.ask("worker", None, performative=act) for act in ("cancel", "cfp")]
    said = [(answer["performative"], answer.get("content")) for answer in odd]
    lines = [line for line in node.lines("worker") if " of 3600000" not in line and "cancelled" not in line]
    return [said, acts(node), lines, node.receiver("worker").kv, node.receiver("worker").timers]


async def talk_to_requester(node: LocalNode, wasm: bytes) -> Transcript:
    await hold_job(node, requester=wasm, cancel_after=2)
    odd = [await node.ask("requester", content) for content in ({}, {"cancel": True}, {"worker": "nobody"})]
    odd.append(await node.ask("requester", 1, performative="cfp"))
    said = [(answer["performative"], answer.get("content")) for answer in odd]
    return [said, acts(node), [line.partition(" {")[0] for line in node.lines("requester")]]


def acts(node: LocalNode) -> Transcript:
    """How many steps were done before the cancel depends on the time it takes."""
    return [line[:3] for line in said_in(node, "fipa-request")]


TALKS = {
    "cancel-requester": talk_to_requester,
    "cancel-worker": talk_to_worker,
    "contract-net-bidder": talk_to_bidder,
    "contract-net-bidder-as": talk_to_bidder,
    "contract-net-manager": talk_to_manager,
    "subscription-publisher": talk_to_publisher,
    "subscription-subscriber": talk_to_subscriber,
}

TALKS_WITH_CLOCK = {"auction-bidder": talk_to_auction_bidder, "auctioneer": talk_to_auctioneer}
"""On a node whose time stands still unless the talk turns it."""
