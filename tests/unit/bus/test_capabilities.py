"""Messages for a capability: who gets them, and what becomes of those that nobody can take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from caxton.bus.capabilities import MAX_COMPARED, MAX_NEAREST, health, load
from caxton.bus.strategy import BROADCAST, DEGRADED, HEALTHY, UNHEALTHY
from caxton.core.errors.messages import InvalidMessage
from caxton.core.errors.receivers import CapabilityNotFound, MailboxFull
from caxton.natives import native
from caxton.sandbox.codes import INVALID, OK, UNKNOWN_RECEIVER, WOULD_BLOCK
from caxton.testing.handlers import FakeCrash, say

if TYPE_CHECKING:
    from caxton.bus.capabilities import Capabilities
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from tests.unit.bus.rig import Agent, Rig


def offering(rig: Rig, name: str, priority: int = 50, **more: Any) -> Agent:
    agent = rig.agent(name, **more)
    agent.receiver.offer(deployed={"sorting": priority})
    return agent


def index(rig: Rig) -> Capabilities:
    return rig.bus.names.directory("default").capabilities


def sends(**fields: object) -> Any:
    """What an agent does that sends this for each message, and remembers what it was told."""

    def act(turn: Turn, _message: AclMessage) -> int:
        turn.kv_set(b"told", str(turn.send(say("", "hello", **fields))).encode())
        return 0

    return act


def told(agent: Agent) -> int:
    return int(agent.receiver.kv[b"told"])


# --- nobody ------------------------------------------------------------------------------------------------------


async def test_client_is_told_that_nobody_offers_it_with_the_nearest_names_and_nothing_is_accepted(rig: Rig) -> None:
    offering(rig, "a")
    with pytest.raises(CapabilityNotFound) as caught:
        rig.post(capability="sortng")
    assert (caught.value.code, caught.value.details()) == (
        "CAPABILITY_NOT_FOUND", {"capability": "sortng", "nearest": ["sorting"]}
    )  # fmt: skip
    await rig.commit()
    assert (rig.postbox.accepted, rig.pending()) == (0, [])


async def test_message_of_a_guest_that_nobody_can_take_goes_to_the_facilitator_and_plays_in_no_protocol(
    rig: Rig,
) -> None:
    got: list[AclMessage] = []

    class Facilitator:
        name = "df"

        def handle(self, message: AclMessage, turn: Turn) -> int:
            got.append(message)
            return 0

        def fire(self, timer_id: int, turn: Turn) -> int:
            return 0

    native.install(rig.bus, Facilitator())
    a = rig.agent("a", sends(capability="flying", conversation_id="c", reply_with="r", protocol="fipa-request"))
    rig.post("a")
    rig.pump()
    (message,) = got
    assert told(a) == OK
    assert (message.sender, message.capability, message.protocol, message.conversation_id, message.reply_with) == (
        "a", "flying", None, "c", "r"
    )  # fmt: skip
    assert message.receiver == ""


async def test_without_a_facilitator_it_is_an_unknown_receiver(rig: Rig) -> None:
    a = rig.agent("a", sends(capability="flying"))
    rig.post("a")
    rig.pump()
    assert told(a) == UNKNOWN_RECEIVER


@pytest.mark.parametrize("capability", ["sorting", "flying"])
async def test_unknown_strategy_is_refused_for_clients_and_guests(rig: Rig, capability: str) -> None:
    offering(rig, "a")
    b = rig.agent("b", sends(capability=capability, routing_strategy="fastest"))
    with pytest.raises(InvalidMessage) as caught:
        rig.post(capability=capability, routing_strategy="fastest")
    assert caught.value.field == "routing_strategy"
    rig.post("b")
    rig.pump()
    assert told(b) == INVALID


# --- somebody ----------------------------------------------------------------------------------------------------


async def test_broadcast_reaches_all_who_offer_it_but_not_its_sender(rig: Rig) -> None:
    agents = [offering(rig, name) for name in ("a", "b")]
    sender = rig.agent("c", sends(capability="sorting", routing_strategy=BROADCAST))
    sender.receiver.offer(deployed={"sorting": 1000})
    rig.post("c", 0)
    rig.pump()
    assert [agent.contents for agent in (*agents, sender)] == [["hello"], ["hello"], [0]]
    sender.handler.on_message = lambda _turn, _message: 0
    rig.post(capability="sorting", routing_strategy=BROADCAST, content=1)
    rig.pump()
    assert [agent.contents[-1] for agent in (*agents, sender)] == [1, 1, 1]


async def test_agent_that_alone_offers_it_is_called_upon_itself(rig: Rig) -> None:
    def act(turn: Turn, message: AclMessage) -> int:
        return turn.send(say("", 2, capability="sorting")) if bytes(message.content) == b"1" else 0

    a = offering(rig, "a", on_message=act)
    rig.post("a", 1)
    rig.pump()
    assert a.contents == [1, 2]


async def test_broadcast_reaches_nobody_if_one_of_them_is_full(rig: Rig) -> None:
    full, free = rig.receiver("full", max_messages=1), rig.receiver("free")
    for agent in (full, free):
        agent.receiver.offer(deployed={"sorting": 50})
    rig.post("full", 0)
    with pytest.raises(MailboxFull):
        rig.post(capability="sorting", routing_strategy=BROADCAST)
    sender = rig.agent("sender", sends(capability="sorting", routing_strategy=BROADCAST))
    rig.post("sender")
    rig.pump()
    assert (told(sender), free.receiver.messages) == (WOULD_BLOCK, 0)


async def test_best_and_least_loaded_look_at_the_agents_as_they_are(rig: Rig) -> None:
    low, high = offering(rig, "low", 50), offering(rig, "high", 80)
    for _ in range(2):
        rig.post(capability="sorting", routing_strategy="best")
    assert (low.receiver.messages, high.receiver.messages) == (0, 2)
    rig.post(capability="sorting", routing_strategy="least-loaded")
    assert (low.receiver.messages, high.receiver.messages) == (1, 2)
    high.receiver.max_messages = 4  # half full
    rig.post(capability="sorting", routing_strategy="best")
    assert (low.receiver.messages, high.receiver.messages) == (2, 2)


async def test_capabilities_come_and_go_with_their_agents(rig: Rig) -> None:
    a, b = offering(rig, "a"), offering(rig, "b")
    a.receiver.offer(registered={"ranking": 1, "sorting": 7})
    assert (index(rig).names(), a.receiver.offers) == (["ranking", "sorting"], {"sorting": 7, "ranking": 1})
    a.receiver.offer(registered={})
    assert (index(rig).names(), a.receiver.offers) == (["sorting"], {"sorting": 50})
    rig.bus.names.remove(a.receiver)
    a.receiver.offer(deployed={"late": 1})  # it is gone, so nobody can ask for it
    assert [receiver.name for receiver in index(rig).offering("sorting")] == ["b"]
    rig.bus.names.remove(b.receiver)
    assert (index(rig).names(), index(rig).offering("sorting")) == ([], [])
    unborn = rig.receiver("unborn")
    unborn.receiver.offer(deployed={"flying": 1})
    assert index(rig).names() == ["flying"]


async def test_agent_that_begins_to_offer_something_before_it_is_there_can_be_asked_once_it_is(rig: Rig) -> None:
    agent = rig.receiver("a")
    rig.bus.names.remove(agent.receiver)
    agent.receiver.offer(deployed={"sorting": 50})
    assert index(rig).names() == []
    rig.bus.names.add(agent.receiver)
    assert index(rig).names() == ["sorting"]


# --- nearest names -----------------------------------------------------------------------------------------------


async def test_nearest_names_are_few_and_found_quickly_among_very_many(rig: Rig) -> None:
    a = rig.receiver("a")
    a.receiver.offer(deployed={f"capability-{n:05}": 1 for n in range(50_000)} | {"translate-fr": 1})
    assert index(rig).nearest("translate") == ["translate-fr"]
    assert index(rig).nearest("translat-fr") == ["translate-fr"]
    assert index(rig).nearest("zzz" * 10_000) == []
    with mock.patch("caxton.bus.capabilities.nearest_few") as compare:
        index(rig).nearest("capability-00x")
        (_, known, limit), _ = compare.call_args
        assert (len(list(known)), limit) == (MAX_COMPARED, MAX_NEAREST)


# --- health and load ---------------------------------------------------------------------------------------------


async def test_health_is_what_the_agent_is(rig: Rig) -> None:
    a = rig.agent("a", lambda _turn, _message: FakeCrash(), replicas=2)
    receiver = a.receiver
    assert health(receiver) == HEALTHY
    rig.post("a")
    rig.pump()  # one of the replicas has crashed
    assert health(receiver) == DEGRADED
    rig.bus.queues.hold(receiver)
    assert health(receiver) == UNHEALTHY
    rig.bus.queues.let_go(receiver, in_pump=False)
    rig.start(a)
    assert health(receiver) == HEALTHY
    receiver.is_watched = True  # its last handling failed
    assert health(receiver) == DEGRADED
    rig.stop(a)
    assert health(receiver) == UNHEALTHY
    receiver.is_running = True  # none of its replicas is up
    assert health(receiver) == UNHEALTHY


async def test_load_is_how_full_the_mailbox_is(rig: Rig) -> None:
    a = rig.receiver("a", max_messages=4, max_bytes=1000)
    assert load(a.receiver) == 0
    a.receiver.take_room(100)
    assert load(a.receiver) == 0.25
    a.receiver.take_room(800)
    assert load(a.receiver) == 0.9
    a.receiver.take_room(800)
    assert load(a.receiver) == 1
