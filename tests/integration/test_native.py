"""Native agents of a whole node: killed and started again, written to by clients, and names that are theirs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

import msgspec
import pytest

from caxton.core.errors.agents import AgentFailed, AgentNameReserved, AgentNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, RESERVED_NAMES, AgentName
from caxton.natives.native import answer
from caxton.testing.guests import example, guest
from caxton.testing.rooms import open_node, until

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage
    from caxton.testing.rooms import LocalNode

TICK_US = 300_000


class Tally:
    """Counts what it gets, answers with the count, and adds a hundred when its timer fires."""

    name = "tally"

    def handle(self, message: AclMessage, turn: Turn) -> int:
        asked = msgspec.json.decode(message.content)
        if asked == "raise":
            raise RuntimeError(asked)
        if asked == "tick":
            assert turn.set_timer(TICK_US) > 0
        return answer(turn, message, "inform", {"count": self._add(turn, 1)})

    def fire(self, timer_id: int, turn: Turn) -> int:
        self._add(turn, 100)
        return 0

    @staticmethod
    def _add(turn: Turn, amount: int) -> int:
        count = int(turn.kv_get(b"count") or b"0") + amount
        turn.kv_set(b"count", str(count).encode())
        return count


async def test_killed_node_comes_back_with_what_its_native_agent_knew(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir, natives=[Tally()]) as node:
        assert (await node.ask("tally", "tick"))["content"] == {"count": 1}
        node.rooms.pump.pause()
        await node.post("tally", 1)
    async with open_node(tmp_path, compiled=compiled_dir, natives=[Tally()]) as node:  # the first was not drained
        assert node.names() == []
        await until(lambda: node.receiver("tally").kv.get(b"count") == b"102")
        assert (node.receiver("tally").timers, node.receiver("tally").messages) == ({}, 0)
        await node.rooms.journal.commit()
    async with open_node(tmp_path, compiled=compiled_dir, natives=[Tally()]) as node:
        assert (await node.ask("tally", 1))["content"] == {"count": 103}


async def test_guest_and_native_agent_talk(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir, natives=[Tally()]) as node:
        await node.deploy("echo", example("echo"))
        await node.post("tally", 1, reply_to="echo", performative="request")
        await until(lambda: node.view("echo").messages_handled == 1)


async def test_client_who_waits_hears_of_a_failure_and_the_next_one_is_served(
    tmp_path: Path, compiled_dir: Path
) -> None:
    async with open_node(tmp_path, compiled=compiled_dir, natives=[Tally()]) as node:
        with pytest.raises(AgentFailed) as caught:
            await node.ask("tally", "raise")
        assert (caught.value.name, caught.value.trap) == ("tally", "host_error")
        assert (await node.ask("tally", 1))["content"] == {"count": 1}


# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RESERVED_NAMES)
async def test_nobody_can_be_deployed_put_or_forgotten_under_a_name_of_the_nodes_own(
    node: LocalNode, name: str
) -> None:
    for attempt in (node.deploy(name, guest("sink")), node.replace(name, guest("sink"))):
        with pytest.raises(AgentNameReserved) as caught:
            await attempt
        assert (caught.value.name, caught.value.code) == (name, "AGENT_NAME_RESERVED")
    for forget in (False, True):
        with pytest.raises(AgentNotFound):
            await node.agents.remove(DEFAULT_WORKSPACE, AgentName(name), force=True, forget=forget)


async def test_agent_that_had_such_a_name_gets_another_and_keeps_all_it_had(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("df-1", guest("sink"))
        with mock.patch("caxton.agents.definition.RESERVED_NAMES", ()):  # as it was once
            await node.deploy("df", example("counter"))
        await node.ask("df", {"add": 7})
        await node.ask("df", {"tick_us": 1_000})
        await node.stop("df")
        await node.post("df", {"add": 5}, performative="request")
    for _ in range(2):  # also when the node is started again, and has nothing to rename any more
        async with open_node(tmp_path, compiled=compiled_dir) as node:
            assert node.names() == ["df-1", "df-2"]
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert node.view("df-2").mailbox_messages == 1
        await node.start("df-2")
        await node.wait_for_quiet()
        assert (await node.ask("df-2", {"get": True}))["content"] == {"count": 13}
        assert node.rooms.bus.letters.count == 0
        assert await node.rows("SELECT count(*) FROM quarantine") == [(0,)]
