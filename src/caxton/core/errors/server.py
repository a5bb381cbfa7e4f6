"""The server as a whole: its settings, data directory and port, its start and stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.core.errors.error import CaxtonError

if TYPE_CHECKING:
    from collections.abc import Sequence


class ShuttingDown(CaxtonError):
    """The server is draining and takes no new work."""

    code = "SHUTTING_DOWN"

    def __init__(self) -> None:
        super().__init__("the server is stopping and takes no new work; retry against it once it is back")


class ServerNotReady(CaxtonError):
    """The server does not serve yet, or not any more."""

    code = "SERVER_NOT_READY"

    def __init__(self, status: str, reasons: Sequence[object] = ()) -> None:
        super().__init__(f"the server is {status}; its reasons say what to do")
        self.status, self.reasons = status, list(reasons)


class InvalidConfig(CaxtonError):
    """A setting is unknown or its value breaks its rule."""

    code = "INVALID_CONFIG"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source


class DataDirInUse(CaxtonError):
    """Another server holds the data directory."""

    code = "DATA_DIR_IN_USE"

    def __init__(self, path: str, pid: int | None) -> None:
        holder = f"the server with process id {pid}" if pid else "another server"
        super().__init__(f"{path} is in use by {holder}; stop it ('caxton server stop') or choose another --data-dir")
        self.path, self.pid = path, pid


class DataDirUnusable(CaxtonError):
    """The data directory cannot be made, read or written."""

    code = "DATA_DIR_UNUSABLE"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot hold the server's data: {reason}; choose another --data-dir")
        self.path = path


class PortInUse(CaxtonError):
    """The address cannot be bound."""

    code = "PORT_IN_USE"

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}; choose another --port, or stop what listens there")
        self.host, self.port = host, port


class ServerNotRunning(CaxtonError):
    """No server runs on the data directory."""

    code = "SERVER_NOT_RUNNING"

    def __init__(self, data_dir: str) -> None:
        super().__init__(f"no server runs on {data_dir}; 'caxton server start' starts one, --data-dir names another")
        self.data_dir = data_dir


class ServerStartFailed(CaxtonError):
    """A server started in the background ended, or did not get ready in time."""

    code = "SERVER_START_FAILED"

    def __init__(self, reason: str, *, log_path: str, log: list[str]) -> None:
        super().__init__(f"the server did not start: {reason}; its log is {log_path}")
        self.reason, self.log_path, self.log = reason, log_path, log


class ServerStopTimeout(CaxtonError):
    """The server was asked to stop and is still there."""

    code = "SERVER_STOP_TIMEOUT"

    def __init__(self, pid: int, timeout_s: float) -> None:
        super().__init__(
            f"the server (process id {pid}) is still stopping after {timeout_s:g} s; wait, or kill it with --force"
        )
        self.pid, self.timeout_s = pid, timeout_s
