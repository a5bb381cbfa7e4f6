"""Files for WASI commands: only beneath directories that were granted, whatever is in them.

A path is walked component by component from an open directory, and no symbolic link is ever followed; `..` goes back
along the way that was walked, never by the kernel's. So nothing that a guest, or anybody else in the directory, renames
or links leads out of it. Only regular files and directories open. Calls block the loop as long as the disk does.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

MAX_OPEN_FILES = 64
"""Of one instance, its granted directories included."""
MAX_FILE_BYTES = 64 << 20
"""How long a guest may make a file."""
MAX_PATH_BYTES = 4096
MAX_PATH_PARTS = 64
MAX_ENTRIES = 10_000
"""Of a directory, that are listed."""

FIRST_FD = 3

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """One directory that a guest may use."""

    path: Path
    """On this machine."""
    name: str
    """As the guest knows it."""
    is_writable: bool = False


@dataclass(slots=True, kw_only=True)
class Open:
    """An open file or directory of a guest."""

    fd: int
    """The host's."""
    is_directory: bool
    is_writable: bool
    """May be written, or beneath it."""
    is_readable: bool = True
    appends: bool = False
    preopened: str = ""
    """Name of a granted directory."""
    offset: int = 0
    entries: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    """Of a directory that is being listed: name, inode, WASI's file type."""


class Files:
    """The open files of one instance. `OSError` of every method is the guest's answer."""

    def __init__(self, granted: tuple[Granted, ...]) -> None:
        """Raises `OSError` if a directory is not there."""
        self._open: dict[int, Open] = {}
        try:
            for directory in granted:
                fd = os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                self._add(Open(fd=fd, is_directory=True, is_writable=directory.is_writable, preopened=directory.name))
        except OSError:
            self.close_all()
            raise

    def close_all(self) -> None:
        for opened in self._open.values():
            os.close(opened.fd)
        self._open.clear()

    def get(self, fd: int) -> Open:
        """An open file or directory; EBADF if there is none."""
        opened = self._open.get(fd)
        if opened is None:
            raise _error(errno.EBADF)
        return opened

    def file(self, fd: int, *, to_write: bool = False) -> Open:
        """An open file that may be read, or written."""
        opened = self.get(fd)
        if opened.is_directory:
            raise _error(errno.EISDIR)
        if not (opened.is_writable if to_write else opened.is_readable):
            raise _error(errno.EBADF)
        return opened

    def directory(self, fd: int, *, to_write: bool = False) -> Open:
        """An open directory beneath which may be read, or written."""
        opened = self.get(fd)
        if not opened.is_directory:
            raise _error(errno.ENOTDIR)
        if to_write and not opened.is_writable:
            raise _error(errno.EROFS)
        return opened

    def close(self, fd: int) -> None:
        os.close(self.get(fd).fd)
        del self._open[fd]

    def open(self, at: int, path: str, flags: int, *, reads: bool, writes: bool) -> int:
        """Open what is at `path` beneath directory `at`.

        Args:
            at: the guest's.
            path: relative.
            flags: of O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_APPEND.
            reads: it is to be read.
            writes: it is to be written.

        Returns:
            The guest's number for it.
        """
        changes = bool(flags & (os.O_CREAT | os.O_TRUNC)) or (writes and not flags & os.O_DIRECTORY)
        base = self.directory(at, to_write=changes)
        if len(self._open) >= MAX_OPEN_FILES:
            raise _error(errno.EMFILE)
        with _beneath(base.fd, path) as (parent, name):
            access = os.O_RDWR if reads and writes else os.O_WRONLY if writes else os.O_RDONLY
            fd = self._open_checked(parent, name, access, flags)
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        return self._add(
            Open(
                fd=fd,
                is_directory=is_directory,
                is_writable=base.is_writable if is_directory else writes,
                is_readable=reads or is_directory,
                appends=bool(flags & os.O_APPEND),
            )
        )

    @staticmethod
    def _open_checked(parent: int, name: str, access: int, flags: int) -> int:
        """Truncated only once it is known to be a regular file."""
        wanted = access | _FILE | (flags & ~os.O_TRUNC)
        try:
            fd = os.open(name, wanted, 0o644, dir_fd=parent)
        except IsADirectoryError:
            if not flags & os.O_DIRECTORY:
                raise
            fd = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            mode = os.fstat(fd).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise _error(errno.EACCES)
            if flags & os.O_TRUNC:
                os.ftruncate(fd, 0)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _add(self, opened: Open) -> int:
        fd = FIRST_FD
        while fd in self._open:
            fd += 1
        self._open[fd] = opened
        return fd

    # --- a file ----------------------------------------------------------------------------------------------

    def read(self, fd: int, length: int) -> bytes:
        opened = self.file(fd)
        data = os.pread(opened.fd, length, opened.offset)
        opened.offset += len(data)
        return data

    def write(self, fd: int, data: bytes) -> int:
        opened = self.file(fd, to_write=True)
        if opened.appends:
            opened.offset = os.fstat(opened.fd).st_size
        written = self.write_at(fd, data, opened.offset)
        opened.offset += written
        return written

    def read_at(self, fd: int, length: int, offset: int) -> bytes:
        return os.pread(self.file(fd).fd, length, offset)

    def write_at(self, fd: int, data: bytes, offset: int) -> int:
        opened = self.file(fd, to_write=True)
        if offset + len(data) > MAX_FILE_BYTES:
            raise _error(errno.EFBIG)
        return os.pwrite(opened.fd, data, offset)

    def seek(self, fd: int, offset: int, whence: int) -> int:
        """`whence`: 0 from the beginning, 1 from where it is, 2 from the end."""
        opened = self.get(fd)
        if opened.is_directory:
            raise _error(errno.EISDIR)
        start = (0, opened.offset, os.fstat(opened.fd).st_size)[whence] if 0 <= whence <= 2 else -1
        if start < 0 or start + offset < 0:
            raise _error(errno.EINVAL)
        opened.offset = start + offset
        return opened.offset

    def resize(self, fd: int, size: int) -> None:
        opened = self.file(fd, to_write=True)
        if size > MAX_FILE_BYTES:
            raise _error(errno.EFBIG)
        os.ftruncate(opened.fd, size)

    # --- beneath a directory ---------------------------------------------------------------------------------

    def look_at(self, at: int, path: str) -> os.stat_result:
        """A symbolic link is looked at itself."""
        with _beneath(self.directory(at).fd, path) as (parent, name):
            return os.stat(name, dir_fd=parent, follow_symlinks=False)

    def make_directory(self, at: int, path: str) -> None:
        with _beneath(self.directory(at, to_write=True).fd, path) as (parent, name):
            os.mkdir(name, 0o755, dir_fd=parent)

    def remove_directory(self, at: int, path: str) -> None:
        with _beneath(self.directory(at, to_write=True).fd, path) as (parent, name):
            os.rmdir(name, dir_fd=parent)

    def remove_file(self, at: int, path: str) -> None:
        with _beneath(self.directory(at, to_write=True).fd, path) as (parent, name):
            os.unlink(name, dir_fd=parent)

    def rename(self, at: int, path: str, new_at: int, new_path: str) -> None:
        old, new = self.directory(at, to_write=True).fd, self.directory(new_at, to_write=True).fd
        with _beneath(old, path) as (parent, name), _beneath(new, new_path) as (new_parent, new_name):
            os.rename(name, new_name, src_dir_fd=parent, dst_dir_fd=new_parent)

    def list(self, fd: int) -> list[tuple[str, int, int]]:
        """Look anew what is in a directory."""
        opened = self.directory(fd)
        opened.entries = []
        with os.scandir(opened.fd) as entries:
            for entry in entries:
                opened.entries.append((entry.name, entry.inode(), _entry_type(entry)))
                if len(opened.entries) >= MAX_ENTRIES:
                    break
        return opened.entries


def _entry_type(entry: os.DirEntry[str]) -> int:
    if entry.is_dir(follow_symlinks=False):
        return 3
    return 4 if entry.is_file(follow_symlinks=False) else 0


@contextmanager
def _beneath(root: int, path: str) -> Generator[tuple[int, str]]:
    """The directory that `path` is in, open, and the last component of it; `.` for `root` itself."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or len(os.fsencode(path)) > MAX_PATH_BYTES or len(parts) > MAX_PATH_PARTS:
        raise _error(errno.EPERM if path.startswith("/") else errno.ENAMETOOLONG)
    if not path or "\0" in path:
        raise _error(errno.ENOENT if not path else errno.EINVAL)
    way = [root]
    try:
        while parts and (len(parts) > 1 or parts[0] == ".."):
            part = parts.pop(0)
            if part != "..":
                way.append(os.open(part, _DIRECTORY, dir_fd=way[-1]))
            elif len(way) > 1:
                os.close(way.pop())
            else:
                raise _error(errno.EPERM)
        yield way[-1], parts[0] if parts else "."
    finally:
        for fd in way[1:]:
            os.close(fd)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
