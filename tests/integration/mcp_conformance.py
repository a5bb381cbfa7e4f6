"""The official conformance suite of the Model Context Protocol, driven against our /mcp."""

from __future__ import annotations

import asyncio
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caxton.api.app import build_app
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.agents import AgentSpec
from caxton.server.http import HttpOptions, HttpServer
from caxton.testing.fakes.agents import EMPTY_MODULE
from caxton.testing.fakes.node import FakeNode
from tests.integration.fake_node import ADMIN_PROOF, KnownTokens

if TYPE_CHECKING:
    from caxton.api.reply import Asgi, Receive, Scope, Send

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).with_name("mcp_expected")
FETCH_S = 300

TOOLS = ("test_simple_text", "test_error_handling")
"""What the suite wants to find: two agents, of which the second fails."""


@cache
def _fetched() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "get-mcp-conformance"],
        capture_output=True, encoding="utf-8", timeout=FETCH_S, check=False,
    )  # fmt: skip


def suite() -> tuple[str, str]:
    """The node that runs it, and its program. Skips the test where it cannot be had, and says what to do."""
    found = _fetched()
    if found.returncode:
        pytest.skip(f"NOT TESTED, for want of the MCP conformance suite: {found.stderr.strip()}")
    node, program = found.stdout.split()
    return node, program


async def run_suite(*options: str) -> tuple[int, str]:
    """Its exit code and what it says, of a server on loopback."""
    node, program = suite()
    fakes, stopping = FakeNode(), asyncio.Event()
    for name in TOOLS:
        await fakes.agents.deploy(DEFAULT_WORKSPACE, AgentSpec(name=name), EMPTY_MODULE)
    fakes.messages.failing.add("test_error_handling")
    fakes.workspaces.exposed = tuple(f"agent:{name}" for name in TOOLS)
    app = build_app(fakes.services, KnownTokens(), version="0", stopping=stopping)
    http = HttpServer(_with_token(app), HttpOptions(), stopping=stopping)
    await http.start()
    try:
        process = await asyncio.create_subprocess_exec(
            node, program, "server", "--url", f"{http.url}/mcp", *options,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()
    finally:
        await http.stop(drain_s=0.2)


def _with_token(app: Asgi) -> Asgi:
    """`app` behind somebody who shows a token: the suite has no way to."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = [*scope["headers"], (b"authorization", f"Bearer {ADMIN_PROOF}".encode())]
        await app(scope, receive, send)

    return proxy
