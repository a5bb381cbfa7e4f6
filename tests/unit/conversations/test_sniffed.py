"""What a listener sees of what the referee keeps back, and of what the node says instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus.tap import GATHER_S
from caxton.core.views.messages import Sighting
from tests.unit.bus.rig import WORKSPACE

if TYPE_CHECKING:
    from caxton.bus.tap import Listener
    from tests.unit.conversations.talk import Talk

CNET = "fipa-contract-net"


async def arrows(talk: Talk, listener: Listener) -> list[tuple[str, str, str, str, str | None]]:
    """(event, sender, receiver, act, reason) of what came."""
    talk.rig.clock.advance(GATHER_S)
    await talk.rig.commit()
    seen = [one for one in await listener.__anext__() if isinstance(one, Sighting)]
    return [(one.event, one.sender, one.receiver, one.performative, one.reason) for one in seen]


async def test_act_out_of_place_is_a_dead_letter_that_was_never_sent(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request")
    listener = talk.rig.bus.tap.listen(WORKSPACE)
    talk.says("b", "a", "propose")
    talk.says("b", "a", "agree")
    assert await arrows(talk, listener) == [
        ("dead", "b", "a", "propose", "protocol"),
        ("sent", "ams", "b", "not-understood", None),
        ("sent", "b", "a", "agree", None),
    ]


async def test_only_the_copies_that_were_kept_back_are_not_sent(talk: Talk) -> None:
    talk.start("a", "b", "c")
    talk.says("a", "b", "request")
    listener = talk.rig.bus.tap.listen(WORKSPACE)
    talk.says("a", ["b", "c"], "request")
    assert sorted(await arrows(talk, listener)) == [
        ("dead", "a", "b", "request", "protocol"),
        ("sent", "a", "c", "request", None),
        ("sent", "ams", "a", "not-understood", None),
    ]


async def test_late_proposal_is_refused_as_late_and_then_rejected_in_the_initiators_name(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "cfp", CNET, reply_by=talk.at(10))
    await talk.rig.later(11)
    listener = talk.rig.bus.tap.listen(WORKSPACE)
    talk.says("b", "a", "propose", CNET)
    assert await arrows(talk, listener) == [
        ("refused", "b", "a", "propose", "late"),
        ("sent", "a", "b", "reject-proposal", None),
    ]


async def test_silence_is_seen_as_what_the_node_says_of_it(talk: Talk) -> None:
    talk.start("a", "b")
    listener = talk.rig.bus.tap.listen(WORKSPACE)
    talk.says("a", "b", "request", reply_by=talk.at(10))
    await talk.rig.later(11)
    assert ("sent", "ams", "a", "failure", None) in await arrows(talk, listener)
