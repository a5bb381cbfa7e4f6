"""What a workspace sets for itself, whatever the node's own configuration says."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from caxton.conversations.settings import parse_mode
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.settings import LiveConversations, LiveMcp, WorkspaceSettings
from caxton.services.mcp import SETTING, parse_exposed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.bus.journal import Journal
    from caxton.conversations.room import Conversations
    from caxton.conversations.settings import Mode
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.settings import WorkspacePatch
    from caxton.security.principal import Principal
    from caxton.services.mcp import Exposure

logger = logging.getLogger(__name__)


class WorkspaceService:
    """See `api.services`."""

    def __init__(self, room: Conversations, journal: Journal, exposure: Exposure) -> None:
        self._room, self._journal, self._exposure = room, journal, exposure
        self._is_open = True

    def refuse(self) -> None:
        """The node is stopping: nothing is changed any more."""
        self._is_open = False

    def settings(self, workspace: WorkspaceName) -> WorkspaceSettings:
        """Its settings, and what holds where it has none. Raises `WorkspaceNotFound`."""
        check_workspace(workspace)
        own, of_node = self._room.referee.modes.get(workspace), self._room.referee.mode
        return settings_of(workspace, own, of_node, self._exposure.of(workspace))

    async def configure(
        self, workspace: WorkspaceName, principal: Principal, patch: WorkspacePatch
    ) -> WorkspaceSettings:
        """Change settings: they hold at once, for the next message, and are on disk when this returns.

        Raises: InvalidValue, WorkspaceNotFound, ShuttingDown; then nothing has changed.
        """
        check_workspace(workspace)
        if not self._is_open:
            raise ShuttingDown
        before, exposed = self._room.referee.modes.get(workspace), self._exposure.of(workspace)
        after, to_expose = patched_mode(before, patch), patched_exposure(exposed, patch)
        if after != before:
            self._room.set_mode(workspace, after)
            _tell(workspace, principal, "conversations.mode", before, after)
        if to_expose != exposed:
            self._exposure.set(workspace, to_expose)
            _tell(workspace, principal, SETTING, [*exposed], [*to_expose])
        settings = self.settings(workspace)
        await self._journal.commit()
        return settings


def patched_mode(mode: Mode | None, patch: WorkspacePatch) -> Mode | None:
    """A workspace's own mode after `patch`; None: it has none. Raises `InvalidValue`."""
    said = patch.conversations.mode
    if said is msgspec.UNSET:
        return mode
    return None if said is None else parse_mode(said)


def patched_exposure(exposed: tuple[str, ...], patch: WorkspacePatch) -> tuple[str, ...]:
    """What a workspace exposes after `patch`. Raises `InvalidValue`."""
    said = patch.mcp.expose
    if said is msgspec.UNSET:
        return exposed
    parse_exposed(said or ())
    return tuple(said or ())


def settings_of(workspace: str, own: Mode | None, of_node: Mode, exposed: Sequence[str] = ()) -> WorkspaceSettings:
    """The settings of a workspace with this mode of its own, or None, on a node with that one."""
    return WorkspaceSettings(
        workspace=workspace, conversations=LiveConversations(mode=own, effective_mode=own or of_node),
        mcp=LiveMcp(expose=[*exposed]),
    )  # fmt: skip


def _tell(workspace: str, principal: Principal, setting: str, before: object, after: object) -> None:
    facts = {"action": "workspaces.configured", "principal": principal.name, "workspace": workspace}
    change = {"setting": setting, "before": before, "after": after}
    logger.info("a workspace's setting was changed", extra={**facts, **change})


def check_workspace(workspace: WorkspaceName) -> None:
    """There is one. Raises `WorkspaceNotFound`."""
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)
