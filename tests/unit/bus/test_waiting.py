"""A handler that waits for something outside: nobody polls it, nobody waits with it, and nothing of it is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.testing.handlers import say
from caxton.tools.wanted import Pending

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from tests.unit.bus.rig import Agent, Rig


def waits(agent: Agent, pending: Pending) -> None:
    """From now on its handler waits for `pending` with each message that says `ask`."""

    def handle(turn: Turn, message: AclMessage) -> int | None:
        if bytes(message.content) != b'"ask"':
            return 0
        turn.send(say("sink", "asked"))
        agent.handler.wait_for(pending)
        return None

    agent.handler.on_message = handle


async def test_handler_that_waits_is_not_polled_and_goes_on_when_its_answer_is_there(rig: Rig) -> None:
    asker, sink, pending = rig.agent("asker"), rig.agent("sink"), Pending()
    waits(asker, pending)
    rig.post("asker", "ask")
    rig.post("asker", "next")
    rig.post("sink", "other")
    rig.pump()  # comes to rest, so nothing is polled
    assert (asker.handler.resumed, asker.contents, sink.contents) == (0, ["ask"], ["other"])
    woken = rig.wakes
    pending.settle(b"answer")
    assert rig.wakes == woken + 1
    rig.pump()
    assert (asker.handler.resumed, asker.contents, sink.contents) == (1, ["ask", "next"], ["other", "asked"])


async def test_message_of_a_handler_that_is_dropped_while_it_waits_is_handed_over_again(rig: Rig) -> None:
    asker, sink, pending = rig.agent("asker"), rig.agent("sink"), Pending()
    waits(asker, pending)
    rig.post("asker", "ask")
    rig.pump()
    rig.stop(asker)
    rig.start(asker)
    rig.pump()
    assert (asker.contents, sink.contents) == (["ask"], [])
    pending.settle(b"too late")
    rig.pump()
    assert (asker.handler.resumed, rig.bus.queues.waiting) == (0, {})


async def test_late_answer_does_not_wake_the_next_handling_of_the_same_mailbox(rig: Rig) -> None:
    asker, first, second = rig.agent("asker"), Pending(), Pending()
    waits(asker, first)
    rig.post("asker", "ask")
    rig.pump()
    box = asker.receiver.mailboxes[0]
    rig.bus.queues.drop(box)
    rig.start(asker)
    waits(asker, second)
    rig.pump()
    first.settle(b"too late")
    rig.pump()
    assert (asker.handler.resumed, rig.bus.is_waiting(box) or rig.bus.is_waiting(asker.receiver.mailboxes[0])) == (
        0,
        True,
    )
    second.settle(b"answer")
    rig.pump()
    assert asker.handler.resumed == 1


async def test_message_of_a_handler_that_waits_counts_an_attempt_if_the_node_ends(rig: Rig) -> None:
    asker = rig.agent("asker")
    waits(asker, Pending())
    rig.post("asker", "ask")
    await rig.commit()
    rig.pump()
    rig.post("asker", "next")
    await rig.commit()  # what is in hand is written down anew with each
    run, agents = rig.recover(["asker"])
    run.start(agents["asker"])
    await run.pump_suspects()
    assert [message.attempt for message in agents["asker"].handler.delivered] == [2, 1]
    run.close()


async def test_suspect_that_waits_does_not_hold_up_the_others(rig: Rig) -> None:
    asker = rig.agent("asker")
    waits(asker, Pending())
    rig.post("asker", "ask")
    await rig.commit()
    rig.pump()
    await rig.commit()
    run, agents = rig.recover(["asker", "other"])
    run.start(agents["asker"])
    run.start(agents["other"])
    pending = Pending()
    waits(agents["asker"], pending)
    run.post("other", "hello")
    await run.pump_suspects()
    assert (agents["other"].contents, run.bus.suspects.is_active) == (["hello"], False)
    pending.settle(b"answer")
    run.pump()
    assert agents["asker"].handler.resumed == 1
    run.close()
