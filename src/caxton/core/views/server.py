"""The node as a whole."""

from __future__ import annotations

import msgspec


class ServerView(msgspec.Struct, kw_only=True):
    """The server as a whole."""

    status: str
    """`ready`, `starting`, `stopping` or `read-only`."""
    version: str
    pid: int
    started_at: str
    uptime_s: float
    data_dir: str
    agents: dict[str, int]
    """Agents by status."""
    instances: int
    messages_handled: int
    messages_pending: int
    dead_letters: int
    """Those that wait for somebody to replay or purge them."""


class Reason(msgspec.Struct, kw_only=True):
    """Why the server does not take work."""

    code: str
    """Stable, like `DISK_FULL`."""
    what: str
    next: str
    """What to do about it."""
