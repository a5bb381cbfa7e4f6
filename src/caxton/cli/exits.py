"""The command's exit codes. They are documented in docs/reference/cli.md and never change their meaning."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every `caxton` command."""

    OK = 0
    """Done. Also when the reader of a pipe left early."""
    FAILURE = 1
    """Something else went wrong, or a check of `doctor` failed."""
    USAGE = 2
    """The command line was not understood."""
    NOT_FOUND = 3
    """No such agent, receiver, task, dead letter, workspace, context or file."""
    INVALID = 4
    """The input breaks a rule: a name, a message, a module, a configuration."""
    CONFLICT = 5
    """The state of things does not allow it: name or port taken, mailbox or server full."""
    DENIED = 6
    """No valid token, or not allowed."""
    UNREACHABLE = 7
    """No server answers, or it is starting or stopping."""
    TIMEOUT = 8
    """No answer within the time given."""
    AGENT_FAILED = 9
    """The agent failed on the message, or so often that it is not asked; did not start; or answered failure, refuse or
    not-understood; a task that was waited for is not done."""
    DIVERGED = 10
    """A replay did something else than what was recorded."""
    LEFT_EARLY = 11
    """A replay was left (`q`) before all that was asked for had been run."""
    STORAGE = 74
    """The data directory or the journal cannot be used (EX_IOERR of sysexits)."""
    INTERRUPTED = 130
    """Ctrl-C (128 + SIGINT, as shells have it)."""


_BY_CODE = {
    ExitCode.USAGE: ("INVALID_USAGE",),
    ExitCode.NOT_FOUND: (
        "AGENT_NOT_FOUND", "CAPABILITY_NOT_FOUND", "CONVERSATION_NOT_FOUND", "DEAD_LETTER_NOT_FOUND",
        "MESSAGE_NOT_FOUND",
        "UNKNOWN_RECEIVER", "WORKSPACE_NOT_FOUND", "CONTEXT_NOT_FOUND", "FILE_NOT_FOUND", "ROUTE_NOT_FOUND",
        "TASK_NOT_FOUND", "MESSAGE_NOT_FOUND",
        "RECORDING_NOT_FOUND", "NOTHING_RECORDED", "TOOL_NOT_FOUND", "TOOL_SOURCE_NOT_FOUND", "APPROVAL_NOT_FOUND",
    ),
    ExitCode.INVALID: (
        "INVALID_REQUEST", "INVALID_NAME", "INVALID_VALUE", "INVALID_WASM", "INVALID_MESSAGE", "MESSAGE_EXPIRED",
        "INVALID_CONFIG", "WASM_TOO_LARGE", "MESSAGE_TOO_LARGE", "BODY_TOO_LARGE",
        "COMPILE_LIMIT_EXCEEDED", "UNSUPPORTED_MEDIA_TYPE", "METHOD_NOT_ALLOWED", "FILE_UNREADABLE",
        "OUTSIDE_MEMORY", "FILE_UNWRITABLE",
    ),
    ExitCode.CONFLICT: (
        "AGENT_ALREADY_EXISTS", "AGENT_STATE_CONFLICT", "AGENT_IS_NATIVE", "AGENT_NAME_RESERVED", "CONVERSATION_OVER",
        "PROTOCOL_VIOLATION", "TOO_MANY_INSTANCES", "MAILBOX_FULL", "WORKSPACE_FULL", "BULKHEAD_FULL",
        "MESSAGE_ID_CONFLICT", "RATE_LIMITED",
        "DEAD_LETTERS_FULL", "DATA_DIR_IN_USE", "PORT_IN_USE", "TASKS_FULL", "TASK_ENDED", "TASK_ID_CONFLICT",
        "TOO_MANY_LISTENERS", "PROFILE_RUNNING", "RECORDING_TOO_LARGE",
        "TOOL_SOURCE_ALREADY_EXISTS", "TOOL_CHANGED", "TOOL_UNUSABLE",
    ),
    ExitCode.DENIED: ("UNAUTHORIZED", "FORBIDDEN", "HOST_NOT_ALLOWED"),
    ExitCode.UNREACHABLE: (
        "SERVER_UNREACHABLE", "SERVER_NOT_RUNNING", "SERVER_NOT_READY", "SHUTTING_DOWN",
        "UNEXPECTED_ANSWER", "TOOL_SOURCE_DOWN",
    ),
    ExitCode.TIMEOUT: (
        "REPLY_TIMEOUT",
        "REPLY_INTERRUPTED",
        "REQUEST_TIMEOUT",
        "SERVER_TIMEOUT",
        "SERVER_STOP_TIMEOUT",
    ),
    ExitCode.AGENT_FAILED: ("AGENT_DOWN", "AGENT_FAILED", "CIRCUIT_OPEN", "DEPLOYMENT_FAILED"),
    ExitCode.STORAGE: (
        "STORAGE_FAILED", "DEAD_LETTER_DAMAGED", "JOURNAL_TOO_NEW", "JOURNAL_DAMAGED", "DATA_DIR_UNUSABLE",
        "STORAGE_FULL", "JOURNAL_FULL", "RECORDING_TOO_NEW", "RECORDING_DAMAGED",
    ),
}  # fmt: skip

_BY_STATUS = {
    400: ExitCode.INVALID,
    401: ExitCode.DENIED,
    403: ExitCode.DENIED,
    404: ExitCode.NOT_FOUND,
    408: ExitCode.TIMEOUT,
    409: ExitCode.CONFLICT,
    413: ExitCode.INVALID,
    415: ExitCode.INVALID,
    422: ExitCode.INVALID,
    429: ExitCode.CONFLICT,
    502: ExitCode.AGENT_FAILED,
    503: ExitCode.UNREACHABLE,
    504: ExitCode.TIMEOUT,
    507: ExitCode.STORAGE,
}
"""For codes of a later server that this command does not know."""

_CODES = {code: exit_code for exit_code, codes in _BY_CODE.items() for code in codes}


def exit_code_for(code: str, status: int | None = None) -> ExitCode:
    """The exit code for an error's stable `code`; an unknown one goes by its HTTP status, if it has one."""
    return _CODES.get(code) or _BY_STATUS.get(status or 0, ExitCode.FAILURE)
