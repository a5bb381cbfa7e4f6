"""`caxton status`: the server and its agents at a glance, and what to do about what is wrong."""

from typing import TYPE_CHECKING

import typer

from caxton.cli.command import Cli, command
from caxton.cli.output import DIM, Mark, printable, shown_url
from caxton.core.units import format_duration

if TYPE_CHECKING:
    from caxton.cli.advice import Advice
    from caxton.core.views.server import ServerView
    from caxton.core.views.stats import AgentFigures, StatsView

DLQ_HINT = "  (caxton dlq list)"

BUSIEST = 20
"""Agents that are shown."""

PAGE = 1000
"""Agents in trouble that are looked at."""

_MARKS = {"ready": Mark.OK, "read-only": Mark.WARN}


def register(app: typer.Typer) -> None:
    """Add `status` to the top level."""
    command(app, "status", "caxton status", "caxton status --output json")(status)


def status(cli: Cli) -> None:
    """Show the server and its agents, and what somebody should look at."""
    from caxton.cli.advice import advise
    from caxton.core.views.stats import StatsFilter

    with cli.client("Asking the server") as client:
        server, url = client.health(), client.server
        agents = client.agents() if cli.screen.as_json else []
        stats = client.stats(limit=PAGE)
        troubled = client.stats(StatsFilter(troubled=True), limit=PAGE).agents
    advice = advise(stats.node, troubled)

    def human() -> None:
        show_server(cli, server, url, stats)
        _show_advice(cli, advice)
        cli.screen.line()
        _show_busiest(cli, stats)

    figures = {"server": server, "url": url, "agents": agents, "stats": stats, "warnings": advice}
    cli.screen.answer(figures, human)


def show_server(cli: Cli, server: "ServerView", url: str, stats: "StatsView | None" = None) -> None:
    """The server as a marked line and facts; with `stats`, what goes on in it too."""
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
            *(() if stats is None else _facts(stats)),
            ("dead letters", f"{server.dead_letters}{DLQ_HINT if server.dead_letters else ''}"),
        ]
    )


def _facts(stats: "StatsView") -> list[tuple[str, str]]:
    from caxton.cli.drawing import figures

    node, window = stats.node, stats.window
    journal = f"{figures.size(node.journal_bytes)} of {figures.size(node.journal_limit_bytes)}"
    log = f"write-ahead log {figures.size(node.wal_bytes)} of {figures.size(node.wal_limit_bytes)}"
    facts = [
        ("journal", f"{journal}, {log}"),
        ("disk", f"{figures.size(node.disk_free_bytes)} free of {figures.size(node.disk_total_bytes)}"),
        ("memory", f"process {figures.size(node.process_bytes)}, guests {figures.size(node.memory_bytes)}"),
        ("breakers", figures.counted(node.circuits)),
        ("conversations", f"{node.conversations_open} open"),
    ]
    if not window.is_recorded:
        return [("rates", figures.window(window)), *facts]
    rates = f"{figures.rate(node.rate_per_s)}/s, {node.failed_in_window} failed ({figures.window(window)})"
    latency = f"handling {figures.span(node.handling)}, waiting {figures.span(node.waiting)}"
    return [("rate", rates), ("times", latency), *facts]


def _show_advice(cli: Cli, advice: "list[Advice]") -> None:
    if advice:
        cli.screen.line()
    for one in advice:
        cli.screen.state(Mark.WARN, printable(one.text))
        cli.screen.line(cli.screen.colour(f"    {printable(one.todo)}", DIM))


def _show_busiest(cli: Cli, stats: "StatsView") -> None:
    agents = [one for one in stats.agents if one.type != "native"]
    if not agents:
        cli.screen.line("No agents.")
        cli.screen.hint("'caxton deploy FILE.wasm' deploys one")
        return
    total = stats.total - (len(stats.agents) - len(agents))
    count = f"{total:,} agent{'s' * (total != 1)}"
    more = "" if total <= BUSIEST else f", the {BUSIEST} busiest are shown; 'caxton top' shows all"
    show_figures(cli, agents[:BUSIEST], total=f"{count}{more}")


def show_figures(cli: Cli, agents: "list[AgentFigures]", *, total: str) -> None:
    """Agents as a table of figures."""
    from caxton.cli.drawing import figures

    columns = [column.title.lower() for column in figures.COLUMNS]
    cli.screen.table(columns, [figures.cells(agent) for agent in agents], total=total)
