"""Calls about the workspace of the client."""

from __future__ import annotations

import msgspec

from caxton.client.transport import Transport
from caxton.core.views.settings import WorkspacePatch, WorkspaceSettings

_PATH = "/api/v1/settings"


class WorkspaceCalls(Transport):
    """What can be asked about a workspace."""

    def workspace_settings(self) -> WorkspaceSettings:
        """What the workspace has set for itself, and what holds."""
        return self._get(_PATH, WorkspaceSettings)

    def configure_workspace(self, patch: WorkspacePatch) -> WorkspaceSettings:
        """Change settings of the workspace; returns those that hold, once they are on disk."""
        response = self._request("PATCH", _PATH, body=msgspec.json.encode(patch))
        return self._decode(response, WorkspaceSettings)
