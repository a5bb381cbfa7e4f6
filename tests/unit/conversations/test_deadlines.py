"""Answers that do not come, and conversations in which nobody says anything any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.conversations.deadlines import WITHIN_US
from caxton.conversations.settings import ConversationSettings
from tests.unit.bus.rig import WORKSPACE
from tests.unit.conversations.talk import CONVERSATION, Talk

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.testing.clock import ManualClock

pytestmark = pytest.mark.anyio

NET = "fipa-contract-net"
HOUR = 3600


async def test_initiator_hears_once_of_all_who_were_silent(talk: Talk) -> None:
    talk.start("a", "b", "c")
    talk.says("a", ["b", "c"], "request", reply_by=talk.at(10), reply_with="r-1")
    await talk.rig.later(9.9)
    assert talk.heard("a") == []
    await talk.rig.later(0.2)
    sender, act, content = talk.last("a")
    assert (sender, act, content["error"]) == ("ams", "failure", "DEADLINE_PASSED")
    assert (content["silent"], content["silent_count"]) == (["b", "c"], 2)
    assert talk.messages("a")[-1].in_reply_to == "r-1"
    assert len(talk.heard("a")) == 1
    assert talk.state("b") == "expired"
    assert talk.edges() == set()


async def test_answer_after_the_deadline_is_out_of_place(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request", reply_by=talk.at(10))
    await talk.rig.later(11)
    talk.says("b", "a", "inform")
    assert talk.heard("a") == ["failure"]
    assert talk.last("b")[2]["state"] == "expired"


async def test_answer_in_time_ends_the_deadline(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request", reply_by=talk.at(10))
    talk.says("b", "a", "agree")
    await talk.rig.later(60)
    assert talk.heard("a") == ["agree"]
    assert talk.state("b") == "agreed"


async def test_deadline_holds_over_a_crash(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request", reply_by=talk.at(10))
    await talk.rig.commit()
    talk.crash()
    await talk.rig.later(11)
    assert talk.heard("a") == ["failure"]


async def test_deadline_that_passed_while_the_node_was_down_is_told_at_start(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request", reply_by=talk.at(10))
    await talk.rig.commit()
    talk.clock.advance(HOUR)
    talk.crash()
    await talk.rig.later(0.1)
    assert talk.heard("a") == ["failure"]
    await talk.rig.commit()
    talk.crash()
    await talk.rig.later(1)
    assert talk.heard("a") == []


async def test_far_deadline_is_found_in_the_journal(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request", reply_by=talk.at(2 * WITHIN_US / 1e6))
    await talk.rig.commit()
    for _ in range(int(2 * WITHIN_US / 1e6) - 1):
        await talk.rig.later(1)
    assert talk.heard("a") == []
    await talk.rig.later(1.1)
    assert talk.heard("a") == ["failure"]


async def test_many_deadlines_at_once_pass_at_once_wherever_their_conversations_are(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caxton.conversations.deadlines.ROWS_AT_ONCE", 50)
    talk.start("a", "b", max_messages=10_000)
    talk.room.book.max_in_memory = 20
    due, until_us = talk.at(200), talk.clock.wall_us() + 199 * 10**6
    for n in range(600):
        talk.says("a", "b", "request", conversation_id=f"c-{n}", reply_by=due)
        if n % 10 == 9:
            await talk.rig.commit()
    assert len(list(talk.room.book.in_memory())) < 100
    while talk.clock.wall_us() < until_us:
        await talk.rig.later(0.9)
    assert talk.heard("a") == []
    for _ in range(8):
        await talk.rig.later(0.25)
    assert talk.heard("a") == ["failure"] * 600


async def test_answered_questions_leave_no_deadline_behind(talk: Talk) -> None:
    talk.start("a", "b")
    for n in range(3000):
        talk.says("a", "b", "request", conversation_id=f"c-{n}", reply_by=talk.at(100))
        talk.says("b", "a", "inform", conversation_id=f"c-{n}")
    assert talk.room.deadlines.waiting <= 1100


async def test_client_that_waits_hears_of_the_deadline(talk: Talk) -> None:
    talk.start("b")
    talk.rig.post(
        "b", performative="request", protocol="fipa-request", reply_by=talk.at(5), conversation_id=CONVERSATION
    )
    talk.rig.pump()
    await talk.rig.later(6)
    await talk.rig.commit()
    bodies = talk.rig.rows("SELECT body FROM messages WHERE receiver = 'client:admin'")
    assert len(bodies) == 1
    assert b"DEADLINE_PASSED" in bodies[0][0]


async def test_late_proposal_is_rejected_for_the_initiator_who_does_not_see_it(talk: Talk) -> None:
    talk.start("m", "x", "y")
    talk.says("m", ["x", "y"], "cfp", NET, reply_by=talk.at(10))
    talk.says("x", "m", "propose", NET)
    await talk.rig.later(11)
    talk.says("y", "m", "propose", NET, reply_with="late-1")
    assert talk.heard("m") == ["propose", "failure"]
    assert talk.last("m")[2]["silent"] == ["y"]
    assert talk.last("y") == ("m", "reject-proposal", {"reason": "late"})
    assert talk.messages("y")[-1].in_reply_to == "late-1"
    talk.says("m", "x", "accept-proposal", NET)
    talk.says("x", "m", "inform", NET)
    assert talk.heard("x") == ["cfp", "accept-proposal"]
    talk.says("y", "m", "propose", NET)
    assert talk.last("y")[1] == "not-understood"
    await talk.rig.commit()
    assert [reason for reason, _ in talk.dead_letters()] == ["protocol"]
    assert talk.agents["m"].receiver.messages == 0


async def test_late_proposal_after_the_end_of_the_conversation_is_rejected_too(talk: Talk) -> None:
    talk.start("m", "x", "y")
    talk.says("m", ["x", "y"], "cfp", NET, reply_by=talk.at(10))
    await talk.rig.later(11)
    found = talk.find()
    assert found is not None
    assert found.ended_us
    talk.says("x", "m", "propose", NET)
    assert talk.last("x") == ("m", "reject-proposal", {"reason": "late"})


async def test_late_proposal_is_rejected_once_after_a_restart_too(talk: Talk) -> None:
    talk.start("m", "x", "y")
    talk.says("m", ["x", "y"], "cfp", NET, reply_by=talk.at(10))
    await talk.rig.commit()
    await talk.rig.later(11)
    await talk.rig.commit()
    talk.crash()
    talk.says("x", "m", "propose", NET)
    assert talk.last("x") == ("m", "reject-proposal", {"reason": "late"})
    talk.says("x", "m", "propose", NET)
    assert talk.last("x")[1] == "not-understood"


@pytest.mark.parametrize(("idle_h", "max_h", "outcome"), [(2, 100, "idle"), (100, 2, "too-old")])
async def test_stale_conversation_ends_and_who_waits_hears_of_it(
    tmp_path: Path, clock: ManualClock, idle_h: int, max_h: int, outcome: str
) -> None:
    settings = ConversationSettings(idle_us=idle_h * HOUR * 10**6, max_age_us=max_h * HOUR * 10**6)
    talk = Talk(tmp_path / "journal.db", clock, settings)
    talk.start("a", "b")
    talk.says("a", "b", "request")
    await talk.rig.commit()
    for _ in range(3):
        clock.advance(HOUR)
        await talk.rig.later(30)
        await talk.rig.commit()
    assert talk.last("a")[1:] == ("failure", {"error": "CONVERSATION_ENDED", "outcome": outcome})
    assert talk.heard("b") == ["request"]
    assert talk.edges() == set()
    assert talk.rig.rows("SELECT outcome FROM conversations") == [(outcome,)]
    talk.says("b", "a", "inform")
    assert (talk.heard("a"), talk.last("b")[2]["state"]) == (["failure"], outcome)
    talk.says("a", "b", "request")
    assert talk.heard("b") == ["request", "not-understood", "request"]
    talk.close()


async def test_operator_cancels_in_the_name_of_the_initiator_and_the_participant_answers(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request")
    found = talk.find()
    assert found is not None
    assert talk.room.deadlines.cancel(found, "client:admin") == ["b"]
    assert talk.room.deadlines.cancel(found, "client:admin") == []
    talk.rig.pump()
    assert talk.last("b") == ("a", "cancel", {"by": "client:admin"})
    talk.says("b", "a", "inform", in_reply_to=talk.messages("b")[-1].reply_with)
    assert talk.heard("a") == ["inform"]
    assert found.outcome == "cancelled"
    await talk.rig.later(60)
    assert talk.heard("a") == ["inform"]


async def test_conversation_that_an_operator_cancelled_ends_without_an_answer_too(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request")
    found = talk.find()
    assert found is not None
    talk.room.deadlines.cancel(found, "client:admin")
    talk.rig.pump()
    await talk.rig.commit()
    await talk.rig.later(31)
    assert talk.last("a")[1] == "failure"
    assert talk.last("a")[2]["silent"] == ["b"]
    await talk.rig.commit()
    assert talk.rig.rows("SELECT workspace, outcome FROM conversations") == [(WORKSPACE, "cancelled")]
    assert talk.edges() == set()


# --- messages that nobody could handle ---------------------------------------------------------------------------


async def test_initiator_hears_at_once_when_its_request_becomes_a_dead_letter(talk: Talk) -> None:
    talk.start("a")
    talk.agents["b"] = talk.rig.agent("b", lambda _turn, _message: 7)
    talk.says("a", "b", "request", reply_with="r-1")
    for _ in range(5):
        await talk.rig.later(60)
    sender, act, content = talk.last("a")
    assert (sender, act, content["error"], content["reason"]) == ("ams", "failure", "MESSAGE_UNDELIVERABLE", "failed")
    assert content["detail"] == "its handler returned 7"
    assert talk.messages("a")[-1].in_reply_to == "r-1"
    assert talk.state("b") == "failed"
    assert talk.edges() == set()
    assert len(talk.heard("a")) == 1


async def test_bidder_that_cannot_handle_a_call_counts_as_refusing(talk: Talk) -> None:
    talk.start("m", "x")
    talk.agents["y"] = talk.rig.agent("y", lambda _turn, _message: 7)
    talk.says("m", ["x", "y"], "cfp", NET)
    for _ in range(5):
        await talk.rig.later(60)
    assert talk.last("m")[:2] == ("ams", "refuse")
    assert talk.state("y") == "refused"


async def test_proposal_that_cannot_be_handled_counts_as_rejected(talk: Talk) -> None:
    talk.start("a")
    talk.agents["b"] = talk.rig.agent("b", lambda _turn, _message: 7)
    talk.says("a", "b", "propose", "fipa-propose")
    for _ in range(5):
        await talk.rig.later(60)
    assert talk.last("a")[:2] == ("ams", "reject-proposal")


async def test_deadline_and_expired_message_are_told_as_one(talk: Talk) -> None:
    talk.start("a")
    talk.agents["b"] = talk.rig.receiver("b")
    talk.says("a", "b", "request", reply_by=talk.at(10))
    await talk.rig.later(11)
    assert talk.heard("a") == ["failure"]


async def test_what_a_participant_said_to_a_broken_initiator_changes_nothing(talk: Talk) -> None:
    talk.start("b")
    talk.agents["a"] = talk.rig.agent("a", lambda _turn, _message: 7)
    talk.says("a", "b", "request")
    talk.says("b", "a", "agree")
    for _ in range(5):
        await talk.rig.later(60)
    assert talk.state("b") == "agreed"
    assert talk.heard("b") == ["request"]
