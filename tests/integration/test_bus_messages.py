"""Messages from outside through a whole node with real guests: what callers are told, and when."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from caxton.core.errors.agents import AgentFailed, AgentStateConflict
from caxton.core.errors.messages import ReplyInterrupted, ReplyTimeout
from caxton.core.errors.receivers import MailboxFull, UnknownReceiver
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, WorkspaceName
from caxton.core.views.messages import Receipt
from caxton.server.wiring import build
from caxton.testing.guests import example, guest
from caxton.testing.rooms import CACHE_KEY, PATIENCE_S, TESTER, LocalNode, message, open_node, until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from caxton.storage.database import Database


@contextmanager
def disk_held(database: Database) -> Generator[None]:
    """While the block runs, no transaction asked for in it comes to its end."""
    with disk_held_from_here(database) as held:
        assert held.wait(PATIENCE_S)
        yield


@contextmanager
def disk_held_from_here(database: Database) -> Generator[threading.Event]:
    """The same behind all that was asked before; the event is set once the writer has come so far."""
    held, release = threading.Event(), threading.Event()

    def hold(_error: Exception | None) -> None:
        held.set()
        assert release.wait(PATIENCE_S)

    database.write([], hold)
    try:
        yield held
    finally:
        release.set()


# --- nothing is told before it is on disk --------------------------------------------------------------------------


async def test_receipt_comes_only_after_the_commit(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"))
    with disk_held(node.rooms.database):
        posted = asyncio.create_task(node.post("echo", 1))
        await until(lambda: node.rooms.bus.settled == 1)  # the guest has long answered
        assert not posted.done()
    with anyio.fail_after(PATIENCE_S):
        receipt = await posted
    assert (receipt.status, receipt.durability) == ("accepted", "fsync")


async def test_reply_comes_only_after_the_commit(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"))
    with disk_held(node.rooms.database):
        asked = asyncio.create_task(node.ask("echo", {"n": 1}))
        await until(lambda: node.rooms.bus.settled == 1)
        assert not asked.done()
    with anyio.fail_after(PATIENCE_S):
        assert (await asked)["content"] == {"n": 1}


async def test_failure_is_told_only_after_the_commit(node: LocalNode) -> None:
    await node.deploy("a", guest("returns_nonzero"))
    with disk_held(node.rooms.database):
        asked = asyncio.create_task(node.ask("a"))
        await until(lambda: node.rooms.bus.letters.count == 1)
        assert not asked.done()
    with anyio.fail_after(PATIENCE_S), pytest.raises(AgentFailed):
        await asked


async def test_conversation_shows_only_what_is_on_disk(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"))
    rooms = node.rooms
    with ExitStack() as later:
        with disk_held(rooms.database):
            posts = [asyncio.create_task(node.post("sink", "on disk", conversation_id="talk"))]
            await until(lambda: rooms.bus.settled == 1 and not rooms.journal.changed_rows())
            posts.append(asyncio.create_task(node.post("sink", "in memory", conversation_id="talk")))
            await until(lambda: rooms.bus.settled == 2)
            read = asyncio.create_task(node.messages.conversation(DEFAULT_WORKSPACE, "talk", limit=10))
            for _ in range(3):
                await anyio.lowlevel.checkpoint()  # it has asked the disk
            held = later.enter_context(disk_held_from_here(rooms.database))
        assert await asyncio.to_thread(held.wait, PATIENCE_S)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        shown = await read if read.done() else []  # it may also wait for the second message to be on disk
    with anyio.fail_after(PATIENCE_S):
        await asyncio.gather(read, *posts)
    assert not [body for body in shown if b"in memory" in body]


# --- post ----------------------------------------------------------------------------------------------------------


async def test_each_message_of_a_batch_is_answered_for_itself_with_one_commit(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"))
    await node.deploy("small", guest("sink"), mailbox_messages=1)
    await node.stop("small")
    commits = node.rooms.journal.commits
    answers = await node.messages.post_batch(
        DEFAULT_WORKSPACE,
        TESTER,
        [message(name, n) for n, name in enumerate(["sink", "nobody", "small", "small", "sink"])],
    )
    assert [type(answer) for answer in answers] == [Receipt, UnknownReceiver, Receipt, MailboxFull, Receipt]
    assert node.rooms.journal.commits == commits + 1
    await until(lambda: node.rooms.bus.settled == 2)


async def test_other_workspace_is_not_found(node: LocalNode) -> None:
    other = WorkspaceName("other")
    with pytest.raises(WorkspaceNotFound):
        await node.messages.post(other, TESTER, message("a"))
    with pytest.raises(WorkspaceNotFound):
        await node.messages.ask(other, TESTER, message("a"), timeout_s=1)
    with pytest.raises(WorkspaceNotFound):
        await node.messages.conversation(other, "c", limit=1)


async def test_receipt_is_never_given_when_the_disk_fails(tmp_path: Path, compiled_dir: Path) -> None:
    (tmp_path / "compiled").symlink_to(compiled_dir)
    failures: list[Exception] = []
    rooms = build(tmp_path, cache_key=CACHE_KEY, max_instances=10, on_storage_failure=failures.append)
    try:
        await rooms.start()
        node = LocalNode(rooms)
        await node.deploy("sink", guest("sink"))
        await node.post("sink", "safe")
        rooms.journal.add("INSERT INTO nowhere VALUES (?)", 1)
        posted = asyncio.create_task(node.post("sink", "never"))
        asked = asyncio.create_task(node.post("sink", "never"))
        await until(lambda: failures)
        await until(lambda: rooms.bus.settled == 3)
        with anyio.move_on_after(0.1):
            await asyncio.wait([posted, asked], return_when=asyncio.FIRST_COMPLETED)
        assert not [task for task in (posted, asked) if task.done() and task.exception() is None]
        assert len(failures) == 1
        posted.cancel()
        asked.cancel()
        await asyncio.gather(posted, asked, return_exceptions=True)
    finally:
        rooms.close()
    async with open_node(tmp_path) as node:
        rows = await node.messages.conversation(DEFAULT_WORKSPACE, "none", limit=1)
        assert (rows, node.view("sink").status) == ([], "running")


# --- ask -----------------------------------------------------------------------------------------------------------


async def test_agent_that_does_not_answer_times_out_and_is_not_waited_for_any_more(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"))
    with pytest.raises(ReplyTimeout) as caught:
        await node.ask("sink", 1, timeout_s=0.05, conversation_id="talk")
    assert (caught.value.receiver, caught.value.conversation_id) == ("sink", "talk")
    await node.wait_for_quiet()
    assert node.rooms.bus.settled == 1  # the message itself was taken


async def test_cancelled_caller_is_not_waited_for_and_the_message_stays(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"))
    asked = asyncio.create_task(node.ask("sink", 1))
    await until(lambda: node.rooms.bus.settled == 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert asked.cancelled()
    assert node.rooms.postbox.accepted == 1


async def test_question_to_an_agent_that_does_not_run_is_refused_at_once(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"))
    await node.stop("echo")
    with pytest.raises(AgentStateConflict):
        await node.ask("echo", 1)
    assert node.rooms.postbox.accepted == 0
    await node.post("echo", 2, performative="request", conversation_id="later")  # mail waits, questions do not
    await node.start("echo")
    await node.wait_for_quiet()
    assert node.rooms.bus.settled == 1


async def test_crash_is_told_with_trap_functions_and_log(node: LocalNode) -> None:
    await node.deploy("a", guest("trap_unreachable"))
    with pytest.raises(AgentFailed) as caught:
        await node.ask("a")
    assert (caught.value.name, caught.value.trap) == ("a", "unreachable")
    assert "handle_message" in caught.value.functions
    assert any("crashed" in line for line in caught.value.log)


async def test_many_questions_at_once_get_their_own_answers(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"), replicas=3)
    replies = await asyncio.gather(*(node.ask("echo", {"n": n}, conversation_id=f"c{n % 7}") for n in range(100)))
    assert [reply["content"]["n"] for reply in replies] == list(range(100))


async def test_stopping_tells_those_who_wait_and_refuses_the_next(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"))
    asked = asyncio.create_task(node.ask("sink", 1))
    await until(lambda: node.rooms.bus.settled == 1)
    with anyio.fail_after(PATIENCE_S):
        await node.rooms.drain()
        with pytest.raises(ReplyInterrupted) as caught:
            await asked
        assert caught.value.conversation_id.startswith("conversation-")
        with pytest.raises(ShuttingDown):
            await node.post("sink", 2)
        with pytest.raises(ShuttingDown):
            await node.ask("sink", 3)
    assert (node.rooms.status.state, node.rooms.status.ready()) == ("stopping", False)


# --- conversation --------------------------------------------------------------------------------------------------


async def test_conversation_is_in_order_bounded_and_outlives_a_restart(tmp_path: Path, compiled_dir: Path) -> None:
    def contents(bodies: list[bytes]) -> list[bytes]:
        return [body.partition(b'"content":')[2][:1] for body in bodies]

    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("echo", example("echo"))
        for n in range(3):
            await node.ask("echo", n, conversation_id="talk")
        before = await node.messages.conversation(DEFAULT_WORKSPACE, "talk", limit=100)
        assert contents(before) == [b"0", b"0", b"1", b"1", b"2", b"2"]
        assert contents(await node.messages.conversation(DEFAULT_WORKSPACE, "talk", limit=3)) == [b"1", b"2", b"2"]
        assert await node.messages.conversation(DEFAULT_WORKSPACE, "other", limit=3) == []
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert await node.messages.conversation(DEFAULT_WORKSPACE, "talk", limit=100) == before
        assert contents(await node.messages.conversation(DEFAULT_WORKSPACE, "talk", limit=3)) == [b"1", b"2", b"2"]
