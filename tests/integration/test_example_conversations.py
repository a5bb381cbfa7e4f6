"""The example agents that hold conversations: who wins, who pays, what ends; and every act is one that FIPA allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.testing.clock import ManualClock
from caxton.testing.guests import example
from caxton.testing.rooms import open_node, until
from tests.integration.conversation_talks import COSTS, hold_auction, hold_contract_net, hold_job, hold_subscription
from tests.integration.overheard import content, final_states, said, said_in

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from caxton.testing.rooms import LocalNode

DEARER = {"reason": "dearer than another"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def timeless(tmp_path: Path, compiled_dir: Path, clock: ManualClock) -> AsyncGenerator[LocalNode]:
    """A node whose agents' time passes only when the test says so."""
    async with open_node(tmp_path / "timeless", compiled=compiled_dir, clock=clock) as node:
        yield node


# --- contract net ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidder", ["contract-net-bidder", "contract-net-bidder-as"])
async def test_lowest_of_five_bids_wins_and_each_of_the_others_is_rejected_once(node: LocalNode, bidder: str) -> None:
    reply = await hold_contract_net(node, bidder=example(bidder))
    won = {"winner": "cid", "cost": 20.5, "result": {"done": "paint the fence"}}
    assert (reply["performative"], reply["content"], reply["conversation_id"]) == ("inform", won, "asked")
    answers = [line for line in said_in(node, "fipa-contract-net") if line[1].endswith("-proposal")]
    assert sorted(answers, key=repr) == [
        ("manager", "accept-proposal", "cid", {"task": "paint the fence"}),
        *(("manager", "reject-proposal", name, DEARER) for name in ("ann", "bob", "dot", "eve")),
    ]
    ends = {("manager", name): "done" if name == "cid" else "rejected" for name in COSTS}
    assert final_states(node)["fipa-contract-net"] == ends
    assert node.receiver("manager").kv == {}, "it keeps something of a conversation that is over"


async def test_contract_net_is_nested_in_the_request_that_it_serves(node: LocalNode) -> None:
    await hold_contract_net(node)
    calls = [message for message, _ in said(node) if message.performative == "cfp"]
    assert {message.parent_conversation for message in calls} == {"asked"}
    assert len({message.conversation_id for message in calls}) == 1
    assert final_states(node)["fipa-request"] == {("client:tester", "manager"): "done"}


async def test_contract_net_without_a_bid_fails(node: LocalNode) -> None:
    reply = await hold_contract_net(node, costs={"ann": None, "bob": None})
    assert (reply["performative"], reply["content"]) == ("failure", {"error": "nobody bids"})
    assert set(final_states(node)["fipa-contract-net"].values()) == {"refused"}
    assert node.receiver("manager").kv == {}


async def test_of_equal_bids_the_first_wins(node: LocalNode) -> None:
    reply = await hold_contract_net(node, costs={"ann": 7, "bob": 7, "cid": 7})
    first = next(message.sender for message, _ in said(node) if message.performative == "propose")
    assert reply["content"]["winner"] == first
    assert sorted(final_states(node)["fipa-contract-net"].values()) == ["done", "rejected", "rejected"]


async def test_bidder_that_is_named_twice_is_waited_for_once(node: LocalNode) -> None:
    await node.deploy("manager", example("contract-net-manager"))
    await node.deploy("ann", example("contract-net-bidder"))
    await node.ask("ann", {"cost": 1})
    reply = await node.ask("manager", {"task": 1, "bidders": ["ann", "ann"]})
    assert reply["content"] == {"winner": "ann", "cost": 1, "result": {"done": 1}}


async def test_two_contract_nets_at_a_time_are_kept_apart(node: LocalNode) -> None:
    await hold_contract_net(node, costs={"ann": 3, "bob": 5})
    for number in range(3):
        asked = {"task": number, "bidders": ["ann", "bob"]}
        await node.post("manager", asked, performative="request", conversation_id=f"n{number}")
    await node.wait_for_quiet()
    await until(lambda: len([line for line in said_in(node, "fipa-contract-net") if line[1] == "inform"]) == 4)
    calls = [message.conversation_id for message, _ in said(node) if message.performative == "cfp"]
    assert len(set(calls)) == 4
    assert sorted(final_states(node)["fipa-contract-net"].values()) == ["done", "rejected"]
    assert node.receiver("manager").kv == {}


@pytest.mark.parametrize(
    "asked",
    [None, {}, {"task": 1}, {"task": 1, "bidders": []}, {"task": 1, "bidders": "ann"}, {"task": 1, "bidders": {}},
     {"task": 1, "bidders": ["ann"], "deadline_ms": 0}, {"task": 1, "bidders": ["ann"], "deadline_ms": -1}],
)  # fmt: skip
async def test_manager_says_when_a_request_is_not_complete(node: LocalNode, asked: Any) -> None:
    await node.deploy("manager", example("contract-net-manager"))
    assert (await node.ask("manager", asked))["performative"] == "not-understood"
    assert node.receiver("manager").kv == {}


@pytest.mark.parametrize("bidders", [["nobody"], [1], ["ann", None]], ids=["unknown", "number", "null"])
async def test_manager_refuses_what_it_cannot_call(node: LocalNode, bidders: list[Any]) -> None:
    await node.deploy("manager", example("contract-net-manager"))
    await node.deploy("ann", example("contract-net-bidder"))
    assert (await node.ask("manager", {"task": 1, "bidders": bidders}))["performative"] == "refuse"
    assert node.receiver("manager").kv == {}
    assert said_in(node, "fipa-contract-net") == []


# --- auction -----------------------------------------------------------------------------------------------------


async def test_highest_bidder_wins_the_auction_and_pays_when_it_is_requested(
    timeless: LocalNode, clock: ManualClock
) -> None:
    await hold_auction(timeless, clock)
    heard = said_in(timeless, "fipa-auction-english")
    prices = [line[3]["price"] for line in heard if line[:3] == ("auctioneer", "cfp", "ann")]
    assert prices == [40, 50, 60, 70, 80], "until only one bids"
    sold = {"item": "clock", "sold_to": "ann", "price": 80}
    assert heard[-5:-2] == [("auctioneer", "inform", name, sold) for name in ("ann", "bob", "cid")]
    assert heard[-2:] == [("auctioneer", "request", "ann", {"pay": 80}), ("ann", "inform", "auctioneer", {"paid": 80})]
    assert content(said(timeless)[-1][0]) == {"sold_to": "ann", "price": 80}
    assert said(timeless)[-1][1] == "client:tester"
    assert timeless.receiver("auctioneer").kv == {}


async def test_every_bid_of_an_auction_is_answered_and_every_act_is_allowed(
    timeless: LocalNode, clock: ManualClock
) -> None:
    await hold_auction(timeless, clock)
    heard = said_in(timeless, "fipa-auction-english")
    bids = [line for line in heard if line[1] == "propose"]
    answers = [line for line in heard if line[1].endswith("-proposal")]
    assert len(answers) == len(bids) == 3 + 3 + 2 + 2 + 1
    assert len([line for line in answers if line[1] == "accept-proposal"]) == 5, "one in each round"
    states = final_states(timeless)["fipa-auction-english"]
    assert states["auctioneer", "ann"] == "done"
    assert {states["auctioneer", name] for name in ("bob", "cid")} <= {"ended", "closed"}
    assert final_states(timeless)["fipa-request"] == {("client:tester", "auctioneer"): "done"}


async def test_bidders_with_the_same_limit_leave_it_to_the_first_of_them(
    timeless: LocalNode, clock: ManualClock
) -> None:
    await hold_auction(timeless, clock, limits={"ann": 55, "bob": 55})
    leader = [line[2] for line in said_in(timeless, "fipa-auction-english") if line[1] == "accept-proposal"][-1]
    assert content(said(timeless)[-1][0]) == {"sold_to": leader, "price": 50}


async def test_auction_that_nobody_wants_fails(timeless: LocalNode, clock: ManualClock) -> None:
    await hold_auction(timeless, clock, start=1000)
    last, receiver = said(timeless)[-1]
    assert (last.performative, content(last), receiver) == ("failure", {"error": "nobody wants it"}, "client:tester")
    assert set(final_states(timeless)["fipa-auction-english"].values()) == {"closed"}
    assert timeless.receiver("auctioneer").kv == {}


@pytest.mark.parametrize("wrong", [{"start": 0}, {"step": 0}, {"round_ms": 0}, {"bidders": []}, {"round_ms": 10**9}])
async def test_auctioneer_says_when_a_request_makes_no_auction(node: LocalNode, wrong: dict[str, Any]) -> None:
    await node.deploy("auctioneer", example("auctioneer"))
    reply = await node.ask("auctioneer", {"item": 1, "bidders": ["ann"], **wrong})
    assert reply["performative"] == "not-understood"
    assert (node.receiver("auctioneer").kv, node.receiver("auctioneer").timers) == ({}, {})


# --- subscription ------------------------------------------------------------------------------------------------


async def test_subscriber_is_told_each_change_until_it_cancels_and_none_after_that(node: LocalNode) -> None:
    told = await hold_subscription(node, values=(1, 2, 3))
    assert told == [1, 1, 1, 0]
    assert node.lines("subscriber") == [
        "subscribed", "the value is 1", "the value is 2", "the value is 3", "the subscription is over",
    ]  # fmt: skip
    assert said_in(node, "fipa-subscribe") == [
        ("subscriber", "subscribe", "publisher", {"changes-of": "value"}),
        ("publisher", "agree", "subscriber", None),
        *(("publisher", "inform", "subscriber", {"value": n}) for n in (1, 2, 3)),
        ("subscriber", "cancel", "publisher", None),
        ("publisher", "inform", "subscriber", None),
    ]
    assert final_states(node)["fipa-subscribe"] == {("subscriber", "publisher"): "cancelled"}
    assert (node.receiver("publisher").kv, node.receiver("subscriber").kv) == ({b"subscribers": b"[]"}, {})


async def test_one_of_three_subscribers_cancels_and_the_others_go_on(node: LocalNode) -> None:
    names = ("ann", "bob", "cid")
    await node.deploy("publisher", example("subscription-publisher"))
    for name in names:
        await node.deploy(name, example("subscription-subscriber"))
        await node.ask(name, {"subscribe": "publisher"})
        await node.wait_for_line(name, "subscribed")
    await node.ask("bob", {"cancel": True})
    await node.wait_for_line("bob", "the subscription is over")
    assert (await node.ask("publisher", {"value": 7}))["content"] == {"told": 2}
    for name in ("ann", "cid"):
        await node.wait_for_line(name, "the value is 7")
    await node.wait_for_quiet()
    assert "the value is 7" not in node.lines("bob")
    states = final_states(node)["fipa-subscribe"]
    assert states == {("ann", "publisher"): "subscribed", ("bob", "publisher"): "cancelled",
                      ("cid", "publisher"): "subscribed"}  # fmt: skip


async def test_subscription_outlives_a_restart_of_the_server(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("publisher", example("subscription-publisher"))
        await node.deploy("subscriber", example("subscription-subscriber"))
        await node.ask("subscriber", {"subscribe": "publisher"})
        await node.wait_for_line("subscriber", "subscribed")
        await node.wait_for_quiet()
        await node.rooms.drain()
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert (await node.ask("publisher", {"value": 1}))["content"] == {"told": 1}
        await node.wait_for_line("subscriber", "the value is 1")
        await node.ask("subscriber", {"cancel": True})
        await node.wait_for_line("subscriber", "the subscription is over")


async def test_who_cancels_the_subscription_of_another_changes_nothing(node: LocalNode) -> None:
    await node.deploy("publisher", example("subscription-publisher"))
    await node.deploy("subscriber", example("subscription-subscriber"))
    conversation = (await node.ask("subscriber", {"subscribe": "publisher"}))["content"]["conversation"]
    await node.wait_for_line("subscriber", "subscribed")
    reply = await node.ask("publisher", None, performative="cancel", conversation_id=conversation)
    assert (reply["performative"], reply["content"]) == ("failure", {"error": "there is no such subscription"})
    assert (await node.ask("publisher", {"value": 1}))["content"] == {"told": 1}


# --- cancel ------------------------------------------------------------------------------------------------------


async def test_cancelled_request_is_answered_with_inform_and_no_result_follows(node: LocalNode) -> None:
    await hold_job(node, cancel_after=3)
    jobs = said_in(node, "fipa-request")
    assert [line[:3] for line in jobs] == [
        ("requester", "request", "worker"), ("worker", "agree", "requester"), ("worker", "inform", "requester"),
        ("requester", "request", "worker"), ("worker", "agree", "requester"),
        ("requester", "cancel", "worker"), ("worker", "inform", "requester"),
    ]  # fmt: skip
    assert jobs[2][3] == {"done": 3}
    assert 3 <= jobs[-1][3]["done"] < 3_600_000
    assert final_states(node)["fipa-request"] == {("requester", "worker"): "cancelled"}
    assert node.lines("requester")[2:] == ["job: agree ", f'cancel: inform {{"done":{jobs[-1][3]["done"]}}}']
    for name in ("worker", "requester"):
        assert (node.receiver(name).kv, node.receiver(name).timers) == ({}, {}), name


async def test_job_that_is_over_cannot_be_cancelled(node: LocalNode) -> None:
    await node.deploy("worker", example("cancel-worker"))
    await node.post("worker", {"steps": 1, "step_us": 1}, performative="request", conversation_id="j")
    await node.wait_for_line("worker", "step 1 of 1")
    reply = await node.ask("worker", None, performative="cancel", conversation_id="j")
    assert (reply["performative"], reply["content"]) == ("failure", {"error": "there is no such job, or not any more"})


async def test_job_of_somebody_else_goes_on(node: LocalNode) -> None:
    await node.deploy("worker", example("cancel-worker"))
    await node.deploy("requester", example("cancel-requester"))
    asked = await node.ask("requester", {"worker": "worker", "steps": 2, "step_us": 3_600_000_000})
    await node.wait_for_line("requester", "job: agree")
    reply = await node.ask("worker", None, performative="cancel", conversation_id=asked["content"]["conversation"])
    assert reply["performative"] == "failure"
    assert len(node.receiver("worker").timers) == 1


async def test_second_job_in_one_conversation_is_refused_and_the_first_goes_on(node: LocalNode) -> None:
    await node.deploy("worker", example("cancel-worker"))
    job = {"steps": 1, "step_us": 3_600_000_000}
    await node.post("worker", job, performative="request", conversation_id="j")
    reply = await node.ask("worker", job, conversation_id="j")
    assert (reply["performative"], len(node.receiver("worker").timers)) == ("refuse", 1)
    done = await node.ask("worker", None, performative="cancel", conversation_id="j")
    assert (done["performative"], done["content"]) == ("inform", {"done": 0})


async def test_conversation_id_that_is_too_long_for_a_key_is_refused(node: LocalNode) -> None:
    await node.deploy("worker", example("cancel-worker"))
    reply = await node.ask("worker", {"steps": 1, "step_us": 1}, conversation_id="é" * 600)
    assert (reply["performative"], reply["content"]) == ("refuse", {"error": -1})
    await node.wait_for_quiet()
    assert (node.receiver("worker").kv, node.receiver("worker").timers) == ({}, {})
