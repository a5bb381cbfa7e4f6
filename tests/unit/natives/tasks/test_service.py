"""Tasks as callers outside meet them: created once, found again, cancelled, waited for, and within their limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from caxton.core.errors.receivers import CapabilityNotFound, MailboxFull, UnknownReceiver
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.tasks import TaskEnded, TaskIdConflict, TaskNotFound, TasksFull
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, WorkspaceName
from caxton.core.views.tasks import TaskSpec
from caxton.natives.tasks import agent as agent_module
from caxton.natives.tasks import service as service_module
from caxton.natives.tasks import store
from caxton.testing.handlers import say
from tests.unit.bus.conftest import anyio_backend, clock
from tests.unit.natives.tasks.market import ADA, CALL_S, STEP_S, WORK_S, Market, Script, bid
from tests.unit.natives.tasks.test_market import market

if TYPE_CHECKING:
    from caxton.core.views.tasks import TaskDetail
    from tests.unit.natives.tasks.test_market import Opener

__all__ = ["anyio_backend", "clock", "market"]

SILENT = Script()


def spec(**given: Any) -> TaskSpec:
    return msgspec.convert({"participants": ["a"], "deadline": CALL_S, "result_deadline": WORK_S} | given, TaskSpec)


async def create(found: Market, **given: Any) -> tuple[TaskDetail, bool]:
    ((task, is_new),) = await found.rig.answer(found.service.create(DEFAULT_WORKSPACE, ADA, spec(**given)))
    return task, is_new


async def ended(found: Market, task_id: str, **given: Any) -> TaskDetail:
    """A task from its beginning to its end."""
    await create(found, id=task_id, **given)
    found.began_us = found.clock.wall_us()
    await found.run()
    (task,) = await found.rig.answer(found.service.get(DEFAULT_WORKSPACE, task_id))
    return task


async def listed(found: Market, *, status: str | None = None, limit: int = 100) -> list[str]:
    (tasks,) = await found.rig.answer(found.service.list(DEFAULT_WORKSPACE, status=status, limit=limit))
    return [task.id for task in tasks]


# --- create ------------------------------------------------------------------------------------------------------


async def test_nobody_hears_of_a_task_before_it_is_on_disk(market: Opener) -> None:
    found = market({"a": SILENT})
    asked = asyncio.ensure_future(found.service.create(DEFAULT_WORKSPACE, ADA, spec(id="t")))
    await found.rig.turn_loop()
    assert not asked.done()
    asked.cancel()
    found.crash()
    assert await listed(found) == []
    await create(found, id="t")
    found.crash()
    assert await listed(found) == ["t"]
    found.rig.pump()
    assert [act for act, *_ in found.heard("a")] == ["cfp"]


async def test_the_same_task_under_the_same_id_is_created_once_also_after_a_crash(market: Opener) -> None:
    found = market({"a": SILENT})
    first, is_new = await create(found, id="t", deadline="3s")
    assert is_new
    again, is_new = await create(found, id="t", deadline=3)
    assert (again, is_new) == (first, False)
    found.crash()
    again, is_new = await create(found, id="t")
    assert (again, is_new) == (first, False)
    found.rig.pump()
    assert len(found.heard("a")) == 1


async def test_another_task_under_a_known_id_is_refused(market: Opener) -> None:
    found = market({"a": SILENT})
    await create(found, id="t")
    with pytest.raises(TaskIdConflict):
        await create(found, id="t", max_cost=3)
    found.rig.pump()
    assert len(found.heard("a")) == 1


async def test_without_an_id_each_is_a_task_of_its_own(market: Opener) -> None:
    found = market({"a": SILENT})
    first, second = await create(found), await create(found)
    assert first[0].id != second[0].id
    assert sorted(await listed(found)) == sorted([first[0].id, second[0].id])


async def test_the_callers_trace_goes_on_in_the_calls(market: Opener) -> None:
    found = market({"a": SILENT})
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    await found.rig.answer(found.service.create(DEFAULT_WORKSPACE, ADA, spec(), traceparent=trace))
    found.rig.pump()
    (message,) = found.agents["a"].handler.delivered
    assert (message.traceparent or "").startswith(trace[:36])


async def test_a_stranger_among_the_participants_is_told_and_nobody_is_called(market: Opener) -> None:
    found = market({"a": SILENT})
    with pytest.raises(UnknownReceiver):
        await create(found, participants=["a", "nobody"])
    found.rig.pump()
    assert (found.heard("a"), found.tasks.kv) == ([], {})


async def test_a_capability_calls_all_who_offer_it(market: Opener) -> None:
    found = market({"a": SILENT, "b": SILENT, "c": SILENT})
    for name in ("a", "c"):
        found.agents[name].receiver.offer(deployed={"translation": 50})
    task, _ = await create(found, participants=[], capability="translation")
    assert ([one.agent for one in task.bidders], task.capability) == (["a", "c"], "translation")
    with pytest.raises(CapabilityNotFound) as caught:
        await create(found, participants=[], capability="translatoin")
    assert caught.value.nearest == ["translation"]


async def test_of_too_many_who_offer_it_the_least_busy_are_called(
    market: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "MAX_PARTICIPANTS", 2)
    found = market({"busy": SILENT, "free": SILENT, "stopped": SILENT, "other": SILENT})
    for agent in found.agents.values():
        agent.receiver.offer(deployed={"translation": 50})
    found.rig.post("busy", 1)
    found.rig.stop(found.agents["stopped"])
    task, _ = await create(found, participants=[], capability="translation")
    assert [one.agent for one in task.bidders] == ["free", "other"]


async def test_other_workspaces_and_a_node_that_stops_take_nothing(market: Opener) -> None:
    found = market({"a": SILENT})
    with pytest.raises(WorkspaceNotFound):
        await found.service.list(WorkspaceName("other"), status=None, limit=1)
    found.service.refuse()
    with pytest.raises(ShuttingDown):
        await found.service.create(DEFAULT_WORKSPACE, ADA, spec())


# --- room --------------------------------------------------------------------------------------------------------


async def test_who_has_no_room_for_the_call_is_absent_and_the_others_bid(market: Opener) -> None:
    found = market({"a": bid(1), "b": bid(2)})
    found.agents["a"].receiver.max_messages = 0
    task = await ended(found, "t", participants=["a", "b"])
    assert [(one.agent, one.status) for one in task.bidders] == [("a", "absent"), ("b", "done")]


async def test_a_task_that_nobody_has_room_for_is_refused_and_leaves_nothing(market: Opener) -> None:
    found = market({"a": bid(1)})
    found.agents["a"].receiver.max_messages = 0
    with pytest.raises(MailboxFull):
        await create(found)
    await found.rig.commit()
    assert (found.tasks.kv, found.tasks.timers, await listed(found)) == ({}, {}, [])


async def test_there_are_only_so_many_open_tasks(market: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_OPEN", 2)
    found = market({"a": SILENT})
    await create(found, id="one")
    await create(found, id="two")
    with pytest.raises(TasksFull) as caught:
        await create(found, id="three")
    assert (caught.value.what, caught.value.limit) == ("tasks", 2)
    await found.rig.answer(found.service.cancel(DEFAULT_WORKSPACE, "one"))
    await create(found, id="three")


async def test_open_tasks_may_only_grow_to_so_many_bytes(market: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_OPEN_BYTES", 2 * (store.BIDDER_BYTES + store.TASK_BYTES + 4))
    found = market({"a": SILENT})
    await create(found, id="one")
    await create(found, id="two")
    with pytest.raises(TasksFull) as caught:
        await create(found, id="three")
    assert caught.value.what == "bytes"


async def test_the_oldest_that_ended_are_forgotten_when_there_are_too_many(
    market: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_ENDED", 2)
    found = market({"a": bid(1)})
    for task_id in ("one", "two", "three"):
        await ended(found, task_id)
    assert await listed(found) == ["three", "two"]
    assert not any(b"/one" in key for key in found.tasks.kv)
    with pytest.raises(TaskNotFound):
        await found.service.get(DEFAULT_WORKSPACE, "one")


async def test_what_ended_long_ago_is_forgotten(market: Opener) -> None:
    found = market({"a": bid(1)})
    await ended(found, "old")
    found.clock.advance(store.RETENTION_US / 1e6)
    await ended(found, "new")
    assert await listed(found) == ["new"]


async def test_results_make_room_by_forgetting_the_oldest_tasks(
    market: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = "x" * 100_000
    monkeypatch.setattr(store, "MAX_STATE_BYTES", 350_000)
    found = market({"a": bid(1, result=[(0, "inform", big)])})
    for task_id in ("one", "two", "three", "four"):
        task = await ended(found, task_id)
        assert bytes(task.results[0].content) == msgspec.json.encode(big)
    assert await listed(found) == ["four", "three", "two"]


async def test_a_result_for_which_there_is_no_room_ends_the_task_all_the_same(
    market: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = market({"a": bid(1, result=[(0, "inform", "x" * 1000)])})
    monkeypatch.setattr(agent_module, "MAX_RESULT_BYTES", 999)
    task = await ended(found, "large")
    assert (task.status, bytes(task.results[0].content)) == ("done", b"null")
    assert task.results[0].unkept == "it has 1002 bytes, the limit is 999"
    monkeypatch.setattr(agent_module, "MAX_RESULT_BYTES", 5000)
    monkeypatch.setattr(store, "MAX_STATE_BYTES", 7_000)
    task = await ended(found, "tight")
    assert (task.status, task.results[0].unkept) == ("done", "there was no room for it")


async def test_only_so_many_records_are_kept(market: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_RECORDS", 2)
    found = market({name: bid(1) for name in "abc"})
    for name in "abc":
        await ended(found, f"for-{name}", participants=[name])
    assert sorted(key for key in found.tasks.kv if key.startswith(b"r/")) == [b"r/b", b"r/c"]


# --- mailboxes that are full later -------------------------------------------------------------------------------


def fill(found: Market, name: str) -> None:
    found.agents[name].receiver.max_messages = 0


async def until(found: Market, status: str, task_id: str = "t") -> None:
    while True:
        task = store.find(found.tasks, task_id)
        assert task is not None
        if task.contract.state == status:
            return
        assert await found.step(), f"it never was {status}"


@pytest.mark.parametrize("crash", [False, True], ids=["no-crash", "crash"])
async def test_an_answer_that_finds_a_mailbox_full_comes_later_and_once(market: Opener, crash: bool) -> None:
    found = market({"a": bid(1, after=1), "b": bid(2, after=1), "late": bid(3, after=2)})
    await create(found, id="t", participants=["a", "b", "late"])
    while (task := store.find(found.tasks, "t")) is None or task.contract.bidders["b"].state != "proposed":
        assert await found.step()
    fill(found, "a")
    fill(found, "b")
    await until(found, "awarded")
    found.rig.pump()
    assert (found.answers("a"), found.answers("b"), found.answers("late")) == ([], [], ["reject-proposal outbid"])
    if crash:
        await found.rig.commit()
        found.crash()
    for name in ("a", "b"):
        found.agents[name].receiver.max_messages = 10
    await found.run()
    assert found.answers("a") == ["accept-proposal"]
    assert found.answers("b") == ["reject-proposal outbid"]
    assert (await found.task()).status == "done"
    assert (found.leftovers(), found.tasks.timers) == ([], {})


async def test_a_winner_that_never_heard_of_its_award_is_rejected_and_has_broken_no_promise(market: Opener) -> None:
    found = market({"a": bid(1, after=1), "b": bid(2)})
    await create(found, id="t", participants=["a", "b"])
    found.rig.pump()
    fill(found, "a")
    await until(found, "expired")
    found.agents["a"].receiver.max_messages = 10
    await found.run()
    assert found.answers("a") == ["reject-proposal expired"]
    assert b"r/a" not in found.tasks.kv
    assert found.refused() == []


async def test_a_winner_that_is_stopped_has_its_award_and_the_cancel_in_order_when_it_is_revived(
    market: Opener,
) -> None:
    found = market({"a": bid(1, result=[]), "b": bid(2, after=1)})
    await create(found, id="t", participants=["a", "b"])
    found.rig.pump()
    found.stop("a")
    await until(found, "expired")
    for _ in range(4):
        assert await found.step()
    assert (found.answers("a"), found.refused()) == ([], [])
    found.revive("a")
    await found.run()
    assert (found.answers("a"), found.refused()) == (["accept-proposal", "cancel expired"], [])


async def test_the_clock_is_set_for_one_thing_at_a_time(market: Opener) -> None:
    found = market({"a": bid(1), "b": bid(2)})
    await create(found, id="t", participants=["a", "b"])
    assert [due - found.clock.steady_us() <= CALL_S * 1_000_000 for due, _ in found.tasks.timers.values()] == [True]
    await until(found, "awarded")
    assert [due - found.clock.steady_us() > CALL_S * 1_000_000 for due, _ in found.tasks.timers.values()] == [True]
    await until(found, "done")
    assert found.tasks.timers == {}


async def test_a_fault_of_ours_while_a_task_is_created_takes_no_room_from_anybody(
    market: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    found = market({"a": SILENT})
    monkeypatch.setattr(store.Ledger, "set_task_of_timer", fail)
    with pytest.raises(RuntimeError):
        await create(found)
    assert (found.agents["a"].receiver.messages, found.tasks.timers, found.tasks.kv) == (0, {}, {})


# --- look --------------------------------------------------------------------------------------------------------


async def test_the_list_has_the_open_ones_and_then_the_last_that_ended(market: Opener) -> None:
    found = market({"a": bid(1), "b": SILENT})
    await ended(found, "first")
    await ended(found, "second")
    await create(found, id="open", participants=["b"])
    assert await listed(found) == ["open", "second", "first"]
    assert await listed(found, status="done") == ["second", "first"]
    assert await listed(found, status="done", limit=1) == ["second"]


async def test_an_unknown_task_is_told_with_the_nearest(market: Opener) -> None:
    found = market({"a": SILENT})
    await create(found, id="nightly")
    with pytest.raises(TaskNotFound) as caught:
        await found.service.get(DEFAULT_WORKSPACE, "nightli")
    assert caught.value.nearest == "nightly"


async def test_who_waits_gets_the_task_once_it_has_ended_and_that_is_on_disk(market: Opener) -> None:
    found = market({"a": bid(1)})
    await create(found, id="t")
    waiting = asyncio.ensure_future(found.service.get(DEFAULT_WORKSPACE, "t", wait_s=1e6))
    await until(found, "done")
    assert not waiting.done()
    (task,) = await found.rig.answer(waiting_for(waiting))
    assert (task.status, bytes(task.results[0].content)) == ("done", b'{"answer":42}')
    found.crash()
    assert (await found.task()).status == "done"


async def waiting_for(asked: asyncio.Future[TaskDetail]) -> TaskDetail:
    return await asked


async def test_who_waits_too_short_gets_it_as_it_is(market: Opener) -> None:
    found = market({"a": SILENT})
    await create(found, id="t")
    waiting = asyncio.ensure_future(found.service.get(DEFAULT_WORKSPACE, "t", wait_s=STEP_S))
    await found.rig.turn_loop()
    found.clock.advance(STEP_S)
    (task,) = await found.rig.answer(waiting_for(waiting))
    assert task.status == "calling"


async def test_who_waits_while_the_node_stops_is_told(market: Opener) -> None:
    found = market({"a": SILENT})
    await create(found, id="t")
    waiting = asyncio.ensure_future(found.service.get(DEFAULT_WORKSPACE, "t", wait_s=60))
    await found.rig.turn_loop()
    found.service.refuse()
    with pytest.raises(ShuttingDown):
        await waiting


# --- cancel ------------------------------------------------------------------------------------------------------


async def test_cancelling_twice_is_cancelling_once_and_what_is_done_stays_done(market: Opener) -> None:
    found = market({"a": SILENT, "b": bid(1)})
    await create(found, id="t")
    for _ in range(2):
        (task,) = await found.rig.answer(found.service.cancel(DEFAULT_WORKSPACE, "t", reason="no"))
        assert (task.status, task.reason) == ("cancelled", "no")
    found.rig.pump()
    assert found.answers("a") == ["cancel cancelled"]
    await ended(found, "done", participants=["b"])
    with pytest.raises(TaskEnded):
        await found.service.cancel(DEFAULT_WORKSPACE, "done")
    with pytest.raises(TaskNotFound):
        await found.service.cancel(DEFAULT_WORKSPACE, "unknown")


async def test_a_cancel_survives_a_crash_once_it_is_answered(market: Opener) -> None:
    found = market({"a": SILENT})
    await create(found, id="t")
    await found.rig.answer(found.service.cancel(DEFAULT_WORKSPACE, "t"))
    found.crash()
    await found.run()
    assert ((await found.task()).status, found.answers("a")) == ("cancelled", ["cancel cancelled"])


async def test_an_operator_who_cancels_the_conversation_cancels_the_winner_and_its_answer_is_no_result(
    market: Opener,
) -> None:
    found = market({"a": bid(1, result=[])})
    await create(found, id="t")
    await until(found, "awarded")
    found.rig.pump()
    talk = found.room.book.find((DEFAULT_WORKSPACE, (await found.task()).conversation_id))
    assert talk is not None
    assert found.room.deadlines.cancel(talk, "ada") == ["a"]
    found.rig.pump()
    task = await found.task()
    assert (task.status, task.reason) == ("failed", "somebody else has cancelled its part")


async def test_a_conversation_that_is_ended_as_idle_ends_its_task(market: Opener) -> None:
    found = market({"a": bid(1, result=[])})
    found.room.book.idle_us = 2_000_000
    await create(found, id="t", result_deadline="1h")
    found.began_us += 60_000_000
    await until(found, "cancelled")
    assert (await found.task()).reason == "its conversation was ended: idle"
    await found.rig.commit()
    assert found.leftovers() == []


# --- what is not for it ------------------------------------------------------------------------------------------


def says(found: Market, name: str, act: str, conversation: str, **fields: Any) -> list[Any]:
    """Let an agent say something to `tasks`; what it is answered."""
    before = len(found.heard(name))
    turn = found.rig.boot_turn(found.agents[name])
    out = say("tasks", {"cost": 1}, performative=act, conversation_id=conversation, reply_with="r", **fields)
    assert turn.send(out) == 0
    found.rig.bus.apply(turn)
    found.rig.pump()
    return found.heard(name)[before:]


async def test_questions_that_are_not_about_a_task_are_not_understood(market: Opener) -> None:
    found = market({"a": SILENT}, watched=False)
    ((act, sender, content, reference),) = says(found, "a", "request", "elsewhere")
    assert (act, sender, reference) == ("not-understood", "tasks", "r")
    assert "POST /api/v1/tasks" in content["reason"]
    for answer in ("inform", "failure", "not-understood", "refuse", "agree"):
        assert says(found, "a", answer, "elsewhere") == []


async def test_a_proposal_for_a_task_that_is_forgotten_is_late(market: Opener) -> None:
    found = market({"a": SILENT}, watched=False)
    ((act, _, content, reference),) = says(found, "a", "propose", "task-gone", protocol="fipa-contract-net")
    assert (act, content["reason"], reference) == ("reject-proposal", "late", "r")


async def test_who_was_not_called_cannot_win(market: Opener) -> None:
    found = market({"a": bid(5), "stranger": SILENT}, watched=False)
    task, _ = await create(found, id="t", participants=["a"])
    ((act, *_),) = says(found, "stranger", "propose", task.conversation_id, protocol="fipa-contract-net")
    assert act == "reject-proposal"
    await found.run()
    assert (await found.task()).awarded_to == ["a"]


# --- the id of its conversation ----------------------------------------------------------------------------------


async def test_who_knows_the_id_of_a_task_beforehand_cannot_keep_it_from_being_negotiated(market: Opener) -> None:
    found = market({"a": bid(1), "thief": SILENT})
    says(found, "thief", "request", "task-t", protocol="fipa-request")
    says(found, "thief", "cfp", "task-t", protocol="fipa-contract-net")
    task = await ended(found, "t", participants=["a"])
    assert (task.status, task.awarded_to, found.refused()) == ("done", ["a"], [])


async def test_conversations_of_one_task_id_have_nothing_in_common_that_could_be_guessed(market: Opener) -> None:
    found = market({"a": SILENT})
    first, _ = await create(found, id="t1")
    found.crash()
    again, _ = await create(found, id="t1")
    other, _ = await create(found, id="t2")
    assert first.conversation_id == again.conversation_id
    marks = [task.conversation_id.removeprefix(f"task-{task.id}:") for task in (first, other)]
    assert len({*marks}) == 2
    assert all(len(mark) == 16 for mark in marks)


async def test_answer_in_a_conversation_that_only_looks_like_that_of_a_task_is_none(market: Opener) -> None:
    found = market({"a": SILENT}, watched=False)
    await create(found, id="t")
    found.rig.pump()
    for conversation in ("task-t", "task-t:0", "task-t:"):
        ((act, _, content, _),) = says(found, "a", "propose", conversation, protocol="fipa-contract-net")
        assert (act, content["reason"]) == ("reject-proposal", "late")
    assert (await found.task()).bidders[0].status == "called"


def _no_mark(_size: int) -> str:
    return ""


async def test_task_of_an_older_version_goes_on_in_its_conversation(
    market: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "token_hex", _no_mark)
    found = market({"a": bid(1)})
    assert (await create(found, id="t"))[0].conversation_id == "task-t"
    found.crash()
    monkeypatch.undo()
    await found.run()
    task = await found.task()
    assert (task.status, task.conversation_id) == ("done", "task-t")
