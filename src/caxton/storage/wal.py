"""What SQLite does not say of a write-ahead log: that committed transactions lie behind a page it could not read.

It reads the log up to the first frame whose checksum is wrong, since that is how an interrupted write looks. A bit that
flipped in the middle looks the same, and would silently undo what was acknowledged after it.

Source: sqlite.org/fileformat2.html, section 4 (the WAL file format).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import apsw

from caxton.core.errors.storage import JournalDamaged

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682
"""The last bit says that checksums are of big-endian words."""


def check_header(path: Path) -> None:
    """Raises `JournalDamaged` if the log at `path` has frames and its header is not one. OSErrors pass."""
    if not path.exists() or path.stat().st_size <= _HEADER.size:
        return
    with path.open("rb") as file:
        if _read_header(file) is None:
            raise JournalDamaged(str(path), "its header cannot be read, though it holds transactions")


def check_log(connection: Any, path: Path) -> None:
    """Raises `JournalDamaged` if the log of the database at `path`, open on `connection`, was not read to its end.

    Only while nobody else writes. OSErrors and SQLite's own errors pass.
    """
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # the log is read with the first query
    in_wal, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    log = path.with_name(f"{path.name}-wal")
    if lost := lost_commits(log, in_wal):
        reason = f"{lost} transactions that were committed lie behind a page that cannot be read"
        raise JournalDamaged(str(log), reason)


def lost_commits(path: Path, frames: int) -> int:
    """How many transactions in the log at `path` SQLite cannot reach, having read `frames` frames. OSErrors pass.

    One that lies last counts for nothing: it may have been interrupted, and then nobody was told that it is safe. So do
    frames that do not fit to the one before them: a disk that keeps an interrupted write in part can leave the end of
    an older transaction in the header of a newer frame.
    """
    if frames < 0 or not path.exists():
        return 0
    with path.open("rb") as file:
        header = _read_header(file)
        if header is None:
            return 0
        _, _, page_size, _, salt_1, salt_2, *_ = header
        size = _FRAME.size + page_size
        words = f"{'>' if header[0] & 1 else '<'}{(page_size + 8) // 4}I"
        commits, before = 0, header[6:]
        if frames:
            file.seek(_HEADER.size + (frames - 1) * size)
            before = _FRAME.unpack(file.read(size)[: _FRAME.size])[4:]
        while len(data := file.read(size)) == size:
            _, pages_after, *salts, sum_1, sum_2 = _FRAME.unpack(data[: _FRAME.size])
            if pages_after != 0 and salts == [salt_1, salt_2]:
                covered = struct.unpack(words, data[:8] + data[_FRAME.size :])
                commits += _checksum(covered, before) == (sum_1, sum_2)
            before = sum_1, sum_2
    return commits if commits > 1 else 0


def _read_header(file: BinaryIO) -> tuple[int, ...] | None:
    data = file.read(_HEADER.size)
    if len(data) < _HEADER.size:
        return None
    header = _HEADER.unpack(data)
    if header[0] & ~1 != _MAGIC:
        return None
    words = struct.unpack(">6I" if header[0] & 1 else "<6I", data[:24])
    return header if _checksum(words) == header[6:] else None


def _checksum(words: tuple[int, ...], before: tuple[int, ...] = (0, 0)) -> tuple[int, int]:
    """Of `words`, going on from the checksum of what stands before them."""
    first, second = before
    for n in range(0, len(words), 2):
        first = (first + words[n] + second) & 0xFFFFFFFF
        second = (second + words[n + 1] + first) & 0xFFFFFFFF
    return first, second
