"""The store of dead letters on a real file: kept, replayed once, bounded, let go."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import tracemalloc
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caxton.bus import letter_rows
from caxton.bus.dead_letters import LETTER_BYTES, REASONS
from caxton.bus.envelope import MAX_ATTEMPTS
from caxton.core.errors.dead_letters import DeadLetterDamaged, DeadLetterNotFound, DeadLettersFull
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.limits import RateLimited
from caxton.core.errors.receivers import MailboxFull, UnknownReceiver
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, WorkspaceName
from caxton.core.views.dead_letters import DeadLetterFilter, ReplayReceipt
from caxton.sandbox.codes import WOULD_BLOCK
from caxton.security.principal import Principal
from caxton.services import dead_letters as service
from caxton.services import letter_purges
from caxton.services.dead_letters import MAX_IDS, REPLAY_BURST
from caxton.storage.database import Database
from caxton.testing.clock import ManualClock, ManualLoop
from caxton.testing.handlers import FakeCrash, say
from tests.unit.bus.rig import Rig

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.bus.turn import Turn
    from caxton.core.views.dead_letters import DeadLetterPage
    from caxton.messages.message import AclMessage
    from tests.unit.bus.rig import Agent

ADA, BOB = Principal("ada", frozenset({"admin"})), Principal("bob", frozenset({"operator"}))
CRASH = FakeCrash("unreachable", "it gave up", ["burn", "handle_message"])
ALL = DeadLetterFilter()


async def bury(rig: Rig, *contents: object, name: str = "a", **fields: Any) -> list[str]:
    """Messages to an agent that is removed before it gets them; the ids of the letters. The agent is there again."""
    agent = rig.receiver(name)
    ids: list[str] = []
    for content in contents:
        rig.post(name, content, **fields)
        ids.append(str(rig.bus.next_seq() - 1))
    rig.bus.names.remove(agent.receiver)
    await rig.commit()
    return ids


async def replay(rig: Rig, letter_id: str, principal: Principal = ADA) -> ReplayReceipt:
    (receipt,) = await rig.answer(rig.letters.replay(DEFAULT_WORKSPACE, principal, letter_id))
    return receipt


async def refused(rig: Rig, letter_id: str, error: type[CaxtonError]) -> None:
    """A replay is refused with that, and the letter stays as it was."""
    before = rig.rows("SELECT * FROM dead_letters")
    with pytest.raises(error):
        await replay(rig, letter_id)
    await rig.commit()
    assert rig.rows("SELECT * FROM dead_letters") == before


async def listed(rig: Rig, wanted: DeadLetterFilter = ALL, **options: Any) -> DeadLetterPage:
    options = {"replayed": False, "limit": 1000, "after": None} | options
    (page,) = await rig.answer(rig.letters.list(DEFAULT_WORKSPACE, wanted, **options))
    return page


async def ids_listed(rig: Rig, wanted: DeadLetterFilter = ALL, **options: Any) -> list[str]:
    return [letter.id for letter in (await listed(rig, wanted, **options)).letters]


def account(rig: Rig) -> tuple[int, int]:
    return rig.bus.letters.count, rig.bus.letters.bytes


def truth(rig: Rig) -> tuple[int, int]:
    """The account as the journal has it."""
    rows = rig.rows("SELECT length(body) FROM dead_letters WHERE replayed_us IS NULL")
    return len(rows), sum(size + LETTER_BYTES for (size,) in rows)


# --- kept --------------------------------------------------------------------------------------------------------


async def test_trap_its_functions_and_the_trace_are_kept_with_the_letter(rig: Rig) -> None:
    agent = rig.agent("a", lambda _turn, _message: CRASH)
    rig.post("a", {"n": 1}, conversation_id="c", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    for _ in range(MAX_ATTEMPTS):
        rig.pump()
        rig.start(agent, lambda _turn, _message: CRASH)
    rig.clock.advance(-0.5)
    await rig.commit()
    (letter,) = (await listed(rig)).letters
    (detail,) = await rig.answer(rig.letters.get(DEFAULT_WORKSPACE, letter.id))
    assert (letter.agent, letter.sender, letter.reason, letter.attempts) == (
        "a",
        "client:admin",
        "failed",
        MAX_ATTEMPTS,
    )
    assert (letter.error, letter.trap, letter.functions) == ("it gave up", "unreachable", ["burn", "handle_message"])
    assert (letter.trace_id, letter.conversation_id) == ("0af7651916cd43dd8448eb211c80319c", "c")
    message = json.loads(bytes(detail.message))
    assert (message["content"], message["attempt"], message["message_id"]) == ({"n": 1}, 5, letter.message_id)
    assert letter.size_bytes == len(bytes(detail.message))


async def test_letter_and_the_end_of_its_message_are_one_transaction(rig: Rig) -> None:
    rig.agent("a", lambda _turn, _message: 9)
    rig.post("a", 1)
    await rig.commit()
    for _ in range(MAX_ATTEMPTS):
        await rig.later(30)
    rig.database.fails_with = OSError("disk")
    rig.journal.touch()
    await rig.later(1)
    rig.database.let_go()
    assert (rig.pending(), rig.dead()) == ([1], [])
    after, agents = rig.recover(["a"])
    assert agents["a"].receiver.messages == 1
    assert account(after) == truth(after) == (0, 0)
    after.close()


async def test_letter_is_seen_as_soon_as_it_is_asked_for(rig: Rig) -> None:
    agent = rig.receiver("a")
    rig.post("a", 1)
    rig.bus.names.remove(agent.receiver)
    assert rig.rows("SELECT 1 FROM dead_letters") == []
    assert len(await ids_listed(rig)) == 1


async def test_every_reason_has_its_word_and_its_text(rig: Rig) -> None:
    agent = rig.receiver("a")
    for n, reason in enumerate(REASONS):
        rig.post("a", n)
        rig.bus.letters.bury(agent.receiver.held[n], reason)
    letters = (await listed(rig)).letters
    assert {letter.reason: letter.explanation for letter in letters} == REASONS
    assert rig.bus.letters.buried == dict.fromkeys(REASONS, 1)


# --- replay ------------------------------------------------------------------------------------------------------


async def test_replayed_letter_is_handled_as_a_first_attempt_that_says_so(rig: Rig) -> None:
    (letter_id,) = await bury(rig, {"n": 1}, priority=7)
    (before,) = (await listed(rig)).letters
    agent = rig.agent("a")
    receipt = await replay(rig, letter_id)
    rig.pump()
    (message,) = agent.handler.delivered
    assert (message.replayed, message.attempt, bytes(message.content)) == (True, 1, b'{"n":1}')
    assert (message.message_id, message.sender, message.priority) == (before.message_id, "client:admin", 7)
    assert message.traceparent is not None
    assert before.trace_id is not None
    assert before.trace_id in message.traceparent
    assert (receipt.status, receipt.id, receipt.message_id, receipt.replayed_by, receipt.durability) == (
        "replayed", letter_id, before.message_id, "ada", "fsync",
    )  # fmt: skip
    assert await ids_listed(rig) == []
    (shown,) = (await listed(rig, replayed=True)).letters
    assert (shown.replayed_by, shown.replayed_at, shown.replayed_as, shown.trace_id) == (
        "ada", receipt.replayed_at, receipt.replayed_as, before.trace_id,
    )  # fmt: skip
    assert shown.size_bytes == before.size_bytes


async def test_only_the_host_says_that_a_message_was_replayed(rig: Rig) -> None:
    def pass_on(turn: Turn, _message: AclMessage) -> int:
        return turn.send(say("b", 2, replayed=True))

    a, b = rig.agent("a", pass_on), rig.agent("b")
    rig.post("a", 1, replayed=True)
    rig.pump()
    assert [message.replayed for agent in (a, b) for message in agent.handler.delivered] == [False, False]


async def test_receipt_of_a_replay_comes_after_the_commit_that_holds_message_and_mark(rig: Rig) -> None:
    (letter_id,) = await bury(rig, 1)
    rig.receiver("a")
    asked = asyncio.ensure_future(rig.letters.replay(DEFAULT_WORKSPACE, ADA, letter_id))
    await rig.later(1)
    assert not asked.done()
    assert rig.pending() == []
    assert rig.rows("SELECT replayed_us FROM dead_letters") == [(None,)]
    (statements,) = [rig.database.let_go()]
    assert len([sql for sql, _ in statements if "dead_letters" in sql or "INTO messages" in sql]) == 2
    await rig.later(0)
    assert (await asked).status == "replayed"
    assert rig.pending() == [1]


async def test_letter_replayed_twice_becomes_one_message_and_gets_the_same_receipt(rig: Rig) -> None:
    (letter_id,) = await bury(rig, 1)
    agent = rig.agent("a")
    first = await replay(rig, letter_id)
    rig.clock.advance(5)
    second = await replay(rig, letter_id, BOB)
    rig.pump()
    assert second == msgspec.structs.replace(first, status="already-replayed")
    assert agent.contents == [1]


async def test_letter_replayed_by_many_at_once_becomes_one_message(rig: Rig) -> None:
    ids = await bury(rig, 0, 1, 2)
    agent = rig.agent("a")
    letters = rig.letters
    single = [letters.replay(DEFAULT_WORKSPACE, who, one) for who in (ADA, BOB) for one in ids]
    bulk = letters.replay_ids(DEFAULT_WORKSPACE, BOB, [*ids, *ids])
    matching = letters.replay_matching(DEFAULT_WORKSPACE, ADA, ALL, after=None, through=None, limit=MAX_IDS)
    told = await rig.answer(matching, *single, bulk)
    rig.pump()
    assert agent.contents == [0, 1, 2]
    receipts = [one for _, one in told[0][0]] + told[1:-1] + [one for _, one in told[-1]]
    assert len(receipts) == 3 + 6 + 3
    for one in ids:
        of_this = [receipt for receipt in receipts if receipt.id == one]
        assert [receipt.status for receipt in of_this].count("replayed") == 1
        assert len({receipt.replayed_as for receipt in of_this}) == 1


async def test_replay_survives_a_restart_once(rig: Rig) -> None:
    (letter_id,) = await bury(rig, 1)
    rig.receiver("a")
    first = await replay(rig, letter_id)
    after, agents = rig.recover(["a"])
    again = await replay(after, letter_id)
    after.start(agents["a"])
    after.pump()
    assert again == msgspec.structs.replace(first, status="already-replayed")
    (message,) = agents["a"].handler.delivered
    assert (message.replayed, message.attempt) == (True, 1)
    after.close()


async def test_replay_that_no_commit_holds_did_not_happen(rig: Rig) -> None:
    (letter_id,) = await bury(rig, 1)
    agent = rig.agent("a")
    asked = asyncio.ensure_future(rig.letters.replay(DEFAULT_WORKSPACE, ADA, letter_id))
    await rig.later(1)
    assert agent.contents == [1]  # handled, and nobody outside has heard of it
    after, agents = rig.recover(["a"])
    asked.cancel()
    after.start(agents["a"])
    assert (await replay(after, letter_id)).status == "replayed"
    after.pump()
    assert agents["a"].contents == [1]
    assert account(after) == truth(after) == (0, 0)
    after.close()


async def test_client_that_hangs_up_before_the_commit_has_replayed_once(rig: Rig) -> None:
    (letter_id,) = await bury(rig, 1)
    agent = rig.agent("a")
    asked = asyncio.ensure_future(rig.letters.replay(DEFAULT_WORKSPACE, ADA, letter_id))
    await rig.later(1)
    asked.cancel()
    await rig.later(0)
    assert (await replay(rig, letter_id, BOB)).replayed_by == "ada"
    rig.pump()
    assert agent.contents == [1]


async def test_replayed_message_that_fails_again_is_a_letter_of_its_own(rig: Rig) -> None:
    (letter_id,) = await bury(rig, 1)
    agent = rig.agent("a", lambda _turn, _message: 9)
    receipt = await replay(rig, letter_id)
    for _ in range(MAX_ATTEMPTS):
        await rig.later(30)
    (letter,) = (await listed(rig)).letters
    assert (letter.id, letter.message_id, letter.attempts) == (receipt.replayed_as, receipt.message_id, MAX_ATTEMPTS)
    assert account(rig) == truth(rig) == (1, letter.size_bytes + LETTER_BYTES)
    rig.bus.names.remove(agent.receiver)
    again = rig.agent("a")
    assert (await replay(rig, letter.id)).status == "replayed"
    rig.pump()
    assert [(message.attempt, message.replayed) for message in again.handler.delivered] == [(1, True)]


async def test_letters_are_replayed_in_the_order_in_which_they_were_accepted(rig: Rig) -> None:
    ids = await bury(rig, *range(12))
    agent = rig.agent("a")
    (outcomes,) = await rig.answer(rig.letters.replay_ids(DEFAULT_WORKSPACE, ADA, [*reversed(ids)]))
    rig.pump()
    assert [one for one, _ in outcomes] == ids
    assert agent.contents == [*range(12)]


async def test_lifetime_that_is_over_is_taken_off_and_one_that_is_not_stays(rig: Rig) -> None:
    ids = await bury(rig, 0, ttl_ms=1000)
    ids += await bury(rig, 1, ttl_ms=3_600_000)
    ids += await bury(rig, 2, reply_by="2099-01-01T00:00:00Z")
    ids += await bury(rig, 3, reply_by="2027-01-15T08:00:30Z")
    rig.clock.advance(60)
    agent = rig.receiver("a")
    for one in ids:
        await replay(rig, one)
    told = [msgspec.json.decode(envelope.body) for envelope in agent.receiver.held]
    assert [message.get("ttl_ms") for message in told] == [None, 3_600_000, None, None]
    assert [message.get("reply_by") for message in told] == [None, None, "2099-01-01T00:00:00Z", None]
    accepted_us = told[1]["timestamp"]
    expires = [envelope.expires_us for envelope in agent.receiver.held]
    assert expires == [0, accepted_us + 3_600_000_000, 4_070_908_800_000_000, 0]


async def test_what_cannot_be_replayed_now_stays_a_letter(rig: Rig) -> None:
    first, second = await bury(rig, 1, 2)
    rig.bus.names.forget(DEFAULT_WORKSPACE, "a")
    await refused(rig, first, UnknownReceiver)
    agent = rig.receiver("a", max_messages=1)
    await replay(rig, first)
    await refused(rig, second, MailboxFull)
    agent.receiver.max_messages = 2
    rig.bus.intake.close("disk-full", DiskIsFull)
    await refused(rig, second, DiskIsFull)
    rig.bus.intake.open("disk-full")
    rig.letters.refuse()
    await refused(rig, second, ShuttingDown)
    assert (await replay(rig, first)).status == "already-replayed"  # that is only told
    assert account(rig) == truth(rig)


class DiskIsFull(CaxtonError):
    """Some other cause for which the intake is closed."""


@pytest.mark.parametrize("letter_id", ["999", "0", "01", "-1", "x", "", "1" * 40, "१"])
async def test_letter_that_is_not_there_is_told_so(rig: Rig, letter_id: str) -> None:
    await bury(rig, 1)
    for call in (rig.letters.get(DEFAULT_WORKSPACE, letter_id), rig.letters.replay(DEFAULT_WORKSPACE, ADA, letter_id),
                 rig.letters.purge(DEFAULT_WORKSPACE, ADA, letter_id)):  # fmt: skip
        with pytest.raises(DeadLetterNotFound):
            await rig.answer(call)


async def test_letter_of_another_workspace_looks_like_an_absent_one(rig: Rig) -> None:
    (letter_id,) = await bury(rig, 1)
    rig.database._transaction([("UPDATE dead_letters SET workspace = 'other'", [()])])  # pyright: ignore[reportPrivateUsage]
    assert await ids_listed(rig) == []
    for call in (rig.letters.get(DEFAULT_WORKSPACE, letter_id), rig.letters.replay(DEFAULT_WORKSPACE, ADA, letter_id),
                 rig.letters.purge(DEFAULT_WORKSPACE, ADA, letter_id)):  # fmt: skip
        with pytest.raises(DeadLetterNotFound):
            await rig.answer(call)
    (receipt,) = await rig.answer(rig.letters.purge_matching(DEFAULT_WORKSPACE, ADA, ALL, replayed=None))
    assert (receipt.purged, len(rig.rows("SELECT 1 FROM dead_letters"))) == (0, 1)
    other = WorkspaceName("other")
    for call in (rig.letters.get(other, letter_id), rig.letters.replay(other, ADA, letter_id),
                 rig.letters.purge(other, ADA, letter_id), rig.letters.purge_ids(other, ADA, [letter_id])):  # fmt: skip
        with pytest.raises(WorkspaceNotFound):
            await rig.answer(call)


@pytest.mark.parametrize("column", ["body", "receiver", "sender", "message_id", "checksum"])
async def test_letter_that_rotted_on_the_disk_is_neither_shown_nor_delivered(rig: Rig, column: str) -> None:
    (letter_id,) = await bury(rig, 1)
    agent = rig.agent("b")
    rotten = {"body": b'{"performative":"inform","content":2}', "checksum": 1}.get(column, "b")
    rig.database._transaction([(f"UPDATE dead_letters SET {column} = ?", [(rotten,)])])  # noqa: S608  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(DeadLetterDamaged):
        await rig.answer(rig.letters.get(DEFAULT_WORKSPACE, letter_id))
    await refused(rig, letter_id, DeadLetterDamaged)
    rig.pump()
    assert agent.contents == []
    (receipt,) = await rig.answer(rig.letters.purge(DEFAULT_WORKSPACE, ADA, letter_id))
    assert receipt.purged == 1


async def test_replays_are_no_more_than_the_rate_allows(rig: Rig) -> None:
    ids = await bury(rig, *range(REPLAY_BURST + 5))
    rig.receiver("a")
    head, tail = ids[:MAX_IDS], ids[MAX_IDS:]
    (outcomes,) = await rig.answer(rig.letters.replay_ids(DEFAULT_WORKSPACE, ADA, head))
    started = rig.clock.monotonic()
    assert all(isinstance(outcome, ReplayReceipt) for _, outcome in outcomes)
    passed_s = 0.0
    done = 0
    while tail:
        (outcomes,) = await rig.answer(rig.letters.replay_ids(DEFAULT_WORKSPACE, ADA, tail))
        done += sum(isinstance(outcome, ReplayReceipt) for _, outcome in outcomes)
        tail = [one for one, outcome in outcomes if isinstance(outcome, RateLimited)]
        passed_s = rig.clock.monotonic() - started
        assert done <= passed_s * service.REPLAYS_PER_S + 1
    assert rig.bus.letters.replayed == len(ids)


async def test_replay_over_the_rate_is_refused_and_says_when_to_come_back(rig: Rig, monkeypatch: Any) -> None:
    monkeypatch.setattr(service, "REPLAYS_PER_S", 0.001)
    monkeypatch.setattr(service, "REPLAY_BURST", 2)
    rig.letters = service.DeadLetterService(rig.bus, rig.postbox, rig.journal, rig.database, rig.clock)
    ids = await bury(rig, *range(4))
    rig.receiver("a")
    matching = rig.letters.replay_matching(DEFAULT_WORKSPACE, ADA, ALL, after=None, through=None, limit=MAX_IDS)
    ((outcomes, after),) = await rig.answer(matching)
    assert [one for one, _ in outcomes] == ids[:2]
    assert after == ids[1]
    with pytest.raises(RateLimited) as limited:
        await rig.answer(
            rig.letters.replay_matching(DEFAULT_WORKSPACE, ADA, ALL, after=after, through=None, limit=MAX_IDS)
        )
    assert 900 < limited.value.retry_after_s <= 1000
    await refused(rig, ids[2], RateLimited)
    assert (await replay(rig, ids[0])).status == "already-replayed"  # which takes nothing from the bucket
    rig.clock.advance(limited.value.retry_after_s)
    assert (await replay(rig, ids[2])).status == "replayed"


async def test_refused_replay_takes_nothing_from_the_bucket(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "REPLAYS_PER_S", 0.001)
    monkeypatch.setattr(service, "REPLAY_BURST", 3)
    rig.letters = service.DeadLetterService(rig.bus, rig.postbox, rig.journal, rig.database, rig.clock)
    ids = await bury(rig, 1, 2, 3)
    rig.bus.names.forget(DEFAULT_WORKSPACE, "a")
    for one in ids:
        await refused(rig, one, UnknownReceiver)
    rig.receiver("a")
    (outcomes,) = await rig.answer(rig.letters.replay_ids(DEFAULT_WORKSPACE, ADA, ids))
    assert all(isinstance(outcome, ReplayReceipt) for _, outcome in outcomes)


async def test_matching_letters_are_replayed_page_by_page_up_to_the_last_that_was_meant(rig: Rig) -> None:
    ids = await bury(rig, *range(7))
    await bury(rig, "other", name="b")
    rig.agent("a", lambda _turn, _message: 9)
    wanted, after, seen = DeadLetterFilter(agent="a"), None, list[str]()
    while True:
        matching = rig.letters.replay_matching(DEFAULT_WORKSPACE, ADA, wanted, after=after, through=ids[5], limit=2)
        ((outcomes, after),) = await rig.answer(matching)
        seen += [one for one, _ in outcomes]
        for _ in range(MAX_ATTEMPTS):  # they fail again, and come back as newer letters
            await rig.later(30)
        if after is None:
            break
    assert seen == ids[:6]


@pytest.mark.parametrize("count", [0, MAX_IDS + 1])
async def test_too_many_or_no_ids_are_refused(rig: Rig, count: int) -> None:
    ids = [str(n + 1) for n in range(count)]
    for call in (
        rig.letters.replay_ids(DEFAULT_WORKSPACE, ADA, ids),
        rig.letters.purge_ids(DEFAULT_WORKSPACE, ADA, ids),
    ):
        with pytest.raises(InvalidRequest):
            await rig.answer(call)


async def test_replays_and_purges_are_logged_with_who_and_what(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first, second = await bury(rig, 1, 2)
    rig.receiver("a")
    await replay(rig, first, BOB)
    await replay(rig, first, ADA)
    await rig.answer(rig.letters.purge_ids(DEFAULT_WORKSPACE, ADA, [first, second]))
    facts = [vars(record) for record in caplog.records if getattr(record, "action", "").startswith("dlq.")]
    assert [(one["action"], one["principal"], one["ids"], one["count"]) for one in facts] == [
        ("dlq.replay", "bob", [first], 1), ("dlq.purge", "ada", [first, second], 2),
    ]  # fmt: skip
    assert facts[1]["waiting"] == 1
    rows = rig.rows("SELECT purged_by, letters, waiting FROM dead_letter_purges")
    assert rows == [("ada", 2, 1)]


# --- purge -------------------------------------------------------------------------------------------------------


async def test_purged_letters_are_gone_and_those_that_waited_are_counted(rig: Rig) -> None:
    ids = await bury(rig, *range(5))
    keep = await bury(rig, "keep", name="b")
    rig.receiver("a")
    await replay(rig, ids[0])
    (receipt,) = await rig.answer(
        rig.letters.purge_matching(DEFAULT_WORKSPACE, ADA, DeadLetterFilter(agent="a"), replayed=None)
    )
    assert (receipt.purged, receipt.waiting) == (5, 4)
    assert await ids_listed(rig) == keep
    assert account(rig) == truth(rig)
    await refused(rig, ids[0], DeadLetterNotFound)
    after, _ = rig.recover(["a"])
    assert account(after) == truth(after) == (1, after.bus.letters.bytes)
    after.close()


@pytest.mark.parametrize(("replayed", "left"), [(True, [1]), (False, [0]), (None, [])])
async def test_purge_takes_those_that_wait_or_that_were_replayed_or_both(
    rig: Rig, replayed: bool | None, left: list[int]
) -> None:
    ids = await bury(rig, 0, 1)
    rig.receiver("a")
    await replay(rig, ids[0])
    await rig.answer(rig.letters.purge_matching(DEFAULT_WORKSPACE, ADA, ALL, replayed=replayed))
    assert [ids.index(str(seq)) for (seq,) in rig.rows("SELECT seq FROM dead_letters")] == left


async def test_letters_that_arise_while_others_are_purged_are_counted_right(rig: Rig) -> None:
    await bury(rig, *range(10))
    agent = rig.receiver("b")
    asked = asyncio.ensure_future(rig.letters.purge_matching(DEFAULT_WORKSPACE, ADA, ALL, replayed=None))
    late = 0
    while not asked.done():
        rig.post("b", late)
        rig.bus.letters.bury(agent.receiver.held[late], "removed")
        late += 1
        await rig.turn_loop()
        if rig.database.asked:
            rig.database.let_go()
        await rig.turn_loop()
        rig.clock.advance(0.05)
    purged = (await asked).purged
    await rig.commit()
    assert purged >= 10
    assert account(rig) == truth(rig) == (10 + late - purged, rig.bus.letters.bytes)


async def test_letter_is_replayed_or_purged_and_never_both(rig: Rig) -> None:
    ids = await bury(rig, *range(30))
    agent = rig.agent("a")
    replays = asyncio.ensure_future(rig.letters.replay_ids(DEFAULT_WORKSPACE, ADA, ids))
    while rig.bus.letters.replayed < 5:  # noqa: ASYNC110 - the loop's turns are what is counted
        await asyncio.sleep(0)
    assert rig.bus.letters.replayed < 30  # both are under way
    (receipt,) = await rig.answer(rig.letters.purge_matching(DEFAULT_WORKSPACE, BOB, ALL, replayed=None))
    rig.pump()
    assert {outcome.status for _, outcome in await replays if isinstance(outcome, ReplayReceipt)} == {"replayed"}
    assert agent.contents == [*range(30)]
    assert (receipt.purged, receipt.waiting) == (30, 0)
    assert account(rig) == truth(rig) == (0, 0)


async def test_somebody_who_hangs_up_during_a_purge_leaves_the_account_right(rig: Rig) -> None:
    await bury(rig, *range(3))
    asked = asyncio.ensure_future(rig.letters.purge_matching(DEFAULT_WORKSPACE, ADA, ALL, replayed=None))
    await rig.turn_loop()
    asked.cancel()
    await rig.commit()
    assert account(rig) == truth(rig) == (0, 0)


# --- limits ------------------------------------------------------------------------------------------------------


async def test_full_store_refuses_senders_and_drops_nothing(rig: Rig) -> None:
    def flood(turn: Turn, message: AclMessage) -> int:
        if message.attempt == 1:
            codes.append(turn.send(say("a", 1)))
        return 9

    codes: list[int] = []
    rig.agent("a", flood)
    rig.bus.letters.max_bytes = 3 * (LETTER_BYTES + 200)
    for n in range(6):
        rig.post("a", n)
    for _ in range(6 * MAX_ATTEMPTS):
        await rig.later(30)
    assert len(await ids_listed(rig)) == 6  # letters that arise all the same are kept
    assert account(rig) == truth(rig)
    with pytest.raises(DeadLettersFull) as full:
        rig.post("a", 7)
    assert full.value.details() == {
        "letters": 6, "size_bytes": rig.bus.letters.bytes, "limit_bytes": rig.bus.letters.max_bytes,
    }  # fmt: skip
    assert codes[-1] == WOULD_BLOCK
    assert 0 in codes


async def test_number_of_a_purged_letter_is_not_given_again_after_a_restart(rig: Rig) -> None:
    (letter,) = await bury(rig, 1)
    await rig.answer(rig.letters.purge(DEFAULT_WORKSPACE, ADA, letter))
    again, _ = rig.recover(["a"])
    again.post("a", 2)
    await again.commit()
    assert again.rows("SELECT seq FROM messages") > [(int(letter),)]
    again.close()


async def test_letters_take_room_on_the_disk_and_none_in_memory(rig: Rig) -> None:
    size = 64 << 10
    await bury(rig, "x" * size)
    rig.receiver("a")
    tracemalloc.start()
    try:
        for _ in range(10):
            await bury(rig, *["x" * size] * 10)
        held, _ = tracemalloc.get_traced_memory()
        page = await listed(rig)
        assert len(page.letters) == 101
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rig.bus.letters.bytes > 100 * size
    assert held < 20 * size
    assert most < 30 * size


async def test_full_store_is_still_full_after_a_restart(rig: Rig) -> None:
    await bury(rig, *range(4))
    rig.close()
    after = Rig(rig.path, rig.clock)
    after.bus.letters.max_bytes = 4 * LETTER_BYTES
    after.bus.letters.load(after.database)
    after.receiver("a")
    assert account(after) == truth(after)
    with pytest.raises(DeadLettersFull):
        after.post("a", 1)
    after.close()


@pytest.mark.parametrize("how", ["replay", "purge"])
async def test_full_store_opens_again_once_there_is_room(rig: Rig, how: str) -> None:
    ids = await bury(rig, *range(20))
    rig.receiver("a")
    rig.bus.letters.max_bytes = rig.bus.letters.bytes
    (more,) = await bury(rig, 20)
    rig.receiver("a")
    still_full = 0
    for one in [*ids, more]:
        if rig.bus.intake.is_open:
            break
        with pytest.raises(DeadLettersFull):
            rig.post("a", "no")
        still_full += 1
        await rig.answer(getattr(rig.letters, how)(DEFAULT_WORKSPACE, ADA, one))
    assert 2 < still_full < 5  # below nine tenths
    rig.post("a", "yes")
    assert account(rig) == truth(rig)


async def test_letters_are_let_go_after_a_week(rig: Rig) -> None:
    old = await bury(rig, 1, 2)
    rig.agent("a")
    await replay(rig, old[0])
    rig.pump()
    rig.clock.advance(letter_purges.MAX_AGE_US / 1e6 - 60)
    young = await bury(rig, 3)
    commits = rig.journal.commits
    await rig.answer(rig.letters.prune())
    assert rig.journal.commits == commits  # looking costs no commit
    rig.clock.advance(61)
    await rig.answer(rig.letters.prune())
    assert [seq for (seq,) in rig.rows("SELECT seq FROM dead_letters")] == [int(one) for one in young]
    assert account(rig) == truth(rig) == (1, rig.bus.letters.bytes)


async def test_many_old_letters_go_in_several_transactions(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_purges, "PRUNED_AT_ONCE", 3)
    await bury(rig, *range(8))
    rig.clock.advance(letter_purges.MAX_AGE_US / 1e6 + 1)
    await rig.answer(rig.letters.prune())
    assert rig.rows("SELECT letters, waiting, purged_by FROM dead_letter_purges") == [
        (3, 3, "caxton"), (3, 3, "caxton"), (2, 2, "caxton"),
    ]  # fmt: skip
    assert account(rig) == truth(rig) == (0, 0)


async def test_old_letters_are_looked_for_from_time_to_time(rig: Rig) -> None:
    await bury(rig, 1)
    rig.letters.start()
    await rig.commit()
    assert rig.bus.letters.count == 1
    rig.clock.advance(letter_purges.MAX_AGE_US / 1e6 + 1)
    await rig.commit()
    rig.letters.close()
    assert account(rig) == truth(rig) == (0, 0)


async def test_only_so_many_replayed_letters_are_remembered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_purges, "MAX_REPLAYED", 2)
    ids = await bury(rig, *range(5))
    rig.receiver("a")
    for one in ids[:4]:
        await replay(rig, one)
        rig.clock.advance(1)
    await rig.answer(rig.letters.prune())
    assert [str(seq) for (seq,) in rig.rows("SELECT seq FROM dead_letters ORDER BY seq")] == ids[2:]
    assert account(rig) == truth(rig) == (1, rig.bus.letters.bytes)


async def test_replayed_letter_keeps_no_second_copy_of_its_message(rig: Rig) -> None:
    (letter_id,) = await bury(rig, "x" * 100_000)
    rig.receiver("a")
    await replay(rig, letter_id)
    assert rig.rows("SELECT length(body) FROM dead_letters") == [(0,)]
    (detail,) = await rig.answer(rig.letters.get(DEFAULT_WORKSPACE, letter_id))
    assert bytes(detail.message) == b"null"


@pytest.mark.parametrize("receiver", [None, "a"])
@pytest.mark.parametrize("oldest_first", [False, True])
def test_no_list_is_sorted_and_the_sum_at_start_reads_no_letter(
    tmp_path: Path, receiver: str | None, oldest_first: bool
) -> None:
    database = Database(tmp_path / "journal.db")
    wanted = letter_rows.LetterFilter(workspace="default", receiver=receiver, replayed=False)
    sql, parameters = letter_rows.select(wanted, limit=10, oldest_first=oldest_first)
    (plan,) = [row[-1] for row in database.query(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert plan.startswith("SCAN dead_letters" if receiver is None else "SEARCH dead_letters USING INDEX")
    (sums,) = [row[-1] for row in database.query(f"EXPLAIN QUERY PLAN {letter_rows.WAITING}")]
    assert "COVERING INDEX dead_letters_waiting" in sums
    database.close()


# --- filters against a list --------------------------------------------------------------------------------------

_NAMES, _SENDERS, _CONVERSATIONS = ("a", "b"), ("ada", "bob"), ("c1", "c2")


@settings(max_examples=25, deadline=None)
@given(
    letters=st.lists(
        st.tuples(
            st.sampled_from(_NAMES), st.sampled_from(_SENDERS), st.sampled_from(_CONVERSATIONS),
            st.sampled_from([*REASONS]), st.booleans(),
        ),
        max_size=25,
    ),
    limit=st.integers(1, 8),
)  # fmt: skip
def test_filters_mean_what_a_list_of_all_letters_means(
    tmp_path_factory: pytest.TempPathFactory, letters: list[tuple[str, str, str, str, bool]], limit: int
) -> None:
    clock = ManualClock()
    path = tmp_path_factory.mktemp("filters") / "journal.db"
    with asyncio.Runner(loop_factory=lambda: ManualLoop(clock)) as runner:
        runner.run(_compare_filters(path, clock, letters, limit))


async def _compare_filters(
    path: Path, clock: ManualClock, letters: list[tuple[str, str, str, str, bool]], limit: int
) -> None:
    rig = Rig(path, clock)
    agents: dict[str, Agent] = {name: rig.receiver(name) for name in _NAMES}
    known: list[tuple[str, str, str, str, str, bool, int]] = []
    for name, sender, conversation, reason, replayed in letters:
        rig.post(name, 1, sender=sender, conversation_id=conversation)
        envelope = agents[name].receiver.held.pop()
        agents[name].receiver.messages -= 1
        agents[name].receiver.bytes -= len(envelope.body)
        rig.bus.letters.bury(envelope, reason)
        known.append((str(envelope.seq), name, f"client:{sender}", conversation, reason, replayed, clock.wall_us()))
        clock.advance(1)
    await rig.commit()
    for letter_id, *_, replayed, _ in known:
        if replayed:
            await replay(rig, letter_id)
    assert account(rig) == truth(rig)
    now_us = clock.wall_us()
    since_s = 5
    for agent, sender, conversation, reason, since, replayed in itertools.product(
        (None, "a"), (None, "client:ada"), (None, "c1"), (None, "failed"), (None, since_s), (False, True)
    ):
        expected = [
            one for one, name, who, where, why, was, at_us in reversed(known)
            if agent in (None, name) and sender in (None, who) and conversation in (None, where)
            and reason in (None, why) and replayed == was
            and (since is None or at_us >= now_us - since * 1_000_000)
        ]  # fmt: skip
        wanted = DeadLetterFilter(agent=agent, sender=sender, conversation_id=conversation, reason=reason, since=since)
        found, after = list[str](), None
        # The clock moves with every commit, and a page needs none when nothing has changed.
        while True:
            page = await rig.letters.list(DEFAULT_WORKSPACE, wanted, replayed=replayed, limit=limit, after=after)
            assert len(page.letters) <= limit
            found += [letter.id for letter in page.letters]
            after = page.next
            if after is None:
                break
        assert found == expected
    rig.close()
