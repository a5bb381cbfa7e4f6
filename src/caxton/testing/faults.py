"""A disk that fails as it is told to, and one whose power is cut: an SQLite VFS that records what it is asked to do.

`FaultVfs` passes everything on to the system's own VFS and keeps a log. `Disk` replays such a log up to any point and
says what a machine may find after its power was cut there.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

SECTOR_BYTES = 512
"""What a disk writes as a whole or not at all."""

_names = itertools.count()
_SYSTEM = apsw.vfs_names()[0]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was asked of the disk, or a mark of the test's between two of them."""

    kind: str
    """`write`, `truncate`, `sync`, `delete` or `mark`."""
    file: str = ""
    """Name without directory."""
    offset: int = 0
    """Of a write; the new size of a truncation; the number of a mark."""
    data: bytes = b""


class FaultVfs(apsw.VFS):
    """Open a database with `vfs=faulty.name`. Close it before `unregister`."""

    def __init__(self, *, for_all: bool = False) -> None:
        """`for_all`: what opens a database without naming a VFS gets this one."""
        self.name = f"faulty-{next(_names)}"
        self.log: list[Step] = []
        self.is_recording = True
        self.writes = self.syncs = 0
        self.before_write: Callable[[int, str, int], None] | None = None
        """Called with the number of the write, from 1, its file and the size it leaves; what it raises, SQLite gets."""
        self.before_sync: Callable[[int, str], None] | None = None
        """Called with the number of the sync, from 1, and its file."""
        self.capacity_bytes: int | None = None
        """All files together; a write that would make one grow beyond it fails with `SQLITE_FULL`."""
        self.sizes: dict[str, int] = {}
        super().__init__(self.name, _SYSTEM, makedefault=for_all)

    def mark(self, number: int) -> None:
        """Remember where in the log the test is."""
        self.log.append(Step("mark", offset=number))

    @property
    def used_bytes(self) -> int:
        return sum(self.sizes.values())

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return _FaultFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.sizes.pop(Path(filename).name, None)
        self.note(Step("delete", Path(filename).name))

    def note(self, step: Step) -> None:
        if self.is_recording:
            self.log.append(step)


class _FaultFile(apsw.VFSFile):
    def __init__(self, vfs: FaultVfs, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._file = Path(path or "temporary").name
        super().__init__(_SYSTEM, name, flags)
        vfs.sizes[self._file] = self.xFileSize()

    def xWrite(self, data: Any, offset: int) -> None:
        vfs = self._vfs
        vfs.writes += 1
        end = max(vfs.sizes[self._file], offset + len(data))
        if vfs.before_write is not None:
            vfs.before_write(vfs.writes, self._file, end)
        grows = end - vfs.sizes[self._file]
        if grows and vfs.capacity_bytes is not None and vfs.used_bytes + grows > vfs.capacity_bytes:
            raise apsw.FullError("the disk of the test is full")
        super().xWrite(data, offset)  # pyright: ignore[reportUnknownMemberType]
        vfs.sizes[self._file] = end
        vfs.note(Step("write", self._file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._vfs.sizes[self._file] = newsize
        self._vfs.note(Step("truncate", self._file, newsize))

    def xSync(self, flags: int) -> None:
        self._vfs.syncs += 1
        if self._vfs.before_sync is not None:
            self._vfs.before_sync(self._vfs.syncs, self._file)
        super().xSync(flags)
        self._vfs.note(Step("sync", self._file))


def io_error(*, at_sync: bool) -> apsw.IOError:
    """What SQLite makes of EIO."""
    error: Any = apsw.IOError("the disk of the test failed")
    error.result = int(apsw.SQLITE_IOERR)
    error.extendedresult = int(apsw.SQLITE_IOERR_FSYNC if at_sync else apsw.SQLITE_IOERR_WRITE)
    return error


@dataclass(slots=True)
class _File:
    safe: bytearray = field(default_factory=bytearray)
    unsynced: list[Step] = field(default_factory=list[Step])


class Disk:
    """The files as far as they are certain, and what was written to them since: `apply` steps in their order."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def apply(self, step: Step) -> None:
        if step.kind == "mark":
            return
        if step.kind == "delete":
            self._files.pop(step.file, None)
            return
        file = self._files.setdefault(step.file, _File())
        if step.kind == "sync":
            for earlier in file.unsynced:
                _carry_out(file.safe, earlier)
            file.unsynced.clear()
        else:
            file.unsynced.append(step)

    def after_a_cut(self, chance: random.Random) -> dict[str, bytes]:
        """File → what may be in it when the power comes back: anything unsynced may be there, be gone, or be torn."""
        return {name: self._survives(file, chance) for name, file in self._files.items()}

    @staticmethod
    def _survives(file: _File, chance: random.Random) -> bytes:
        content = bytearray(file.safe)
        fate = chance.choice(("all", "nothing", "some", "sectors"))
        if fate == "nothing":
            return bytes(content)
        kept = 1.0 if fate == "all" else chance.random()
        for step in file.unsynced:
            if fate == "sectors" and step.kind == "write":
                for piece in _sectors(step):
                    if chance.random() < kept:
                        _carry_out(content, piece)
            elif kept == 1.0 or chance.random() < kept:
                _carry_out(content, step)
        return bytes(content)


def _sectors(write: Step) -> list[Step]:
    """`write` as the pieces that a disk writes each as a whole."""
    end = write.offset + len(write.data)
    borders = [write.offset, *range(write.offset // SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES, end, SECTOR_BYTES), end]
    return [
        Step("write", write.file, low, write.data[low - write.offset : high - write.offset])
        for low, high in itertools.pairwise(borders)
    ]


def _carry_out(content: bytearray, step: Step) -> None:
    if step.kind == "truncate":
        del content[step.offset :]
        content.extend(bytes(step.offset - len(content)))
    else:
        content.extend(bytes(max(0, step.offset - len(content))))
        content[step.offset : step.offset + len(step.data)] = step.data
