"""Hands out recordings. Files are read in threads: the loop has other things to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from caxton.core.errors.recordings import RecordingDamaged, RecordingNotFound
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.recordings import RecordingPage, RecordingView
from caxton.recorder.record import CRASHED, FAILED, SETTLED
from caxton.replay.record import CALLS
from caxton.replay.search import damage_in, matching

if TYPE_CHECKING:
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.recordings import RecordingFilter
    from caxton.recorder.recorder import Recorder
    from caxton.replay.file import Damage
    from caxton.replay.record import Handling
    from caxton.replay.shares import Entry
    from caxton.replay.store import Store
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


@dataclass(slots=True)
class _Found:
    """What is known of a question so far."""

    entries: list[Entry] = field(default_factory=list["Entry"])
    """Those of the agents that are meant."""
    hits: dict[str, int | None] = field(default_factory=dict[str, int | None])
    """Ids of recordings that belong to the answer: how many messages of each match."""
    damage: dict[str, str] = field(default_factory=dict[str, str])
    """Ids of those that are damaged: how."""
    ids: set[str] = field(default_factory=set[str])
    """Messages that are recorded, or were before the damage."""
    has_some: set[str] = field(default_factory=set[str])
    """Agents with recordings of it, damaged ones too."""
    recording: set[str] = field(default_factory=set[str])
    """Agents with recordings of anything."""
    took_part: set[str] = field(default_factory=set[str])
    missing: set[str] = field(default_factory=set[str])
    partly: Counter[str] = field(default_factory=Counter[str])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])

    def look(self, entry: Entry, wanted: RecordingFilter) -> None:
        """Look for the conversation, or else the message, in a file. One that is gone meanwhile has none."""
        life = entry.life
        with suppress(OSError, RecordingDamaged):
            found = matching(
                entry.path,
                conversation_id=wanted.conversation_id,
                message_id=wanted.message_id if wanted.conversation_id is None else None,
            )
            for handling in found.handlings:
                self.took_part |= {life.agent, *_names(handling)}
                self.ids.add(handling.message_id)
            matches = sum(wanted.message_id in (None, handling.message_id) for handling in found.handlings)
            if found.handlings or found.damage is not None:
                self.has_some.add(life.agent)
            if matches or found.damage is not None:
                self._hit(entry, matches, found.damage)

    def look_for_damage(self, entry: Entry) -> None:
        """Take up a file if it is damaged."""
        with suppress(OSError, RecordingDamaged):
            damage = damage_in(entry.path)
            if damage is not None:
                self.has_some.add(entry.life.agent)
                self._hit(entry, 0, damage)

    def _hit(self, entry: Entry, matches: int, damage: Damage | None) -> None:
        self.hits[entry.life.id] = matches
        if damage is not None:
            self.damage[entry.life.id] = damage.reason
            self.ids.update(handling.message_id for handling in damage.lost)


class RecordingService:
    """See the module."""

    def __init__(self, store: Store, messages: MessageService, recorder: Recorder) -> None:
        self._store, self._messages, self._recorder = store, messages, recorder

    async def list(self, workspace: WorkspaceName, wanted: RecordingFilter, *, limit: int) -> RecordingPage:
        """The recordings that match, the oldest first; of those asked for by a message, also what is damaged."""
        _check(workspace)
        found = await asyncio.to_thread(self._search, workspace, wanted)
        if wanted.conversation_id is None and wanted.message_id is None:
            return self._page(found, limit)
        bodies: list[bytes] = []
        if wanted.conversation_id is not None:
            bodies = await self._messages.conversation(workspace, wanted.conversation_id, limit=MAX_MESSAGES)
        return await asyncio.to_thread(self._complete, workspace, wanted, found, bodies, limit)

    def _search(self, workspace: str, wanted: RecordingFilter) -> _Found:
        """Look into all files. In a thread."""
        found = _Found()
        for entry in self._store.entries(workspace):
            found.recording.add(entry.life.agent)
            if wanted.agent in (None, entry.life.agent):
                found.entries.append(entry)
                if wanted.conversation_id is not None or wanted.message_id is not None:
                    found.look(entry, wanted)
                else:
                    found.hits[entry.life.id] = None
        for name, why in sorted(self._store.unreadable.items()):
            with suppress(OSError):
                if self._store.mentions(name, wanted):
                    found.unreadable[name] = why
        return found

    def _complete(
        self, workspace: str, wanted: RecordingFilter, found: _Found, bodies: list[bytes], limit: int
    ) -> RecordingPage:
        """Who took part, and what is missing of that. In a thread."""
        took_part = found.took_part.union(*(_addressed(body).names for body in bodies))
        handled = self._handled(workspace, wanted)
        took_part |= {agent for agent, _ in handled}
        took_part = {name for name in took_part if wanted.agent in (None, name)}
        lacking = {agent for agent, message_id in handled if message_id not in found.ids} | took_part - found.has_some
        for entry in found.entries:  # the damage may be where the ids were
            if entry.life.agent in lacking and entry.life.id not in found.hits:
                found.look_for_damage(entry)
        found.partly.update(
            agent for agent, message_id in handled if agent in found.has_some and message_id not in found.ids
        )
        found.missing = took_part - found.has_some
        return self._page(found, limit)

    def _handled(self, workspace: str, wanted: RecordingFilter) -> set[tuple[str, str]]:
        """Which agent handled which messages of what is asked for, as far as the flight recorder knows."""
        found = self._recorder.find(
            workspace, conversation_id=wanted.conversation_id, message_id=wanted.message_id
        )  # fmt: skip
        return {
            (record.receiver, record.message_id)
            for record in found
            if record.kind in _HANDLED and wanted.agent in (None, record.receiver)
        }

    def _page(self, found: _Found, limit: int) -> RecordingPage:
        hits = [entry for entry in found.entries if entry.life.id in found.hits]
        return RecordingPage(
            recordings=[
                _view(entry, found.hits[entry.life.id], found.damage.get(entry.life.id)) for entry in hits[:limit]
            ],
            total=len(hits),
            not_recorded=sorted(found.missing - found.recording),
            not_in_recordings=sorted(found.missing & found.recording),
            partly_recorded=dict(found.partly),
            unreadable=found.unreadable,
            unreadable_others=len(self._store.unreadable) - len(found.unreadable),
        )

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


def _view(entry: Entry, handlings: int | None, damage: str | None) -> RecordingView:
    life = entry.life
    return RecordingView(
        id=life.id, agent=life.agent, replica=life.replica,
        began_at=datetime.fromtimestamp(life.began_us / 1e6, UTC).isoformat(timespec="microseconds"),
        is_open=entry.writer is not None, bytes=entry.size, module_sha256=life.module_sha256, handlings=handlings,
        damage=damage,
    )  # fmt: skip
