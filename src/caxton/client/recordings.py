"""Calls about recordings for replays."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from caxton.client.transport import DEPLOY_TIMEOUT_S, Timeout, Transport
from caxton.core.errors.recordings import RecordingNotFound
from caxton.core.views.recordings import RecordingFilter, RecordingPage

_PATH = "/api/v1/recordings"

_ID = re.compile(r"[0-9a-f-]{1,64}", re.ASCII)
"""Of a recording or a module; nothing else means itself in a path."""


class RecordingCalls(Transport):
    """What can be done with recordings."""

    def recordings(self, wanted: RecordingFilter | None = None, *, limit: int | None = None) -> RecordingPage:
        """Recordings that match, the oldest first, and agents that took part and have none."""
        said: dict[str, Any] = {} if wanted is None else msgspec.to_builtins(wanted)
        names = {"agent": "agent", "conversation_id": "conversation", "message_id": "message"}
        query = {names[key]: value for key, value in said.items()}
        return self._get(_PATH, RecordingPage, {**query, "limit": limit})

    def recording(self, recording_id: str) -> bytes:
        """A whole recording. Raises `ApiProblem`: RECORDING_NOT_FOUND, RECORDING_TOO_NEW, RECORDING_DAMAGED."""
        return self._file(_PATH, recording_id)

    def recorded_module(self, sha256: str) -> bytes:
        """A module that was recorded. Raises `ApiProblem`: RECORDING_NOT_FOUND, RECORDING_DAMAGED."""
        return self._file(f"{_PATH}/modules", sha256)

    def _file(self, path: str, name: str) -> bytes:
        if not _ID.fullmatch(name):
            raise RecordingNotFound(name)
        return self._request("GET", f"{path}/{name}", timeout=Timeout(DEPLOY_TIMEOUT_S)).content
