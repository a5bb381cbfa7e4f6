"""`api.services.StorageService` of a small journal that never was."""

from __future__ import annotations

from caxton.core.views.storage import CompactReport, StorageView, VerifyReport
from caxton.testing.fakes.server import STARTED_AT


class FakeStorage:
    """A journal that says what the test says."""

    def __init__(self) -> None:
        self.report = VerifyReport(ok=True, rows={"messages": 3}, unchecked=0, findings=[])
        self.is_full = False

    async def view(self) -> StorageView:
        """Round figures."""
        return StorageView(
            path="/nowhere/journal.db", status="read-only" if self.is_full else "writable",
            causes=["disk-full"] if self.is_full else [], journal_bytes=1 << 20, file_bytes=2 << 20, wal_bytes=4096,
            ballast_bytes=0 if self.is_full else 32 << 20, free_bytes=1 << 30, limits={"journal": 8 << 30},
            rows={"pending": 2, "kept": 3, "dead_letters": 0}, oldest={"pending": STARTED_AT}, commits=7,
            failures={"full": 0, "io": 0, "other": 0},
        )  # fmt: skip

    async def verify(self) -> VerifyReport:
        """As set."""
        return self.report

    async def compact(self) -> CompactReport:
        """Half of it is gone."""
        return CompactReport(pruned=1, before_bytes=2 << 20, after_bytes=1 << 20)
