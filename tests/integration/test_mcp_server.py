"""/mcp as the official SDK's client meets it: three revisions, a whole node, bad input, and what others may not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import mcp_types as types
import pytest
from anyio import fail_after
from mcp import MCPError

from caxton.core.errors.values import InvalidValue
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.testing.guests import example, guest
from caxton.testing.rooms import open_node, until
from tests.integration.mcp_talk import INITIALIZE, REVISIONS, WAIT_S, Talk, talking

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from caxton.testing.rooms import LocalNode

OWN = ["message_send", "conversation_trace", "agent_list"]
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
async def talk(node: LocalNode) -> AsyncGenerator[Talk]:
    async with talking(node) as talk:
        yield talk


def code_of(result: types.CallToolResult) -> str:
    """The code of the error that a tool answered."""
    assert result.is_error, result
    assert result.structured_content is not None
    return result.structured_content["error"]["code"]


async def names(client: Any) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


# --- refused -----------------------------------------------------------------------------------------------------


async def test_without_a_token_nobody_is_let_in(talk: Talk) -> None:
    async with talk.raw(who=None) as http:
        for method in ("GET", "POST", "DELETE"):
            answer = await http.request(method, "/mcp")
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


async def test_role_that_may_not_use_tools_is_refused(talk: Talk) -> None:
    async with talk.raw(who="prom.monitor") as http:
        answer = await http.post("/mcp", json=INITIALIZE)
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


async def test_other_sites_page_is_refused(talk: Talk) -> None:
    async with talk.raw() as http:
        for header in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            answer = await http.post("/mcp", json=INITIALIZE, headers=header)
            assert (answer.status_code, answer.json()["code"]) == (403, "HOST_NOT_ALLOWED")


async def test_huge_body_is_refused_before_it_is_parsed(talk: Talk) -> None:
    async with talk.raw() as http:
        answer = await http.post("/mcp", content=b"[" * (3 << 20), headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"id": 1e999999}', b"null"])
async def test_body_that_is_no_message_is_refused_and_the_next_one_is_served(talk: Talk, body: bytes) -> None:
    async with talk.raw() as http:
        for version in ("2025-11-25", "2026-07-28"):
            headers = {"Content-Type": "application/json", "MCP-Protocol-Version": version}
            assert (await http.post("/mcp", content=body, headers=headers)).status_code == 400
    async with talk.client() as client:
        assert await names(client) == [*OWN, "echo", "sink", "parroting"]


async def test_session_of_another_principal_is_not_there(talk: Talk) -> None:
    listed = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    async with talk.raw("ann.admin") as ann, talk.raw("bob.admin") as bob:
        begun = await ann.post("/mcp", json=INITIALIZE)
        session = {"Mcp-Session-Id": begun.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
        told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await ann.post("/mcp", json=told, headers=session)).status_code == 202
        assert (await bob.post("/mcp", json=listed, headers=session)).status_code == 404
        assert (await bob.get("/mcp", headers=session)).status_code == 404
        assert (await bob.delete("/mcp", headers=session)).status_code == 404
        assert (await ann.post("/mcp", json=listed, headers=session)).status_code == 200
        assert (await ann.delete("/mcp", headers=session)).status_code == 200
        assert (await ann.post("/mcp", json=listed, headers=session)).status_code == 404


@pytest.mark.parametrize("revision", REVISIONS)
async def test_viewer_sees_and_calls_only_what_a_viewer_may(talk: Talk, revision: str) -> None:
    async with talk.client(revision, who="eve.viewer") as client:
        assert await names(client) == ["conversation_trace", "agent_list"]
        for tool in ("message_send", "echo", "parroting"):
            assert code_of(await client.call_tool(tool, {})) == "FORBIDDEN"
        assert not (await client.call_tool("agent_list", {})).is_error
    assert talk.node.rooms.meter.denied["messages:write"] == 3


@pytest.mark.parametrize("revision", REVISIONS)
async def test_unknown_tool_is_an_error_of_the_protocol(talk: Talk, revision: str) -> None:
    async with talk.client(revision) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("nobody", {})
        assert (refused.value.error.code, refused.value.error.message) == (-32602, "Unknown tool: 'nobody'")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("message_send", {}),
        ("message_send", {"to": "echo", "capability": "parroting"}),
        ("message_send", {"to": 7}),
        ("message_send", {"to": "echo", "wait_s": 301}),
        ("message_send", {"to": "echo", "surprise": 1}),
        ("conversation_trace", {}),
        ("conversation_trace", {"conversation_id": "c", "message_id": "m"}),
        ("agent_list", {"limit": 0}),
        ("echo", {"timeout_s": "soon"}),
        ("echo", {"content": 1, "timeout_s": -1}),
    ],
)
async def test_wrong_arguments_are_told_to_the_model(talk: Talk, tool: str, arguments: dict[str, Any]) -> None:
    async with talk.client() as client:
        assert code_of(await client.call_tool(tool, arguments)) == "INVALID_REQUEST"


async def test_message_of_more_than_a_megabyte_is_refused(talk: Talk) -> None:
    async with talk.client() as client:
        assert code_of(await client.call_tool("echo", {"content": "x" * (1 << 20)})) == "MESSAGE_TOO_LARGE"


async def test_agent_that_never_answers_is_waited_for_as_long_as_the_caller_said(talk: Talk) -> None:
    async with talk.client() as client:
        assert code_of(await client.call_tool("sink", {"timeout_s": 0.05})) == "REPLY_TIMEOUT"


async def test_agent_that_stopped_or_failed_says_so(talk: Talk) -> None:
    await talk.node.deploy("broken", guest("trap_unreachable"))
    await talk.expose("agent:echo", "agent:broken")
    await talk.node.stop("echo")
    async with talk.client() as client:
        assert code_of(await client.call_tool("echo", {})) == "AGENT_STATE_CONFLICT"
        assert code_of(await client.call_tool("broken", {})) == "AGENT_FAILED"


@pytest.mark.parametrize("revision", REVISIONS)
async def test_agent_that_is_removed_meanwhile_is_no_tool_any_more(talk: Talk, revision: str) -> None:
    async with talk.client(revision) as client:
        assert "echo" in await names(client)
        await talk.node.remove("echo")
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("echo", {})
        assert await names(client) == [*OWN, "sink"]  # nobody offers the capability either


async def test_agent_that_is_removed_meanwhile_is_waited_for_no_longer_than_the_caller_said(talk: Talk) -> None:
    async with talk.client() as client:
        with fail_after(WAIT_S):
            call = asyncio.create_task(client.call_tool("sink", {"timeout_s": 0.5}))
            await until(lambda: _waits(talk))
            await talk.node.remove("sink", force=True)
            assert code_of(await call) == "REPLY_TIMEOUT"


@pytest.mark.parametrize(
    "entries",
    [["echo"], ["tool:echo"], ["agent:"], ["agent:no name"], ["agent:echo", "capability:echo"], ["agent:message_send"]],
)
async def test_what_cannot_be_a_tool_is_refused_and_nothing_has_changed(talk: Talk, entries: list[str]) -> None:
    with pytest.raises(InvalidValue):
        await talk.expose(*entries)
    assert talk.node.rooms.exposure.of(DEFAULT_WORKSPACE) == ("agent:echo", "agent:sink", "capability:parroting")


# --- done --------------------------------------------------------------------------------------------------------


def _waits(talk: Talk) -> bool:
    return bool(talk.node.rooms.messages._answers)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_stock_client_asks_an_agent_and_finds_the_answer_in_the_trace(talk: Talk, revision: str) -> None:
    async with talk.client(revision) as client:
        assert await names(client) == [*OWN, "echo", "sink", "parroting"]
        for tool in ("echo", "parroting"):
            answer = await client.call_tool(tool, {"content": {"text": "hello"}})
            assert not answer.is_error
            assert answer.structured_content == {"text": "hello"}
            assert answer.content == [types.TextContent(type="text", text='{"text":"hello"}')]
            assert answer.meta is not None
            assert (answer.meta["caxton/sender"], answer.meta["caxton/performative"]) == ("echo", "inform")
        traced = await client.call_tool(
            "conversation_trace", {"conversation_id": answer.meta["caxton/conversation_id"]}
        )
        assert traced.structured_content is not None
        said = [(span["sender"], span["receiver"]) for span in traced.structured_content["spans"]]
        assert said == [("client:ann", "echo"), ("echo", "client:ann")]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_message_is_sent_with_and_without_waiting(talk: Talk, revision: str) -> None:
    async with talk.client(revision) as client:
        sent = await client.call_tool("message_send", {"to": "echo", "content": [1], "message_id": "mine"})
        assert sent.structured_content is not None
        assert (sent.structured_content["message_id"], sent.structured_content["durability"]) == ("mine", "fsync")
        answer = await client.call_tool("message_send", {"to": "echo", "content": "hi", "wait_s": WAIT_S})
        assert answer.structured_content == {"result": "hi"}
        assert answer.content == [types.TextContent(type="text", text="hi")]
        assert code_of(await client.call_tool("message_send", {"to": "nobody"})) == "UNKNOWN_RECEIVER"
        listed = await client.call_tool("agent_list", {"limit": 1})
        assert listed.structured_content is not None
        agents, total = listed.structured_content["agents"], listed.structured_content["total"]
        assert ([agent["name"] for agent in agents], total) == (["echo"], 2)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_trace_context_of_the_call_is_that_of_the_message(talk: Talk, revision: str) -> None:
    meta: Any = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    async with talk.client(revision) as client:
        answer = await client.call_tool("echo", {"content": 1}, meta=meta)
        assert answer.meta is not None
        kept = await talk.node.messages.conversation(DEFAULT_WORKSPACE, answer.meta["caxton/conversation_id"], limit=1)
        assert f'"traceparent":"00-{TRACE}-'.encode() in kept[0]
        for bad in ("nonsense", 7):
            assert not (await client.call_tool("echo", {}, meta={"traceparent": bad})).is_error  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_cancelled_call_is_not_waited_for_any_more(talk: Talk, revision: str) -> None:
    async with talk.client(revision) as client:
        call = asyncio.create_task(client.call_tool("sink", {"timeout_s": 300}))
        await until(lambda: _waits(talk))
        call.cancel()
        await asyncio.wait([call])
        await until(lambda: not _waits(talk))
        assert not (await client.call_tool("echo", {})).is_error


async def test_many_calls_of_one_session_are_under_way_at_once(talk: Talk) -> None:
    async with talk.client("2025-11-25") as client:
        slow = [asyncio.create_task(client.call_tool("sink", {"timeout_s": 300})) for _ in range(20)]
        await until(lambda: len(talk.node.rooms.messages._answers) == 20)  # pyright: ignore[reportPrivateUsage]
        assert not (await client.call_tool("echo", {})).is_error
        for call in slow:
            call.cancel()
        await asyncio.wait(slow)


@pytest.mark.parametrize("revision", ["2025-11-25", "2025-06-18"])
async def test_session_is_told_when_tools_come_and_go(talk: Talk, revision: str) -> None:
    told: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            told.put_nowait(message)

    async with talk.client(revision, message_handler=hear) as client:
        assert client.server_capabilities.tools is not None
        assert client.server_capabilities.tools.list_changed
        await names(client)
        with fail_after(WAIT_S):
            await talk.expose("agent:echo")
            await told.get()
            assert await names(client) == [*OWN, "echo"]
            await talk.node.remove("echo")
            await told.get()
            assert await names(client) == OWN
            await talk.node.deploy("echo", example("echo"))
            await told.get()
            assert await names(client) == [*OWN, "echo"]


async def test_listener_of_the_present_revision_is_told_as_well(talk: Talk) -> None:
    async with talk.client() as client, client.listen(tools_list_changed=True) as changes:
        await names(client)
        with fail_after(WAIT_S):
            await talk.expose("agent:echo")
            await anext(aiter(changes))
            assert await names(client) == [*OWN, "echo"]


async def test_server_that_stops_ends_sessions_and_listeners(talk: Talk) -> None:
    async with talk.raw() as http, talk.client() as client:
        begun = await http.post("/mcp", json=INITIALIZE)
        session = {"Mcp-Session-Id": begun.headers["mcp-session-id"]}
        async with http.stream("GET", "/mcp", headers=session) as unasked, client.listen(tools_list_changed=True) as _:
            talk.http.refuse()
            with fail_after(WAIT_S):
                assert [chunk async for chunk in unasked.aiter_bytes() if not chunk.startswith(b":")] == []


def test_server_that_nobody_speaks_mcp_with_does_not_load_the_sdk() -> None:
    look = "import caxton.server.node, caxton.server.http, caxton.cli.main, sys; print('mcp' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, encoding="utf-8", check=True)
    assert found.stdout.strip() == "False"


# --- lasts -------------------------------------------------------------------------------------------------------


async def test_what_is_exposed_is_on_disk_when_the_change_is_answered(tmp_path: Path) -> None:
    async with open_node(tmp_path) as node:
        settings = await node.configure_workspace(mcp={"expose": ["agent:a", "capability:b"]})
        assert settings.mcp.expose == ["agent:a", "capability:b"]
    async with open_node(tmp_path) as node:  # the first was not drained
        assert node.rooms.workspaces.settings(DEFAULT_WORKSPACE).mcp.expose == ["agent:a", "capability:b"]
        await node.configure_workspace(conversations={"mode": "warn"})
        await node.configure_workspace(mcp={"expose": None})
    async with open_node(tmp_path) as node:
        settings = node.rooms.workspaces.settings(DEFAULT_WORKSPACE)
        assert (settings.mcp.expose, settings.conversations.mode) == ([], "warn")
