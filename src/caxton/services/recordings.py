"""Hands out recordings. Files are read in threads: the loop has other things to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from caxton.core.errors import RecordingDamaged, RecordingNotFound, WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.recordings import RecordingPage, RecordingView
from caxton.recorder.record import CRASHED, FAILED, SETTLED
from caxton.replay.record import CALLS
from caxton.replay.search import matching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.core.ids import WorkspaceName
    from caxton.core.views.recordings import RecordingFilter
    from caxton.recorder.recorder import Recorder
    from caxton.replay.record import Handling
    from caxton.replay.store import Entry, Store
    from caxton.services.messaging import MessageService

MAX_MESSAGES = 1000
"""Of a conversation, in which those who took part are looked for."""

_HANDLED = frozenset({SETTLED, FAILED, CRASHED})

_SEND = CALLS.index("send_message")


class _Addressed(msgspec.Struct):
    """What is needed of a message to know who takes part."""

    sender: str = ""
    receiver: str | list[str] = ""
    conversation_id: str | None = None

    @property
    def names(self) -> set[str]:
        """Agents only, not topics or clients: whoever wrote it, and whom to."""
        receivers = [self.receiver] if isinstance(self.receiver, str) else self.receiver
        return {name for name in (self.sender, *receivers) if name and ":" not in name}


_addressed = msgspec.json.Decoder(_Addressed).decode


class RecordingService:
    """See the module."""

    def __init__(self, store: Store, messages: MessageService, recorder: Recorder) -> None:
        self._store, self._messages, self._recorder = store, messages, recorder

    async def list(self, workspace: WorkspaceName, wanted: RecordingFilter, *, limit: int) -> RecordingPage:
        """The recordings that match, the oldest first."""
        _check(workspace)
        entries = [e for e in self._store.entries(workspace) if wanted.agent in (None, e.life.agent)]
        if wanted.conversation_id is None and wanted.message_id is None:
            return self._page([_view(entry, None) for entry in entries], limit)
        views: list[RecordingView] = []
        took_part, recorded, ids = set[str](), set[str](), set[str]()
        for entry in entries:
            found, names = await asyncio.to_thread(_look, entry, wanted)
            if found:
                views.append(_view(entry, len(found)))
                recorded.add(entry.life.agent)
                took_part |= names
                ids.update(found)
        partly = Counter[str]()
        if wanted.conversation_id is not None:
            for body in await self._messages.conversation(workspace, wanted.conversation_id, limit=MAX_MESSAGES):
                took_part |= _addressed(body).names
            handled = await asyncio.to_thread(self._handled, workspace, wanted.conversation_id)
            took_part |= {agent for agent, _ in handled}
            partly.update(agent for agent, message_id in handled if agent in recorded and message_id not in ids)
        missing = sorted(name for name in took_part - recorded if wanted.agent in (None, name))
        return self._page(views, limit, missing, dict(partly))

    def _handled(self, workspace: str, conversation_id: str) -> set[tuple[str, str]]:
        """Which agent handled which messages of a conversation, as far as the flight recorder knows."""
        found = self._recorder.find(workspace, conversation_id=conversation_id)
        return {(record.receiver, record.message_id) for record in found if record.kind in _HANDLED}

    def _page(
        self, views: list[RecordingView], limit: int, missing: Sequence[str] = (), partly: dict[str, int] | None = None
    ) -> RecordingPage:
        return RecordingPage(
            recordings=views[:limit], total=len(views), not_recorded=[*missing], partly_recorded=partly or {},
            unreadable=sorted(self._store.unreadable),
        )  # fmt: skip

    async def read(self, workspace: WorkspaceName, recording_id: str) -> bytes:
        """A whole recording as it is on disk. Raises `RecordingNotFound`, `RecordingTooNew`, `RecordingDamaged`."""
        _check(workspace)
        entry = self._store.entry(workspace, recording_id)
        try:
            return await asyncio.to_thread(entry.path.read_bytes)
        except FileNotFoundError as exc:  # it was let go of meanwhile
            raise RecordingNotFound(recording_id) from exc
        except OSError as exc:
            raise RecordingDamaged(entry.path.name, exc.strerror or str(exc)) from exc

    async def module(self, workspace: WorkspaceName, sha256: str) -> bytes:
        """A module that was recorded. Raises `RecordingNotFound`, `RecordingDamaged`."""
        _check(workspace)
        return await asyncio.to_thread(self._store.module, sha256)


def _check(workspace: str) -> None:
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)


def _look(entry: Entry, wanted: RecordingFilter) -> tuple[list[str], set[str]]:
    """The ids of the messages of a life that match, and who takes part in them. None of a file that is damaged."""
    ids, names = list[str](), set[str]()
    with suppress(OSError, RecordingDamaged):
        for handling in matching(entry.path, conversation_id=wanted.conversation_id, message_id=wanted.message_id):
            ids.append(handling.message_id)
            names |= {entry.life.agent, *_names(handling)}
    return ids, names


def _names(handling: Handling) -> set[str]:
    """Who wrote the message, and who was written to in its conversation."""
    found = _addressed_in(handling.body, None)
    for number, arguments, status in handling.calls:
        if number == _SEND and status == 0:
            found |= _addressed_in(arguments[0], handling.conversation_id)
    return found


def _addressed_in(body: object, conversation_id: str | None) -> set[str]:
    try:
        found = _addressed(body)  # type: ignore[arg-type]
    except msgspec.DecodeError:
        return set()
    return found.names if conversation_id in (None, found.conversation_id) else set()


def _view(entry: Entry, handlings: int | None) -> RecordingView:
    life = entry.life
    return RecordingView(
        id=life.id, agent=life.agent, replica=life.replica,
        began_at=datetime.fromtimestamp(life.began_us / 1e6, UTC).isoformat(timespec="microseconds"),
        is_open=entry.writer is not None, bytes=entry.size, module_sha256=life.module_sha256, handlings=handlings,
    )  # fmt: skip
