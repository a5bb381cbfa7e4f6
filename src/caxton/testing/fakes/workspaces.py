"""`caxton.api.services.WorkspaceService` in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.conversations.settings import ENFORCE
from caxton.services.workspaces import check_workspace, patched_exposure, patched_mode, settings_of

if TYPE_CHECKING:
    from caxton.conversations.settings import Mode
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.settings import WorkspacePatch, WorkspaceSettings
    from caxton.security.principal import Principal


class FakeWorkspaces:
    """One workspace, whose conversations nobody watches whatever its mode.

    Attributes:
        mode: its own.
        exposed: to MCP clients.
        changed_by: names of those who changed it, in order.
    """

    def __init__(self) -> None:
        self.mode: Mode | None = None
        self.exposed: tuple[str, ...] = ()
        self.changed_by: list[str] = []

    def settings(self, workspace: WorkspaceName) -> WorkspaceSettings:
        """See the protocol."""
        check_workspace(workspace)
        return settings_of(workspace, self.mode, ENFORCE, self.exposed)

    async def configure(
        self, workspace: WorkspaceName, principal: Principal, patch: WorkspacePatch
    ) -> WorkspaceSettings:
        """See the protocol; it never stops."""
        check_workspace(workspace)
        mode = patched_mode(self.mode, patch)
        self.exposed, self.mode = patched_exposure(self.exposed, patch), mode
        self.changed_by.append(principal.name)
        return self.settings(workspace)
