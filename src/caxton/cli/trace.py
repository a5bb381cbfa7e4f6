"""`caxton trace`: what happened in a conversation, and why it takes so long."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from caxton.cli.command import Cli, command
from caxton.cli.conversation import sentence, span
from caxton.cli.output import Mark, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.core.views.waits import CriticalPath, PastWait, WaitPath
    from caxton.messages.message import AclMessage

MAX_SHOWN_CHARS = 120
"""Of a message's content in its line; JSON output has all of it."""


def register(top: typer.Typer) -> None:
    """Add the command."""
    command(
        top,
        "trace",
        "caxton trace --conversation-id c-42",
        "caxton trace --conversation-id c-42 --why",
        "caxton trace --conversation-id c-42 --why -o json",
    )(trace)


def trace(
    cli: Cli,
    conversation_id: Annotated[str, typer.Option("--conversation-id", metavar="ID", help="Which conversation.")],
    why: Annotated[
        bool, typer.Option("--why", help="What it waits for, down to the cause; or what its time went into.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1000, metavar="N", help="Without --why: at most so many messages.")
    ] = 100,
) -> None:
    """Show the messages of a conversation with their times, or with --why what it waits for."""
    if why:
        with cli.client("Looking for the reason") as client:
            found = client.why(conversation_id)
        cli.screen.answer(found, lambda: _show_why(cli, found))
        return
    with cli.client("Fetching the conversation") as client:
        messages = client.conversation(conversation_id, limit=limit)
    cli.screen.answer({"messages": messages, "total": len(messages)}, lambda: _show_messages(cli, messages))


# --- messages ----------------------------------------------------------------------------------------------------


def _show_messages(cli: Cli, messages: "Sequence[AclMessage]") -> None:
    if not messages:
        cli.screen.line("No messages.")
        return
    before = messages[0].timestamp
    for message in messages:
        at = datetime.fromtimestamp(message.timestamp / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        cli.screen.line(f"{at}  {_later(message.timestamp - before)}  {printable(_said(message))}")
        before = message.timestamp


def _later(us: int) -> str:
    """Time since the line above."""
    return f"{f'+{us / 1e6:.3f} s':>11}"


def _said(message: "AclMessage") -> str:
    receivers = message.receiver if isinstance(message.receiver, str) else ", ".join(message.receiver)
    protocol = f" ({message.protocol})" if message.protocol else ""
    content = bytes(message.content).decode("utf-8", "replace")
    shown = content if len(content) <= MAX_SHOWN_CHARS else f"{content[:MAX_SHOWN_CHARS]}…"
    to = receivers or f"capability {message.capability}"
    return f"{message.sender} → {to}  {message.performative}{protocol}  {shown}".rstrip()


# --- reasons -----------------------------------------------------------------------------------------------------


def _show_why(cli: Cli, found: "CriticalPath") -> None:
    name = printable(", ".join(part for part in (found.conversation_id, found.protocol) if part))
    if found.paths:
        cli.screen.state(Mark.BUSY, f"{name}: {found.status}, waits")
        for path in found.paths:
            _show_path(cli, path, found.conversation_id)
        if found.more:
            cli.screen.line(f"… and for {found.more} more, since later")
        return
    if found.status == "ended":
        cli.screen.state(Mark.OK, f"{name}: ended, took {span(found.duration_s)}")
    else:
        cli.screen.state(Mark.OK, f"{name}: {found.status}, nobody has to speak; {span(found.duration_s)} so far")
    _show_past(cli, found)


def _show_path(cli: Cli, path: "WaitPath", conversation_id: str) -> None:
    within: str | None = conversation_id
    for depth, wait in enumerate(path.waits):
        cli.screen.line(f"{'  → ' if depth else ''}{sentence(wait, within=within)}")
        within = wait.conversation_id
    cli.screen.line(f"  → {printable(path.cause.agent)}: {printable(path.cause.text)}")


def _show_past(cli: Cli, found: "CriticalPath") -> None:
    if not found.waits:
        return
    rows = [_past(wait, found.duration_s) for wait in found.waits]
    cli.screen.table(("waited", "share", "who", "for", "until its"), rows)
    most = [f"{agent} {span(seconds)}" for agent, seconds in [*found.by_agent.items()][:3] if seconds]
    if most:
        cli.screen.line(printable(f"Most was waited for {', '.join(most)}"))


def _past(wait: "PastWait", duration_s: float) -> tuple[str, ...]:
    share = f"{wait.waited_s / duration_s:.0%}" if duration_s else ""
    return span(wait.waited_s), share, wait.waiter, ", ".join(wait.waited_for), wait.performative
