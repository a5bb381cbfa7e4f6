"""The command line, and the files that it names."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


class InvalidUsage(CaxtonError):
    """The command line cannot be understood."""

    code = "INVALID_USAGE"

    def __init__(self, reason: str, *, command: str | None = None) -> None:
        super().__init__(reason)
        self.command = command


class ContextNotFound(CaxtonError):
    """The contexts file has no context of that name."""

    code = "CONTEXT_NOT_FOUND"

    def __init__(self, name: str, *, nearest: str | None = None) -> None:
        hint = f"did you mean {quoted(nearest)}?" if nearest else "'caxton server start' makes the context 'local'"
        super().__init__(f"there is no context {quoted(name)}; {hint}")
        self.name, self.nearest = name, nearest


class FileMissing(CaxtonError):
    """A file named on the command line is not there."""

    code = "FILE_NOT_FOUND"

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no file {quoted(path)}; a relative path starts in the current directory")
        self.path = path


class FileUnreadable(CaxtonError):
    """A file named on the command line cannot be read, or is not the kind of file it should be."""

    code = "FILE_UNREADABLE"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{quoted(path)} cannot be read: {reason}")
        self.path = path


class FileUnwritable(CaxtonError):
    """A file that a command was to write cannot be written."""

    code = "FILE_UNWRITABLE"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be written: {reason}; name another file with --output")
        self.path, self.reason = path, reason
