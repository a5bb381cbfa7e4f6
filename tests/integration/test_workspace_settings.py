"""The mode of a workspace on a whole node: it holds from the next message on, and after a crash."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from caxton.conversations.settings import ConversationSettings, Mode
from caxton.core.errors.conversations import ProtocolViolation
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.values import InvalidValue
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, WorkspaceName
from caxton.core.views.settings import ConversationsPatch, WorkspacePatch
from caxton.testing.rooms import TESTER, LocalNode, open_node

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage

OFF = WorkspacePatch(conversations=ConversationsPatch(mode="off"))


class Parrot:
    """Says what it is told to, and writes down what it hears from agents."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[tuple[str, str]] = []
        """(sender, act)."""
        self.messages: list[AclMessage] = []
        """The same."""

    def handle(self, message: AclMessage, turn: Turn) -> int:
        if message.sender.startswith("client:") and message.protocol is None:
            return turn.send(bytes(message.content))
        self.heard.append((message.sender, message.performative))
        self.messages.append(message)
        return 0

    def fire(self, timer_id: int, turn: Turn) -> int:
        return 0


async def say(node: LocalNode, sender: str, receiver: str, act: str, conversation: str = "c-1") -> None:
    """Let one parrot send `act` to another, in a `fipa-request`; returns when all that follows has happened."""
    told = {"performative": act, "receiver": receiver, "protocol": "fipa-request", "conversation_id": conversation}
    await node.post(sender, told)
    await node.wait_for_quiet()


async def set_mode(node: LocalNode, mode: str | None) -> tuple[str | None, str]:
    """The mode of its own that the workspace then has, and the one that holds."""
    found = (await node.configure_workspace(conversations={"mode": mode})).conversations
    return found.mode, found.effective_mode


def mode(node: LocalNode) -> tuple[str | None, str]:
    found = node.rooms.workspaces.settings(DEFAULT_WORKSPACE).conversations
    return found.mode, found.effective_mode


# --- refused -----------------------------------------------------------------------------------------------------


async def test_unknown_mode_and_unknown_workspace_change_nothing(tmp_path: Path) -> None:
    async with open_node(tmp_path) as node:
        workspaces = node.rooms.workspaces
        with pytest.raises(InvalidValue, match="strict, enforce, warn or off"):
            await set_mode(node, "loose")
        with pytest.raises(WorkspaceNotFound):
            await workspaces.configure(WorkspaceName("elsewhere"), TESTER, OFF)
        with pytest.raises(WorkspaceNotFound):
            workspaces.settings(WorkspaceName("elsewhere"))
        assert mode(node) == (None, "enforce")
        assert await node.rows("SELECT * FROM workspace_settings") == []


async def test_node_that_stops_changes_no_setting(tmp_path: Path) -> None:
    async with open_node(tmp_path) as node:
        await node.rooms.drain()
        with pytest.raises(ShuttingDown):
            await node.rooms.workspaces.configure(DEFAULT_WORKSPACE, TESTER, OFF)
        assert mode(node) == (None, "enforce")


# --- holds -------------------------------------------------------------------------------------------------------


async def test_illegal_act_of_an_agent_arrives_once_the_mode_is_warn_and_not_before(tmp_path: Path) -> None:
    a, b = Parrot("a"), Parrot("b")
    async with open_node(tmp_path, natives=[a, b]) as node:
        await say(node, "a", "b", "inform")
        assert (a.heard, b.heard) == ([("ams", "not-understood")], [])
        assert await set_mode(node, "warn") == ("warn", "warn")
        await say(node, "a", "b", "inform")
        assert (a.heard, b.heard) == ([("ams", "not-understood")], [("a", "inform")])
        before, after = node.lines("a")
        assert before == f"not delivered: {after}"
        _, line = node.rooms.log.tail(DEFAULT_WORKSPACE, ["a"], limit=9)
        (delivered,) = b.messages
        assert (line.message_id, line.conversation_id) == (delivered.message_id, delivered.conversation_id)
        assert line.trace_id == (delivered.traceparent or "")[3:35] != ""
        assert await set_mode(node, "off") == ("off", "off")
        await say(node, "a", "b", "inform")
        assert (len(b.heard), len(node.lines("a"))) == (2, 2)
        await set_mode(node, "enforce")
        await say(node, "a", "b", "inform")
        assert (len(b.heard), a.heard[1:]) == (2, [("ams", "not-understood")])


async def test_client_is_refused_until_the_mode_is_warn(tmp_path: Path) -> None:
    b = Parrot("b")
    said: dict[str, Any] = {"performative": "agree", "protocol": "fipa-request", "conversation_id": "c-2"}
    async with open_node(tmp_path, natives=[b]) as node:
        with pytest.raises(ProtocolViolation):
            await node.post("b", **said)
        await set_mode(node, "warn")
        await node.post("b", **said)
        await node.wait_for_quiet()
        assert b.heard == [("client:tester", "agree")]


async def test_conversation_that_goes_on_is_known_after_a_change_from_enforce_to_warn_and_back(tmp_path: Path) -> None:
    a, b = Parrot("a"), Parrot("b")
    async with open_node(tmp_path, natives=[a, b]) as node:
        await say(node, "a", "b", "request")
        await set_mode(node, "warn")
        await say(node, "b", "a", "agree")
        await set_mode(node, "enforce")
        await say(node, "b", "a", "inform")
        assert (a.heard, b.heard) == ([("b", "agree"), ("b", "inform")], [("a", "request")])


@pytest.mark.parametrize("of_node", ["off", "strict"])
async def test_default_is_what_the_node_says(of_node: Mode, tmp_path: Path) -> None:
    async with open_node(tmp_path, conversations=ConversationSettings(mode=of_node)) as node:
        assert mode(node) == (None, of_node)
        assert await set_mode(node, "warn") == ("warn", "warn")
        assert await set_mode(node, None) == (None, of_node)


# --- lasts -------------------------------------------------------------------------------------------------------


async def test_mode_is_on_disk_when_the_change_is_answered(tmp_path: Path) -> None:
    b = Parrot("b")
    async with open_node(tmp_path) as node:
        await set_mode(node, "warn")
    async with open_node(tmp_path, natives=[a := Parrot("a"), b]) as node:  # the first was not drained
        assert mode(node) == ("warn", "warn")
        await say(node, "a", "b", "inform")
        assert (a.heard, b.heard) == ([], [("a", "inform")])
        await set_mode(node, None)
    async with open_node(tmp_path, conversations=ConversationSettings(mode="strict")) as node:
        assert mode(node) == (None, "strict")


async def test_two_who_change_it_at_once_leave_what_the_last_one_said(tmp_path: Path) -> None:
    async with open_node(tmp_path) as node:
        async with asyncio.TaskGroup() as both:
            first = both.create_task(set_mode(node, "warn"))
            last = both.create_task(set_mode(node, "off"))
        assert (first.result(), last.result()) == (("warn", "warn"), ("off", "off"))
    async with open_node(tmp_path) as node:
        assert mode(node) == ("off", "off")


# --- is told -----------------------------------------------------------------------------------------------------


async def test_log_says_who_changed_it_from_what_to_what(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with open_node(tmp_path) as node:
        for wanted in ("warn", "warn", None, None):
            await set_mode(node, wanted)
        await node.configure_workspace()
    told = [vars(record) for record in caplog.records if vars(record).get("action") == "workspaces.configured"]
    keys = ("principal", "workspace", "setting", "before", "after")
    assert [tuple(line[key] for key in keys) for line in told] == [
        ("tester", "default", "conversations.mode", None, "warn"),
        ("tester", "default", "conversations.mode", "warn", None),
    ]
