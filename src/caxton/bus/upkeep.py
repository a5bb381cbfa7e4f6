"""What an operator does with the journal while it is at work: look how large it is, verify it, give room back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from caxton.core.crash import crash_point
from caxton.core.views.storage import CompactReport, StorageView, VerifyFinding, VerifyReport
from caxton.storage.answer import answer_of
from caxton.storage.census import take_census
from caxton.storage.verify import verify_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.disk import DiskGuard
    from caxton.bus.intake import Intake
    from caxton.bus.journal import Journal
    from caxton.storage.ballast import Ballast
    from caxton.storage.database import Database, Usage
    from caxton.storage.verify import Report

VACUUM_PAGES = 2000
"""Given back in one go, between two commits."""


class Upkeep:
    """`api.services.StorageService`. Looking and verifying use connections of their own, so that commits go on."""

    def __init__(
        self, *, journal: Journal, database: Database, ballast: Ballast, intake: Intake, guard: DiskGuard
    ) -> None:
        self._journal, self._database, self._ballast = journal, database, ballast
        self._intake, self._guard = intake, guard
        self._one_at_a_time = asyncio.Lock()

    async def view(self) -> StorageView:
        """Sizes, rows, limits and state."""
        path, usage = self._database.path, self._database.usage
        census = await asyncio.to_thread(take_census, path)
        return StorageView(
            path=str(path), status="read-only" if self._guard.is_read_only else "writable",
            causes=list(self._intake.causes), journal_bytes=usage.live_bytes, file_bytes=usage.file_bytes,
            wal_bytes=usage.wal_bytes, ballast_bytes=self._ballast.size_bytes if self._ballast.is_there else 0,
            free_bytes=self._ballast.free_bytes(), limits=self._guard.limits(), rows=census.rows, oldest=census.oldest,
            commits=self._journal.commits, failures=dict(self._database.failures),
        )  # fmt: skip

    async def verify(self) -> VerifyReport:
        """Look at every page and row; commits go on meanwhile. Raises `JournalDamaged` if it cannot be read at all."""
        async with self._one_at_a_time:
            return as_report(await asyncio.to_thread(verify_file, self._database.path))

    async def compact(self) -> CompactReport:
        """Let go of what is over its retention, empty the write-ahead log, give free pages back to the disk.

        Messages are committed in between; only a journal from before there was incremental vacuum waits for all of it.
        """
        async with self._one_at_a_time:
            gone = self._journal.kept.gone
            before = await self._tidy()
            crash_point("compact.begun")
            await self._journal.prune()
            while await self._run(_give_back):
                pass
            after = await self._tidy()
            return CompactReport(
                pruned=self._journal.kept.gone - gone,
                before_bytes=before.file_bytes + before.wal_bytes,
                after_bytes=after.file_bytes + after.wal_bytes,
            )

    async def _tidy(self) -> Usage:
        await answer_of(lambda done: self._database.tidy(done, empty_log=True))
        return self._database.usage

    async def _run(self, work: Callable[[Any], Any]) -> Any:
        return await answer_of(lambda done: self._database.run(work, done))


def as_report(found: Report) -> VerifyReport:
    """What was found in the words of the API."""
    findings = [VerifyFinding(table=f.table, row=f.row, problem=f.problem) for f in found.findings]
    return VerifyReport(ok=not findings, rows=found.rows, unchecked=found.unchecked, findings=findings)


def _give_back(connection: Any) -> bool:
    """One portion of free pages; whether there may be more."""
    if connection.pragma("auto_vacuum") == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL").fetchall()
        connection.execute("VACUUM").fetchall()
    else:
        connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    crash_point("compact.given_back")
    return int(connection.pragma("freelist_count")) > 0
