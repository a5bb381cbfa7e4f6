"""Those outside who wait for a reply: they hear of it once, after the commit, and only of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.testing.handlers import FakeCrash, say
from tests.unit.bus.rig import Caller, Rig

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage


def answer(turn: Turn, message: AclMessage, content: object = "answer", **fields: object) -> int:
    """Reply as a well-behaved agent does."""
    given = {"in_reply_to": message.reply_with, "conversation_id": message.conversation_id, **fields}
    return turn.send(say(message.sender, content, **given))


def echo(turn: Turn, message: AclMessage) -> int:
    return answer(turn, message, bytes(message.content).decode())


async def test_reply_is_told_only_after_the_commit_that_holds_it(rig: Rig) -> None:
    rig.agent("b", answer)
    caller = Caller()
    rig.post("b", 1, caller=caller)
    rig.pump()
    await rig.turn_loop()
    assert len(rig.database.asked) == 1  # somebody waits, so the writer has been asked at once
    assert not caller.has_heard
    rig.database.let_go()
    await rig.turn_loop()
    assert [reply["content"] for reply in caller.replies] == ["answer"]
    assert rig.rows("SELECT receiver FROM messages WHERE settled_us IS NOT NULL ORDER BY seq") == [
        ("b",),
        ("client:admin",),
    ]


async def test_reply_that_comes_during_a_commit_waits_for_the_next_one(rig: Rig) -> None:
    rig.agent("b", answer)
    rig.post("b", 0)
    rig.journal.after_commit(lambda: None)
    await rig.turn_loop()
    assert len(rig.database.asked) == 1  # taken before the handler has run
    caller = Caller()
    rig.post("b", 1, caller=caller)
    rig.pump()
    rig.database.let_go()
    await rig.turn_loop()
    assert not caller.has_heard
    rig.database.let_go()
    await rig.turn_loop()
    assert len(caller.replies) == 1


async def test_reply_is_never_told_when_the_disk_fails(rig: Rig) -> None:
    rig.agent("b", answer)
    caller = Caller()
    rig.post("b", 1, caller=caller)
    rig.pump()
    await rig.turn_loop()
    rig.database.fails_with = OSError("no space")
    rig.database.let_go()
    await rig.turn_loop()
    await rig.commit()
    assert not caller.has_heard


async def test_agree_announces_the_reply_and_is_none(rig: Rig) -> None:
    def agree_then_answer(turn: Turn, message: AclMessage) -> int:
        return answer(turn, message, performative="agree") or answer(turn, message, 42)

    rig.agent("b", agree_then_answer)
    caller = Caller()
    rig.post("b", 1, caller=caller)
    rig.pump()
    await rig.commit()
    assert [reply["content"] for reply in caller.replies] == [42]


async def test_refusals_end_the_wait(rig: Rig) -> None:
    for act in ("refuse", "failure", "not-understood"):
        rig.agent(act, lambda turn, message, act=act: answer(turn, message, performative=act))
        caller = Caller()
        rig.post(act, 1, caller=caller)
        rig.pump()
        await rig.commit()
        assert [reply["performative"] for reply in caller.replies] == [act]


async def test_failure_reaches_the_caller_after_the_commit_and_the_message_is_tried_once(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: 3)
    caller = Caller()
    rig.post("b", 1, caller=caller)
    rig.pump()
    await rig.turn_loop()
    assert not caller.has_heard
    await rig.commit()
    assert caller.failures == [("its handler returned 3", None)]
    await rig.later(60)
    assert b.contents == [1]
    assert [(letter[0], letter[3]) for letter in rig.dead()] == [(1, 1)]


async def test_crash_reaches_the_caller_with_its_kind(rig: Rig) -> None:
    crash = FakeCrash()
    rig.agent("b", lambda _turn, _message: crash)
    caller = Caller()
    rig.post("b", 1, caller=caller)
    rig.pump()
    await rig.commit()
    assert caller.failures == [(crash.reason, crash)]


async def test_caller_hears_when_the_agent_is_removed(rig: Rig) -> None:
    b = rig.receiver("b")
    caller = Caller()
    rig.post("b", 1, caller=caller)
    rig.bus.names.remove(b.receiver)
    await rig.commit()
    assert caller.failures == [("the agent was removed", None)]


async def test_reply_without_reference_is_known_by_its_conversation(rig: Rig) -> None:
    rig.agent("b", lambda turn, m: turn.send(say(m.sender, 7, conversation_id=m.conversation_id)))
    caller = Caller()
    rig.post("b", 1, caller=caller)
    rig.pump()
    await rig.commit()
    assert [reply["content"] for reply in caller.replies] == [7]


async def test_message_that_refers_to_nothing_is_no_reply(rig: Rig) -> None:
    rig.agent("b", lambda turn, m: turn.send(say(m.sender, "news")))
    callers = [Caller() for _ in range(3)]
    for caller, reference in zip(callers, ("None", "null", "x"), strict=True):
        rig.post("b", 1, caller=caller, reply_with=reference, conversation_id=reference)
    rig.pump()
    await rig.commit()
    assert not any(caller.has_heard for caller in callers)
    assert rig.rows("SELECT count(*) FROM messages WHERE receiver = 'client:admin'") == [(3,)]  # kept all the same


async def test_reply_to_one_client_is_never_told_to_another(rig: Rig) -> None:
    """Both chose the same reference; each gets what was sent to it."""
    rig.agent("b", lambda turn, m: answer(turn, m, m.sender))
    alice, bob = Caller(), Caller()
    rig.post("b", 1, caller=alice, sender="alice", reply_with="r", conversation_id="c")
    rig.post("b", 2, caller=bob, sender="bob", reply_with="r", conversation_id="c")
    rig.pump()
    await rig.commit()
    assert [reply["content"] for reply in alice.replies] == ["client:alice"]
    assert [reply["content"] for reply in bob.replies] == ["client:bob"]


async def test_two_questions_of_one_conversation_get_their_own_replies(rig: Rig) -> None:
    rig.agent("b", echo)
    first, second = Caller(), Caller()
    rig.post("b", 1, caller=first, conversation_id="c")
    rig.post("b", 2, caller=second, conversation_id="c")
    rig.pump()
    await rig.commit()
    assert [reply["content"] for reply in first.replies] == ["1"]
    assert [reply["content"] for reply in second.replies] == ["2"]


async def test_who_stops_waiting_takes_no_other_waiter_along(rig: Rig) -> None:
    b = rig.receiver("b")
    first, second = Caller(), Caller()
    asked = rig.post("b", 1, caller=first, conversation_id="c", reply_with="r")
    rig.post("b", 2, caller=second, conversation_id="c", reply_with="r")
    rig.bus.replies.stop("default", asked, first.waiter)
    rig.start(b, echo)
    rig.pump()
    await rig.commit()
    assert not first.has_heard
    assert [reply["content"] for reply in second.replies][-1:] == ["2"]


async def test_reply_that_comes_too_late_is_kept_and_told_to_nobody(rig: Rig) -> None:
    b = rig.receiver("b")
    caller = Caller()
    asked = rig.post("b", 1, caller=caller)
    rig.bus.replies.stop("default", asked, caller.waiter)
    rig.start(b, answer)
    rig.pump()
    await rig.commit()
    assert not caller.has_heard
    assert rig.rows("SELECT conversation_id FROM messages WHERE receiver = 'client:admin'") == [
        (asked.conversation_id,)
    ]


async def test_reply_to_several_names_each_client_alone(rig: Rig) -> None:
    rig.agent("b", lambda turn, m: turn.send(say([m.sender, "client:other"], 1, in_reply_to=m.reply_with)))
    caller = Caller()
    rig.post("b", 1, caller=caller)
    rig.pump()
    await rig.commit()
    assert [reply["receiver"] for reply in caller.replies] == ["client:admin"]


async def test_nothing_is_kept_of_callers_who_are_gone(rig: Rig) -> None:
    rig.agent("b", answer)
    for _ in range(10):
        caller = Caller()
        asked = rig.post("b", 1, caller=caller)
        rig.pump()
        rig.bus.replies.stop("default", asked, caller.waiter)
    assert rig.bus.replies.is_empty
