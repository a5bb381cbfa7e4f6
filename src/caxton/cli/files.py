"""Reading the files that a command line names, within limits."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from caxton.core.errors.command_line import FileMissing, FileUnreadable
from caxton.core.units import format_size

STDIN = "-"


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """The bytes of a regular file. Raises `FileMissing` or `FileUnreadable`; waits on no pipe or device."""
    try:
        # Without O_NONBLOCK opening a pipe would wait for its writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileUnreadable(str(path), "it is no regular file")
            data = file.read(max_bytes + 1)
    except FileNotFoundError as exc:
        raise FileMissing(str(path)) from exc
    except OSError as exc:
        raise FileUnreadable(str(path), exc.strerror or type(exc).__name__) from exc
    if len(data) > max_bytes:
        raise FileUnreadable(str(path), f"it is larger than {format_size(max_bytes)}")
    return data


def read_argument(value: str, *, max_bytes: int) -> bytes:
    """What an option says: the text itself, `@FILE`, or `-` for standard input."""
    if value == STDIN:
        data = sys.stdin.buffer.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise FileUnreadable("standard input", f"it is longer than {format_size(max_bytes)}")
        return data
    if value.startswith("@"):
        return read_file(Path(value[1:]), max_bytes=max_bytes)
    return value.encode("utf-8", "surrogateescape")
