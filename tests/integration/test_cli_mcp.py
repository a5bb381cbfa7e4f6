"""`caxton mcp` as a client that starts its servers meets it: over pipes, with a server behind it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import mcp_types as types
import pytest
from anyio import fail_after
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters

from caxton.cli.exits import ExitCode
from caxton.testing.rooms import until
from tests.integration.mcp_talk import talking

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from caxton.testing.rooms import LocalNode
    from tests.integration.mcp_talk import Talk

WAIT_S = 15.0


@pytest.fixture
async def talk(node: LocalNode) -> AsyncGenerator[Talk]:
    async with talking(node) as talk:
        yield talk


def environment(url: str, token: str, home: Path) -> dict[str, str]:
    own = {"CAXTON_SERVER": url, "CAXTON_TOKEN": token, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    return {**os.environ, **own}


@asynccontextmanager
async def started(talk: Talk, home: Path, mode: str, who: str = "ann.admin", **options: Any) -> AsyncGenerator[Client]:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "caxton", "mcp"], env=environment(talk.http.url, who, home)
    )
    async with Client(command, mode=mode, cache=None, **options) as client:
        yield client


def run(url: str, token: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caxton", "mcp"], env=environment(url, token, home),
        stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=WAIT_S, check=False,
    )  # fmt: skip


async def test_whom_the_server_does_not_know_is_told_at_the_start_and_not_on_the_wire(
    talk: Talk, tmp_path: Path
) -> None:
    told = await asyncio.to_thread(run, talk.http.url, "nonsense", tmp_path)
    assert (told.returncode, told.stdout) == (ExitCode.DENIED, "")
    assert "code: UNAUTHORIZED" in told.stderr


async def test_server_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    told = await asyncio.to_thread(run, "http://127.0.0.1:1", "ann.admin", tmp_path)
    assert (told.returncode != 0, told.stdout) == (True, "")
    assert "code: SERVER_UNREACHABLE" in told.stderr


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_stock_client_asks_agents_over_pipes_and_is_told_of_changes(
    talk: Talk, tmp_path: Path, mode: str
) -> None:
    changed = asyncio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            changed.set()

    with fail_after(WAIT_S):
        async with started(talk, tmp_path, mode, message_handler=hear) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert names == ["message_send", "conversation_trace", "agent_list", "echo", "sink", "parroting"]
            answer = await client.call_tool("echo", {"content": {"text": "grüezi\u2028"}})
            assert (answer.is_error, answer.structured_content) == (False, {"text": "grüezi\u2028"})
            assert (await client.call_tool("echo", {"wrong": 1})).is_error
            with pytest.raises(MCPError) as refused:
                await client.call_tool("nobody", {})
            assert refused.value.error.code == -32602
            call = asyncio.create_task(client.call_tool("sink", {"timeout_s": 300}))
            await until(lambda: _waits(talk))
            call.cancel()
            await asyncio.wait([call])
            await until(lambda: not _waits(talk))
            if mode == "legacy":
                await talk.expose("agent:echo")
                await changed.wait()


async def test_role_of_the_token_decides_over_pipes_as_well(talk: Talk, tmp_path: Path) -> None:
    with fail_after(WAIT_S):
        async with started(talk, tmp_path, "2026-07-28", who="eve.viewer") as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["conversation_trace", "agent_list"]


def _waits(talk: Talk) -> bool:
    return bool(talk.node.rooms.messages._answers)  # pyright: ignore[reportPrivateUsage]
