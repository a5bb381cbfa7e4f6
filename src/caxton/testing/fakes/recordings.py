"""`api.services.RecordingService` over dictionaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.core.errors.recordings import RecordingNotFound
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.recordings import RecordingPage, RecordingView

if TYPE_CHECKING:
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.recordings import RecordingFilter


class FakeRecordings:
    """One recording of one agent, unless the test says otherwise."""

    def __init__(self) -> None:
        self.views = [recording("05-aa", "echo")]
        self.files = {"05-aa": b"a life"}
        self.modules = {"5a": b"\0asm"}
        self.not_recorded: list[str] = []
        self.not_in_recordings: list[str] = []
        self.unreadable: dict[str, str] = {}
        self.unreadable_others = 0
        self.messages: set[str] | None = None
        """Those that are recorded; None: whichever is asked for."""

    async def list(self, workspace: WorkspaceName, wanted: RecordingFilter, *, limit: int) -> RecordingPage:
        """Those of the agent; of every conversation and message there is one."""
        _check(workspace)
        found = [view for view in self.views if wanted.agent in (None, view.agent)]
        if self.messages is not None and wanted.message_id not in (None, *self.messages):
            found = []
        return RecordingPage(
            recordings=found[:limit],
            total=len(found),
            not_recorded=self.not_recorded,
            not_in_recordings=self.not_in_recordings,
            partly_recorded={},
            unreadable=self.unreadable,
            unreadable_others=self.unreadable_others,
        )

    async def read(self, workspace: WorkspaceName, recording_id: str) -> bytes:
        """A file."""
        _check(workspace)
        if recording_id not in self.files:
            raise RecordingNotFound(recording_id)
        return self.files[recording_id]

    async def module(self, workspace: WorkspaceName, sha256: str) -> bytes:
        """A module."""
        _check(workspace)
        if sha256 not in self.modules:
            raise RecordingNotFound(sha256)
        return self.modules[sha256]


def recording(recording_id: str, agent: str) -> RecordingView:
    """One that is over."""
    return RecordingView(
        id=recording_id, agent=agent, replica=0, began_at="2026-01-01T00:00:00.000000+00:00", is_open=False, bytes=6,
        module_sha256="5a", handlings=None,
        damage=None,
    )  # fmt: skip


def _check(workspace: WorkspaceName) -> None:
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)
