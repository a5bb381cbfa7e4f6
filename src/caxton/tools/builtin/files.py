"""The tool `files`: one folder, and nothing outside of it.

A path is walked part by part from an open directory, and no symbolic link is ever followed, also not one that leads to
another place inside: so nothing that others do in the folder meanwhile leads out of it. Only plain files are opened.
"""

from __future__ import annotations

import base64
import binascii
import errno
import heapq
import os
import secrets
import stat
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from caxton.tools.builtin.options import Options
from caxton.tools.builtin.source import BuiltinSource, BuiltinTool, CannotCall, ToolError, answer, arguments_schema
from caxton.tools.builtin.threads import Threads
from caxton.tools.source import ToolInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from caxton.tools.builtin.threads import Stop
    from caxton.tools.source import Call, Result

MAX_PATH_CHARS = 1024
MAX_PARTS = 32
"""Of a path: how deep a folder may be nested."""
MAX_NAME_BYTES = 255
"""Of one part; more, no file system of Linux takes."""
MAX_LISTED = 1000
"""Entries that one answer has; the next call goes on after the last."""
MAX_ENTRIES = 100_000
"""Of one directory, or of the folder in all: it takes that long to look at them."""
MAX_READ_BYTES = 256 << 10
"""One answer: it stands in it twice, and may grow as base64, and has to be within the cap of results."""
MAX_FILE_BYTES = 1 << 30
MAX_FOLDER_BYTES = 1 << 40
DEFAULT_FILE_BYTES = 1 << 20
DEFAULT_FOLDER_BYTES = 64 << 20
DEFAULT_ENTRIES = 10_000
MAX_THREADS = 4
"""Of one source: if its disk hangs, so many threads hang with it."""
STALE_S = 3600
"""So old, what a write left behind when the process ended in the middle of it goes."""

_TEMPORARY = ".caxton-tmp-"
"""What is being written is called so; such names do not exist for callers."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSettings:
    """Options of the tool."""

    path: str
    """The folder; it has to be there when it is used."""
    mode: str = "ro"
    """`ro`, or `rw`: with the tools `write` and `delete`."""
    max_file: int = DEFAULT_FILE_BYTES
    """Bytes that one file may have after a write."""
    max_total: int = DEFAULT_FOLDER_BYTES
    """Bytes that all files together may have after a write."""
    max_entries: int = DEFAULT_ENTRIES
    """Files and directories that the folder may have after a write."""

    @staticmethod
    def parse(given: Mapping[str, Any]) -> FilesSettings:
        """Raises `InvalidValue`."""
        options = Options(given)
        settings = FilesSettings(
            path=options.text("path"),
            mode=options.choice("mode", "ro", ("ro", "rw")),
            max_file=options.size("max_file", DEFAULT_FILE_BYTES, MAX_FILE_BYTES),
            max_total=options.size("max_total", DEFAULT_FOLDER_BYTES, MAX_FOLDER_BYTES),
            max_entries=options.count("max_entries", DEFAULT_ENTRIES, MAX_ENTRIES),
        )
        options.done()
        return settings


_PATH: dict[str, Any] = {
    "type": "string", "minLength": 1, "maxLength": MAX_PATH_CHARS,
    "description": "Relative to the folder, with / between its parts",
}  # fmt: skip
_ENCODING = {
    "enum": ["utf-8", "base64"],
    "description": "What the file's bytes stand in the JSON as; utf-8 if not given",
}
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_FOUND = {"path": _TEXT, "size": _COUNT}

_LIST = ToolInfo(
    name="list",
    description="The files and directories of one directory, by name.",
    input_schema=arguments_schema(
        path={**_PATH, "minLength": 0, "description": "The directory; empty for the folder itself"},
        limit={"type": "integer", "minimum": 1, "maximum": MAX_LISTED},
        after={**_TEXT, "maxLength": MAX_NAME_BYTES, "description": "Go on behind this name"},
    ),
    output_schema=arguments_schema(
        ("entries", "more"), more={"type": "boolean"},
        entries={"type": "array", "items": arguments_schema(
            ("name", "kind"), name=_TEXT, kind={"enum": ["file", "directory", "other"]}, size=_COUNT, modified=_TEXT,
        )},
    ),
    is_idempotent=True, is_read_only=True,
)  # fmt: skip
_READ_TOOL = ToolInfo(
    name="read",
    description="The content of a file, or a part of it.",
    input_schema=arguments_schema(
        ("path",), path=_PATH, encoding=_ENCODING, offset={**_COUNT, "maximum": 1 << 60, "description": "Bytes"},
        limit={"type": "integer", "minimum": 1, "maximum": MAX_READ_BYTES, "description": "Bytes"},
    ),
    output_schema=arguments_schema(
        ("path", "size", "content", "encoding", "offset", "end"),
        **_FOUND, content=_TEXT, encoding=_ENCODING, offset=_COUNT, end=_COUNT,
    ),
    is_idempotent=True, is_read_only=True,
)  # fmt: skip
_WRITE_TOOL = ToolInfo(
    name="write",
    description="Write a file as a whole, with the directories that it needs: at once, or not at all.",
    input_schema=arguments_schema(
        ("path", "content"), path=_PATH, content=_TEXT, encoding=_ENCODING,
        if_exists={"enum": ["replace", "fail"], "description": "replace if not given"},
    ),
    output_schema=arguments_schema(("path", "size"), **_FOUND),
    is_idempotent=True,
)  # fmt: skip
_DELETE_TOOL = ToolInfo(
    name="delete",
    description="Delete a file, or an empty directory.",
    input_schema=arguments_schema(("path",), path=_PATH),
    output_schema=arguments_schema(("path",), path=_TEXT),
    is_idempotent=True,
)


def files_source(name: str, settings: FilesSettings) -> BuiltinSource:
    """The tool over one folder."""
    threads = Threads(name, MAX_THREADS)
    folder = Folder(settings)

    def tool(info: ToolInfo, work: Callable[[Call, Stop], dict[str, Any]]) -> BuiltinTool:
        async def run(call: Call) -> Result:
            return answer(await threads.run(partial(work, call), call.until))

        return BuiltinTool(info, run)

    async def close() -> None:
        threads.close()

    tools = [tool(_LIST, folder.list), tool(_READ_TOOL, folder.read)]
    if settings.mode == "rw":
        tools += [tool(_WRITE_TOOL, folder.write), tool(_DELETE_TOOL, folder.delete)]
    return BuiltinSource(name, tools, kind="files", close=close)


class Folder:
    """The work itself, blocking. Every method raises `ToolError` and `CannotCall`."""

    def __init__(self, settings: FilesSettings) -> None:
        self._settings = settings
        self._writing = threading.Lock()
        """Room is counted and taken by one at a time."""

    def list(self, call: Call, stop: Stop) -> dict[str, Any]:
        parts = _parts(call.arguments.get("path", ""), may_be_empty=True)
        limit, after = call.arguments.get("limit", MAX_LISTED), call.arguments.get("after", "")
        with _at_fault(parts), self._directory(parts) as directory:
            names = heapq.nsmallest(limit + 1, (name for name in _names(directory, stop) if name > after))
            entries = [_entry(directory, name) for name in names[:limit]]
        return {"entries": [entry for entry in entries if entry], "more": len(names) > limit}

    def read(self, call: Call, stop: Stop) -> dict[str, Any]:
        parts = _parts(call.arguments["path"])
        offset, limit = call.arguments.get("offset", 0), call.arguments.get("limit")
        encoding = call.arguments.get("encoding", "utf-8")
        with _at_fault(parts), self._directory(parts[:-1]) as directory:
            handle = _open_file(directory, parts[-1])
            try:
                size = os.fstat(handle).st_size
                if limit is None and size - offset > MAX_READ_BYTES:
                    raise ToolError(
                        f"{_shown(parts)} has {size} bytes and {MAX_READ_BYTES} are read at once: use offset and limit"
                    )
                data = _pread(handle, limit or MAX_READ_BYTES, offset, stop)
            finally:
                os.close(handle)
        content, used = _encoded(data, encoding, is_cut=offset + len(data) < size, parts=parts)
        return {
            "path": "/".join(parts), "size": size, "content": content, "encoding": encoding, "offset": offset,
            "end": offset + used,
        }  # fmt: skip

    def write(self, call: Call, stop: Stop) -> dict[str, Any]:
        parts = _parts(call.arguments["path"])
        data = _decoded(call.arguments["content"], call.arguments.get("encoding", "utf-8"))
        if len(data) > self._settings.max_file:
            raise ToolError(f"{len(data)} bytes are more than a file may have, {self._settings.max_file}")
        may_replace = call.arguments.get("if_exists") != "fail"
        with _at_fault(parts), self._turn(stop):
            with self._directory(()) as root:
                missing, old = _look(root, parts)
                if old is not None and not may_replace:
                    raise ToolError(f"{_shown(parts)} is there already")
                self._check_room(_usage(root, stop), missing, len(data) - (old.st_size if old else 0))
            with self._directory(parts[:-1], make=True) as directory:
                stop.check()
                _replace(directory, parts[-1], data, old, may_replace=may_replace)
        return {"path": "/".join(parts), "size": len(data)}

    def delete(self, call: Call, stop: Stop) -> dict[str, Any]:
        parts = _parts(call.arguments["path"])
        with _at_fault(parts), self._directory(parts[:-1]) as directory:
            found = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
            stop.check()
            if stat.S_ISDIR(found.st_mode):
                os.rmdir(parts[-1], dir_fd=directory)
            else:
                _check_plain(found, parts[-1])
                os.unlink(parts[-1], dir_fd=directory)
            os.fsync(directory)
        return {"path": "/".join(parts)}

    @contextmanager
    def _turn(self, stop: Stop) -> Generator[None]:
        if not self._writing.acquire(timeout=max(0.0, stop.until - time.monotonic())):
            stop.check()
        try:
            yield
        finally:
            self._writing.release()

    def _check_room(self, used: _Usage, more_entries: int, more_bytes: int) -> None:
        limits = self._settings
        if more_entries and used.entries + more_entries > limits.max_entries:
            raise ToolError(f"the folder may have {limits.max_entries} files and directories; delete some")
        if more_bytes > 0 and used.size + more_bytes > limits.max_total:
            raise ToolError(f"the folder has no room for that: all its files may have {limits.max_total} bytes")

    @contextmanager
    def _directory(self, parts: tuple[str, ...], *, make: bool = False) -> Generator[int]:
        """A handle of the directory at `parts`, which is made if it is not there and `make` says so."""
        try:
            handle = os.open(self._settings.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            cause = f"{self._settings.path}: {exc.strerror}"
            raise CannotCall("unavailable", "its folder cannot be opened", cause=cause) from None
        try:
            for part in parts:
                inner = _enter(handle, part, make=make)
                os.close(handle)
                handle = inner
            yield handle
        finally:
            os.close(handle)


@dataclass(slots=True)
class _Usage:
    size: int = 0
    entries: int = 0


def _parts(path: str, *, may_be_empty: bool = False) -> tuple[str, ...]:
    """The names in a path that stays inside by its looks."""
    if not path and may_be_empty:
        return ()
    parts = tuple(path.split("/"))
    if len(parts) > MAX_PARTS:
        raise ToolError(f"the path has {len(parts)} parts; {MAX_PARTS} are the most")
    for part in parts:
        if part in {"", ".", ".."} or "\0" in part or part.startswith(_TEMPORARY):
            raise CannotCall("refused", "a path is relative, without empty parts, '.' or '..'")
        if not _is_utf8(part) or len(part.encode()) > MAX_NAME_BYTES:
            raise ToolError(f"a name in the path is not UTF-8, or has more than {MAX_NAME_BYTES} bytes")
    return parts


def _enter(handle: int, part: str, *, make: bool) -> int:
    try:
        return os.open(part, _DIRECTORY, dir_fd=handle)
    except FileNotFoundError:
        if not make:
            raise
    except OSError:
        _refuse_link(os.stat(part, dir_fd=handle, follow_symlinks=False))
        raise
    with suppress(FileExistsError):
        os.mkdir(part, dir_fd=handle)
        os.fsync(handle)
    return os.open(part, _DIRECTORY, dir_fd=handle)


def _look(root: int, parts: tuple[str, ...]) -> tuple[int, os.stat_result | None]:
    """How many of the parts have to be made, and the file that is there."""
    handle = os.dup(root)
    try:
        for depth, part in enumerate(parts[:-1]):
            try:
                inner = _enter(handle, part, make=False)
            except FileNotFoundError:
                return len(parts) - depth, None
            os.close(handle)
            handle = inner
        old = _plain_file(handle, parts[-1])
        return (1 if old is None else 0), old
    finally:
        os.close(handle)


def _refuse_link(found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise CannotCall("refused", "symbolic links are not followed")


def _check_plain(found: os.stat_result, name: str) -> None:
    """Raises unless it is a plain file: opening a device does something, and a pipe waits."""
    _refuse_link(found)
    if stat.S_ISDIR(found.st_mode):
        raise ToolError(f"{name!r} is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise CannotCall("refused", "it is no plain file")


def _plain_file(directory: int, name: str) -> os.stat_result | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    _check_plain(found, name)
    return found


def _open_file(directory: int, name: str) -> int:
    _check_plain(os.stat(name, dir_fd=directory, follow_symlinks=False), name)
    handle = os.open(name, _READ, dir_fd=directory)
    try:
        _check_plain(os.fstat(handle), name)  # it may be another by now
    except BaseException:
        os.close(handle)
        raise
    return handle


def _pread(handle: int, count: int, offset: int, stop: Stop) -> bytes:
    got = bytearray()
    while len(got) < count and (piece := os.pread(handle, count - len(got), offset + len(got))):
        got += piece
        stop.check()
    return bytes(got)


def _names(directory: int, stop: Stop) -> Iterator[str]:
    """Those that are UTF-8, and no temporary files."""
    with os.scandir(directory) as entries:
        for seen, entry in enumerate(entries):
            if seen >= MAX_ENTRIES:
                raise ToolError(f"the directory has more than {MAX_ENTRIES} entries")
            if not seen % 1000:
                stop.check()
            if not entry.name.startswith(_TEMPORARY) and _is_utf8(entry.name):
                yield entry.name


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _entry(directory: int, name: str) -> dict[str, Any] | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:  # deleted meanwhile
        return None
    if stat.S_ISDIR(found.st_mode):
        return {"name": name, "kind": "directory"}
    if not stat.S_ISREG(found.st_mode):
        return {"name": name, "kind": "other"}
    modified = datetime.fromtimestamp(int(found.st_mtime), UTC).replace(tzinfo=None).isoformat()
    return {"name": name, "kind": "file", "size": found.st_size, "modified": f"{modified}Z"}


def _usage(root: int, stop: Stop) -> _Usage:
    """What the folder holds; what an earlier process left half written goes."""
    used = _Usage()
    old = time.time() - STALE_S
    for _, directories, files, handle in os.fwalk(dir_fd=root, follow_symlinks=False):
        stop.check()
        used.entries += len(directories) + len(files)
        if used.entries > MAX_ENTRIES:
            raise ToolError(f"the folder has more than {MAX_ENTRIES} files and directories")
        for name in files:
            with suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=handle, follow_symlinks=False)
                if name.startswith(_TEMPORARY) and found.st_mtime < old:
                    os.unlink(name, dir_fd=handle)
                elif stat.S_ISREG(found.st_mode):
                    used.size += found.st_size
    return used


def _replace(directory: int, name: str, data: bytes, old: os.stat_result | None, *, may_replace: bool) -> None:
    """Write a file beside it, then give it the name: who reads sees the old one or the new one, whole."""
    temporary = f"{_TEMPORARY}{secrets.token_hex(8)}"
    handle = os.open(temporary, _WRITE, 0o666, dir_fd=directory)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            if old is not None:
                os.fchmod(handle, stat.S_IMODE(old.st_mode) & 0o777)
            os.fsync(handle)
        finally:
            os.close(handle)
        if may_replace:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        else:
            os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
            os.unlink(temporary, dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
    os.fsync(directory)


def _encoded(data: bytes, encoding: str, *, is_cut: bool, parts: tuple[str, ...]) -> tuple[str, int]:
    """The content, and how many of the bytes it stands for: text that was cut ends before a character's half."""
    if encoding == "base64":
        return base64.b64encode(data).decode(), len(data)
    try:
        return data.decode(), len(data)
    except UnicodeDecodeError as exc:
        if is_cut and exc.start and len(data) - exc.start < 4 and exc.reason == "unexpected end of data":
            return data[: exc.start].decode(), exc.start
        raise ToolError(f"{_shown(parts)} is not UTF-8 there; read it with the encoding base64") from None


def _decoded(content: str, encoding: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True) if encoding == "base64" else content.encode()
    except (binascii.Error, ValueError):
        raise ToolError(f"the content is not {encoding}") from None


def _shown(parts: tuple[str, ...]) -> str:
    return repr("/".join(parts))


_SAID = {
    errno.ENOENT: "is not there",
    errno.ENOTDIR: "leads through something that is no directory",
    errno.EISDIR: "is a directory",
    errno.EEXIST: "is there already",
    errno.ENOTEMPTY: "is a directory with something in it",
    errno.EACCES: "may not be touched",
    errno.EPERM: "may not be touched",
    errno.EROFS: "is on a disk that is read-only",
    errno.ENAMETOOLONG: "is too long a name",
}


@contextmanager
def _at_fault(parts: tuple[str, ...]) -> Generator[None]:
    """Turn what the system says into words; it never names a place outside."""
    try:
        yield
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise CannotCall("refused", "symbolic links are not followed") from None
        if (said := _SAID.get(exc.errno or 0)) is not None:
            raise ToolError(f"{_shown(parts)} {said}") from None
        raise CannotCall("unavailable", "its disk failed", cause=os.strerror(exc.errno or 0)) from None
