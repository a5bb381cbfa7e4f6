"""A server as a process on this machine: starting one in the background, finding it, stopping it.

The child reports through a pipe: one JSON line once it serves, or with the error that stopped it. So nobody
guesses from ports or files, and a child that dies is noticed at once.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.core.errors.error import CaxtonError
from caxton.core.errors.server import (
    DataDirUnusable,
    InvalidConfig,
    ServerNotRunning,
    ServerStartFailed,
    ServerStopTimeout,
)

if TYPE_CHECKING:
    from pathlib import Path

MAX_LOG_BYTES = 10 << 20
"""A longer server.log is moved aside at the next start, so that it never grows without end."""

LOG_TAIL_LINES = 10
_STATE_FILE = "server.json"
_LOCK_FILE = "lock"
_OPTIONS_FILE = "server-options.json"
_MAX_FILE_BYTES = 1 << 20
_KILL_TIMEOUT_S = 5.0


class StartRefused(CaxtonError):
    """The server said why it does not start; the code is that of its own error."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Report(msgspec.Struct, kw_only=True):
    """What a starting server tells whoever started it."""

    url: str | None = None
    """Where it serves; None when it does not."""
    code: str | None = None
    detail: str | None = None
    """Why it does not serve."""


class Running(msgspec.Struct, kw_only=True):
    """The part of server.json that matters here; the server writes it."""

    pid: int
    url: str | None = None


def launch(options: dict[str, Any], data_dir: Path, *, timeout_s: float) -> tuple[int, str]:
    """Start a server in the background and wait until it serves; returns its process id and URL.

    Raises:
        StartRefused: it could not start and said why.
        ServerStartFailed: it ended without a word, or was not ready in time and was stopped.
    """
    log_path = data_dir / "server.log"
    log = _open_log(log_path)
    log_start = os.fstat(log).st_size
    readable, writable = os.pipe()
    try:
        with os.fdopen(log, "wb") as log_file:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                [sys.executable, "-P", "-m", "caxton", "serve", *_flags(options), f"--ready-fd={writable}"],
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,
                pass_fds=[writable],
            )
    except BaseException:
        os.close(readable)
        raise
    finally:
        os.close(writable)
    report = _await_report(process, readable, timeout_s)
    if report is not None and report.url is not None:
        _save_options(options, data_dir)
        process.returncode = 0  # it lives on, and nobody here will wait for it
        return process.pid, report.url
    if report is not None:
        raise StartRefused(report.code or ServerStartFailed.code, report.detail or "")
    raise ServerStartFailed(_silence(process, timeout_s), log_path=str(log_path), log=tail(log_path, after=log_start))


def send_report(ready_fd: int, report: Report) -> None:
    """Tell whoever started this server. They may have gone: that is no reason to stop."""
    try:
        with os.fdopen(ready_fd, "wb") as pipe:
            pipe.write(msgspec.json.encode(report) + b"\n")
    except OSError:
        pass


def find_running(data_dir: Path) -> Running:
    """The server on a data directory. Raises `ServerNotRunning`."""
    try:
        with (data_dir / _STATE_FILE).open("rb") as file:
            running = msgspec.json.decode(file.read(_MAX_FILE_BYTES), type=Running)
    except (OSError, msgspec.DecodeError) as exc:
        raise ServerNotRunning(str(data_dir)) from exc
    if not (_is_held(data_dir / _LOCK_FILE) and _is_alive(running.pid)):
        raise ServerNotRunning(str(data_dir))
    return running


def stop(running: Running, *, timeout_s: float, force: bool) -> None:
    """End a server and wait until it is gone; with `force` it is killed when it takes too long.

    Raises:
        ServerStopTimeout: it is still there.
    """
    try:
        os.kill(running.pid, signal.SIGTERM)
        if _is_gone(running.pid, timeout_s):
            return
        if not force:
            raise ServerStopTimeout(running.pid, timeout_s)
        os.kill(running.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    if not _is_gone(running.pid, _KILL_TIMEOUT_S):
        raise ServerStopTimeout(running.pid, timeout_s + _KILL_TIMEOUT_S)


def saved_options(data_dir: Path) -> dict[str, Any]:
    """The options that the last server in the background was started with."""
    path = data_dir / _OPTIONS_FILE
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_FILE_BYTES), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as exc:
        raise InvalidConfig(str(path), "it is damaged; remove it") from exc


def tail(path: Path, *, after: int) -> list[str]:
    """The last lines of a log that were written after the byte `after`, none when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(after, path.stat().st_size - _MAX_FILE_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:]
    except OSError:
        return []


def _open_log(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise DataDirUnusable(str(path.parent), exc.strerror or "unknown reason") from exc


def _flags(options: dict[str, Any]) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]


def _save_options(options: dict[str, Any], data_dir: Path) -> None:
    path = data_dir / _OPTIONS_FILE
    path.write_bytes(msgspec.json.encode(options, enc_hook=str))  # paths
    path.chmod(0o600)


def _await_report(process: subprocess.Popen[bytes], readable: int, timeout_s: float) -> Report | None:
    """The child's line. Without one, or when it tells of an error, the child is gone when this returns."""
    report, grace_s = None, 0.0
    with os.fdopen(readable, "rb") as pipe:
        try:
            ready, _, _ = select.select([pipe], [], [], timeout_s)
            if ready:
                grace_s = _KILL_TIMEOUT_S  # it has spoken or closed the pipe: it is on its way out by itself
                report = msgspec.json.decode(pipe.readline(), type=Report)
        except msgspec.DecodeError:
            pass
        except KeyboardInterrupt:
            _end(process, grace_s=0)
            raise
    if report is None or report.url is None:
        _end(process, grace_s=grace_s)
    return report


def _end(process: subprocess.Popen[bytes], *, grace_s: float) -> None:
    """Wait for the child's end; hurry it after `grace_s`."""
    for patience_s, hurry in ((grace_s, process.terminate), (_KILL_TIMEOUT_S, process.kill)):
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            hurry()
        else:
            return
    process.wait()


def _silence(process: subprocess.Popen[bytes], timeout_s: float) -> str:
    if process.returncode in (-signal.SIGTERM, -signal.SIGKILL):
        return f"it was not ready within {timeout_s:g} s and was stopped"
    return f"it ended with exit code {process.returncode}"


def _is_held(lock: Path) -> bool:
    """Whether a server holds the data directory. A process id alone may have gone to another program since."""
    import fcntl

    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:  # gone, or another user's: not ours to stop
        return False
    return True


def _is_gone(pid: int, timeout_s: float) -> bool:
    """Wait for the end of a process that is no child of ours."""
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], timeout_s)[0])
        finally:
            os.close(descriptor)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
