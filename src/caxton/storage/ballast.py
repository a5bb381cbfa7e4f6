"""A file that holds room: given up when the disk is full, so that what was accepted can still be settled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BALLAST_BYTES = 32 << 20

MARGIN_BYTES = 32 << 20
"""What has to be free beside the ballast before new messages are taken again."""

LOW_BYTES = 16 << 20
"""With less than this free, nothing new is taken, although the disk is not full yet."""


class Ballast:
    """The file `ballast` of a data directory. Its blocks are allocated, not only its length."""

    def __init__(self, directory: Path, *, size_bytes: int = BALLAST_BYTES) -> None:
        self.directory, self.path, self.size_bytes = directory, directory / "ballast", size_bytes

    def free_bytes(self) -> int:
        """What this user may still write on the disk of the directory; 0 if that is gone."""
        try:
            found = os.statvfs(self.directory)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize

    @property
    def is_there(self) -> bool:
        try:
            return self.path.stat().st_size == self.size_bytes
        except OSError:
            return False

    @property
    def needed_bytes(self) -> int:
        """What has to be free before new messages are taken again: the margin, and room for the file if it is gone."""
        return MARGIN_BYTES + (0 if self.is_there else self.size_bytes)

    def make(self) -> bool:
        """Allocate the file if it is not there; whether it is there now."""
        if self.is_there:
            return True
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(handle, 0, self.size_bytes)
        except OSError:
            self.release()
            return False
        finally:
            os.close(handle)
        return True

    def release(self) -> bool:
        """Give its room back; whether there was any."""
        try:
            held = self.path.stat().st_blocks > 0
            self.path.unlink()
        except OSError:
            return False
        return held
