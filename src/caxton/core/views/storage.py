"""The journal, as an operator sees it."""

from __future__ import annotations

import msgspec


class StorageView(msgspec.Struct, kw_only=True):
    """The journal: what it holds, how much room that takes, and its limits."""

    path: str
    status: str
    """`writable` or `read-only`."""
    causes: list[str]
    """Why it is read-only: `disk-full`, `journal-full`, `log-full`; and whatever else keeps new messages out."""
    journal_bytes: int
    """In use."""
    file_bytes: int
    """Of the file, free pages included."""
    wal_bytes: int
    """Of the write-ahead log, as much as counts."""
    ballast_bytes: int
    """Held for settling when the disk is full; 0 while it is given up."""
    free_bytes: int
    """On the disk."""
    limits: dict[str, int]
    """Bytes: `journal` and `wal` at most, `free` at least."""
    rows: dict[str, int]
    """By kind: `pending`, `kept`, `dead_letters`, `quarantined`, `receipts`, `agents`, `state`, `conversations`,
    `timers`."""
    oldest: dict[str, str]
    """ISO 8601, UTC, of the oldest `pending`, `kept` and `dead_letters`, where there is one."""
    commits: int
    failures: dict[str, int]
    """Transactions and checkpoints that failed: `full`, `io`, `other`."""


class VerifyFinding(msgspec.Struct, kw_only=True):
    """One thing in the journal that is not as it was written."""

    table: str
    """Empty if it is not about one table."""
    row: str
    """Its key; empty if it is not about one row."""
    problem: str


class VerifyReport(msgspec.Struct, kw_only=True):
    """What a verification looked at, and what it found."""

    ok: bool
    rows: dict[str, int]
    """Table → rows that were compared."""
    unchecked: int
    """Rows that have no checksum: of tables without any, and from before there were any."""
    findings: list[VerifyFinding]


class CompactReport(msgspec.Struct, kw_only=True):
    """What compacting did."""

    pruned: int
    """Settled messages let go of."""
    before_bytes: int
    """Of the file and its write-ahead log."""
    after_bytes: int
