"""The part of WASI preview 1 that guests get: clocks, random bytes, stdout and stderr into the log, exit.

There are no files, no arguments and no environment, so calls about them answer as on a machine that has none. No call
sleeps: `poll_oneoff` says "not supported" at once. Sockets and everything else are not offered; a module that imports
them is refused. Source: WASI snapshot preview 1 (witx); error numbers are its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.sandbox.host import GuestStop
from caxton.sandbox.imports import MAX_LOG_LINE_BYTES, MAX_RANDOM_BYTES, HostFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.sandbox.host import Caller

SUCCESS = 0
BADF = 8
FAULT = 21
INVAL = 28
NOSYS = 52
NOTSUP = 58
SPIPE = 70

_STREAMS = {1: "stdout", 2: "stderr"}
_CHARACTER_DEVICE = 2
_MAX_IOVECS = 64


def _clock_time_get(guest: Caller, _clock: int, _precision: int, out: int) -> int:
    return _put(guest, out, guest.host.now_us() * 1000, 8)


def _clock_res_get(guest: Caller, _clock: int, out: int) -> int:
    return _put(guest, out, 1000, 8)


def _random_get(guest: Caller, ptr: int, length: int) -> int:
    if not 0 <= length <= MAX_RANDOM_BYTES:
        return INVAL
    return SUCCESS if guest.write(ptr, guest.host.random(length)) else FAULT


def _fd_write(guest: Caller, fd: int, iovecs: int, count: int, out: int) -> int:
    stream = _STREAMS.get(fd)
    if stream is None:
        return BADF
    table = guest.read(iovecs, 8 * min(max(count, 0), _MAX_IOVECS))
    if table is None:
        return FAULT
    written = 0
    for at in range(0, len(table), 8):
        ptr = int.from_bytes(table[at : at + 4], "little")
        length = int.from_bytes(table[at + 4 : at + 8], "little")
        text = guest.read(ptr, min(length, MAX_LOG_LINE_BYTES))
        if text is None:
            return FAULT
        if text:
            guest.host.log(2 if fd == 1 else 3, text, stream)
        written += length
    return _put(guest, out, written & 0xFFFFFFFF, 4)


def _fd_fdstat_get(guest: Caller, fd: int, out: int) -> int:
    if fd not in (0, 1, 2):
        return BADF
    return SUCCESS if guest.write(out, bytes([_CHARACTER_DEVICE]) + bytes(23)) else FAULT


def _fd_read(guest: Caller, fd: int, _iovecs: int, _count: int, out: int) -> int:
    return _put(guest, out, 0, 4) if fd == 0 else BADF  # stdin is at its end


def _fd_seek(_guest: Caller, fd: int, _offset: int, _whence: int, _out: int) -> int:
    return SPIPE if fd in (0, 1, 2) else BADF


def _two_zeros(guest: Caller, count_out: int, size_out: int) -> int:
    return _put(guest, count_out, 0, 4) or _put(guest, size_out, 0, 4)


def _proc_exit(_guest: Caller, status: int) -> None:
    raise GuestStop("exit", f"it ended itself (exit status {status})")


def _put(guest: Caller, ptr: int, value: int, size: int) -> int:
    return SUCCESS if guest.write(ptr, value.to_bytes(size, "little")) else FAULT


def _always(errno: int) -> Callable[..., int]:
    def answer(*_: object) -> int:
        return errno

    return answer


WASI_IMPORTS: dict[str, HostFunction] = {
    "args_get": HostFunction("ii", "i", _always(SUCCESS)),
    "args_sizes_get": HostFunction("ii", "i", _two_zeros),
    "environ_get": HostFunction("ii", "i", _always(SUCCESS)),
    "environ_sizes_get": HostFunction("ii", "i", _two_zeros),
    "clock_res_get": HostFunction("ii", "i", _clock_res_get),
    "clock_time_get": HostFunction("ili", "i", _clock_time_get),
    "random_get": HostFunction("ii", "i", _random_get),
    "fd_write": HostFunction("iiii", "i", _fd_write),
    "fd_read": HostFunction("iiii", "i", _fd_read),
    "fd_seek": HostFunction("ilii", "i", _fd_seek),
    "fd_close": HostFunction("i", "i", _always(SUCCESS)),
    "fd_fdstat_get": HostFunction("ii", "i", _fd_fdstat_get),
    "fd_fdstat_set_flags": HostFunction("ii", "i", _always(BADF)),
    "fd_filestat_get": HostFunction("ii", "i", _always(BADF)),
    "fd_prestat_get": HostFunction("ii", "i", _always(BADF)),
    "fd_prestat_dir_name": HostFunction("iii", "i", _always(BADF)),
    "fd_readdir": HostFunction("iiili", "i", _always(BADF)),
    "path_open": HostFunction("iiiiillii", "i", _always(BADF)),
    "path_filestat_get": HostFunction("iiiii", "i", _always(BADF)),
    "path_create_directory": HostFunction("iii", "i", _always(BADF)),
    "path_remove_directory": HostFunction("iii", "i", _always(BADF)),
    "path_unlink_file": HostFunction("iii", "i", _always(BADF)),
    "path_readlink": HostFunction("iiiiii", "i", _always(BADF)),
    "path_rename": HostFunction("iiiiii", "i", _always(BADF)),
    "poll_oneoff": HostFunction("iiii", "i", _always(NOTSUP)),
    "sched_yield": HostFunction("", "i", _always(SUCCESS)),
    "proc_exit": HostFunction("i", "", _proc_exit),
}
