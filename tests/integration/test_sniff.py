"""Who says what to whom on a real node, with real guests."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
import pytest

from caxton.core.errors.agents import AgentFailed, AgentNotFound
from caxton.core.errors.receivers import UnknownReceiver
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, WorkspaceName
from caxton.core.views.messages import Gap, Sighting
from caxton.testing.guests import example, guest
from caxton.testing.rooms import PATIENCE_S, LocalNode, open_node

if TYPE_CHECKING:
    from pathlib import Path

Arrow = tuple[str, str, str, str, str | None]


def arrow(seen: Sighting | Gap) -> Arrow:
    assert isinstance(seen, Sighting)
    return seen.event, seen.sender, seen.receiver, seen.performative, seen.reason


async def past(node: LocalNode, conversation_id: str, *, limit: int = 1000) -> list[Sighting]:
    return await node.rooms.sniff.past(DEFAULT_WORKSPACE, conversation_id, limit=limit)


async def test_question_answer_and_refusals_are_heard_of_in_their_order(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"))
    got: list[Arrow] = []
    with anyio.fail_after(PATIENCE_S):
        async with aclosing(node.rooms.sniff.listen(DEFAULT_WORKSPACE, None, None)) as listener:
            await node.ask("echo", {"n": 1})
            with pytest.raises(UnknownReceiver):
                await node.post(["echo", "nobody"])
            await node.stop("echo")
            await node.remove("echo")
            while len(got) < 4:
                got += map(arrow, await listener.__anext__())
    assert got == [
        ("sent", "client:tester", "echo", "request", None),
        ("sent", "echo", "client:tester", "inform", None),
        ("refused", "client:tester", "echo", "inform", "UNKNOWN_RECEIVER"),
        ("refused", "client:tester", "nobody", "inform", "UNKNOWN_RECEIVER"),
    ]
    assert node.rooms.bus.tap.listeners == []


async def test_name_that_nobody_has_is_an_error_and_a_reserved_one_or_a_client_is_not(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"))
    sniff = node.rooms.sniff
    with pytest.raises(AgentNotFound) as caught:
        sniff.listen(DEFAULT_WORKSPACE, ["echo", "ecko"], None)
    assert caught.value.nearest == "echo"
    with pytest.raises(WorkspaceNotFound):
        sniff.listen(WorkspaceName("elsewhere"), None, None)
    assert node.rooms.bus.tap.listeners == []
    await sniff.listen(DEFAULT_WORKSPACE, ["echo", "client:whoever"], None).aclose()


async def test_past_of_a_conversation_has_each_receiver_and_what_died(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"))
    await node.deploy("bad", guest("trap_unreachable"))
    with pytest.raises(AgentFailed):
        await node.ask("bad", {"n": 1}, conversation_id="c/1")
    await node.post(["echo", "bad"], {"n": 2}, conversation_id="c/1", performative="request")
    await node.remove("bad")
    await node.wait_for_quiet()
    seen = await past(node, "c/1")
    assert sorted(map(arrow, seen), key=str) == sorted(
        [
            ("sent", "client:tester", "echo", "request", None),
            ("sent", "echo", "client:tester", "inform", None),
            ("sent", "client:tester", "bad", "request", None),
            ("dead", "client:tester", "bad", "request", "removed"),
            ("sent", "client:tester", "bad", "request", None),
            ("dead", "client:tester", "bad", "request", "failed"),
        ],
        key=str,
    )
    assert [one.timestamp for one in seen] == sorted(one.timestamp for one in seen)
    assert await past(node, "c/1", limit=2) == seen[-2:]
    assert await past(node, "none") == []


async def test_past_between_agents_is_there_while_memory_remembers_it(node: LocalNode) -> None:
    await node.deploy("ping", example("ping"))
    await node.deploy("pong", example("pong"))
    await node.post("ping", performative="request")
    await node.wait_for_quiet()
    arrows = [arrow(one)[1:4] for one in await past(node, "ping-pong")]
    assert arrows[:2] == [("ping", "pong", "request"), ("pong", "ping", "inform")]


async def test_past_with_clients_outlives_a_restart(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        await node.deploy("echo", example("echo"))
        await node.ask("echo", {"n": 1}, conversation_id="c-3")
        before = await past(node, "c-3")
        await node.rooms.drain()
    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        assert await past(node, "c-3") == before
    assert [arrow(one)[1:3] for one in before] == [("client:tester", "echo"), ("echo", "client:tester")]
