"""Why a conversation takes so long, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.cli.conversation import sentence, span
from caxton.cli.output import Mark, printable

if TYPE_CHECKING:
    from caxton.cli.command import Cli
    from caxton.core.views.waits import CriticalPath, PastWait, WaitPath


def show_why(cli: Cli, found: CriticalPath) -> None:
    """What it waits for, or what its time went into."""
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


def _show_path(cli: Cli, path: WaitPath, conversation_id: str) -> None:
    within: str | None = conversation_id
    for depth, wait in enumerate(path.waits):
        cli.screen.line(f"{'  → ' if depth else ''}{sentence(wait, within=within)}")
        within = wait.conversation_id
    cli.screen.line(f"  → {printable(path.cause.agent)}: {printable(path.cause.text)}")


def _show_past(cli: Cli, found: CriticalPath) -> None:
    if not found.waits:
        return
    rows = [_past(wait, found.duration_s) for wait in found.waits]
    cli.screen.table(("waited", "share", "who", "for", "until its"), rows)
    most = [f"{agent} {span(seconds)}" for agent, seconds in [*found.by_agent.items()][:3] if seconds]
    if most:
        cli.screen.line(printable(f"Most was waited for {', '.join(most)}"))


def _past(wait: PastWait, duration_s: float) -> tuple[str, ...]:
    share = f"{wait.waited_s / duration_s:.0%}" if duration_s else ""
    return span(wait.waited_s), share, wait.waiter, ", ".join(wait.waited_for), wait.performative
