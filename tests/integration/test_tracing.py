"""What is found out about messages on a real node, with real guests: while they wait, and when they are over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from caxton.core.errors.agents import AgentFailed
from caxton.core.errors.traces import ConversationNotRecorded, MessageNotFound
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, WorkspaceName
from caxton.core.views.traces import TraceFilter, TraceView
from caxton.messages.message import AclMessage
from caxton.recorder.record import Record
from caxton.recorder.recorder import MAX_FOUND
from caxton.services import tracing
from caxton.testing.guests import assemble, example, guest, guest_text
from caxton.testing.rooms import TESTER, LocalNode, open_node, until

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


def relay(*receivers: str) -> bytes:
    """A guest that proposes something to others in the conversation `order-1`, whatever it is told."""
    names = ",".join(f'"{name}"' for name in receivers)
    text = f'{{"performative":"propose","receiver":[{names}],"conversation_id":"order-1"}}'
    quoted = text.replace('"', '\\"')
    return assemble(
        guest_text(
            imports='(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
            handle=f"(call $send (i32.const 16) (i32.const {len(text)}))",
            more=f'(data (i32.const 16) "{quoted}")',
        )
    )


FAILS = assemble(guest_text(handle="i32.const 1"))


async def trace(node: LocalNode, *, limit: int = 1000, **wanted: Any) -> TraceView:
    return await node.rooms.traces.trace(DEFAULT_WORKSPACE, TraceFilter(**wanted), limit=limit)


async def begin(node: LocalNode, receiver: str, conversation_id: str = "order-1") -> str:
    message = AclMessage(performative="request", receiver=receiver, conversation_id=conversation_id)
    return (await node.messages.post(DEFAULT_WORKSPACE, TESTER, message)).message_id


def tree(view: TraceView) -> list[tuple[int, str, str, str]]:
    return [(span.depth, span.sender, span.receiver, span.status) for span in view.spans]


async def test_chain_of_guests_is_a_tree_and_a_message_in_the_middle_has_its_family(node: LocalNode) -> None:
    await node.deploy("a", relay("b"))
    await node.deploy("b", relay("c", "d"))
    await node.deploy("c", guest("sink"))
    await node.deploy("d", relay("e"))
    await node.deploy("e", guest("sink"))
    message_id = await begin(node, "a")
    await until(lambda: node.rooms.bus.names.directory("default").receivers["e"].handled)
    whole = await trace(node, conversation_id="order-1")
    assert tree(whole)[:3] == [
        (0, "client:tester", "a", "handled"), (1, "a", "b", "handled"), (2, "b", "c", "handled"),
    ]  # fmt: skip
    assert tree(whole)[3:5] == [(2, "b", "d", "handled"), (3, "d", "e", "handled")]
    assert [span.performative for span in whole.spans][:2] == ["request", "propose"]
    assert len({span.trace_id for span in whole.spans}) == 1
    last = await trace(node, message_id=whole.spans[4].message_id)  # its causes, and nothing of what they did besides
    assert [span.receiver for span in last.spans][:4] == ["a", "b", "d", "e"]
    await begin(node, "c", "another")  # by the same client, and no family
    assert tree(await trace(node, message_id=message_id)) == tree(whole)


@pytest.fixture
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three attempts at once, and an hour before the fourth."""

    def delay_s(attempt: int, _jitter: float) -> float:
        return 0 if attempt < 4 else 3600

    monkeypatch.setattr("caxton.bus.redelivery.retry_delay_s", delay_s)


@pytest.mark.usefixtures("long_pause")
async def test_what_failed_comes_again_and_its_time_is_told(node: LocalNode) -> None:
    await node.deploy("bad", FAILS)
    await begin(node, "bad")
    receiver = node.rooms.bus.names.directory("default").receivers["bad"]
    await until(lambda: receiver.failed == 3)
    view = await trace(node, conversation_id="order-1")
    (span,) = view.spans
    assert (span.status, span.attempt, span.error) == ("waiting", 4, "its handler returned 1")
    assert span.again_at is not None
    assert span.ended is None
    assert span.again_at > view.now
    assert [one.outcome for one in span.tries] == ["failed"] * 3
    only = await trace(node, conversation_id="order-1", errors=True)
    assert [event.status for event in only.events] == ["failed"] * 3


async def test_caller_who_was_told_of_a_crash_finds_the_dead_letter(node: LocalNode) -> None:
    await node.deploy("bad", guest("trap_unreachable"))
    with pytest.raises(AgentFailed):
        await node.ask("bad", {"n": 1})
    record = next(one for one in node.rooms.recorder.recent() if one.receiver == "bad")
    view = await trace(node, message_id=record.message_id)
    assert [event.status for event in view.events] == ["sent", "received", "crashed", "dead"]
    assert view.spans[0].status == "dead"


async def test_mail_of_an_agent_that_is_stopped_waits_in_its_order_and_says_why(node: LocalNode) -> None:
    await node.deploy("late", guest("sink"))
    await node.stop("late")
    for number in range(3):
        await begin(node, "late", f"order-{number}")
    (span,) = (await trace(node, conversation_id="order-2")).spans
    assert (span.status, span.before) == ("waiting", 2)
    assert span.note == "waits in late's mailbox behind 2; it is stopped"
    view = await trace(node, message_id=span.message_id)
    assert tree(view) == [(0, "client:tester", "late", "waiting")]


async def test_guest_that_computes_has_its_message_in_hand_and_others_wait_behind(node: LocalNode) -> None:
    await node.deploy("busy", guest("spin"), cpu_time="60s", timeout="60s")
    await begin(node, "busy")
    box = node.rooms.bus.names.directory("default").receivers["busy"].mailboxes[0]
    await until(lambda: box.busy)
    await begin(node, "busy", "order-2")
    (one,) = (await trace(node, conversation_id="order-1")).spans
    assert (one.status, one.note, len(one.tries), one.tries[0].ended) == ("in hand", "in hand of busy", 1, None)
    (two,) = (await trace(node, conversation_id="order-2")).spans
    assert (two.status, two.note) == ("waiting", "waits in busy's mailbox")
    urgent = AclMessage(performative="request", receiver="busy", conversation_id="order-3", priority=9)
    await node.messages.post(DEFAULT_WORKSPACE, TESTER, urgent)
    (two,) = (await trace(node, conversation_id="order-2")).spans
    assert two.note == "waits in busy's mailbox behind 1"


@pytest.mark.usefixtures("long_pause")
async def test_mail_of_a_sender_waits_for_its_message_that_is_repeated(node: LocalNode) -> None:
    await node.deploy("bad", FAILS)
    await begin(node, "bad")
    receiver = node.rooms.bus.names.directory("default").receivers["bad"]
    await until(lambda: receiver.failed == 3)
    await begin(node, "bad", "order-2")
    await until(lambda: len(next(iter(receiver.mailboxes[0].inbox.paused.values()), ())) == 2)
    (span,) = (await trace(node, conversation_id="order-2")).spans
    assert span.note == "waits in bad's mailbox behind 1; one of its sender's is repeated first"


async def test_unknown_ids_are_not_found_and_known_ones_that_are_quiet_are_empty(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"))
    await begin(node, "sink")
    await until(lambda: node.rooms.recorder.recent())
    with pytest.raises(ConversationNotRecorded) as conversation:
        await trace(node, conversation_id="nix")
    assert conversation.value.recorded_s is not None
    with pytest.raises(MessageNotFound):
        await trace(node, message_id="nix")
    with pytest.raises(WorkspaceNotFound):
        await node.rooms.traces.trace(WorkspaceName("elsewhere"), TraceFilter(conversation_id="x"), limit=1)
    quiet = await trace(node, conversation_id="order-1", last_s=0.000_001)
    assert (quiet.spans, quiet.total, quiet.last_us is not None) == ([], 0, True)
    assert (await trace(node, conversation_id="order-1", agent="nobody")).spans == []


async def test_conversation_that_the_recorder_has_lost_is_known_by_what_was_kept(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.deploy("echo", example("echo"))
    reply = await node.ask("echo", {"n": 1})
    conversation_id = reply["conversation_id"]
    monkeypatch.setattr(node.rooms.recorder, "_backwards", lambda *_: iter(()))  # type: ignore[misc]
    view = await trace(node, conversation_id=conversation_id)
    assert [(span.sender, span.receiver, span.status) for span in view.spans] == [
        ("client:tester", "echo", "kept"), ("echo", "client:tester", "kept"),
    ]  # fmt: skip


async def test_trace_survives_the_server(tmp_path: Path) -> None:
    async with open_node(tmp_path) as node:
        await node.deploy("a", relay("sink"))
        await node.deploy("sink", guest("sink"))
        await begin(node, "a")
        await until(lambda: node.rooms.bus.names.directory("default").receivers["sink"].handled)
    async with open_node(tmp_path) as node:
        view = await trace(node, conversation_id="order-1")
    assert [(span.depth, span.receiver) for span in view.spans][:2] == [(0, "a"), (1, "sink")]


async def test_message_is_found_behind_more_records_than_one_answer_has(node: LocalNode) -> None:
    await node.deploy("a", relay("b"))
    await node.deploy("b", guest("sink"))
    message_id = await begin(node, "a")
    await until(lambda: node.receiver("b").handled)
    before = await trace(node, message_id=message_id)
    recorder = node.rooms.recorder
    other = msgspec.structs.astuple(recorder.recent()[-1])
    trace_at, message_at = (Record.__struct_fields__.index(name) for name in ("trace", "message_id"))
    for number in range(MAX_FOUND + 1):
        fields = [*other]
        fields[trace_at], fields[message_at] = f"00-{number:032x}-", f"other-{number}"
        recorder.add(tuple(fields))
    recorder.flush()
    after = await trace(node, message_id=message_id)
    assert tree(after) == tree(before) == [(0, "client:tester", "a", "handled"), (1, "a", "b", "handled")]


async def test_message_that_waits_shows_what_led_to_it_also_after_a_restart(tmp_path: Path) -> None:
    async with open_node(tmp_path) as node:
        await node.deploy("a", relay("b"))
        await node.deploy("b", relay("late"))
        await node.deploy("late", guest("sink"))
        await node.stop("late")
        await begin(node, "a")
        await until(lambda: node.receiver("late").messages)
        waiting = (await trace(node, conversation_id="order-1")).spans[-1]
        family = [
            (0, "client:tester", "a", "handled"), (1, "a", "b", "handled"), (2, "b", "late", "waiting"),
        ]  # fmt: skip
        assert tree(await trace(node, message_id=waiting.message_id)) == family
        await node.rooms.journal.commit()
    async with open_node(tmp_path) as node:
        again = await trace(node, message_id=waiting.message_id)
        assert tree(again) == family
        assert (again.spans[-1].sent, again.spans[-1].trace_id) == (waiting.sent, waiting.trace_id)


async def test_what_a_crash_undid_and_what_was_done_then_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_node(tmp_path) as node:
        await node.deploy("a", relay("b"))
        await node.deploy("b", guest("sink"))
        await node.stop("a")
        message_id = await begin(node, "a")
        monkeypatch.setattr(node.rooms.journal, "_flush", lambda: None)  # from here on nothing lasts
        starting = asyncio.create_task(node.start("a"))
        await until(lambda: node.receiver("b").handled)
        starting.cancel()
    async with open_node(tmp_path) as node:
        if node.view("a").status != "running":
            await node.start("a")
        await until(lambda: node.receiver("b").handled)
        view = await trace(node, message_id=message_id)
    assert tree(view) == [
        (0, "client:tester", "a", "handled"), (1, "a", "b", "handled"), (1, "a", "b", "handled"),
    ]  # fmt: skip
    assert [event.note for event in view.events if event.status == "received" and event.agent == "a"] == [
        None, "handed over again after a restart",
    ]  # fmt: skip
    assert len({span.message_id for span in view.spans}) == 3


async def test_long_conversation_is_cut_to_its_end_and_says_so(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "MAX_RECORDS", 50)
    monkeypatch.setattr(tracing, "MAX_LIVE", 5)
    await node.deploy("sink", guest("sink"))
    receiver = node.rooms.bus.names.directory("default").receivers["sink"]
    ids = [await begin(node, "sink") for _ in range(80)]
    await until(lambda: receiver.handled == 80)
    view = await trace(node, conversation_id="order-1")
    assert (len(view.spans), view.cut, view.at_least) == (50, True, True)
    assert [span.message_id for span in view.spans] == ids[-50:]
    short = await trace(node, conversation_id="order-1", limit=3)
    assert ([span.message_id for span in short.spans], short.cut, short.total) == (ids[-3:], True, 50)
    monkeypatch.setattr(tracing, "MAX_RECORDS", 80)
    assert (await trace(node, conversation_id="order-1", limit=3)).at_least is False
    monkeypatch.setattr(tracing, "MAX_RECORDS", 50)
    await node.stop("sink")
    for _ in range(9):
        await begin(node, "sink", "waits")
    waiting = await trace(node, conversation_id="waits")
    assert (len(waiting.spans), waiting.cut) == (5, True)


async def test_what_was_said_is_told_of_conversations_that_are_kept_whole(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.deploy("echo", example("echo"))
    await node.ask("echo", {"order": 7}, conversation_id="order-1")
    bodies = node.rooms.bus.flight.bodies
    assert bodies is not None
    await until(lambda: len(bodies.of("default", "order-1")) == 2)
    told = await trace(node, conversation_id="order-1", bodies=True)
    assert told.said == "whole"
    assert [span.content for span in told.spans] == [{"order": 7}, {"order": 7}]
    assert (await trace(node, conversation_id="order-1")).said is None
    monkeypatch.setattr(tracing, "MAX_CONTENT_BYTES", 10)
    cut = await trace(node, conversation_id="order-1", bodies=True)
    assert (cut.said, [span.content for span in cut.spans]) == ("none", [None, None])
