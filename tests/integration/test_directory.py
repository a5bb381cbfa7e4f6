"""`df` and `ams` in a whole node, with real guests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from caxton.core.errors.agents import AgentNotFound
from caxton.core.errors.receivers import CapabilityNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, RESERVED_NAMES, AgentName
from caxton.core.views.agents import CapabilitySpec
from caxton.testing.guests import assemble, guest, guest_text
from caxton.testing.rooms import open_node, until

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.testing.rooms import LocalNode


def sends(message: dict[str, Any]) -> bytes:
    """A guest that sends this for each message it gets from outside, and takes what comes from agents."""
    text = msgspec.json.encode(message).decode()
    data = text.replace('"', r"\"")
    return assemble(
        guest_text(
            imports='(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
            handle=f"""(if (i32.eqz (i32.load8_u (i32.const 8))) (then
                (i32.store8 (i32.const 8) (i32.const 1))
                (return (call $send (i32.const 16) (i32.const {len(text)})))))
                i32.const 0""",
            more=f'(data (i32.const 16) "{data}")',
        )
    )


def registers(*capabilities: dict[str, Any]) -> bytes:
    content = {"action": "register", "capabilities": capabilities}
    return sends({"performative": "request", "receiver": "df", "protocol": "fipa-request", "content": content})


async def ask(node: LocalNode, agent: str, action: str, /, **more: object) -> tuple[str, Any]:
    reply = await node.ask(agent, {"action": action, **more}, protocol="fipa-request")
    return reply["performative"], reply["content"]


async def test_guest_finds_another_by_message_and_writes_to_it(node: LocalNode) -> None:
    await node.deploy("worker", registers({"name": "sorting", "priority": 80}))
    await node.deploy("idler", guest("sink"), capabilities=["sorting"])
    await node.deploy("finder", guest("finder"))
    await node.post("finder", "go")
    await node.wait_for_quiet()
    assert node.view("idler").messages_handled == 1  # only it offers that as yet
    await node.post("worker", "register")
    await node.wait_for_quiet()
    assert node.view("worker").capabilities == ["sorting"]
    await node.post("finder", "go")
    await node.wait_for_quiet()
    assert (node.view("worker").messages_handled, node.view("idler").messages_handled) == (3, 1)
    assert (node.view("finder").messages_failed, node.rooms.bus.letters.count) == (0, 0)


async def test_guest_that_finds_nobody_hears_of_it_from_df_in_its_conversation(node: LocalNode) -> None:
    await node.deploy("sorter", guest("sink"), capabilities=["sorting"])
    lost = {"performative": "request", "capability": "sortng", "protocol": "fipa-request", "conversation_id": "c"}
    await node.deploy("asker", sends({**lost, "reply_with": "r-1", "content": 1}))
    await node.post("asker", "go")
    await node.wait_for_quiet()
    assert node.view("asker").messages_handled == 2
    history = await node.messages.conversation(DEFAULT_WORKSPACE, "c", limit=10)
    asked, told = (msgspec.json.decode(body) for body in history)
    assert (asked["sender"], asked["capability"]) == ("asker", "sortng")
    assert (told["sender"], told["receiver"], told["performative"], told["in_reply_to"], told["content"]) == (
        "df", "asker", "failure", "r-1",
        {"error": "CAPABILITY_NOT_FOUND", "capability": "sortng", "nearest": ["sorting"]},
    )  # fmt: skip
    assert node.rooms.bus.letters.count == 0


async def test_client_that_finds_nobody_is_told_at_once(node: LocalNode) -> None:
    await node.deploy("sorter", guest("sink"), capabilities=["sorting"])
    for post in (node.post("", capability="sortng"), node.ask("", capability="sortng")):
        with pytest.raises(CapabilityNotFound) as caught:
            await post
        assert caught.value.nearest == ["sorting"]
    assert node.rooms.postbox.accepted == 0


async def test_registration_is_there_after_a_crash_and_gone_with_its_agent(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        for name in ("a", "b"):
            await node.deploy(name, registers({"name": "sorting", "priority": 70, "properties": {"by": name}}))
            await node.post(name)
        await node.wait_for_quiet()
    async with open_node(tmp_path, compiled=compiled_dir) as node:  # the first was not drained
        offers = node.rooms.capabilities.get(DEFAULT_WORKSPACE, "sorting").agents
        assert [(one.agent, one.priority, one.registered, one.properties) for one in offers] == [
            ("a", 70, True, {"by": "a"}), ("b", 70, True, {"by": "b"}),
        ]  # fmt: skip
        await node.remove("a")
        (row,) = await node.rows("SELECT key FROM kv WHERE agent = 'df'")
        assert bytes(row[0]) == b"offer/b/sorting"
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert (await ask(node, "df", "search", capability="sorting"))[1]["result"][0]["agent"] == "b"
        assert node.view("b").capabilities == ["sorting"]
        await node.deploy("a", guest("sink"))
        assert node.view("a").capabilities == []
        assert [bytes(key) for (key,) in await node.rows("SELECT key FROM kv WHERE agent = 'df'")] == [
            b"offer/b/sorting"
        ]


async def test_health_that_is_shown_follows_the_agent(node: LocalNode) -> None:
    await node.deploy("a", guest("sink"), capabilities=[CapabilitySpec(name="sorting", priority=7)])

    def offer() -> tuple[int, str, bool]:
        (one,) = node.rooms.capabilities.list(DEFAULT_WORKSPACE)[0].agents
        return one.priority, one.health, one.registered

    assert offer() == (7, "healthy", False)
    await node.stop("a")
    assert offer() == (7, "unhealthy", False)
    await node.start("a")
    await until(lambda: offer() == (7, "healthy", False))


async def test_ams_tells_of_agents_and_clients_reach_both_like_any_agent(node: LocalNode) -> None:
    await node.deploy("a", guest("sink"), replicas=2, capabilities=["sorting"])
    await node.stop("a")
    act, content = await ask(node, "ams", "describe", agent="a")
    assert (act, content["state"], content["health"], content["capabilities"]) == (
        "inform", "stopped", "unhealthy", ["sorting"]
    )  # fmt: skip
    assert [one["agent"] for one in (await ask(node, "ams", "search"))[1]["result"]] == ["a", *RESERVED_NAMES]
    assert (await ask(node, "ams", "fly"))[0] == (await ask(node, "df", "fly"))[0] == "not-understood"
    assert (await ask(node, "df", "register", capabilities=[{"name": "x"}]))[0] == "refuse"
    assert node.names() == ["a"]
    assert node.rooms.bus.letters.count == 0


@pytest.mark.parametrize("name", ["ams", "df"])
async def test_agent_of_the_nodes_own_cannot_be_removed_or_forgotten(node: LocalNode, name: str) -> None:
    for forget in (False, True):
        with pytest.raises(AgentNotFound):
            await node.agents.remove(DEFAULT_WORKSPACE, AgentName(name), force=True, forget=forget)
    assert (await ask(node, name, "search"))[0] == "inform"
