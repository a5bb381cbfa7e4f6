"""Reads of single rows on the event loop's thread, beside the writer: what memory does not hold any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apsw

from caxton.core.errors.storage import StorageFailed

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.storage.database import Row


class Lookup:
    """A connection of its own that cannot write. Each query sees the last commit; keep them to a few rows."""

    def __init__(self, path: Path, *, vfs: str | None = None) -> None:
        self._path, self._vfs = path, vfs
        self._connection: Any = None

    def query(self, sql: str, parameters: Row = ()) -> list[Row]:
        """All rows. Raises `StorageFailed`."""
        try:
            if self._connection is None:
                self._connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY, vfs=self._vfs)
                self._connection.set_busy_timeout(1000)
            return list(self._connection.execute(sql, parameters))
        except apsw.Error as exc:
            raise StorageFailed(str(exc)) from exc

    def close(self) -> None:
        """Closing twice is allowed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
