"""May they? One pure function that every door asks, and the table it reads. What is not listed is denied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.core.errors.access import Forbidden

if TYPE_CHECKING:
    from caxton.core.ids import WorkspaceName
    from caxton.security.principal import Principal

ADMIN = "admin"
"""May do every action in the table. The role of the token that the first start makes."""

OPERATOR = "operator"
"""May deploy agents and send messages."""

VIEWER = "viewer"
"""May look and not touch."""

MONITOR = "monitor"
"""May read metrics and nothing else. The role of the token that is made for Prometheus."""

_LOOK = frozenset({ADMIN, OPERATOR, VIEWER})
_TOUCH = frozenset({ADMIN, OPERATOR})

ACTIONS: dict[str, frozenset[str]] = {
    "health:read": _LOOK,
    "openapi:read": _LOOK,
    "server:read": _LOOK,
    "metrics:read": _LOOK | {MONITOR},
    "agents:read": _LOOK,
    "agents:write": _TOUCH,
    "logs:read": _LOOK,
    "sniff:read": _LOOK,
    "messages:read": _LOOK,
    "messages:write": _TOUCH,
    "conversations:read": _LOOK,
    "conversations:write": _TOUCH,
    "dead-letters:read": _LOOK,
    "dead-letters:write": _TOUCH,
    "tasks:read": _LOOK,
    "tasks:write": _TOUCH,
    "mcp:use": _LOOK,  # each tool asks for the action of the REST call that does the same
    "settings:read": _LOOK,
    "settings:write": _TOUCH,
    "tools:read": _LOOK,
    "tools:test": _TOUCH,
    "tools:decide": _TOUCH,
    "approvals:read": _LOOK,
    "approvals:decide": _TOUCH,
    "storage:read": _LOOK,
    "storage:write": _TOUCH,
    "debug:read": _LOOK,
    "debug:inside": _TOUCH,  # an agent's state, memory and stack: whatever it was told and keeps
    "debug:profile": _TOUCH,
    "debug:bundle": frozenset({ADMIN}),
    "recordings:read": _TOUCH,  # they hold the state of agents, which a viewer does not get to see otherwise
}
"""Action → the roles that may. A route whose action is not here is denied to everybody."""

PUBLIC = frozenset({"health:read", "openapi:read"})
"""What somebody without a token may do: ask whether the server lives, and how to speak to it."""


def authorize(
    principal: Principal, action: str, workspace: WorkspaceName | None = None, obj: str | None = None
) -> None:
    """Return if `principal` may do `action`; raise `Forbidden` otherwise.

    Args:
        principal: who asks; `ANONYMOUS` for somebody without a token.
        action: one of `ACTIONS`; anything else is denied.
        workspace: where. All roles count in all workspaces as yet, so it decides nothing.
        obj: the name of the agent or other thing that is meant, for rules that look at it.
    """
    if action in PUBLIC:
        return
    if principal.roles.isdisjoint(ACTIONS.get(action, ())):
        raise Forbidden(principal.name, action)
