"""`caxton trace`: what happened in a conversation or because of a message, and why it takes so long."""

import shutil
from collections.abc import Callable
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from caxton.cli.command import Cli, OutputFormat, command
from caxton.cli.output import printable
from caxton.core.errors.command_line import InvalidUsage
from caxton.core.errors.values import InvalidValue
from caxton.core.units import format_duration, parse_duration

if TYPE_CHECKING:
    from caxton.client import CaxtonClient
    from caxton.core.views.traces import TraceFilter, TraceView
    from caxton.core.views.waits import CriticalPath

T = TypeVar("T")

PIPE_COLUMNS = 100
"""Width where there is no terminal and COLUMNS does not say one."""

_NAME = "caxton trace"
_NOT_FOUND = 404


class Format(StrEnum):
    """How a trace is written."""

    TEXT = "text"
    JSON = "json"
    MERMAID = "mermaid"
    OTLP = "otlp"


ConversationOption = Annotated[str | None, typer.Option("--conversation-id", metavar="ID", help="Which conversation.")]
MessageOption = Annotated[
    str | None,
    typer.Option(
        "--message-id", metavar="ID", help="Instead: which message, with all that led to it and that it led to."
    ),
]
LastOption = Annotated[
    str | None, typer.Option("--last", metavar="DURATION", help="Only what ended within this time, like 5m.")
]
AgentOption = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only what this agent sent or got.")]
ErrorsOption = Annotated[bool, typer.Option("--errors", help="Only what went wrong, and what led to it.")]
FormatOption = Annotated[Format, typer.Option("--format", help="Lines and bars for people, or something for programs.")]
BodiesOption = Annotated[
    bool, typer.Option("--bodies", help="Also what was said, of conversations that are kept whole.")
]
WhyOption = Annotated[
    bool,
    typer.Option(
        "--why", help="Also what it waits for, down to the cause; or what its time went into. As JSON: only that."
    ),
]
LimitOption = Annotated[
    int, typer.Option("--limit", min=1, max=5000, metavar="N", help="At most so many messages, the last ones.")
]
UtcOption = Annotated[bool, typer.Option("--utc", help="Show times in UTC, not in this machine's time zone.")]


def register(top: typer.Typer) -> None:
    """Add the command."""
    command(
        top,
        "trace",
        "caxton trace --conversation-id c-42 --last 5m",
        "caxton trace --conversation-id c-42 --why",
        "caxton trace --message-id 5e1f0c9a77d2-1f --errors",
        "caxton trace --conversation-id c-42 --format otlp > c-42.json",
    )(trace)


def trace(
    cli: Cli,
    conversation_id: ConversationOption = None,
    message_id: MessageOption = None,
    last: LastOption = None,
    agent: AgentOption = None,
    errors: ErrorsOption = False,
    form: FormatOption = Format.TEXT,
    bodies: BodiesOption = False,
    why: WhyOption = False,
    limit: LimitOption = 200,
    utc: UtcOption = False,
) -> None:
    """Show what happened in a conversation, line by line and as bars, and what those do who are not done."""
    if cli.output is OutputFormat.JSON and form is Format.TEXT:
        form = Format.JSON
    wanted = _wanted(conversation_id, message_id, last, agent, errors=errors, bodies=bodies)
    if why and (conversation_id is None or form not in (Format.TEXT, Format.JSON)):
        raise InvalidUsage("--why is for one conversation, as text or JSON", command=_NAME)
    if why and form is Format.JSON:
        with cli.client("Looking for the reason") as client:
            cli.screen.json(client.why(conversation_id or ""))
        return
    with cli.client("Looking for what happened") as client:
        found, reason = _ask(client, wanted, limit, conversation_id if why else None)
    if form is Format.JSON:
        cli.screen.json(found)
        return
    if found is not None:
        _write(cli, found, wanted, form, UTC if utc else None)
        _tell_cut(cli, found)
    if why:
        _tell_why(cli, found, reason)


def _write(cli: Cli, found: "TraceView", wanted: "TraceFilter", form: Format, zone: tzinfo | None) -> None:
    if form is Format.MERMAID:
        from caxton.cli.drawing.trace_mermaid import trace_mermaid

        cli.screen.text(trace_mermaid(found))
    elif form is Format.OTLP:
        from caxton.cli.drawing.trace_otlp import otlp

        cli.screen.line(otlp(found))
    else:
        _show(cli, found, wanted, zone)


def _tell_cut(cli: Cli, found: "TraceView") -> None:
    if found.cut:
        least = "more than " if found.at_least else ""
        of = f" of {least}{found.total}" if found.total > len(found.spans) else ""
        choice = "--limit, --last, --agent and --errors choose others"
        cli.screen.warn(f"only the last {len(found.spans)}{of} messages are shown; {choice}")


def _tell_why(cli: Cli, found: "TraceView | None", reason: "CriticalPath | None") -> None:
    if reason is None:
        cli.screen.hint("nobody is known to wait in it")
        return
    from caxton.cli.drawing.trace_why import show_why

    if found is not None and found.spans:
        cli.screen.line()
    show_why(cli, reason)


def _show_content(cli: Cli, found: "TraceView", zone: tzinfo | None) -> None:
    from caxton.cli.drawing.trace_content import content_lines

    if found.said in ("whole", "partly"):
        cli.screen.line()
        for line in content_lines(found, zone):
            cli.screen.line(line)
    if found.said in ("none", "partly"):
        what = "what was said" if found.said == "none" else "some of what was said"
        cli.screen.hint(f"{what} is not kept: there was no room for it, or too much was said at once")


def _wanted(
    conversation_id: str | None,
    message_id: str | None,
    last: str | None,
    agent: str | None,
    *,
    errors: bool,
    bodies: bool,
) -> "TraceFilter":
    from caxton.core.views.traces import MAX_LAST_S, TraceFilter

    if (conversation_id is None) == (message_id is None):
        raise InvalidUsage("give either --conversation-id or --message-id", command=_NAME)
    if conversation_id == "" or message_id == "":
        raise InvalidUsage("an id has at least one character", command=_NAME)
    last_s = None if last is None else parse_duration(last, what="--last")
    if last is not None and not last_s:
        raise InvalidValue("--last", last, "give more than nothing, like 5m")
    if last_s is not None and last_s > MAX_LAST_S:
        raise InvalidValue("--last", last, f"it is at most {MAX_LAST_S / 86_400:.0f}d")
    return TraceFilter(
        conversation_id=conversation_id,
        message_id=message_id,
        last_s=last_s,
        agent=agent,
        errors=errors,
        bodies=bodies,
    )


def _ask(
    client: "CaxtonClient", wanted: "TraceFilter", limit: int, why_id: str | None
) -> "tuple[TraceView | None, CriticalPath | None]":
    """What happened and, if that is asked for, why. Each may be unknown while the other is known."""
    if why_id is None:
        return client.trace(wanted, limit=limit), None
    found = _or_none(lambda: client.trace(wanted, limit=limit))
    reason = _or_none(lambda: client.why(why_id))
    if found is None and reason is None:
        client.trace(wanted, limit=limit)  # raises what it was
    return found, reason


def _or_none(ask: Callable[[], T]) -> T | None:
    from caxton.client import ApiProblem

    try:
        return ask()
    except ApiProblem as exc:
        if exc.status != _NOT_FOUND:
            raise
        return None


def _nothing(found: "TraceView", wanted: "TraceFilter") -> str:
    """Why there is no line: what was asked for is known, but the filters leave nothing of it."""
    where = "in that time" if found.since else "in it"
    if wanted.agent is not None:
        what = "had nothing go wrong" if wanted.errors else "neither sent nor got anything"
        return f"{printable(wanted.agent)} {what} {where}."
    if wanted.errors:
        return f"Nothing went wrong {where}."
    return f"Nothing happened {where}."


def _show(cli: Cli, found: "TraceView", wanted: "TraceFilter", zone: tzinfo | None) -> None:
    from caxton.cli.drawing.trace_lines import lines, time_of, zone_name
    from caxton.cli.drawing.waterfall import ASCII, UNICODE, waterfall

    screen = cli.screen
    if not found.spans:
        screen.line(_nothing(found, wanted))
        if found.last_us is not None and found.since and found.last_us < found.since:
            ago = format_duration((found.now - found.last_us) / 1e6)
            screen.hint(f"the last of it was at {time_of(found.last_us, zone)}, {ago} ago; leave --last out")
        return
    for line in lines(found, zone):
        screen.line(line)
    screen.line()
    columns = shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns
    glyphs = UNICODE if screen.can_show(UNICODE.all) else ASCII
    for line in waterfall(found, columns, glyphs, screen.colour):
        screen.line(line)
    _show_content(cli, found, zone)
    name = zone_name(found.now, zone)
    screen.hint(f"times are {name}" if name == "UTC" else f"times are {name}; --utc shows UTC")
