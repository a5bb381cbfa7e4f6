"""The example agents that hold conversations: who wins, who pays, what ends; and every act is one that FIPA allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.sandbox.engine import Engine
from caxton.testing.clock import ManualClock
from caxton.testing.guests import example, guest
from caxton.testing.rooms import TESTER, open_node, until
from tests.integration.conversation_talks import COSTS, hold_auction, hold_contract_net, hold_job, hold_subscription
from tests.integration.driven_guest import DrivenGuest
from tests.integration.overheard import content, final_states, said, said_in

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from caxton.messages.message import AclMessage
    from caxton.testing.rooms import LocalNode

NET = "a5" * 12
"""The id of a conversation that is begun on a recording host, whose random bytes are known."""

TASK_IN_10_MS = {"task": 1, "bidders": ["ann", "bob", "cid"], "deadline_ms": 10}

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


async def test_best_bid_is_awarded_when_the_time_of_a_silent_bidder_is_over(
    timeless: LocalNode, clock: ManualClock
) -> None:
    await deploy_bidders(timeless, {"ann": 2, "cid": 1}, bob=guest("sink"))
    await timeless.post("manager", TASK_IN_10_MS, performative="request", conversation_id="asked")
    await timeless.wait_for_line("manager", "cid bids 1")
    await timeless.wait_for_quiet()
    assert not [line for line in timeless.lines("manager") if "has the task" in line]
    clock.advance(0.01)
    await timeless.wait_for_line("manager", "cid has done it")
    states = {"ann": "rejected", "bob": "called", "cid": "done"}
    assert final_states(timeless)["fipa-contract-net"] == {("manager", name): end for name, end in states.items()}


async def test_call_that_expires_in_the_mailbox_of_a_stopped_bidder_holds_nobody_up(
    timeless: LocalNode, clock: ManualClock
) -> None:
    await deploy_bidders(timeless, {"ann": 2, "bob": 1})
    await timeless.stop("bob")
    await timeless.post("manager", {**TASK_IN_10_MS, "bidders": ["ann", "bob"]}, performative="request")
    await timeless.wait_for_line("manager", "ann bids 2")
    clock.advance(0.01)
    await timeless.wait_for_line("manager", "ann has done it")


async def test_bidder_that_fails_on_the_call_is_not_waited_for(node: LocalNode) -> None:
    await deploy_bidders(node, {"ann": 2}, bob=guest("returns_nonzero"))
    reply = await node.ask("manager", {"task": 1, "bidders": ["bob", "ann"], "deadline_ms": 3_600_000})
    assert reply["content"] == {"winner": "ann", "cost": 2, "result": {"done": 1}}
    assert "bob: refuse" in node.lines("manager")


async def deploy_bidders(node: LocalNode, costs: dict[str, int], **others: bytes) -> None:
    await node.deploy("manager", example("contract-net-manager"))
    for name, wasm in others.items():
        await node.deploy(name, wasm)
    for name, cost in costs.items():
        await node.deploy(name, example("contract-net-bidder"))
        await node.ask(name, {"cost": cost})


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


async def test_subscriber_knows_when_an_operator_has_cancelled_its_subscription(node: LocalNode) -> None:
    await node.deploy("publisher", example("subscription-publisher"))
    await node.deploy("subscriber", example("subscription-subscriber"))
    begun = await node.ask("subscriber", {"subscribe": "publisher"})
    await node.wait_for_line("subscriber", "subscribed")
    await node.rooms.conversations.cancel(DEFAULT_WORKSPACE, TESTER, begun["content"]["conversation"])
    await node.wait_for_line("subscriber", "the subscription is over")
    assert (await node.ask("publisher", {"value": 1}))["content"] == {"told": 0}


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
    assert node.lines("requester")[2:] == ["job: agree", f'cancel: inform {{"done":{jobs[-1][3]["done"]}}}']
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


# --- what a node with five obedient bidders does not show -------------------------------------------------------


class Manager(DrivenGuest):
    """A manager in the middle of a contract net."""

    def hear(self, sender: str, act: str, content: Any = None, *, net: str = NET) -> list[tuple[str, str, Any]]:
        """Hand it a message of the net; what it says to whom."""
        return short(self.tell(
            performative=act, sender=sender, receiver="manager", content=content, protocol="fipa-contract-net",
            conversation_id=net, reply_with=f"of-{sender}",
        ))  # fmt: skip


def short(messages: list[AclMessage]) -> list[tuple[str, str, Any]]:
    """Act, receiver and content."""
    return [(message.performative, str(message.receiver), content(message)) for message in messages]


@pytest.fixture(scope="module")
def engine() -> Generator[Engine]:
    engine = Engine()
    engine.hold_ticks()
    yield engine
    engine.close()


@pytest.fixture
def manager(engine: Engine) -> Generator[Manager]:
    manager = Manager(engine, example("contract-net-manager"))
    call, agreed = manager.tell(
        performative="request", sender="client:me", conversation_id="asked", reply_with="r",
        content={"task": 1, "bidders": ["ann", "bob", "cid"], "deadline_ms": 500},
    )  # fmt: skip
    assert (call.performative, call.conversation_id, agreed.performative) == ("cfp", NET, "agree")
    assert call.reply_by == "2023-11-14T22:13:20.500000Z"
    yield manager
    manager.close()


DEADLINE = {"error": "DEADLINE_PASSED", "silent": ["bob"]}


def test_best_of_the_bids_in_time_is_accepted_once_the_node_says_that_the_time_is_over(manager: Manager) -> None:
    assert manager.hear("ann", "propose", {"cost": 9}) == []
    assert manager.hear("cid", "propose", {"cost": 4}) == [("reject-proposal", "ann", DEARER)]
    assert manager.hear("ams", "failure", DEADLINE) == [("accept-proposal", "cid", {"task": 1})]
    assert manager.hear("ams", "failure", {**DEADLINE, "error": "OTHER"}) == []
    result = {"winner": "cid", "cost": 4, "result": "ok"}
    assert manager.hear("cid", "inform", "ok") == [("inform", "client:me", result)]
    assert manager.host.kv == {}


def test_acceptance_has_a_deadline_and_a_silent_winner_is_reported(manager: Manager) -> None:
    manager.hear("ann", "propose", {"cost": 9})
    manager.hear("ams", "failure", DEADLINE)
    (accepted,) = manager.sent()
    assert (accepted.reply_by, accepted.in_reply_to) == ("2023-11-14T22:13:20.500000Z", "of-ann")
    assert manager.hear("ams", "failure", {"error": "DEADLINE_PASSED", "silent": ["ann"]}) == [
        ("failure", "client:me", {"error": "the winner said nothing in time"})
    ]
    assert manager.host.kv == {}


def test_nobody_in_time_is_a_failure(manager: Manager) -> None:
    assert manager.hear("ams", "failure", DEADLINE) == [("failure", "client:me", {"error": "nobody bids"})]
    assert manager.hear("ann", "propose", {"cost": 1}) == [("reject-proposal", "ann", {"reason": "late"})]
    assert manager.host.kv == {}


def test_winner_that_fails_is_reported(manager: Manager) -> None:
    manager.hear("ann", "propose", {"cost": 9})
    manager.hear("bob", "refuse")
    assert manager.hear("cid", "not-understood") == [("accept-proposal", "ann", {"task": 1})]
    assert manager.hear("bob", "inform", "I did it") == []
    assert manager.hear("ann", "failure") == [("failure", "client:me", {"error": "the winner did not do it"})]
    assert manager.host.kv == {}


def test_who_takes_its_bid_back_is_not_awarded(manager: Manager) -> None:
    manager.hear("ann", "propose", {"cost": 1})
    assert manager.hear("ann", "not-understood") == []
    manager.hear("bob", "refuse")
    assert manager.hear("cid", "propose", {"cost": 1000}) == [("accept-proposal", "cid", {"task": 1})]


@pytest.mark.parametrize("bid", [None, {}, {"cost": "1"}, {"cost": None}, {"cost": [1]}])
def test_bid_without_a_cost_is_rejected_and_counts_as_an_answer(manager: Manager, bid: Any) -> None:
    manager.hear("ann", "propose", {"cost": 9})
    manager.hear("bob", "refuse")
    assert manager.hear("cid", "propose", bid) == [
        ("reject-proposal", "cid", {"reason": "no cost"}), ("accept-proposal", "ann", {"task": 1}),
    ]  # fmt: skip


@pytest.mark.parametrize("act", ["propose", "inform", "refuse", "failure", "not-understood"])
def test_manager_bears_what_belongs_to_no_contract_net(manager: Manager, act: str) -> None:
    before = dict(manager.host.kv)
    rejected = [("reject-proposal", "ann", {"reason": "late"})] if act == "propose" else []
    assert manager.hear("ann", act, {"cost": 1}, net="other") == rejected
    assert manager.host.kv == before
    assert manager.hear("eve", act, {}) in ([], [("reject-proposal", "eve", {"reason": "no cost"})])
    assert manager.host.kv == before


def test_cancel_and_unknown_acts_are_not_understood(manager: Manager) -> None:
    for act in ("cancel", "cfp", "query-ref", "agree"):
        assert manager.hear("client:me", act) == [("not-understood", "client:me", {"error": "expected a request"})]


def test_subscription_that_the_node_knows_nothing_of_is_given_up(engine: Engine) -> None:
    publisher = DrivenGuest(engine, example("subscription-publisher"))
    for name in ("ann", "bob"):
        publisher.tell(performative="subscribe", sender=name, conversation_id=f"of-{name}")
    publisher.tell(performative="not-understood", sender="eve", conversation_id="of-ann")
    assert len(publisher.tell(performative="request", sender="client:me", content={"value": 1})) == 3
    publisher.tell(performative="not-understood", sender="ams", conversation_id="of-ann", content={"error": "X"})
    publisher.tell(performative="not-understood", sender="ams", conversation_id="of-nobody", content={"error": "X"})
    told = publisher.tell(performative="request", sender="client:me", content={"value": 2})
    assert short(told) == [("inform", "bob", {"value": 2}), ("inform", "client:me", {"told": 1})]
    publisher.close()


def test_winner_of_an_auction_that_does_not_pay_is_reported(engine: Engine) -> None:
    auctioneer = DrivenGuest(engine, example("auctioneer"))
    sale = {"item": 1, "bidders": ["ann"], "start": 5}
    auctioneer.tell(performative="request", sender="client:me", conversation_id="sale", content=sale)
    in_auction = {"protocol": "fipa-auction-english", "conversation_id": NET, "sender": "ann", "in_reply_to": NET}
    sold = short(auctioneer.tell(performative="propose", content={"price": 5}, reply_with="b", **in_auction))
    assert [line[0] for line in sold] == ["accept-proposal", "inform", "request"]
    assert auctioneer.host.timers == {}
    refused = short(auctioneer.tell(performative="refuse", content={"reason": "poor"}, **in_auction))
    assert refused == [("failure", "client:me", {"error": "the winner does not pay", "winner": "ann"})]
    assert auctioneer.host.kv == {}
    auctioneer.close()


def test_bid_at_another_price_or_for_an_earlier_call_does_not_count(engine: Engine) -> None:
    auctioneer = DrivenGuest(engine, example("auctioneer"))
    sale = {"item": 1, "bidders": ["ann", "bob"], "start": 5}
    auctioneer.tell(performative="request", sender="client:me", conversation_id="sale", content=sale)
    bid = {"performative": "propose", "protocol": "fipa-auction-english", "conversation_id": NET, "sender": "ann"}
    assert short(auctioneer.tell(**bid, in_reply_to=NET, content={"price": 4})) == [
        ("reject-proposal", "ann", {"price": 5})
    ]
    assert auctioneer.tell(**bid, in_reply_to="earlier", content={"price": 5}) == []
    assert auctioneer.tell(**{**bid, "sender": "eve"}, in_reply_to=NET, content={"price": 5}) == []
    assert len(auctioneer.host.timers) == 1
    auctioneer.close()
