"""`caxton status`: the server and its agents at a glance."""

from typing import TYPE_CHECKING

import typer

from caxton.cli.agent import show_agents
from caxton.cli.command import Cli, command
from caxton.cli.output import Mark, shown_url
from caxton.core.units import format_duration

if TYPE_CHECKING:
    from caxton.core.views.server import ServerView

DLQ_HINT = "  (caxton dlq list)"

_MARKS = {"ready": Mark.OK, "read-only": Mark.WARN}


def register(app: typer.Typer) -> None:
    """Add `status` to the top level."""
    command(app, "status", "caxton status", "caxton status --output json")(status)


def status(cli: Cli) -> None:
    """Show the server and its agents."""
    with cli.client("Asking the server") as client:
        server, agents, url = client.health(), client.agents(), client.server

    def human() -> None:
        show_server(cli, server, url)
        cli.screen.line()
        show_agents(cli, agents)

    cli.screen.answer({"server": server, "url": url, "agents": agents}, human)


def show_server(cli: Cli, server: "ServerView", url: str) -> None:
    """The server as a marked line and facts."""
    state = "running" if server.status == "ready" else server.status
    cli.screen.state(_MARKS.get(server.status, Mark.BUSY), f"Server {state} at {shown_url(url)}")
    agents = ", ".join(f"{count} {state}" for state, count in server.agents.items() if count) or "none"
    cli.screen.facts(
        [
            ("version", server.version),
            ("process", str(server.pid)),
            ("uptime", format_duration(server.uptime_s)),
            ("data", server.data_dir),
            ("agents", f"{agents} ({server.instances} instances)"),
            ("messages", f"{server.messages_handled} handled, {server.messages_pending} waiting"),
            ("dead letters", f"{server.dead_letters}{DLQ_HINT if server.dead_letters else ''}"),
        ]
    )
