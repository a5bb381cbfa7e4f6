"""Routes about the settings of a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.api.body import read_struct
from caxton.api.operation import Answer, Body, Operation, Route
from caxton.api.reply import Reply, json_reply
from caxton.core.views.settings import WorkspacePatch, WorkspaceSettings

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import WorkspaceService

PATH = "/api/v1/settings"

SETTINGS = Operation(
    method="GET",
    path=PATH,
    action="settings:read",
    summary="The settings of a workspace.",
    answers=(Answer(kind=WorkspaceSettings, doc="Its own, and those that hold."),),
)
CONFIGURE = Operation(
    method="PATCH",
    path=PATH,
    action="settings:write",
    summary="Change settings of a workspace while the server runs.",
    body=Body(kind=WorkspacePatch, example={"conversations": {"mode": "warn"}}),
    answers=(Answer(kind=WorkspaceSettings, doc="They hold, and are on disk."),),
)


def settings_routes(workspaces: WorkspaceService) -> list[Route]:
    """The routes of this module."""

    async def settings(request: ApiRequest) -> Reply:
        return json_reply(workspaces.settings(request.workspace))

    async def configure(request: ApiRequest) -> Reply:
        patch = await read_struct(request, WorkspacePatch)
        return json_reply(await workspaces.configure(request.workspace, request.principal, patch))

    return [Route(SETTINGS, settings), Route(CONFIGURE, configure)]
