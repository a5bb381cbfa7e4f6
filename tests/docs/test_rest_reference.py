"""docs/reference/rest.md has a line for every route, parameter, error and field, no others, and its commands run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from caxton.api.app import all_routes
from caxton.api.errors import status_of
from caxton.core.views.agents import AgentView
from caxton.core.views.capabilities import CapabilityView, OfferView
from caxton.core.views.conversations import CancelReceipt, ConversationDetail, ConversationView, ParticipantView
from caxton.core.views.dead_letters import DeadLetterDetail, DeadLetterView, PurgeReceipt, ReplayReceipt
from caxton.core.views.debugging import (
    AgentDebug,
    BundleView,
    FrameView,
    InHandView,
    KvDebug,
    KvEntry,
    MailboxDebug,
    MemoryDebug,
    RateView,
    ReplicaView,
    StackDebug,
    StackView,
    WaitingView,
)
from caxton.core.views.logs import LogLine
from caxton.core.views.messages import Receipt, Sighting
from caxton.core.views.problem import Problem
from caxton.core.views.server import ServerView
from caxton.core.views.settings import AgentSettings, WorkspaceSettings
from caxton.core.views.stats import (
    AgentFigures,
    AgentStatsView,
    HandlingView,
    NodeFigures,
    StatsView,
    TimesView,
    WindowView,
)
from caxton.core.views.storage import CompactReport, StorageView, VerifyReport
from caxton.core.views.tasks import TaskBidder, TaskDetail, TaskResult, TaskView
from caxton.core.views.tools import (
    ApprovalView,
    ToolCallView,
    ToolDetail,
    ToolSourceView,
    ToolTest,
    ToolView,
)
from caxton.core.views.traces import TraceEvent, TraceSpan, TraceView
from caxton.core.views.waits import CauseView, CriticalPath, DeadlockView, PastWait, WaitView
from caxton.security.policy import ACTIONS, PUBLIC
from caxton.testing.fakes.agents import EMPTY_MODULE
from caxton.testing.fakes.node import FakeNode
from tests.docs.tables import assert_same, block, read_page, rows, section, word, words
from tests.error_kinds import error_kinds
from tests.integration.http_server import WAIT_S, running

if TYPE_CHECKING:
    from pathlib import Path

    import msgspec

    from caxton.api.operation import Operation

PAGE = read_page("reference/rest.md")
OPERATIONS = [route.operation for route in all_routes(FakeNode().services, version="0", stopping=asyncio.Event())]
ROUTES = {word(row[0]): row for row in rows(section(PAGE, "## Routes"), "Route")}

OVER_HTTP = {word(row[0]): row[1] for row in rows(section(PAGE, "## Errors"), "Code", "Status")}
ELSEWHERE = [word(row[0]) for row in rows(section(PAGE, "## Errors"), "Code", "Said by")]


ERRORS = {kind.code: kind for kind in error_kinds()}


def test_every_route_has_a_line() -> None:
    assert_same("routes", code=[f"{one.method} {one.path}" for one in OPERATIONS], page=ROUTES)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_a_routes_line_names_its_parameters_and_who_may(operation: Operation) -> None:
    _, who, query, *_ = ROUTES[f"{operation.method} {operation.path}"]
    assert_same("parameters", code=operation.known - {"workspace"}, page=words(query))
    roles = ACTIONS[operation.action]
    least = next(role for role in ("monitor", "viewer", "operator", "admin") if role in roles)
    assert who == ("anybody" if operation.action in PUBLIC else f"`{least}`")


def test_every_error_code_has_a_line() -> None:
    assert_same("error codes", code=ERRORS, page=[*OVER_HTTP, *ELSEWHERE])


@pytest.mark.parametrize("code", OVER_HTTP)
def test_a_codes_line_has_its_status(code: str) -> None:
    assert OVER_HTTP[code] == str(status_of(ERRORS[code]).value)


def test_every_error_that_an_operation_names_is_among_those_that_come_over_http() -> None:
    named = {kind.code for operation in OPERATIONS for kind in operation.errors}
    assert named <= set(OVER_HTTP)


BODIES = [
    AgentSettings, AgentView, CancelReceipt, CapabilityView, CauseView, CompactReport, ConversationDetail,
    ConversationView, CriticalPath, DeadLetterDetail, DeadLetterView, DeadlockView, LogLine, OfferView,
    ParticipantView, PastWait, PurgeReceipt, Receipt, ReplayReceipt, ServerView, Sighting, StorageView, TaskBidder,
    TaskDetail, TaskResult, TaskView, TraceEvent, TraceSpan, TraceView, VerifyReport, WaitView, WorkspaceSettings,
    TaskDetail, TaskResult, TaskView, VerifyReport, WaitView, WorkspaceSettings,
    AgentFigures, AgentStatsView, HandlingView, NodeFigures, StatsView, TimesView, WindowView,
    AgentDebug, BundleView, InHandView, KvDebug, KvEntry, MailboxDebug, MemoryDebug, RateView, ReplicaView,
    StackDebug, StackView, WaitingView,
    ApprovalView, ToolCallView, ToolDetail, ToolSourceView, ToolTest, ToolView,
]  # fmt: skip


def test_every_field_of_a_frame_is_named() -> None:
    assert set(FrameView.__struct_fields__) <= set(words(section(PAGE, "### StackView")))


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.__name__)
def test_every_field_of_a_body_is_named(kind: type[msgspec.Struct]) -> None:
    named = set(words(section(PAGE, f"### {kind.__name__}")))
    assert set(kind.__struct_fields__) <= named


def test_the_example_of_a_problem_has_all_fields() -> None:
    assert tuple(json.loads(block(section(PAGE, "## Errors"), "json"))) == Problem.__struct_fields__


SCRIPTS = re.findall(r"(?ms)^```sh\n(.*?)^```", PAGE)
CURL = "set -e; curl() { command curl --fail-with-body -sS --noproxy '*' \"$@\"; }\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize("script", SCRIPTS, ids=range(len(SCRIPTS)))
async def test_the_commands_on_the_page_work(script: str, tmp_path: Path) -> None:
    for name in ("echo.wasm", "echo2.wasm"):
        (tmp_path / name).write_bytes(EMPTY_MODULE)
    # The test has its own server and token, and no time for a stream that goes on for ever.
    script = re.sub(r"(?m)^(URL=|TOKEN=|.*follow=true).*\n", "", script)
    async with running(tmp_path / "data") as served:
        if "wasm" in script:
            del served.node.agents.views["echo"]  # the page deploys it
        environment = os.environ | {"URL": served.http.url, "TOKEN": served.token}
        bash = await asyncio.create_subprocess_exec(
            "bash", "-c", CURL + script, env=environment, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(bash.communicate(), WAIT_S)
        assert bash.returncode == 0, said.decode()
