"""WASI preview 1 for commands: standard streams, arguments, environment, clocks, random bytes, and granted files.

`fd_read` of standard input and `poll_oneoff` suspend their guest; all else answers at once. Sockets are not offered.
Source: WASI snapshot preview 1 (witx); error numbers and layouts are its own.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol

from caxton.sandbox.host import GuestStop
from caxton.sandbox.imports import MAX_RANDOM_BYTES, MAX_TRANSFER_BYTES, HostFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.sandbox.wasi_files import Files

P = ParamSpec("P")

SUCCESS = 0
FAULT = 21
INVAL = 28
IO = 29
NOSYS = 52
SPIPE = 70

_ERRNOS = {
    errno.EACCES: 2, errno.EBADF: 8, errno.EBUSY: 10, errno.EEXIST: 20, errno.EFBIG: 22, errno.EINVAL: INVAL,
    errno.EISDIR: 31, errno.ELOOP: 32, errno.EMFILE: 33, errno.ENAMETOOLONG: 37, errno.ENOENT: 44, errno.ENOSPC: 51,
    errno.ENOTDIR: 54, errno.ENOTEMPTY: 55, errno.EPERM: 63, errno.EROFS: 69, errno.ESPIPE: SPIPE, errno.EXDEV: 75,
}  # fmt: skip

_MAX_IOVECS = 64
_MAX_SUBSCRIPTIONS = 64
_ALL_RIGHTS = (1 << 29) - 1
"""libc drops rights that a directory lacks without a word; what is not granted is refused at the call instead."""
_CHARACTER_DEVICE, _DIRECTORY, _REGULAR = 2, 3, 4
_RIGHT_READ, _RIGHT_WRITE = 1 << 1, 1 << 6
_OPEN_FLAGS = ((1, os.O_CREAT), (2, os.O_DIRECTORY), (4, os.O_EXCL), (8, os.O_TRUNC))
_APPEND = 1
_MONOTONIC = 1
_CLOCK, _FD_READ = 0, 1
_ABSOLUTE = 1

WITH_INPUT = -1
"""Time of an event that is there as soon as standard input has something."""


class Command(Protocol):
    """The guest that calls, as these functions know it (`sandbox.wasi_command.CommandGuest`)."""

    files: Files
    arguments: list[bytes]
    environment: list[bytes]

    def read(self, ptr: int, length: int) -> bytes | None: ...

    def write(self, ptr: int, data: bytes) -> bool: ...

    def said(self, fd: int, data: bytes) -> None:
        """It wrote to standard output or error."""
        ...

    def await_input(self, iovecs: list[tuple[int, int]], out: int) -> int | None:
        """Copy standard input in, or wait for some."""
        ...

    def await_events(self, subscriptions: list[tuple[int, int, int]], events: int, out: int) -> int | None:
        """Wait for the first of `(userdata, kind, when)`: monotonic nanoseconds, or `WITH_INPUT`."""
        ...


def _os_call(call: Callable[Concatenate[Command, P], int]) -> Callable[Concatenate[Command, P], int]:
    """`OSError` becomes the guest's error number."""

    @wraps(call)
    def answered(command: Command, *args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return call(command, *args, **kwargs)
        except OSError as exc:
            return _ERRNOS.get(exc.errno or 0, IO)
        except (UnicodeError, ValueError):
            return INVAL

    return answered


# --- arguments, environment, clocks, end -------------------------------------------------------------------------


def _args_sizes_get(command: Command, count: int, size: int) -> int:
    return _sizes(command, command.arguments, count, size)


def _args_get(command: Command, table: int, text: int) -> int:
    return _strings(command, command.arguments, table, text)


def _environ_sizes_get(command: Command, count: int, size: int) -> int:
    return _sizes(command, command.environment, count, size)


def _environ_get(command: Command, table: int, text: int) -> int:
    return _strings(command, command.environment, table, text)


def _sizes(command: Command, strings: list[bytes], count: int, size: int) -> int:
    return _put(command, count, len(strings), 4) or _put(command, size, sum(len(s) + 1 for s in strings), 4)


def _strings(command: Command, strings: list[bytes], table: int, text: int) -> int:
    starts, at = b"", text
    for string in strings:
        starts += (at & 0xFFFFFFFF).to_bytes(4, "little")
        at += len(string) + 1
    is_written = command.write(table, starts) and command.write(text, b"".join(s + b"\0" for s in strings))
    return SUCCESS if is_written else FAULT


def _clock_time_get(command: Command, clock: int, _precision: int, out: int) -> int:
    return _put(command, out, time.monotonic_ns() if clock == _MONOTONIC else time.time_ns(), 8)


def _clock_res_get(command: Command, _clock: int, out: int) -> int:
    return _put(command, out, 1000, 8)


def _random_get(command: Command, ptr: int, length: int) -> int:
    if not 0 <= length <= MAX_RANDOM_BYTES:
        return INVAL
    return SUCCESS if command.write(ptr, os.urandom(length)) else FAULT


def _proc_exit(_command: Command, status: int) -> None:
    raise GuestStop("exit", f"it ended itself (exit status {status})")


def _yield(_command: Command) -> int:
    return SUCCESS


def _ignored(command: Command, fd: int, *_: int) -> int:
    """Asked for nothing that would show."""
    return SUCCESS if fd in (0, 1, 2) else _exists(command, fd)


@_os_call
def _exists(command: Command, fd: int) -> int:
    command.files.get(fd)
    return SUCCESS


def _poll_oneoff(command: Command, wanted: int, events: int, count: int, out: int) -> int | None:
    if not 0 < count <= _MAX_SUBSCRIPTIONS:
        return INVAL
    table = command.read(wanted, 48 * count)
    if table is None:
        return FAULT
    now = time.monotonic_ns()
    subscriptions = [_subscription(table[at : at + 48], now) for at in range(0, len(table), 48)]
    return command.await_events(subscriptions, events, out)


def _subscription(entry: bytes, now: int) -> tuple[int, int, int]:
    userdata, kind, number = _int(entry[:8]), entry[8], _int(entry[16:20])
    if kind != _CLOCK:
        return userdata, kind, WITH_INPUT if kind == _FD_READ and not number else 0
    until = _int(entry[24:32])
    if not _int(entry[40:42]) & _ABSOLUTE:
        until += now
    elif number != _MONOTONIC:
        until += now - time.time_ns()
    return userdata, kind, max(until, 0)


# --- streams and files -------------------------------------------------------------------------------------------


def _fd_read(command: Command, fd: int, iovecs: int, count: int, out: int) -> int | None:
    pieces = _iovecs(command, iovecs, count)
    if pieces is None:
        return FAULT
    if fd == 0:
        return command.await_input(pieces, out)
    return _read_file(command, fd, pieces, out)


@_os_call
def _read_file(command: Command, fd: int, pieces: list[tuple[int, int]], out: int) -> int:
    return _spread(command, pieces, lambda length, _: command.files.read(fd, length), out)


@_os_call
def _fd_pread(command: Command, fd: int, iovecs: int, count: int, offset: int, out: int) -> int:
    pieces = _iovecs(command, iovecs, count)
    if pieces is None:
        return FAULT
    return _spread(command, pieces, lambda length, done: command.files.read_at(fd, length, offset + done), out)


def _spread(command: Command, pieces: list[tuple[int, int]], read: Callable[[int, int], bytes], out: int) -> int:
    done = 0
    for ptr, length in pieces:
        data = read(length, done)
        if not command.write(ptr, data):
            return FAULT
        done += len(data)
        if len(data) < length:
            break
    return _put(command, out, done, 4)


@_os_call
def _fd_write(command: Command, fd: int, iovecs: int, count: int, out: int) -> int:
    return _gather(command, fd, iovecs, count, None, out)


@_os_call
def _fd_pwrite(command: Command, fd: int, iovecs: int, count: int, offset: int, out: int) -> int:
    return _gather(command, fd, iovecs, count, offset, out)


def _gather(command: Command, fd: int, iovecs: int, count: int, offset: int | None, out: int) -> int:
    pieces = _iovecs(command, iovecs, count)
    if pieces is None:
        return FAULT
    done = 0
    for ptr, length in pieces:
        data = command.read(ptr, length)
        if data is None:
            return FAULT
        if fd in (1, 2):
            command.said(fd, data)
        elif offset is None:
            command.files.write(fd, data)
        else:
            command.files.write_at(fd, data, offset + done)
        done += length
    return _put(command, out, done, 4)


@_os_call
def _fd_seek(command: Command, fd: int, offset: int, whence: int, out: int) -> int:
    if fd in (0, 1, 2):
        return SPIPE
    signed = offset - (1 << 64) if offset >= 1 << 63 else offset
    return _put(command, out, command.files.seek(fd, signed, whence), 8)


def _fd_tell(command: Command, fd: int, out: int) -> int:
    return _fd_seek(command, fd, 0, 1, out)


def _fd_close(command: Command, fd: int) -> int:
    return SUCCESS if fd in (0, 1, 2) else _close(command, fd)


@_os_call
def _close(command: Command, fd: int) -> int:
    command.files.close(fd)
    return SUCCESS


@_os_call
def _fd_fdstat_get(command: Command, fd: int, out: int) -> int:
    if fd in (0, 1, 2):
        kind, flags, rights = _CHARACTER_DEVICE, 0, _RIGHT_READ | _RIGHT_WRITE
    else:
        opened = command.files.get(fd)
        kind, rights = _DIRECTORY if opened.is_directory else _REGULAR, _ALL_RIGHTS
        flags = _APPEND if opened.appends else 0
    both = rights.to_bytes(8, "little") * 2
    return SUCCESS if command.write(out, bytes([kind, 0, flags, 0, 0, 0, 0, 0]) + both) else FAULT


@_os_call
def _fd_filestat_get(command: Command, fd: int, out: int) -> int:
    if fd in (0, 1, 2):
        return SUCCESS if command.write(out, bytes(16) + bytes([_CHARACTER_DEVICE]) + bytes(47)) else FAULT
    return _put_stat(command, out, os.fstat(command.files.get(fd).fd))


@_os_call
def _fd_filestat_set_size(command: Command, fd: int, size: int) -> int:
    command.files.resize(fd, size)
    return SUCCESS


@_os_call
def _fd_prestat_get(command: Command, fd: int, out: int) -> int:
    name = _preopened(command, fd)
    return SUCCESS if command.write(out, bytes(4) + len(name).to_bytes(4, "little")) else FAULT


@_os_call
def _fd_prestat_dir_name(command: Command, fd: int, ptr: int, length: int) -> int:
    name = _preopened(command, fd)
    return SUCCESS if command.write(ptr, name[: max(length, 0)]) else FAULT


def _preopened(command: Command, fd: int) -> bytes:
    name = command.files.get(fd).preopened
    if not name:
        raise OSError(errno.EBADF, "not a granted directory")
    return name.encode()


@_os_call
def _fd_readdir(command: Command, fd: int, ptr: int, length: int, cookie: int, out: int) -> int:
    entries = command.files.list(fd) if not cookie else command.files.directory(fd).entries
    data, at = bytearray(), cookie
    while at < len(entries) and len(data) < length:
        name, inode, kind = entries[at]
        at += 1
        encoded = os.fsencode(name)
        data += at.to_bytes(8, "little") + inode.to_bytes(8, "little")
        data += len(encoded).to_bytes(4, "little") + bytes([kind, 0, 0, 0]) + encoded
    part = bytes(data[: max(length, 0)])
    return _put(command, out, len(part), 4) if command.write(ptr, part) else FAULT


@_os_call
def _path_open(
    command: Command, at: int, _follow: int, ptr: int, length: int, flags: int, rights: int, _more: int, mode: int,
    out: int,
) -> int:  # fmt: skip
    host_flags = os.O_APPEND if mode & _APPEND else 0
    for theirs, ours in _OPEN_FLAGS:
        host_flags |= ours if flags & theirs else 0
    path = _path(command, ptr, length)
    reads, writes = bool(rights & _RIGHT_READ), bool(rights & _RIGHT_WRITE)
    return _put(command, out, command.files.open(at, path, host_flags, reads=reads, writes=writes), 4)


@_os_call
def _path_filestat_get(command: Command, at: int, _follow: int, ptr: int, length: int, out: int) -> int:
    return _put_stat(command, out, command.files.look_at(at, _path(command, ptr, length)))


@_os_call
def _path_create_directory(command: Command, at: int, ptr: int, length: int) -> int:
    command.files.make_directory(at, _path(command, ptr, length))
    return SUCCESS


@_os_call
def _path_remove_directory(command: Command, at: int, ptr: int, length: int) -> int:
    command.files.remove_directory(at, _path(command, ptr, length))
    return SUCCESS


@_os_call
def _path_unlink_file(command: Command, at: int, ptr: int, length: int) -> int:
    command.files.remove_file(at, _path(command, ptr, length))
    return SUCCESS


@_os_call
def _path_rename(command: Command, at: int, ptr: int, length: int, new_at: int, new_ptr: int, new_length: int) -> int:
    old, new = _path(command, ptr, length), _path(command, new_ptr, new_length)
    command.files.rename(at, old, new_at, new)
    return SUCCESS


def _not_offered(*_: object) -> int:
    return NOSYS


# --- memory ------------------------------------------------------------------------------------------------------


def _int(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _put(command: Command, ptr: int, value: int, size: int) -> int:
    return SUCCESS if command.write(ptr, value.to_bytes(size, "little")) else FAULT


def _path(command: Command, ptr: int, length: int) -> str:
    data = command.read(ptr, length)
    if data is None:
        raise ValueError("path outside of memory")
    return os.fsdecode(data)


def _iovecs(command: Command, ptr: int, count: int) -> list[tuple[int, int]] | None:
    """Pieces of memory, address and length; what is too much for one call is left for the next."""
    table = command.read(ptr, 8 * min(max(count, 0), _MAX_IOVECS))
    if table is None:
        return None
    pieces: list[tuple[int, int]] = []
    for at in range(0, len(table), 8):
        length = _int(table[at + 4 : at + 8])
        pieces.append((_int(table[at : at + 4]), min(length, MAX_TRANSFER_BYTES)))
        if length > MAX_TRANSFER_BYTES:
            break
    return pieces


def _put_stat(command: Command, out: int, found: os.stat_result) -> int:
    kind = _DIRECTORY if stat.S_ISDIR(found.st_mode) else _REGULAR if stat.S_ISREG(found.st_mode) else 0
    numbers = (found.st_nlink, found.st_size, found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    tail = b"".join(max(n, 0).to_bytes(8, "little") for n in numbers)
    data = bytes(8) + found.st_ino.to_bytes(8, "little") + bytes([kind]) + bytes(7) + tail
    return SUCCESS if command.write(out, data) else FAULT


COMMAND_IMPORTS: dict[str, dict[str, HostFunction]] = {
    "wasi_snapshot_preview1": {
        "args_get": HostFunction("ii", "i", _args_get),
        "args_sizes_get": HostFunction("ii", "i", _args_sizes_get),
        "environ_get": HostFunction("ii", "i", _environ_get),
        "environ_sizes_get": HostFunction("ii", "i", _environ_sizes_get),
        "clock_res_get": HostFunction("ii", "i", _clock_res_get),
        "clock_time_get": HostFunction("ili", "i", _clock_time_get),
        "random_get": HostFunction("ii", "i", _random_get),
        "sched_yield": HostFunction("", "i", _yield),
        "proc_exit": HostFunction("i", "", _proc_exit),
        "poll_oneoff": HostFunction("iiii", "i", _poll_oneoff),
        "fd_read": HostFunction("iiii", "i", _fd_read),
        "fd_pread": HostFunction("iiili", "i", _fd_pread),
        "fd_write": HostFunction("iiii", "i", _fd_write),
        "fd_pwrite": HostFunction("iiili", "i", _fd_pwrite),
        "fd_seek": HostFunction("ilii", "i", _fd_seek),
        "fd_tell": HostFunction("ii", "i", _fd_tell),
        "fd_close": HostFunction("i", "i", _fd_close),
        "fd_sync": HostFunction("i", "i", _ignored),
        "fd_datasync": HostFunction("i", "i", _ignored),
        "fd_advise": HostFunction("illi", "i", _ignored),
        "fd_allocate": HostFunction("ill", "i", _not_offered),
        "fd_renumber": HostFunction("ii", "i", _not_offered),
        "fd_fdstat_get": HostFunction("ii", "i", _fd_fdstat_get),
        "fd_fdstat_set_flags": HostFunction("ii", "i", _ignored),
        "fd_fdstat_set_rights": HostFunction("ill", "i", _ignored),
        "fd_filestat_get": HostFunction("ii", "i", _fd_filestat_get),
        "fd_filestat_set_size": HostFunction("il", "i", _fd_filestat_set_size),
        "fd_filestat_set_times": HostFunction("illi", "i", _not_offered),
        "fd_prestat_get": HostFunction("ii", "i", _fd_prestat_get),
        "fd_prestat_dir_name": HostFunction("iii", "i", _fd_prestat_dir_name),
        "fd_readdir": HostFunction("iiili", "i", _fd_readdir),
        "path_open": HostFunction("iiiiillii", "i", _path_open),
        "path_filestat_get": HostFunction("iiiii", "i", _path_filestat_get),
        "path_filestat_set_times": HostFunction("iiiilli", "i", _not_offered),
        "path_create_directory": HostFunction("iii", "i", _path_create_directory),
        "path_remove_directory": HostFunction("iii", "i", _path_remove_directory),
        "path_unlink_file": HostFunction("iii", "i", _path_unlink_file),
        "path_rename": HostFunction("iiiiii", "i", _path_rename),
        "path_readlink": HostFunction("iiiiii", "i", _not_offered),
        "path_link": HostFunction("iiiiiii", "i", _not_offered),
        "path_symlink": HostFunction("iiiii", "i", _not_offered),
    }
}
"""Everything a command may import."""

MAY_WAIT = frozenset(("fd_read", "poll_oneoff"))
