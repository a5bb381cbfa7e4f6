"""Names, parsed once at the edge and trusted afterwards."""

from __future__ import annotations

import re
from typing import NewType

from caxton.core.errors.values import InvalidName

AgentName = NewType("AgentName", str)
WorkspaceName = NewType("WorkspaceName", str)

DEFAULT_WORKSPACE = WorkspaceName("default")

MANAGEMENT, FACILITATOR, TASKS = "ams", "df", "tasks"
RESERVED_NAMES = (MANAGEMENT, FACILITATOR, TASKS)
"""Of agents that are part of the node: FIPA's agent management system and directory facilitator (SC00023), and ours."""

MAX_CAPABILITY_PRIORITY = 1000
DEFAULT_CAPABILITY_PRIORITY = 50
"""What `best` goes by among agents that offer the same."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


def parse_agent_name(value: object) -> AgentName:
    """Turn a value from outside into an `AgentName`; raises `InvalidName`."""
    return AgentName(_parse("agent name", value))


def parse_workspace_name(value: object) -> WorkspaceName:
    """Turn a value from outside into a `WorkspaceName`; raises `InvalidName`."""
    return WorkspaceName(_parse("workspace name", value))


def parse_capability(value: object) -> str:
    """Turn a value from outside into the name of a capability; raises `InvalidName`."""
    return _parse("capability", value)


def parse_task_id(value: object) -> str:
    """Turn a value from outside into the id of a task; raises `InvalidName`."""
    return _parse("task id", value)


def parse_group(value: object) -> str:
    """Turn a value from outside into the name of a group; raises `InvalidName`."""
    return _parse("group", value)


def _parse(kind: str, value: object) -> str:
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise InvalidName(kind, value)
