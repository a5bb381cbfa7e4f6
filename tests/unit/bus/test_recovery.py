"""What a crash leaves: everything that was committed, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.bus.mailbox import entry_bytes
from caxton.bus.recovery import last_seq
from caxton.testing.handlers import say

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from tests.unit.bus.rig import Rig


async def test_what_was_not_committed_is_gone_as_a_whole(rig: Rig) -> None:
    def act(turn: Turn, message: AclMessage) -> int:
        turn.kv_set(b"n", bytes(message.content))
        return turn.send(say("c", "from b"))

    rig.agent("b", act)
    rig.receiver("c")
    rig.post("b", 1)
    await rig.commit()
    rig.pump()  # handled, and not committed
    again, agents = rig.recover(["b", "c"])
    assert (agents["b"].receiver.kv, agents["c"].receiver.messages) == ({}, 0)
    again.start(agents["b"], act)
    await again.pump_suspects()
    assert agents["b"].contents == [1]
    await again.commit()
    third, agents = again.recover(["b", "c"])
    assert (agents["b"].receiver.messages, agents["b"].receiver.kv) == (0, {b"n": b"1"})
    assert agents["c"].receiver.messages == 1
    third.close()


async def test_message_comes_back_byte_for_byte_and_in_order(rig: Rig) -> None:
    b = rig.receiver("b")
    for n in range(20):
        rig.post("b", {"n": n, "text": "ä\u2028\0"}, conversation_id=f"c{n}", priority=3)
    await rig.commit()
    before = [envelope.body for envelope in b.receiver.held]
    again, agents = rig.recover(["b"])
    assert [envelope.body for envelope in agents["b"].receiver.held] == before
    assert agents["b"].receiver.bytes == sum(map(len, before))
    again.close()


async def test_message_that_was_tried_before_says_so_after_a_crash(rig: Rig) -> None:
    b = rig.agent("b", lambda _turn, _message: 1)
    rig.post("b", 1)
    await rig.commit()
    rig.pump()
    await rig.later(30)
    assert [message.attempt for message in b.handler.delivered] == [1, 2]
    await rig.commit()
    again, agents = rig.recover(["b"])
    assert agents["b"].receiver.bytes == sum(len(e.body) for e in agents["b"].receiver.held)
    again.start(agents["b"], lambda _turn, _message: 1)
    again.pump()
    for _ in range(5):
        await again.later(30)
    assert [message.attempt for message in agents["b"].handler.delivered] == [3, 4, 5]
    await again.commit()
    assert [letter[0] for letter in again.dead()] == [1]
    again.close()


async def test_message_tried_before_its_first_commit_says_so_after_a_crash(rig: Rig) -> None:
    rig.agent("b", lambda _turn, _message: 1)
    rig.post("b", 1)
    rig.pump()
    await rig.commit()
    again, agents = rig.recover(["b"])
    again.start(agents["b"])
    again.pump()
    assert [message.attempt for message in agents["b"].handler.delivered] == [2]
    again.close()


async def test_settled_message_that_is_kept_is_not_handed_over_again(rig: Rig) -> None:
    rig.agent("b", lambda turn, message: turn.send(say(message.sender, "reply")))
    rig.post("b", 1)
    rig.pump()
    await rig.commit()
    assert len(rig.rows("SELECT * FROM messages")) == 2
    again, agents = rig.recover(["b"])
    assert agents["b"].receiver.messages == 0
    again.close()


async def test_mail_for_an_agent_that_is_gone_becomes_dead_letters(rig: Rig) -> None:
    rig.receiver("b")
    rig.receiver("gone")
    rig.post("gone", 1)
    rig.post("b", 2)
    await rig.commit()
    again, _ = rig.recover(["b"])
    await again.commit()
    assert again.pending() == [2]
    assert again.dead() == [(1, "removed", None, 1)]
    third, _ = again.recover(["b"])
    await third.commit()
    assert len(third.dead()) == 1
    third.close()


async def test_sequence_goes_on_above_everything_that_is_on_disk(rig: Rig) -> None:
    rig.receiver("b")
    assert last_seq(rig.database) == 0
    for n in range(5):
        rig.post("b", n)
    await rig.commit()
    again, agents = rig.recover(["b"])
    assert last_seq(again.database) == 5
    again.post("b", 5)
    assert [envelope.seq for envelope in agents["b"].receiver.held] == [1, 2, 3, 4, 5, 6]
    again.bus.names.remove(agents["b"].receiver)
    await again.commit()
    third, _ = again.recover([])
    third.rows("DELETE FROM messages")
    assert last_seq(third.database) == 6  # of the dead letters
    third.close()


async def test_ids_of_two_runs_differ(rig: Rig) -> None:
    rig.receiver("b")
    first = rig.post("b").message_id
    again, _ = rig.recover(["b"])
    assert again.post("b").message_id != first
    again.close()


async def test_state_and_subscriptions_come_back(rig: Rig) -> None:
    a = rig.agent("a")
    turn = rig.boot_turn(a)
    turn.kv_set(b"k\0\xff", b"\0" * 10)
    turn.kv_set(b"empty", b"")
    turn.subscribe(b"t")
    rig.bus.apply(turn)
    await rig.commit()
    again, agents = rig.recover(["a"])
    receiver = agents["a"].receiver
    assert receiver.kv == {b"k\0\xff": b"\0" * 10, b"empty": b""}
    assert receiver.kv_bytes == sum(entry_bytes(key, value) for key, value in receiver.kv.items())
    again.start(agents["a"])
    again.post("topic://t", 1)
    again.pump()
    assert agents["a"].contents == [1]
    again.close()


async def test_who_waited_is_not_remembered_and_the_message_is_repeated_like_any(rig: Rig) -> None:
    from tests.unit.bus.rig import Caller

    rig.receiver("b")
    rig.post("b", 1, caller=Caller())
    await rig.commit()
    again, agents = rig.recover(["b"])
    again.start(agents["b"], lambda _turn, message: 0 if message.attempt == 3 else 1)
    for _ in range(3):
        await again.later(1)
    await again.commit()
    assert ([message.attempt for message in agents["b"].handler.delivered], again.dead()) == ([1, 2, 3], [])
    again.close()


async def test_dead_letter_is_whole(rig: Rig) -> None:
    rig.receiver("b")
    message = rig.post("b", {"n": 1}, conversation_id="talk", ontology="o")
    (receiver,) = rig.bus.names.receivers()
    rig.bus.names.remove(receiver)
    await rig.commit()
    ((workspace, sender, name, message_id, conversation, dead_us, body),) = rig.rows(
        "SELECT workspace, sender, receiver, message_id, conversation_id, dead_us, body FROM dead_letters"
    )
    assert (workspace, sender, name, conversation) == ("default", "client:admin", "b", "talk")
    assert (message_id, dead_us <= rig.clock.wall_us()) == (message.message_id, True)
    assert msgspec.json.decode(body) == msgspec.json.decode(msgspec.json.encode(message))
