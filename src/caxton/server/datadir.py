"""The data directory: made private, held by one server at a time, and telling others who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from caxton.core.errors.server import DataDirInUse, DataDirUnusable

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class DataDir:
    """Holds the directory from entering to leaving. Raises `DataDirUnusable`, `DataDirInUse` when entered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info_path = path / "server.json"
        self._lock: Any = None

    def __enter__(self) -> DataDir:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._close_to_others()
            self._lock = os.fdopen(os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600), "a+")
        except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
            reason = exc.strerror if isinstance(exc, OSError) else None
            raise DataDirUnusable(str(self.path), reason or str(exc)) from exc
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise DataDirInUse(str(self.path), self._holder()) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.info_path.unlink(missing_ok=True)
        self._lock.close()

    def tell(self, url: str, started_at: str) -> None:
        """Write who serves here: process id and address, for `caxton server stop` and `status`."""
        temporary = self.info_path.with_suffix(".new")
        temporary.write_text(json.dumps({"pid": os.getpid(), "url": url, "started_at": started_at}), encoding="utf-8")
        temporary.chmod(0o600)
        temporary.replace(self.info_path)

    def _close_to_others(self) -> None:
        """Mode 0700; but a directory that holds somebody else's files is not ours to close."""
        if stat.S_IMODE(self.path.stat().st_mode) == 0o700:
            return
        names = {entry.name for entry in self.path.iterdir()}
        if names and "lock" not in names:
            raise DataDirUnusable(str(self.path), "it holds files of others, and others may enter it")
        self.path.chmod(0o700)

    def _holder(self) -> int | None:
        try:
            return int(json.loads(self.info_path.read_text(encoding="utf-8"))["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def secret(self, name: str, size: int = 32) -> bytes:
        """A random key of this directory, made at its first use; 0600."""
        path = self.path / "keys" / name
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if path.exists() and len(found := path.read_bytes()) == size:
                return found
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            made = os.urandom(size)
            with os.fdopen(handle, "wb") as file:
                file.write(made)
        except OSError as exc:
            raise DataDirUnusable(str(path), exc.strerror or str(exc)) from exc
        return made
