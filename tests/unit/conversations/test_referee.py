"""The referee on the bus: what is out of place does not arrive, and who said it is told what it may say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.core.errors.conversations import ProtocolViolation
from tests.unit.bus.rig import WORKSPACE, Caller
from tests.unit.conversations.talk import CONVERSATION

if TYPE_CHECKING:
    from tests.unit.conversations.talk import Talk

pytestmark = pytest.mark.anyio


# --- out of place ------------------------------------------------------------------------------------------------


async def test_illegal_act_is_not_delivered_and_its_sender_learns_state_and_allowed_acts(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request")
    talk.says("b", "a", "propose", reply_with="p-1")
    assert talk.heard("a") == []
    sender, act, content = talk.last("b")
    assert (sender, act, content["error"]) == ("ams", "not-understood", "PROTOCOL_VIOLATION")
    assert (content["state"], content["act"]) == ("requested", "propose")
    assert content["allowed"] == ["agree", "failure", "inform", "not-understood", "refuse"]
    answer = talk.messages("b")[-1]
    assert (answer.in_reply_to, answer.conversation_id, answer.protocol) == ("p-1", CONVERSATION, "fipa-request")
    assert talk.state("b") == "requested"
    await talk.rig.commit()
    ((reason, error),) = talk.dead_letters()
    assert reason == "protocol"
    assert error is not None
    assert "requested" in error
    assert "agree, failure, inform" in error
    assert talk.rig.bus.names.directory(WORKSPACE).messages == 0


async def test_conversation_goes_on_after_a_violation(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request")
    talk.says("b", "a", "propose")
    talk.says("b", "a", "agree")
    talk.says("b", "a", "inform")
    assert talk.heard("a") == ["agree", "inform"]


async def test_answer_to_a_conversation_that_is_not_there_is_out_of_place(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("b", "a", "inform", in_reply_to="nothing")
    assert talk.heard("a") == []
    _, act, content = talk.last("b")
    assert (act, content["state"], content["allowed"]) == ("not-understood", "start", ["request"])


async def test_third_agent_cannot_answer_for_another(talk: Talk) -> None:
    talk.start("a", "b", "c")
    talk.says("a", "b", "request")
    talk.says("c", "a", "inform")
    assert talk.heard("a") == []
    assert "takes no part" in talk.last("c")[2]["reason"]
    talk.says("c", "b", "agree")
    assert talk.heard("b") == ["request"]


async def test_conversation_id_of_others_cannot_be_used_again(talk: Talk) -> None:
    talk.start("a", "b", "c")
    talk.says("a", "b", "request")
    for receiver in ("a", "b"):
        talk.says("c", receiver, "request")
        assert talk.last("c")[1] == "not-understood"
        assert "taken" in talk.last("c")[2]["reason"]
    assert (talk.heard("a"), talk.heard("b")) == ([], ["request"])


async def test_other_protocol_in_the_same_conversation_is_out_of_place(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request")
    talk.says("a", "b", "cfp", protocol="fipa-contract-net")
    assert talk.heard("b") == ["request"]
    assert "parent_conversation" in talk.last("a")[2]["reason"]


async def test_not_understood_is_not_answered_in_the_same_way(talk: Talk) -> None:
    """Two who answer everything would go on for ever."""
    talk.start("a", "b")
    talk.says("a", "b", "not-understood")
    assert (talk.heard("a"), talk.heard("b")) == ([], [])


async def test_full_mailbox_gets_no_notice(talk: Talk) -> None:
    """An agent that breaks rules all the time must not fill memory with what it is told."""
    talk.start("a", "b", max_messages=3)
    talk.rig.bus.queues.hold(talk.agents["a"].receiver)
    for n in range(3):
        talk.rig.post("a", n)
    for _ in range(5):
        talk.says("a", "b", "inform")
    assert talk.agents["a"].receiver.messages == 3


async def test_dead_letters_of_one_who_breaks_rules_all_the_time_are_bounded(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caxton.conversations.referee.MAX_LETTERS", 5)
    talk.start("a", "b", "c")
    for _ in range(20):
        talk.says("a", "b", "inform")
    talk.says("c", "b", "inform")
    await talk.rig.commit()
    assert len(talk.dead_letters()) == 6
    assert talk.heard("a") == ["not-understood"] * 20
    assert (talk.heard("b"), talk.rig.bus.names.directory(WORKSPACE).messages) == ([], 0)
    talk.clock.advance(2)
    talk.says("a", "b", "inform")
    await talk.rig.commit()
    assert len(talk.dead_letters()) == 7


async def test_error_of_the_referee_costs_no_message(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    talk.start("a", "b")
    monkeypatch.setattr(talk.room.table, "begin", None)
    talk.says("a", "b", "request")
    talk.rig.post("b", performative="request", protocol="fipa-request")
    talk.rig.pump()
    assert talk.heard("b") == ["request", "request"]
    assert talk.rig.bus.names.directory(WORKSPACE).messages == 0


async def test_what_a_failed_handler_said_changes_no_conversation(talk: Talk) -> None:
    talk.start("a", "b")
    turn = talk.rig.boot_turn(talk.agents["a"])
    turn.send(b'{"performative":"request","protocol":"fipa-request","receiver":"b","conversation_id":"c-1"}')
    turn.release()
    assert talk.find() is None


# --- clients -----------------------------------------------------------------------------------------------------


async def test_client_that_breaks_a_rule_is_refused_and_nothing_is_accepted(talk: Talk) -> None:
    talk.start("b")
    with pytest.raises(ProtocolViolation) as caught:
        talk.rig.post("b", performative="agree", protocol="fipa-request")
    assert caught.value.details()["allowed"] == ["request"]
    talk.rig.pump()
    assert talk.heard("b") == []
    assert talk.rig.journal.changed_rows() == 0


async def test_client_converses_as_agents_do(talk: Talk) -> None:
    talk.start("b")
    caller = Caller()
    message = talk.rig.post("b", performative="request", protocol="fipa-request", caller=caller)
    talk.rig.pump()
    conversation = message.conversation_id
    assert talk.edges() == {("client:admin", "b")}
    talk.says("b", "client:admin", "agree", conversation_id=conversation, in_reply_to=message.reply_with)
    talk.says("b", "client:admin", "inform", conversation_id=conversation, in_reply_to=message.reply_with)
    await talk.rig.commit()
    assert [reply["performative"] for reply in caller.replies] == ["inform"]
    assert talk.edges() == set()
    talk.says("b", "client:admin", "inform", conversation_id=conversation)
    assert talk.last("b")[1] == "not-understood"


async def test_agent_may_converse_with_itself(talk: Talk) -> None:
    talk.start("a")
    for act in ("request", "agree", "inform"):
        talk.says("a", "a", act)
    assert (talk.heard("a"), talk.state("a")) == (["request", "agree", "inform"], "done")
    talk.says("a", "a", "inform")
    assert talk.heard("a")[-1] == "not-understood"


async def test_answer_may_go_where_the_question_says(talk: Talk) -> None:
    talk.start("a", "b", "c", "d")
    talk.says("a", "b", "request", reply_to="c")
    talk.says("b", "d", "inform")
    talk.says("b", "c", "inform")
    assert (talk.heard("c"), talk.heard("d"), talk.state("b")) == (["inform"], [], "done")
    assert talk.edges() == set()


# --- in order ----------------------------------------------------------------------------------------------------


async def test_conversation_without_id_gets_one_and_a_reference_for_its_answer(talk: Talk) -> None:
    talk.start("a", "b", "c")
    talk.says("a", ["b", "c"], "request", conversation_id=None)
    (first,), (second,) = talk.messages("b"), talk.messages("c")
    assert first.conversation_id is not None
    assert first.conversation_id == second.conversation_id
    assert first.reply_with
    assert talk.edges() == {("a", "b"), ("a", "c")}


async def test_messages_without_protocol_are_free(talk: Talk) -> None:
    talk.start("a", "b")
    for act in ("agree", "refuse", "propose", "inform"):
        talk.says("a", "b", act, protocol=None)
    assert len(talk.heard("b")) == 4
    assert talk.room.referee.judged == 0


async def test_ended_conversation_may_be_begun_anew_by_who_began_it(talk: Talk) -> None:
    talk.start("a", "b")
    for _ in range(2):
        talk.says("a", "b", "request")
        talk.says("b", "a", "inform")
    assert talk.heard("a") == ["inform", "inform"]
    talk.says("b", "a", "request")
    assert talk.heard("a") == ["inform", "inform"]


async def test_cancel_is_answered_and_told_from_an_answer_that_crossed_it(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "subscribe", "fipa-subscribe")
    talk.says("b", "a", "inform", "fipa-subscribe")
    talk.says("a", "b", "cancel", "fipa-subscribe")
    reference = talk.messages("b")[-1].reply_with
    talk.says("b", "a", "inform", "fipa-subscribe")
    found = talk.find()
    assert found is not None
    assert not found.ended_us
    talk.says("b", "a", "inform", "fipa-subscribe", in_reply_to=reference)
    assert talk.state("b") == "cancelled"
    talk.says("b", "a", "inform", "fipa-subscribe")
    assert len(talk.heard("a")) == 3


async def test_answer_without_reference_is_none_to_a_cancel_of_another_participant(talk: Talk) -> None:
    talk.start("a", "b", "c")
    talk.says("a", ["b", "c"], "subscribe", "fipa-subscribe")
    talk.says("a", "c", "cancel", "fipa-subscribe")
    talk.says("b", "a", "inform", "fipa-subscribe")
    assert talk.heard("a") == ["inform"]
    assert (talk.state("b"), talk.state("c").partition(":")[0]) == ("subscribed", "cancelling")
    talk.says("b", "a", "failure", "fipa-subscribe")
    talk.says("b", "a", "inform", "fipa-subscribe")
    assert talk.heard("a") == ["inform", "failure"]


async def test_end_of_an_auction_does_not_begin_another(talk: Talk) -> None:
    auction = "fipa-auction-english"
    talk.start("a", "b", "c")
    talk.says("a", ["b", "c"], "inform", auction)
    talk.says("b", "a", "not-understood", auction)
    talk.says("a", "c", "cfp", auction)
    talk.says("a", ["c", "b"], "inform", auction)
    assert (talk.state("b"), talk.heard("b")) == ("not-understood", ["inform"])
    assert (talk.state("c"), talk.heard("c")) == ("closed", ["inform", "cfp", "inform"])


# --- modes -------------------------------------------------------------------------------------------------------


async def test_warn_delivers_and_says_so(talk: Talk) -> None:
    talk.start("a", "b")
    talk.room.set_mode(WORKSPACE, "warn")
    talk.says("b", "a", "inform")
    assert (talk.heard("a"), talk.heard("b")) == (["inform"], [])
    assert [agent for agent, _ in talk.warnings] == ["b"]
    assert [about and about.message_id for about in talk.warned_of] == [talk.messages("a")[0].message_id]
    talk.rig.post("a", performative="agree", protocol="fipa-request")


async def test_off_looks_at_nothing(talk: Talk) -> None:
    talk.start("a", "b")
    talk.room.set_mode(WORKSPACE, "off")
    talk.says("b", "a", "inform")
    assert (talk.heard("a"), talk.warnings) == (["inform"], [])


async def test_what_is_open_when_it_is_switched_off_is_over_and_nobody_is_told(talk: Talk) -> None:
    talk.start("a", "b")
    talk.room.book.max_in_memory = 2
    for n in range(20):
        talk.says("a", "b", "request", conversation_id=f"c-{n}", reply_by=talk.at(5))
        await talk.rig.commit()
    talk.says("a", "b", "request", None, conversation_id="free", reply_with="r")
    talk.room.set_mode(WORKSPACE, "off")
    assert (talk.room.book.open, talk.edges()) == (0, set())
    talk.says("b", "a", "inform", conversation_id="c-3")
    await talk.rig.later(10)
    assert talk.heard("a") == ["inform"]
    await talk.rig.commit()
    assert set(talk.rig.rows("SELECT outcome FROM conversations")) == {("unwatched",)}
    assert talk.room.table.ended["unwatched"] > 0
    talk.crash()
    assert talk.room.book.open == 0


async def test_mode_of_a_workspace_outlives_a_restart(talk: Talk) -> None:
    talk.start("a", "b")
    talk.room.set_mode(WORKSPACE, "warn")
    await talk.rig.commit()
    talk.crash()
    talk.says("b", "a", "inform")
    assert talk.heard("a") == ["inform"]


async def test_unknown_protocol_is_free_with_one_warning(talk: Talk) -> None:
    talk.start("a", "b")
    for _ in range(3):
        talk.says("a", "b", "agree", protocol="fipa-requst")
    assert len(talk.heard("b")) == 3
    ((agent, text),) = talk.warnings
    assert agent == "a"
    assert [about and about.message_id for about in talk.warned_of] == [talk.messages("b")[0].message_id]
    assert "did you mean fipa-request" in text


async def test_unknown_protocol_is_refused_where_it_is_strict(talk: Talk) -> None:
    talk.start("a", "b")
    talk.room.set_mode(WORKSPACE, "strict")
    talk.says("a", "b", "agree", protocol="fipa-requst")
    assert talk.heard("b") == []
    assert talk.last("a")[1] == "not-understood"
    with pytest.raises(ProtocolViolation, match="did you mean fipa-request"):
        talk.rig.post("b", performative="agree", protocol="fipa-requst")


# --- crashes -----------------------------------------------------------------------------------------------------


async def test_state_is_that_of_the_commit_after_a_crash(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request")
    await talk.rig.commit()
    talk.says("b", "a", "agree")
    talk.crash()
    assert talk.state("b") == "requested"
    assert talk.edges() == {("a", "b")}
    talk.says("b", "a", "agree")
    talk.says("b", "a", "inform")
    await talk.rig.commit()
    talk.crash()
    assert talk.edges() == set()
    assert talk.rig.rows("SELECT count(*) FROM conversations WHERE ended_us IS NULL") == [(0,)]


async def test_what_begins_and_ends_between_two_commits_is_not_written(talk: Talk) -> None:
    talk.start("a", "b")
    talk.says("a", "b", "request")
    talk.says("b", "a", "inform")
    await talk.rig.commit()
    assert talk.rig.rows("SELECT count(*) FROM conversations") == [(0,)]
    found = talk.find()
    assert found is not None
    assert found.outcome == "completed"
