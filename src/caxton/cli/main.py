"""The `caxton` command: puts the nouns together, and is the wall where every error becomes an exit code."""

import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import typer
from typer.main import get_command

from caxton.cli import (
    agent,
    approvals,
    capability,
    config,
    conversation,
    debug,
    deploy,
    dlq,
    doctor,
    logs,
    mcp,
    message,
    monitor,
    profile,
    replay,
    server,
    sniff,
    status,
    storage,
    task,
    tools,
    top,
    trace,
)
from caxton.cli.command import Cli, OutputFormat, ReaderLeft, command, new_app, root
from caxton.cli.exits import ExitCode
from caxton.cli.failures import report
from caxton.cli.output import Screen, make_writable_anywhere
from caxton.version import VERSION

_QUICK_START = """\
Caxton {version}: one server for agents that talk.

  caxton server start                         start a server on this machine
  caxton deploy examples/ping.wasm            deploy an agent
  caxton logs --follow                        watch what agents say
  caxton message send --to ping --content 1   talk to one
  caxton status                               see everything at a glance

'caxton --help' lists all commands, 'caxton COMMAND --help' explains one."""

app = new_app("One server for sandboxed agents that talk: deploy them, watch them, speak with them.")


@root(
    app,
    "caxton server start",
    "caxton deploy examples/ping.wasm --name ping",
    "caxton logs --agents ping,pong --follow",
)
def caxton(
    ctx: typer.Context,
    cli: Cli,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        print_version(cli)
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        cli.screen.line(_QUICK_START.format(version=VERSION))


@command(app, "version", "caxton version", "caxton version --output json")
def print_version(cli: Cli) -> None:
    """Print the version of this command."""
    cli.screen.answer({"version": VERSION}, lambda: cli.screen.line(f"caxton {VERSION}"))


for part in (
    server, deploy, agent, capability, message, conversation, task, trace, sniff, dlq, logs, status, storage, config,
    doctor, top, monitor, debug, profile, replay, tools, approvals, mcp,
):  # fmt: skip
    part.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code. Every error has been told when it returns."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    make_writable_anywhere(sys.stdout, sys.stderr)
    try:
        code = _run(given)
        sys.stdout.flush()
    except (ReaderLeft, BrokenPipeError):
        # `| head` is no error. Whatever is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    return code


def _run(arguments: list[str]) -> int:
    try:
        result = get_command(app).main(
            args=arguments, prog_name="caxton", standalone_mode=False, obj=Cli.from_environment()
        )
    except ReaderLeft:
        raise
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Exception as exc:
        return report(Screen(as_json=_asks_for_json(arguments)), exc)
    return result if isinstance(result, int) else ExitCode.OK


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether errors are wanted as JSON. Read by hand: what is wrong may be the arguments themselves."""
    wanted = Cli.from_environment().output
    for option, value in pairwise([*arguments, ""]):
        if option in ("--output", "-o"):
            wanted = value
        elif option.startswith(("--output=", "-o")):
            wanted = option.removeprefix("--output").removeprefix("-o").removeprefix("=")
    return wanted == OutputFormat.JSON
