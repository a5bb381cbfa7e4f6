"""Recordings for replays: which there are."""

from __future__ import annotations

import msgspec


class RecordingFilter(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Which recordings are meant; what is None is any."""

    agent: str | None = None
    conversation_id: str | None = None
    message_id: str | None = None


class RecordingView(msgspec.Struct, kw_only=True):
    """The recording of one instance, from its start."""

    id: str
    agent: str
    replica: int
    began_at: str
    """ISO 8601, UTC."""
    is_open: bool
    """It goes on: the instance lives and records."""
    bytes: int
    module_sha256: str
    handlings: int | None
    """How many of its messages match, when messages were asked for."""
    damage: str | None
    """What is wrong with it, if messages were asked for and it is damaged behind its beginning: those that stood there
    are missing."""


class RecordingPage(msgspec.Struct, kw_only=True):
    """Recordings that match."""

    recordings: list[RecordingView]
    total: int
    """How many there are, whatever `limit` left of them."""
    not_recorded: list[str]
    """Agents that took part in what was asked for, and have no recording at all."""
    not_in_recordings: list[str]
    """Agents that took part in it and have recordings, but not of that."""
    partly_recorded: dict[str, int]
    """Of agents with recordings: how many messages of the conversation they handled, as far as
    the flight recorder knows, that are in none."""
    unreadable: dict[str, str]
    """Files of another format, or damaged at their beginning, in which what was asked for occurs, and why they cannot
    be read; they are left as they are."""
    unreadable_others: int
    """Such files in which it does not occur, or cannot be found."""
