"""docs/reference/tools.md has a line for every tool that MCP clients are offered, with its arguments and who may."""

from __future__ import annotations

import re

from caxton.api.mcp_tools import Ask, McpTools
from caxton.api.meter import Meter
from caxton.security.policy import ACTIONS
from caxton.services.mcp import OWN_TOOLS
from caxton.testing.fakes.node import FakeNode
from tests.docs.tables import read_page, rows

ROWS = rows(read_page("reference/tools.md"), "Tool", "Who may", "Arguments", "Answer")
LEAST = ("viewer", "operator")


async def test_every_tool_has_a_line_with_its_arguments_and_who_may() -> None:
    tools = McpTools(FakeNode().services, Meter())._own.values()  # pyright: ignore[reportPrivateUsage]
    assert tuple(tool.name for tool in tools) == OWN_TOOLS
    told = {
        row[0].removeprefix("`").removesuffix("`"): (row[1].strip("`"), set(re.findall(r"`(\w+)`", row[2])))
        for row in ROWS
    }
    offered = {tool.name: (least(tool.action), set(tool.arguments.__struct_fields__)) for tool in tools}
    offered["each `NAME` exposed"] = (least("messages:write"), set(Ask.__struct_fields__))
    assert told == offered


def least(action: str) -> str:
    return next(role for role in LEAST if role in ACTIONS[action])
