"""Agents that are removed owe nothing any more, and those who wait for them hear so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.bus.dead_letters import REASONS, REMOVED
from tests.unit.bus.rig import WORKSPACE

if TYPE_CHECKING:
    from tests.unit.conversations.talk import Talk

pytestmark = pytest.mark.anyio


def remove(talk: Talk, name: str) -> None:
    talk.rig.bus.names.remove(talk.agents[name].receiver)
    talk.room.referee.forget(WORKSPACE, name)
    talk.rig.pump()


@pytest.mark.parametrize("protocol", ["fipa-request", None])
async def test_new_agents_are_not_in_the_deadlock_of_those_who_had_their_names(
    talk: Talk, protocol: str | None
) -> None:
    talk.start("u", "v")
    talk.says("u", "v", "request", protocol, conversation_id="x", reply_with="r-1")
    talk.says("v", "u", "request", protocol, conversation_id="y", reply_with="r-2")
    await talk.rig.later(1)
    assert talk.room.watch.total == 1
    for name in ("u", "v"):
        remove(talk, name)
    assert talk.edges() == set()
    talk.start("u", "v")
    await talk.rig.later(2)
    assert (talk.room.watch.found, talk.room.watch.total) == ({}, 1)


@pytest.mark.parametrize("agreed", [False, True])
async def test_initiator_hears_at_once_that_who_owes_an_answer_was_removed(talk: Talk, agreed: bool) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request", reply_with="r-1", reply_by=talk.at(60))
    if agreed:
        talk.says("b", "a", "agree", in_reply_to="r-1")
    remove(talk, "b")
    sender, act, content = talk.last("a")
    assert (sender, act) == ("ams", "failure")
    assert content == {
        "error": "MESSAGE_UNDELIVERABLE", "reason": REMOVED, "detail": REASONS[REMOVED], "receiver": "b",
        "message_id": None,
    }  # fmt: skip
    assert talk.messages("a")[-1].in_reply_to == "r-1"
    assert (talk.state("b"), talk.edges()) == ("failed", set())
    await talk.rig.later(120)
    assert talk.heard("a")[-1:] == ["failure"]
    assert talk.heard("a").count("failure") == 1


async def test_others_of_the_conversation_go_on(talk: Talk) -> None:
    talk.start("m", "x", "y")
    talk.says("m", ["x", "y"], "cfp", "fipa-contract-net")
    remove(talk, "y")
    assert (talk.last("m")[:2], talk.state("y")) == (("ams", "refuse"), "refused")
    talk.says("x", "m", "propose", "fipa-contract-net")
    talk.says("m", "x", "accept-proposal", "fipa-contract-net")
    talk.says("x", "m", "inform", "fipa-contract-net")
    assert talk.heard("m") == ["refuse", "propose", "inform"]
    assert talk.room.referee.violations == 0


async def test_nobody_hears_anything_of_one_that_had_nothing_to_say(talk: Talk) -> None:
    talk.start("m", "x", "y")
    talk.says("m", "x", "cfp", "fipa-contract-net")
    talk.says("x", "m", "propose", "fipa-contract-net")
    talk.says("m", "y", "request", conversation_id="done")
    talk.says("y", "m", "inform", conversation_id="done")
    before = talk.heard("m")
    for name in ("x", "y"):
        remove(talk, name)
    assert talk.heard("m") == before
    assert talk.state("x") == "proposed"


async def test_one_that_asked_itself_waits_for_nobody_and_writes_to_nobody(talk: Talk) -> None:
    talk.start("u")
    talk.says("u", "u", "request")
    assert talk.edges() == {("u", "u")}
    remove(talk, "u")
    assert talk.edges() == set()
    talk.start("u")
    talk.rig.pump()
    assert talk.heard("u") == []
