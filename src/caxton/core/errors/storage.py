"""What the server writes: the disk and the journal."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError


class StorageFailed(CaxtonError):
    """The journal could not be written; the server stops acknowledging."""

    code = "STORAGE_FAILED"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the journal cannot be written: {reason}; free or repair the disk, then start again")
        self.reason = reason

    @classmethod
    def of(cls, error: Exception) -> StorageFailed:
        """`error` as one of these, unless it is one already."""
        return error if isinstance(error, cls) else cls(str(error))


class StorageFull(CaxtonError):
    """The disk is full, or nearly: the server settles what it has and takes nothing new."""

    code = "STORAGE_FULL"

    def __init__(self, path: str, free_bytes: int, needed_bytes: int) -> None:
        super().__init__(
            f"the disk of {path} has {free_bytes >> 20} MiB left, so the server takes nothing new; free space until "
            f"there are {needed_bytes >> 20} MiB and it goes on by itself"
        )
        self.path, self.free_bytes, self.needed_bytes = path, free_bytes, needed_bytes


class JournalFull(CaxtonError):
    """The journal, or its write-ahead log, is as large as it may become."""

    code = "JOURNAL_FULL"

    def __init__(self, path: str, size_bytes: int, limit_bytes: int, advice: str) -> None:
        super().__init__(f"{path} holds {size_bytes >> 20} MiB of the {limit_bytes >> 20} MiB it may; {advice}")
        self.path, self.size_bytes, self.limit_bytes = path, size_bytes, limit_bytes


class JournalDamaged(CaxtonError):
    """What the journal's file says cannot be what was written."""

    code = "JOURNAL_DAMAGED"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} is damaged: {reason}; restore the data directory from a backup, or see 'caxton storage verify'"
        )
        self.path, self.reason = path, reason


class JournalTooNew(CaxtonError):
    """The data was written by a later version of Caxton."""

    code = "JOURNAL_TOO_NEW"

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"the journal has schema version {found}, this Caxton knows up to {known}; use the later version"
        )
        self.found, self.known = found, known
