from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from caxton.sandbox.trap import Trap
from caxton.sandbox.wasi import BADF, FAULT, INVAL, SPIPE, SUCCESS
from caxton.testing.guests import assemble, guest, guest_text, handle, to_end
from tests.unit.sandbox.test_imports import import_line

if TYPE_CHECKING:
    from caxton.sandbox.guest import Guest
    from caxton.testing.guests import RecordingHost
    from tests.unit.sandbox.conftest import Guests


def run(guests: Guests, name: str, *arguments: str | int, more: str = "") -> tuple[int | Trap, Guest, RecordingHost]:
    """What `handle_message` returns that calls the WASI function `name`; text arguments are instructions."""
    given = " ".join(a if isinstance(a, str) else f"(i32.const {a})" for a in arguments)
    text = guest_text(imports=import_line("wasi_snapshot_preview1", name), handle=f"(call ${name} {given})", more=more)
    made, host = guests.new(assemble(text))
    to_end(made.boot())
    return handle(made), made, host


def test_exit_ends_the_instance_with_its_status(guests: Guests) -> None:
    made, _ = guests.new(guest("wasi_exit"))
    to_end(made.boot())
    assert handle(made) == Trap("exit", "it ended itself (exit status 3)", ["handle_message"])


def test_asking_for_sleep_does_not_stop_the_host(guests: Guests) -> None:
    made, _ = guests.new(guest("wasi_sleep"))
    to_end(made.boot())
    began = perf_counter()
    assert handle(made) == 0
    assert perf_counter() - began < 5


def test_there_are_no_files(guests: Guests) -> None:
    made, _ = guests.new(guest("wasi_file"))
    to_end(made.boot())
    assert handle(made) == BADF
    assert run(guests, "fd_prestat_get", 3, 0)[0] == BADF
    assert run(guests, "path_unlink_file", 3, 0, 1)[0] == BADF
    assert run(guests, "fd_readdir", 3, 0, 1, "(i64.const 0)", 64)[0] == BADF


@pytest.mark.parametrize("name", ["args_sizes_get", "environ_sizes_get"])
def test_there_are_no_arguments_and_no_environment(guests: Guests, name: str) -> None:
    data = r'(data (i32.const 100) "\ff\ff\ff\ff\ff\ff\ff\ff\ff")'
    result, made, _ = run(guests, name, 100, 104, more=data)
    assert (result, made.read(100, 9)) == (SUCCESS, bytes(8) + b"\xff")
    assert run(guests, name, 131070, 100)[0] == FAULT
    assert run(guests, name, 100, 131070)[0] == FAULT


def test_standard_output_and_error_go_into_the_log(guests: Guests) -> None:
    made, host = guests.new(guest("wasi_hello"))
    to_end(made.boot())
    assert handle(made) == 0
    assert host.lines == [(2, b"hello from wasi\n", "stdout")]
    data = r'(data (i32.const 16) "oh no") (data (i32.const 64) "\10\00\00\00\02\00\00\00\12\00\00\00\03\00\00\00")'
    result, made, host = run(guests, "fd_write", 2, 64, 2, 100, more=data)
    assert (result, host.lines) == (SUCCESS, [(3, b"oh", "stderr"), (3, b" no", "stderr")])
    assert made.read(100, 4) == b"\x05\0\0\0"


@pytest.mark.parametrize(
    ("fd", "iovecs", "count", "out", "errno"),
    [
        pytest.param(0, 64, 1, 100, BADF, id="stdin"),
        pytest.param(3, 64, 1, 100, BADF, id="no-such-file"),
        pytest.param(-1, 64, 1, 100, BADF, id="negative"),
        pytest.param(1, 131065, 1, 100, FAULT, id="table-outside"),
        pytest.param(1, 72, 1, 100, FAULT, id="text-outside"),
        pytest.param(1, 64, 1, 131070, FAULT, id="count-outside"),
        pytest.param(1, 64, -1, 100, SUCCESS, id="negative-count"),
    ],
)
def test_writing_elsewhere_is_refused(guests: Guests, fd: int, iovecs: int, count: int, out: int, errno: int) -> None:
    data = r'(data (i32.const 64) "\10\00\00\00\02\00\00\00\ff\ff\ff\ff\03\00\00\00")'
    assert run(guests, "fd_write", fd, iovecs, count, out, more=data)[0] == errno


def test_standard_input_is_at_its_end_and_nothing_can_be_sought(guests: Guests) -> None:
    data = r'(data (i32.const 100) "\ff\ff\ff\ff\ff")'
    result, made, _ = run(guests, "fd_read", 0, 64, 1, 100, more=data)
    assert (result, made.read(100, 5)) == (SUCCESS, b"\0\0\0\0\xff")
    assert run(guests, "fd_read", 1, 64, 1, 100)[0] == BADF
    assert run(guests, "fd_seek", 1, "(i64.const 0)", 0, 100)[0] == SPIPE


def test_standard_streams_are_terminals_and_nothing_else_is_open(guests: Guests) -> None:
    result, made, _ = run(guests, "fd_fdstat_get", 1, 100)
    assert (result, made.read(100, 24)) == (SUCCESS, b"\x02" + bytes(23))
    assert run(guests, "fd_fdstat_get", 3, 100)[0] == BADF
    assert run(guests, "fd_fdstat_get", 1, 131060)[0] == FAULT


def test_clock_tells_the_hosts_time_in_nanoseconds(guests: Guests) -> None:
    result, made, host = run(guests, "clock_time_get", 0, "(i64.const 1)", 100)
    assert (result, made.read(100, 8)) == (SUCCESS, (host.wall_us * 1000).to_bytes(8, "little"))
    assert run(guests, "clock_time_get", 0, "(i64.const 1)", 131068)[0] == FAULT


def test_random_bytes_are_given_within_bounds(guests: Guests) -> None:
    result, made, _ = run(guests, "random_get", 100, 3)
    assert (result, made.read(99, 5)) == (SUCCESS, b"\0\xa5\xa5\xa5\0")
    assert run(guests, "random_get", 131070, 3)[0] == FAULT
    assert run(guests, "random_get", 100, -1)[0] == INVAL
    assert run(guests, "random_get", 0, 65537)[0] == INVAL
