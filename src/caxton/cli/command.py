"""How a function becomes a command: global options, which stand before or after it, and examples in its help.

Every command takes a `Cli` first: what the global options said, the screen, and the way to the server.
"""

import functools
import inspect
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

import typer
from typer.core import TyperGroup

from caxton.cli.output import Screen
from caxton.core.errors.command_line import InvalidUsage
from caxton.core.errors.error import quoted
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.suggest import nearest

if TYPE_CHECKING:
    from caxton.client import CaxtonClient

Handler = TypeVar("Handler", bound=Callable[..., None])

ALIASES = {
    "agents": "agent",
    "messages": "message",
    "conversations": "conversation",
    "tool": "tools",
    "approval": "approvals",
}
"""Nouns that people also write in the plural, or in the singular."""


class OutputFormat(StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSON = "json"


class ReaderLeft(Exception):
    """Whoever read our output has closed it. Typer would make a failure of a BrokenPipeError."""


@dataclass
class Cli:
    """One call of the command: its global options, and what follows from them."""

    output: OutputFormat = OutputFormat.TABLE
    server: str | None = None
    token: str | None = field(default=None, repr=False)
    context: str | None = None
    quiet: bool = False

    @classmethod
    def from_environment(cls) -> Self:
        """A call whose options say nothing yet. An output format that nobody knows counts as none."""
        wanted = os.environ.get("CAXTON_OUTPUT", "")
        return cls(output=OutputFormat(wanted) if wanted in list(OutputFormat) else OutputFormat.TABLE)

    @property
    def screen(self) -> Screen:
        """Where to print."""
        return Screen(as_json=self.output is OutputFormat.JSON, quiet=self.quiet)

    @contextmanager
    def client(self, doing: str | None, *, workspace: str = DEFAULT_WORKSPACE) -> Generator["CaxtonClient"]:
        """A client for the chosen server; `doing` is what a spinner says when it takes long. None: no spinner.

        What prints while it waits for more must have none: the spinner would stand in the middle of its lines.
        """
        from caxton.cli.contexts import choose_target

        with self.screen.busy(doing) if doing else nullcontext():
            target = choose_target(server=self.server, token=self.token, context=self.context)
            if target.sends_token_openly:
                self.screen.warn(f"the token goes to {target.server} unencrypted; use https")
            with target.client(workspace=workspace) as client:
                yield client


_PANEL = "Global options"

OutputOption = Annotated[
    OutputFormat | None,
    typer.Option(
        "--output", "-o", help="Print answers as a table or as JSON. Env: CAXTON_OUTPUT.", rich_help_panel=_PANEL
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="Server to ask. Env: CAXTON_SERVER.", rich_help_panel=_PANEL),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="Token to show. Env: CAXTON_TOKEN (better: others can read your command line).",
        rich_help_panel=_PANEL,
    ),
]
ContextOption = Annotated[
    str | None,
    typer.Option(
        "--context", metavar="NAME", help="Server of the contexts file. Env: CAXTON_CONTEXT.", rich_help_panel=_PANEL
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print nothing but answers and errors.", rich_help_panel=_PANEL),
]

GLOBALS: dict[str, Any] = {
    "output": OutputOption,
    "server": ServerOption,
    "token": TokenOption,
    "context": ContextOption,
    "quiet": QuietOption,
}
"""Options that every command has."""


class CaxtonGroup(TyperGroup):
    """A group of commands that knows plural nouns and answers a typo with the nearest command."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or of the name it is an alias of."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, ALIASES.get(cmd_name, cmd_name))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that `args` begin with; raises `InvalidUsage` with the nearest one."""
        word = args[0]
        if word.startswith("-") or self.get_command(ctx, word) is not None:
            return super().resolve_command(ctx, args)
        hint = self._nearest(ctx, word)
        hint = f"; did you mean '{ctx.command_path} {hint}'?" if hint else ""
        wanted = quoted(f"{ctx.command_path} {word}")
        raise InvalidUsage(f"there is no command {wanted}{hint}", command=ctx.command_path)

    def _nearest(self, ctx: Any, word: str) -> str | None:
        known: dict[str, str] = {name: name for name in self.list_commands(ctx)}
        for name in self.list_commands(ctx):
            below = self.get_command(ctx, name)
            if isinstance(below, TyperGroup):
                for verb in below.list_commands(ctx):
                    known.setdefault(verb, f"{name} {verb}")
        found = nearest(word, known)
        return known[found] if found else None


def new_app(help_text: str, *examples: str) -> typer.Typer:
    """An app for a noun; without a verb it prints its help."""
    app = typer.Typer(cls=CaxtonGroup, help=help_text, epilog=_epilog(examples), rich_markup_mode="rich")

    def bare(ctx: typer.Context, cli: Cli) -> None:
        if ctx.invoked_subcommand is None:
            if text := ctx.get_help():  # with rich it is printed at once
                typer.echo(text)
            raise typer.Exit(2)

    app.callback(invoke_without_command=True)(_with_globals(bare))
    return app


def command(app: typer.Typer, name: str, *examples: str) -> Callable[[Handler], Handler]:
    """Make a function the command `name` of `app`; its docstring is the help, `examples` stand below."""

    def register(handler: Handler) -> Handler:
        app.command(name, epilog=_epilog(examples))(_with_globals(handler))
        return handler

    return register


def root(app: typer.Typer, *examples: str) -> Callable[[Handler], Handler]:
    """Make a function what runs before every command, or alone when there is none."""

    def register(handler: Handler) -> Handler:
        app.callback(invoke_without_command=True, epilog=_epilog(examples))(_with_globals(handler))
        return handler

    return register


def _with_globals(handler: Callable[..., None]) -> Callable[..., None]:
    """`handler` with the global options in its signature; they are gathered into the `Cli` it is given.

    One that has an option of the same name instead gets that itself.
    """
    signature = inspect.signature(handler, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name not in ("ctx", "cli")]

    shared_names = [name for name in GLOBALS if name not in signature.parameters]

    @functools.wraps(handler)
    def run(ctx: typer.Context, **values: Any) -> None:
        cli = ctx.ensure_object(Cli)
        _check_text(ctx, values)
        for name in shared_names:
            if value := values.pop(name):
                setattr(cli, name, value)
        if "ctx" in signature.parameters:
            values["ctx"] = ctx
        try:
            handler(cli=cli, **values)
        except BrokenPipeError as exc:
            raise ReaderLeft from exc

    kind = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(name, kind, annotation=GLOBALS[name], default=False if name == "quiet" else None)
        for name in shared_names
    ]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    run.__signature__ = inspect.Signature([context, *own, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [context, *own, *shared]}
    return run


def _check_text(ctx: typer.Context, values: dict[str, Any]) -> None:
    """Raise `InvalidUsage` for the first argument that is no text: it could be neither sent nor written as JSON.

    The names of files may be any bytes, also after an @.
    """
    for parameter in ctx.command.params:
        given = values.get(parameter.name or "")
        several: list[Any] = [*given] if isinstance(given, list | tuple) else [given]
        for value in several if parameter.metavar != "FILE" else ():
            if isinstance(value, str) and not value.startswith("@") and not _is_text(value):
                name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
                raise InvalidUsage(f"{name} is no UTF-8: {quoted(os.fsencode(value))}", command=ctx.command_path)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # Python makes surrogates of bytes that are no UTF-8
        return False
    return True


def _epilog(examples: Sequence[str]) -> str | None:
    """Examples as paragraphs, since typer joins the lines of one; brackets are text and not markup."""
    if not examples:
        return None
    return "\n\n".join(["Examples:", *(f"$ {example}".replace("[", r"\[") for example in examples)])
