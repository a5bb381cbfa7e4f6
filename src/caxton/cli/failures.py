"""How a failed command says what happened: a marked line, the stable code, the trace id, what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caxton.cli.command import GLOBALS
from caxton.cli.exits import ExitCode, exit_code_for
from caxton.core.errors.command_line import InvalidUsage
from caxton.core.errors.error import CaxtonError, InternalError, quoted

if TYPE_CHECKING:
    from caxton.cli.output import Screen

MAX_LOG_LINES = 20
"""Of an agent's or server's log below an error: a screen's worth."""

_NEXT = {
    "AGENT_ALREADY_EXISTS": "caxton deploy FILE --name NAME --replace",
    "UNAUTHORIZED": "caxton doctor   (shows which server and token are used)",
    "FORBIDDEN": "caxton doctor   (shows which server and token are used)",
    "SERVER_UNREACHABLE": "caxton server start, or caxton doctor",
    "UNEXPECTED_ANSWER": "caxton doctor   (shows which server is asked)",
    "SERVER_STOP_TIMEOUT": "caxton server stop --force",
    "CIRCUIT_OPEN": "caxton agent status NAME   (shows when it is tried again)",
    "BULKHEAD_FULL": "caxton agent status NAME   (shows how many callers wait)",
    "MAILBOX_FULL": "caxton agent status NAME   (shows how much mail waits)",
    "DEAD_LETTERS_FULL": "caxton dlq list",
    "REPLY_TIMEOUT": "caxton message list --conversation-id …   (shows what came later)",
    "PORT_IN_USE": "caxton serve --port 8081",
}
"""A command that helps, where the message itself names none."""


def report(screen: Screen, error: BaseException) -> ExitCode:
    """Print `error` as people or, with `--output json`, programs read it; returns the exit code."""
    fault = as_caxton_error(error)
    status: int | None = getattr(fault, "status", None)
    if screen.as_json:
        screen.error_json(_problem(fault, status))
    else:
        screen.error(str(fault), _below(fault))
    return exit_code_for(fault.code, status)


def as_caxton_error(error: BaseException) -> CaxtonError:
    """`error` as one of ours: usage errors of the parser, failures of the system, and our own bugs."""
    if isinstance(error, CaxtonError):
        return error
    if hasattr(error, "format_message"):  # every error of the command line parser has it
        return InvalidUsage(_usage(error), command=getattr(getattr(error, "ctx", None), "command_path", None))
    if isinstance(error, OSError):
        return _SystemRefused(error)
    return _CommandBroken(error)


def _usage(error: Any) -> str:
    """The parser's message in our form; an unknown option gets the nearest one, or else all there are."""
    if option := getattr(error, "option_name", None):
        near: list[str] = list(getattr(error, "possibilities", None) or ())
        if "no such option" in str(error.message).lower():
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_options(error.ctx))}"
            return f"there is no option {option}; {hint}"
    text = str(error.format_message()).rstrip(".")
    return text[:1].lower() + text[1:]


def _options(context: Any) -> list[str]:
    """The options that a command has of its own; those of all commands if it has none."""
    params = [one for one in context.command.params if one.param_type_name == "option" and not one.hidden]
    own = [one for one in params if one.name not in GLOBALS]
    return [one.opts[0] for one in own or params]


def _below(fault: CaxtonError) -> list[str]:
    """The lines under the message."""
    trace_id: str = getattr(fault, "trace_id", "")
    lines = [f"code: {fault.code}" + (f"  trace id: {trace_id}" if trace_id else "")]
    details = fault.details()
    if functions := details.get("functions"):
        lines.append(f"in: {' < '.join(map(str, functions))}")
    lines += details.get("traceback") or []
    lines += [f"log: {line}" for line in list(details.get("log") or [])[-MAX_LOG_LINES:]]
    if isinstance(fault, InvalidUsage):
        lines.append(f"next: {fault.command or 'caxton'} --help")
    elif fault.code in _NEXT:
        lines.append(f"next: {_NEXT[fault.code]}")
    return lines


def _problem(fault: CaxtonError, status: int | None) -> object:
    """The problem object: the server's own, or one of the same shape with status 0."""
    if (problem := getattr(fault, "problem", None)) is not None:
        return problem
    return {
        "type": f"urn:caxton:error:{fault.code}",
        "title": fault.code.replace("_", " ").capitalize(),
        "status": status or 0,
        "detail": str(fault),
        "code": fault.code,
        "trace_id": "",
        "instance": None,
        "details": fault.details(),
    }


class _SystemRefused(CaxtonError):
    """The operating system did not let the command do something."""

    code = "SYSTEM_ERROR"

    def __init__(self, error: OSError) -> None:
        where = f" ({quoted(str(error.filename))})" if error.filename else ""
        super().__init__(f"the system refused{where}: {error.strerror or error}")


class _CommandBroken(InternalError):
    """A bug in the command itself, or in the server that it runs."""

    def __init__(self, error: BaseException) -> None:
        import traceback

        CaxtonError.__init__(self, f"this is a fault in Caxton: {type(error).__name__}: {quoted(str(error))}")
        self.traceback = "".join(traceback.format_exception(error)).splitlines()
