"""More comes in than goes out (B4): senders are told, memory stays bounded, nothing is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from caxton.core.errors.dead_letters import DeadLettersFull
from caxton.core.errors.receivers import MailboxFull
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.dead_letters import DeadLetterFilter
from caxton.sandbox.codes import OK, WOULD_BLOCK
from caxton.storage.checksum import message_checksum
from caxton.testing.handlers import say
from tests.unit.bus.rig import Caller

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from tests.unit.bus.rig import Rig

ROOM = 10
MANY = 100
MILLION = 1_000_000


async def test_slow_consumer_holds_up_its_senders_all_the_way_and_gets_everything_in_order(rig: Rig) -> None:
    """client → first → second → slow: each may hold ten messages, and a hundred are to go through."""

    def pass_on(to: str) -> Any:
        def handle(turn: Turn, message: AclMessage) -> int:
            result = turn.send(say(to, msgspec.json.decode(message.content)))
            told.append(result)
            return int(result != OK)

        return handle

    def slice_of_slow(_turn: Turn) -> int | None:
        slices.append(1)
        return None if len(slices) % 7 else OK

    told: list[int] = []
    slices: list[int] = []
    slow = rig.agent("slow", lambda _turn, _message: None, on_resume=slice_of_slow, max_messages=ROOM)
    second = rig.agent("second", pass_on("slow"), max_messages=ROOM)
    first = rig.agent("first", pass_on("second"), max_messages=ROOM)
    agents = first, second, slow
    accepted = refused = 0
    while accepted < MANY or any(agent.receiver.messages for agent in agents):
        try:
            if accepted < MANY:
                rig.post("first", accepted)
                accepted += 1
        except MailboxFull:
            refused += 1
        rig.pump_once()
        assert max(agent.receiver.messages for agent in agents) <= ROOM
        rig.clock.advance(0.02)
        await rig.turn_loop()
        assert refused < 100 * MANY, "it does not come to its end"
    await rig.commit()
    assert refused > 0
    assert WOULD_BLOCK in told
    assert slow.contents == list(range(MANY))
    assert rig.dead() == rig.pending() == []


async def test_full_store_of_letters_stops_every_way_in_and_keeps_what_is_on_its_way(rig: Rig) -> None:
    told: list[int] = []

    def fail(turn: Turn, _message: AclMessage) -> int:
        told.append(turn.send(say("a", "more")))
        return 1

    rig.bus.letters.max_bytes = 5 * 600
    rig.agent("a", fail)
    for n in range(20):
        rig.post("a", n, caller=Caller())  # tried once each
    rig.pump()
    with pytest.raises(DeadLettersFull):
        rig.post("a", "one more")
    await rig.commit()
    assert sorted(content for content, *_ in rig.dead()) == list(range(20))
    assert told[-1] == WOULD_BLOCK
    assert rig.pending() == []


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_million_letters_are_counted_listed_and_let_go(rig: Rig) -> None:
    body = msgspec.json.encode({"performative": "inform", "receiver": "a", "content": 1})
    sql = (
        "INSERT INTO dead_letters (seq, workspace, sender, receiver, message_id, conversation_id, attempts, reason, "
        "dead_us, body, body_bytes, functions, checksum) VALUES (?, 'default', 'client:admin', 'a', ?, NULL, 5, "
        "'failed', ?, ?, ?, '[]', ?)"
    )
    now_us = rig.clock.steady_us()
    for start in range(0, MILLION, 10_000):
        rows = [
            (n, f"m{n}", now_us + n, body, len(body),
             message_checksum(n, "default", "client:admin", "a", f"m{n}", None, body))
            for n in range(start + 1, start + 10_001)
        ]  # fmt: skip
        for row in rows:
            rig.journal.insert(sql, row)
        await rig.commit()
    again, _ = rig.recover(["a"])
    assert again.bus.letters.count == MILLION
    page = again.letters.list(DEFAULT_WORKSPACE, DeadLetterFilter(), replayed=False, limit=100, after=None)
    (found,) = await again.answer(page)
    assert [letter.id for letter in found.letters[:2]] == [str(MILLION), str(MILLION - 1)]
    again.clock.advance(8 * 86_400)
    await again.answer(again.letters.prune())
    assert again.rows("SELECT count(*) FROM dead_letters") == [(0,)]
    again.close()
