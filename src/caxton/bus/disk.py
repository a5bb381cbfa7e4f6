"""Keeps the node within its disk: closes the intake while there is no room, and opens it again by itself.

Three causes, each with an end of its own: the disk is (nearly) full, the journal is as large as it may be, or its
write-ahead log grows because somebody's reader holds it up. What was accepted goes on being handled and settled.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from caxton.core.errors.storage import JournalFull, StorageFull
from caxton.storage.ballast import LOW_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.intake import Intake
    from caxton.bus.journal import Journal
    from caxton.storage.ballast import Ballast
    from caxton.storage.database import Database

logger = logging.getLogger(__name__)

DISK, JOURNAL, LOG = "disk-full", "journal-full", "log-full"
"""Causes, as the intake knows them."""

LOOK_EVERY_S = 0.1
"""After a commit, not sooner than this after the last look."""

POLL_S = 1.0
"""While something is closed, how often to look whether it may be opened."""

MAX_JOURNAL_BYTES = 8 << 30
MAX_LOG_BYTES = 256 << 20

REOPEN_BELOW = 0.9
"""Of a limit: so that it does not open and close with each message."""


class DiskGuard:
    """See the module. All methods run on the event loop's thread."""

    def __init__(
        self, *, intake: Intake, journal: Journal, database: Database, ballast: Ballast, pause: Callable[[], None],
        resume: Callable[[], None], max_journal_bytes: int = MAX_JOURNAL_BYTES,
    ) -> None:  # fmt: skip
        """`pause` is called when not even settlements can be written: let no more work happen, until `resume`."""
        self._intake, self._journal, self._database, self._ballast = intake, journal, database, ballast
        self._pause, self._resume = pause, resume
        self._limits = {JOURNAL: max_journal_bytes, LOG: MAX_LOG_BYTES}
        self._is_paused = False
        self._looked_at = float("-inf")
        self._poll: asyncio.TimerHandle | None = None
        self.free_bytes = 0
        """When it was last looked."""

    @property
    def is_read_only(self) -> bool:
        """Whether any of the causes is there."""
        return any(cause in self._intake.causes for cause in (DISK, JOURNAL, LOG))

    def limits(self) -> dict[str, int]:
        """Bytes that close the intake: of the journal and its log at most, of the disk at least."""
        return {"journal": self._limits[JOURNAL], "wal": self._limits[LOG], "free": LOW_BYTES}

    def start(self) -> None:
        """Make the ballast, or begin read-only if there is no room for it. From here on the journal is watched."""
        self._journal.on_full = self._full
        self._journal.on_commit = self._committed
        if not self._ballast.make():
            self._close_disk()
        self.look()

    def close(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None

    def look(self) -> None:
        """Compare what there is with the limits, now."""
        self._looked_at = asyncio.get_running_loop().time()
        self._look_at_disk()
        usage = self._database.usage
        self._look_at(JOURNAL, usage.live_bytes, "'caxton storage compact' or a larger storage.max_journal makes room")
        self._look_at(LOG, usage.wal_bytes, "a program that reads the journal holds it up: end that")
        if self.is_read_only and self._poll is None:
            self._poll = asyncio.get_running_loop().call_later(POLL_S, self._again)

    def _again(self) -> None:
        """Have the journal measured, since nobody may be committing, and look."""
        loop = asyncio.get_running_loop()

        def measured(_error: Exception | None) -> None:
            loop.call_soon_threadsafe(self._look_again)

        self._poll = loop.call_later(POLL_S, self._look_again)  # in case the writer is busy, or gone
        self._database.tidy(measured)

    def _look_again(self) -> None:
        self.close()
        self.look()

    # --- the disk --------------------------------------------------------------------------------------------

    def _full(self) -> bool:
        """A transaction found no room: give up the ballast for it, and if that is gone, let everything rest."""
        self._close_disk()
        freed = self._ballast.release()
        if not freed and not self._is_paused:
            self._is_paused = True
            logger.error("no room for settlements: waiting", extra={"action": "storage.paused"})
            self._pause()
        if self._poll is None:
            self._poll = asyncio.get_running_loop().call_later(POLL_S, self._again)
        return freed

    def _committed(self) -> None:
        if self._is_paused:
            self._is_paused = False
            logger.warning("there is room for settlements again", extra={"action": "storage.resumed"})
            self._resume()
        if asyncio.get_running_loop().time() >= self._looked_at + LOOK_EVERY_S:
            self.look()

    def _look_at_disk(self) -> None:
        self.free_bytes = free = self._ballast.free_bytes()
        if DISK not in self._intake.causes:
            if free < LOW_BYTES:
                self._close_disk()
        elif free >= self._ballast.needed_bytes and not self._is_paused and self._ballast.make():
            self._open(DISK)

    def _close_disk(self) -> None:
        ballast = self._ballast

        def error() -> StorageFull:
            return StorageFull(str(ballast.directory), ballast.free_bytes(), ballast.needed_bytes)

        self._close(DISK, error)

    # --- the journal -----------------------------------------------------------------------------------------

    def _look_at(self, cause: str, size_bytes: int, advice: str) -> None:
        limit = self._limits[cause]
        if cause in self._intake.causes:
            if size_bytes < limit * REOPEN_BELOW:
                self._open(cause)
        elif size_bytes >= limit:
            path, suffix = self._database.path, "-wal" if cause == LOG else ""

            def error() -> JournalFull:
                usage = self._database.usage
                size = usage.wal_bytes if cause == LOG else usage.live_bytes
                return JournalFull(f"{path}{suffix}", size, limit, advice)

            self._close(cause, error)

    def _close(self, cause: str, error: Callable[[], StorageFull | JournalFull]) -> None:
        if cause in self._intake.causes:
            return
        self._intake.close(cause, error)
        logger.error(str(error()), extra={"action": "storage.read_only", "cause": cause})

    def _open(self, cause: str) -> None:
        self._intake.open(cause)
        logger.info("there is room again", extra={"action": "storage.writable", "cause": cause})
