"""`caxton sniff`: who says what to whom, as a sequence diagram."""

import shutil
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from caxton.cli.command import Cli, command
from caxton.core.errors.command_line import InvalidUsage
from caxton.core.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.cli.drawing.sequence import TextDiagram
    from caxton.cli.output import Screen
    from caxton.core.views.messages import Gap, Sighting

PIPE_COLUMNS = 100
"""Width where there is no terminal and COLUMNS does not say one."""

MAX_DRAWN = 1000
"""Messages of a conversation, the last ones: as many as the server gives."""

_NAME = "caxton sniff"


class Format(StrEnum):
    """How a conversation is drawn."""

    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"


def register(app: typer.Typer) -> None:
    """Add `sniff` to the top level."""
    command(
        app,
        "sniff",
        "caxton sniff",
        "caxton sniff --agents manager,bidder-1 --for 30s",
        "caxton sniff --conversation-id c-42 --format svg > c-42.svg",
        "caxton sniff --output json | jq -r .performative",
    )(sniff)


def sniff(
    cli: Cli,
    agents: Annotated[
        str | None,
        typer.Option("--agents", metavar="NAME,NAME", help="Only what these say or are told. Default: everybody."),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", metavar="NAME", help="The same for one name. May be given repeatedly."),
    ] = None,
    conversation: Annotated[
        str | None, typer.Option("--conversation-id", "--conversation", metavar="ID", help="Only this conversation.")
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Draw what is remembered of the conversation, instead of listening."),
    ] = None,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Show the time of day (UTC), not the time since the first message.")
    ] = False,
    content: Annotated[
        bool, typer.Option("--content", help="Show the conversation and the beginning of the content, too.")
    ] = False,
    most: Annotated[int | None, typer.Option("--max", min=1, metavar="N", help="Leave after so many messages.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="Leave after so long.")] = None,
    width: Annotated[
        int | None,
        typer.Option("--width", min=40, max=1000, metavar="N", help="Columns to use. Default: those of the terminal."),
    ] = None,
) -> None:
    """Show who says what to whom as it happens, until Ctrl-C; or draw a conversation that has been."""
    names = [*(agent or []), *(name.strip() for name in (agents or "").split(",") if name.strip())]
    if agents is not None and not names:
        raise InvalidUsage("--agents names no agent; write it like --agents ping,pong", command=_NAME)
    for_s = None if lasts is None else parse_duration(lasts, what="--for")
    if form is not None:
        if conversation is None:
            raise InvalidUsage("--format draws one conversation; name it with --conversation-id", command=_NAME)
        if most is not None or for_s is not None:
            raise InvalidUsage("--max and --for are for listening; --format draws what has been", command=_NAME)
        _draw(cli, form, conversation, names, absolute=absolute, content=content, width=width)
        return
    screen = cli.screen
    diagram = _diagram(screen, width, absolute=absolute, content=content)
    with cli.client(None) as client:
        events = client.sniff(
            names or None, conversation, for_s=for_s,
            on_open=lambda: screen.hint("Listening to who says what to whom; Ctrl-C ends it"),
        )  # fmt: skip
        for seen in _first(events, most):
            if width is None:
                diagram.resize(_columns())
            _print(screen, diagram, seen)


def _draw(
    cli: Cli, form: Format, conversation: str, names: list[str], *, absolute: bool, content: bool, width: int | None
) -> None:
    """What is remembered of a conversation."""
    from caxton.cli.drawing import sequence_mermaid, sequence_svg
    from caxton.cli.drawing.sequence import named

    screen = cli.screen
    with cli.client("Fetching the conversation") as client:
        found = client.sniffed(conversation, limit=MAX_DRAWN)
    seen = [one for one in found if not names or {one.sender, one.receiver} & {*names}]
    if not seen:
        screen.warn("no message of this conversation is remembered")
    if len(found) == MAX_DRAWN:
        screen.warn(f"only the last {MAX_DRAWN} messages are drawn")
    if form is Format.MERMAID:
        screen.text(sequence_mermaid.mermaid(seen))
    elif form is Format.SVG:
        screen.text(sequence_svg.svg(seen, f"Conversation {conversation}"))
    else:
        diagram = _diagram(screen, width, absolute=absolute, content=content, names=named(seen))
        for one in seen:
            _print(screen, diagram, one)


def _diagram(
    screen: "Screen", width: int | None, *, absolute: bool, content: bool, names: list[str] | None = None
) -> "TextDiagram":
    from caxton.cli.drawing.sequence import ASCII, UNICODE, TextDiagram

    glyphs = UNICODE if screen.can_show(UNICODE.all) else ASCII
    return TextDiagram(
        width=width or _columns(), absolute=absolute, content=content, names=names or (), glyphs=glyphs,
        paint=screen.colour,
    )  # fmt: skip


def _columns() -> int:
    return shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns


def _print(screen: "Screen", diagram: "TextDiagram", seen: "Sighting | Gap") -> None:
    if screen.as_json:
        screen.json(seen, one_line=True)
        return
    for line in diagram.draw(seen):
        screen.line(line)


def _first(events: "Iterator[Sighting | Gap]", most: int | None) -> "Iterator[Sighting | Gap]":
    """All events up to the message number `most`."""
    from caxton.core.views.messages import Gap

    count = 0
    for seen in events:
        yield seen
        count += not isinstance(seen, Gap)
        if count == most:
            return
