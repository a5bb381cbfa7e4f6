"""`caxton logs`: what agents say, and what Caxton says about them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from zlib import crc32

import typer

from caxton.cli.command import Cli, command
from caxton.cli.output import Mark, Screen, printable
from caxton.core.errors.command_line import InvalidUsage
from caxton.core.units import parse_duration

if TYPE_CHECKING:
    from caxton.core.views.logs import LogLine

DEFAULT_LIMIT = 100
"""Lines of the past: a few screens."""

_AGENT_COLOURS = (36, 35, 34, 32, 33)
_MARKS = {"error": Mark.FAIL, "warn": Mark.WARN}


class Level(StrEnum):
    """Levels of log lines, the least important first."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="DURATION", help="Only lines of the last while, like 1h or 10m."),
]
LevelOption = Annotated[Level | None, typer.Option("--level", help="Only lines at least this important.")]
LimitOption = Annotated[
    int, typer.Option("--limit", min=1, max=10_000, metavar="N", help="At most so many lines of the past.")
]
GrepOption = Annotated[
    str | None,
    typer.Option(
        "--grep", metavar="PATTERN", help="Only lines in which this is found, like 'order-[0-9]+' or '(?i)refused'."
    ),
]
ConversationOption = Annotated[
    str | None,
    typer.Option(
        "--conversation-id", "--conversation", metavar="ID", help="Only lines about messages of this conversation."
    ),
]
IdsOption = Annotated[bool, typer.Option("--ids", help="Show which message each line is about: trace, conversation.")]
TimestampsOption = Annotated[bool, typer.Option("--timestamps", help="Show when each line was written (UTC).")]


@dataclass(frozen=True, kw_only=True)
class View:
    """Which lines are wanted, and how they should look."""

    agents: list[str] | None
    since: str | None
    level: Level | None
    limit: int
    timestamps: bool
    grep: str | None = None
    conversation: str | None = None
    ids: bool = False


def register(app: typer.Typer) -> None:
    """Add `logs` to the top level."""
    command(
        app,
        "logs",
        "caxton logs --agents ping,pong --follow",
        "caxton logs --agent ping --since 1h --level warn --timestamps",
        "caxton logs --grep 'order-[0-9]+ failed' --conversation-id c-42 --ids",
        "caxton logs --output json | jq .text",
    )(logs)


def logs(
    cli: Cli,
    agents: Annotated[
        str | None, typer.Option("--agents", metavar="NAME,NAME", help="Only these agents. Default: all.")
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", metavar="NAME", help="Only this agent. May be given repeatedly."),
    ] = None,
    follow: FollowOption = False,
    since: SinceOption = None,
    level: LevelOption = None,
    grep: GrepOption = None,
    conversation: ConversationOption = None,
    limit: LimitOption = DEFAULT_LIMIT,
    timestamps: TimestampsOption = False,
    ids: IdsOption = False,
) -> None:
    """Show what agents have logged; lines with a mark are Caxton's own remarks about an agent."""
    names = [*(agent or []), *(name.strip() for name in (agents or "").split(",") if name.strip())]
    if agents is not None and not names:
        raise InvalidUsage("--agents names no agent; write it like --agents ping,pong", command="caxton logs")
    view = View(
        agents=names or None, since=since, level=level, limit=limit, timestamps=timestamps, grep=grep,
        conversation=conversation, ids=ids,
    )  # fmt: skip
    show(cli, view, follow=follow)


def show(cli: Cli, view: View, *, follow: bool) -> None:
    """Print the lines of the past and, with `follow`, each new one until interrupted."""
    if view.since is not None:
        parse_duration(view.since, what="--since")
    level = view.level.value if view.level else None
    screen = cli.screen
    is_empty = True
    with cli.client(None if follow else "Fetching the log") as client:
        fetch = client.follow_logs if follow else client.logs
        for line in fetch(
            view.agents, limit=view.limit, since=view.since, level=level, grep=view.grep,
            conversation_id=view.conversation,
        ):  # fmt: skip
            print_line(screen, line, view)
            is_empty = False
    if is_empty:
        screen.hint(_nothing(view))


def _nothing(view: View) -> str:
    """Why there may be no line: silence, or a filter that leaves nothing."""
    given = {
        "--since": view.since,
        "--level": view.level.value if view.level else None,
        "--grep": view.grep,
        "--conversation-id": view.conversation,
    }
    filters = " ".join(f"{name} {printable(value)}" for name, value in given.items() if value is not None)
    return f"no line is left with {filters}" if filters else "nothing was logged in the last 7 days"


def print_line(screen: Screen, line: "LogLine", view: View) -> None:
    """Print one line of a log: its agent, a mark if it is Caxton's own, its text."""
    if screen.as_json:
        screen.json(line, one_line=True)
        return
    prefix = screen.colour(
        f"[{printable(line.agent)}]", _AGENT_COLOURS[crc32(line.agent.encode()) % len(_AGENT_COLOURS)]
    )
    if view.timestamps:
        prefix = f"{printable(line.at)} {prefix}"
    if line.source == "host":
        prefix = f"{prefix} {screen.sign(_MARKS.get(line.level, Mark.INFO))}"
    # Each line with its own prefix: a guest must not write lines that look like another's.
    for text in line.text.split("\n") or [""]:
        screen.line(f"{prefix} {printable(text)}{_ids(line) if view.ids else ''}")


def _ids(line: "LogLine") -> str:
    given = {"trace": line.trace_id, "conversation": line.conversation_id, "message": line.message_id}
    return "".join(f" {name}={printable(value)}" for name, value in given.items() if value)
