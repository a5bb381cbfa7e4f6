"""Who waits for whom in a whole node: agents that pass a request on, each within the conversation before."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from caxton.conversations.conversation import load
from caxton.core.errors.conversations import ConversationNotFound, ConversationOver
from caxton.core.ids import DEFAULT_WORKSPACE, AgentName
from caxton.core.views.conversations import ConversationFilter
from caxton.services import conversations
from caxton.testing.guests import guest
from caxton.testing.rooms import TESTER, open_node, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from caxton.bus.turn import Turn
    from caxton.conversations.conversation import Conversation
    from caxton.core.views.waits import CriticalPath
    from caxton.messages.message import AclMessage
    from caxton.services.conversations import ConversationService
    from caxton.storage.database import Row
    from caxton.testing.rooms import LocalNode


class Passer:
    """Asks the first of those whom the content names, and tells it the others; answers a cancel and nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    def handle(self, message: AclMessage, turn: Turn) -> int:
        if message.performative == "cancel":
            return self._say(turn, message.sender, "inform", None, message.conversation_id, message.reply_with)
        if message.performative == "request" and (names := msgspec.json.decode(message.content)):
            return self._say(turn, names[0], "request", names[1:], f"{message.conversation_id}/{self.name}")
        return 0

    def fire(self, timer_id: int, turn: Turn) -> int:
        return 0

    def _say(
        self, turn: Turn, receiver: str, act: str, content: object, conversation: str | None,
        in_reply_to: str | None = None,
    ) -> int:  # fmt: skip
        said = {
            "performative": act, "receiver": receiver, "content": content, "protocol": "fipa-request",
            "conversation_id": conversation, "parent_conversation": (conversation or "").rpartition("/")[0] or None,
            "in_reply_to": in_reply_to,
        }  # fmt: skip
        return min(turn.send(msgspec.json.encode(said)), 0)


@pytest.fixture
async def node(tmp_path: Path, compiled_dir: Path) -> AsyncIterator[LocalNode]:
    natives = [Passer(name) for name in ("a", "b", "c")]
    async with open_node(tmp_path, compiled=compiled_dir, natives=natives) as node:
        yield node


async def ask(node: LocalNode, *names: str) -> ConversationService:
    """A client asks the first, who passes it on to the others in turn."""
    first, *others = names
    await node.post(first, others, performative="request", protocol="fipa-request", conversation_id="x")
    await until(lambda: not any(node.receiver(name).messages for name in ("a", "b", "c")))
    return node.rooms.conversations


def said(path: CriticalPath) -> list[tuple[str, str, str | None]]:
    (one,) = path.paths
    return [(wait.waiter, wait.waits_for, wait.conversation_id) for wait in one.waits]


async def test_path_leads_over_nested_conversations_to_the_agent_that_is_stopped(node: LocalNode) -> None:
    await node.deploy("db", guest("sink"))
    await node.stop("db")
    found = await (await ask(node, "a", "b", "db")).why(DEFAULT_WORKSPACE, "x")
    assert said(found) == [("client:tester", "a", "x"), ("a", "b", "x/a"), ("b", "db", "x/a/b")]
    cause = found.paths[0].cause
    assert (cause.agent, cause.kind, cause.text) == ("db", "not-running", "stopped, 1 message waits")


async def test_nobody_waits_for_an_agent_that_was_removed_or_a_name_that_was_forgotten(node: LocalNode) -> None:
    await node.deploy("db", guest("sink"))
    asks = node.rooms.conversation_room.table.asks(DEFAULT_WORKSPACE)
    asks.remember("a", "r-1", ["db"], None, 1, None)
    service = await ask(node, "a", "db")
    await until(lambda: not node.receiver("db").messages)
    assert len(asks) == 1
    await node.remove("db")
    assert len(asks) == 0
    assert (await service.get(DEFAULT_WORKSPACE, "x/a")).exchanges[0].state == "failed"
    asks.remember("a", "r-2", ["db"], None, 1, None)
    await node.agents.remove(DEFAULT_WORKSPACE, AgentName("db"), force=False, forget=True)
    assert len(asks) == 0


async def test_deadlock_of_three_is_named_with_its_conversations(node: LocalNode) -> None:
    service = await ask(node, "a", "b", "c", "a")
    (found,) = await service.deadlocks(DEFAULT_WORKSPACE)
    assert found.cycle == ["a", "b", "c"]
    assert [wait.conversation_id for wait in found.waits] == ["x/a", "x/a/b", "x/a/b/c"]
    path = await service.why(DEFAULT_WORKSPACE, "x")
    assert (path.paths[0].cause.kind, path.paths[0].cause.cycle) == ("cycle", ["a", "b", "c"])


async def test_cancelling_one_of_its_conversations_ends_a_deadlock(node: LocalNode) -> None:
    service = await ask(node, "a", "b", "c", "a")
    receipt = await service.cancel(DEFAULT_WORKSPACE, TESTER, "x/a/b")
    assert (receipt.told, receipt.cancelling) == (["c"], [])
    await until(lambda: not node.receiver("c").messages and not node.receiver("b").messages)
    assert (await service.get(DEFAULT_WORKSPACE, "x/a/b")).exchanges[0].state == "cancelled"
    assert await service.deadlocks(DEFAULT_WORKSPACE) == []
    with pytest.raises(ConversationOver):
        await service.cancel(DEFAULT_WORKSPACE, TESTER, "x/a/b")


async def test_agent_that_is_told_to_cancel_is_told_once(node: LocalNode) -> None:
    await node.deploy("db", guest("sink"))
    await node.stop("db")
    service = await ask(node, "a", "db")
    first = await service.cancel(DEFAULT_WORKSPACE, TESTER, "x/a")
    again = await service.cancel(DEFAULT_WORKSPACE, TESTER, "x/a")
    assert (first.told, first.cancelling) == (["db"], [])
    assert (again.told, again.cancelling) == ([], ["db"])
    assert node.receiver("db").messages == 2
    assert (await service.get(DEFAULT_WORKSPACE, "x/a")).status == "cancelling"


async def test_conversations_are_listed_and_shown_with_what_was_begun_within_them(node: LocalNode) -> None:
    service = await ask(node, "a", "b")
    page = await service.list(DEFAULT_WORKSPACE, ConversationFilter(agent="a"), limit=1, after=None)
    rest = await service.list(DEFAULT_WORKSPACE, ConversationFilter(agent="a"), limit=1, after=page.next)
    assert ([one.id for one in page.conversations], [one.id for one in rest.conversations]) == (["x/a"], ["x"])
    detail = await service.get(DEFAULT_WORKSPACE, "x")
    assert (detail.initiator, detail.children, detail.waiting) == ("client:tester", ["x/a"], 1)


async def listed(node: LocalNode, wanted: ConversationFilter, limit: int) -> tuple[list[str], int]:
    """Ids of all pages, and how many pages there were."""
    found: list[str] = []
    after, pages = None, 0
    while pages == 0 or after is not None:
        page = await node.rooms.conversations.list(DEFAULT_WORKSPACE, wanted, limit=limit, after=after)
        assert len(page.conversations) <= limit
        found += [one.id for one in page.conversations]
        after, pages = page.next, pages + 1
    return found, pages


@pytest.mark.parametrize("looked_at", [2, 3, 5000])
async def test_pages_of_a_narrow_list_have_each_that_is_meant_once_however_few_rows_a_page_looks_at(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    monkeypatch.setattr(conversations, "MAX_LOOKED_AT", looked_at)
    for n in range(8):  # those with an even number are over, in memory and on disk
        to = "a" if n in (1, 2, 7) else "c"
        await node.post(to, [], performative="request", protocol="fipa-request", conversation_id=f"x{n}")
        if n % 2 == 0:
            await until(lambda: not node.receiver("a").messages and not node.receiver("c").messages)
            await node.rooms.conversations.cancel(DEFAULT_WORKSPACE, TESTER, f"x{n}")
    await node.wait_for_quiet()
    for limit in (1, 2, 100):
        assert (await listed(node, ConversationFilter(), limit))[0] == [f"x{n}" for n in range(7, -1, -1)]
        assert (await listed(node, ConversationFilter(agent="a"), limit))[0] == ["x7", "x2", "x1"]
        assert (await listed(node, ConversationFilter(status="ended"), limit))[0] == ["x6", "x4", "x2", "x0"]
        assert (await listed(node, ConversationFilter(status="open", agent="c"), limit))[0] == ["x5", "x3"]
        assert (await listed(node, ConversationFilter(protocol="fipa-query"), limit))[0] == []
    assert (await listed(node, ConversationFilter(), 8))[1] == 1


async def test_rows_of_a_list_are_read_and_parsed_beside_the_event_loop(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(node, "a", "b")
    threads: set[int] = set()

    def load_here(row: Row) -> Conversation:
        threads.add(threading.get_ident())
        return load(row)

    monkeypatch.setattr(conversations, "load", load_here)
    page = await node.rooms.conversations.list(DEFAULT_WORKSPACE, ConversationFilter(agent="a"), limit=10, after=None)
    assert [one.id for one in page.conversations] == ["x/a", "x"]
    assert threads
    assert threading.get_ident() not in threads


async def test_what_nobody_ever_heard_of_is_not_found(node: LocalNode) -> None:
    service = node.rooms.conversations
    for call in (
        service.get(DEFAULT_WORKSPACE, "nix"),
        service.why(DEFAULT_WORKSPACE, "nix"),
        service.cancel(DEFAULT_WORKSPACE, TESTER, "nix"),
    ):
        with pytest.raises(ConversationNotFound):
            await call


async def test_damaged_conversation_is_not_found_and_the_list_goes_on_behind_it(
    tmp_path: Path, compiled_dir: Path
) -> None:
    natives = [Passer(name) for name in ("a", "b", "c")]
    async with open_node(tmp_path, compiled=compiled_dir, natives=natives) as node:
        service = await ask(node, "a", "b", "c", "a")
        await service.cancel(DEFAULT_WORKSPACE, TESTER, "x/a/b")
        await until(lambda: not node.receiver("c").messages and not node.receiver("b").messages)
        await node.rooms.journal.commit()
    async with open_node(tmp_path, compiled=compiled_dir, natives=natives) as node:
        await node.rows("UPDATE conversations SET state = '{' WHERE id = 'x/a/b' AND ended_us > 0 RETURNING id")
        service = node.rooms.conversations
        for _ in range(2):  # as long as it is in the journal, and when it was put aside
            found: list[str] = []
            after: str | None = None
            while True:
                page = await service.list(DEFAULT_WORKSPACE, ConversationFilter(), limit=1, after=after)
                found += [one.id for one in page.conversations]
                after = page.next
                if after is None:
                    break
            assert found == ["x/a/b/c", "x/a", "x"]
            with pytest.raises(ConversationNotFound):
                await service.get(DEFAULT_WORKSPACE, "x/a/b")
            await node.rooms.journal.commit()
        assert await node.rows("SELECT source, row FROM quarantine") == [("conversations", "default/x/a/b")]
