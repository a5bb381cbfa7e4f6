"""Workspaces: which there are, and how much mail their agents hold."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


class WorkspaceNotFound(CaxtonError):
    """No such workspace."""

    code = "WORKSPACE_NOT_FOUND"

    def __init__(self, workspace: str) -> None:
        super().__init__(f"there is no workspace {quoted(workspace)}; this server has 'default'")
        self.workspace = workspace


class WorkspaceFull(CaxtonError):
    """All agents of a workspace together hold as much unhandled mail as its quota allows."""

    code = "WORKSPACE_FULL"

    def __init__(self, workspace: str, limit_messages: int, limit_bytes: int) -> None:
        super().__init__(
            f"the agents of workspace {quoted(workspace)} hold as much unhandled mail as they may ({limit_messages} "
            f"messages or {limit_bytes >> 20} MiB); retry later, and look for the agent that does not keep up"
        )
        self.workspace, self.limit_messages, self.limit_bytes = workspace, limit_messages, limit_bytes
