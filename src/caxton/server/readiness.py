"""Why a node does not take work, and what to do about it. Pure."""

from __future__ import annotations

from caxton.core.views.server import Reason

STARTING = Reason(
    code="STARTING",
    what="the server reads its journal back and starts its agents",
    next="wait; if it takes more than minutes, 'caxton server start' shows the end of its log",
)
STOPPING = Reason(
    code="STOPPING", what="the server is stopping and takes nothing new", next="ask again when it has been started"
)
STORAGE_FAILED = Reason(
    code="STORAGE_FAILED",
    what="a commit to the journal failed; nothing is acknowledged any more",
    next="look at the disk and at the server's log, then start the server again: it recovers what is on disk",
)

_CAUSES = {
    "disk-full": (
        "DISK_FULL",
        "the disk of the data directory is full",
        "free some space; work goes on by itself then",
    ),
    "journal-full": (
        "JOURNAL_FULL",
        "the journal has reached its limit",
        "raise storage.max_journal, or purge dead letters and compact: 'caxton dlq purge', 'caxton storage compact'",
    ),
    "log-full": (
        "WRITE_AHEAD_LOG_FULL",
        "the journal's write-ahead log cannot be put away: another program holds the journal open to read",
        "end what reads journal.db (a backup, an sqlite3 shell); 'caxton storage status' shows the log's size",
    ),
    "dead-letters-full": (
        "DEAD_LETTERS_FULL",
        "the store of dead letters has reached its limit",
        "'caxton dlq list' shows them; replay or purge some, or raise storage.max_dead_letters",
    ),
}


def reasons(state: str, causes: tuple[str, ...], *, has_failed: bool) -> list[Reason]:
    """All reasons, the gravest first; none: it is ready.

    Args:
        state: `starting`, `ready` or `stopping`.
        causes: why the intake is closed (`bus.intake`).
        has_failed: whether the journal has failed for good.
    """
    found = [STORAGE_FAILED] if has_failed else []
    if state != "ready":
        found.append(STARTING if state == "starting" else STOPPING)
    for cause in causes:
        code, what, advice = _CAUSES.get(
            cause, (cause.upper().replace("-", "_"), f"nothing new is taken: {cause}", "look at the server's log")
        )
        found.append(Reason(code=code, what=what, next=advice))
    return found
