"""`caxton top`: what every agent does right now, as a live screen or once."""

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from caxton.cli.command import Cli, command
from caxton.cli.output import Mark, printable
from caxton.cli.status import show_figures
from caxton.core.errors.command_line import InvalidUsage
from caxton.core.errors.values import InvalidValue
from caxton.core.units import parse_duration
from caxton.core.views.stats import MAX_WINDOW_S, MIN_WINDOW_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.client import CaxtonClient
    from caxton.core.views.stats import StatsFilter, StatsView

_NAME = "caxton top"

MIN_EVERY_S, MAX_EVERY_S = 0.5, 60.0

TIMEOUT_S = 10.0
"""Of one question: a screen that waits for longer looks dead."""


class Sort(StrEnum):
    """What comes first."""

    RATE = "rate"
    P99 = "p99"
    WAITING = "waiting"
    QUEUE = "queue"
    MEMORY = "memory"
    RESTARTS = "restarts"
    FAILURES = "failures"
    NAME = "name"


WindowOption = Annotated[
    str, typer.Option("--window", metavar="DURATION", help="How far back rates and times go: 1s to 1h.")
]
EveryOption = Annotated[str, typer.Option("--every", metavar="DURATION", help="How often to look again: 500ms to 1m.")]


def register(app: typer.Typer) -> None:
    """Add `top` to the top level."""
    command(
        app, "top", "caxton top", "caxton top --sort p99 --filter order", "caxton top --once --output json",
    )(top)  # fmt: skip


def top(
    cli: Cli,
    sort: Annotated[Sort, typer.Option("--sort", help="What comes first.")] = Sort.RATE,
    part: Annotated[str, typer.Option("--filter", metavar="TEXT", help="Only agents whose name contains this.")] = "",
    troubled: Annotated[bool, typer.Option("--troubled", help="Only agents that somebody should look at.")] = False,
    window: WindowOption = "60s",
    every: EveryOption = "2s",
    once: Annotated[bool, typer.Option("--once", help="Print one table, or JSON, and leave.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="How many agents at most.")] = 200,
) -> None:
    """Show what every agent does right now: rate, times, queue, memory, restarts, breaker."""
    from caxton.core.views.stats import StatsFilter

    window_s, every_s = check_duration("--window", window), check_duration("--every", every)
    wanted = StatsFilter(sort=sort.value, match=part, troubled=troubled)
    if once:
        with cli.client("Asking the server") as client:
            stats = client.stats(wanted, window_s=window_s, limit=limit)
        cli.screen.answer(stats, lambda: _show(cli, stats, wanted))
        return
    need_terminal(cli, _NAME, "'caxton top --once' prints a table, 'caxton top --once --output json' JSON")
    connect = connector(cli)
    from caxton.cli.live.top import TopApp

    TopApp(connect, wanted, window_s=window_s, every_s=every_s, limit=limit).show_until_left()


def check_duration(option: str, text: str) -> float:
    """Seconds; raises `InvalidValue` for what is no duration or out of bounds."""
    low, high = (MIN_EVERY_S, MAX_EVERY_S) if option == "--every" else (MIN_WINDOW_S, MAX_WINDOW_S)
    seconds = parse_duration(text, what=option)
    if not low <= seconds <= high:
        raise InvalidValue(option, text, f"give {low:g}s to {high:g}s")
    return seconds


def need_terminal(cli: Cli, name: str, instead: str) -> None:
    """Raise `InvalidUsage` unless a screen can be drawn here."""
    if cli.screen.as_json:
        raise InvalidUsage(f"a live screen is no JSON; {instead}", command=name)
    streams = (sys.stdin, sys.stdout, sys.__stderr__)  # the last is where the screen is drawn
    if os.environ.get("TERM") == "dumb" or not all(stream is not None and stream.isatty() for stream in streams):
        raise InvalidUsage(f"a live screen needs a terminal, and this is none; {instead}", command=name)


def connector(cli: Cli) -> "Callable[[], CaxtonClient]":
    """A way to the server, taken anew after each interruption: it may have another address or token by then.

    Raises what a first question raises, so that an error is told before the terminal is taken.
    """
    from caxton.cli.contexts import choose_target

    with cli.client("Asking the server") as client:
        client.stats(limit=0)

    def connect() -> "CaxtonClient":
        target = choose_target(server=cli.server, token=cli.token, context=cli.context)
        return target.client(timeout_s=TIMEOUT_S)

    return connect


def _show(cli: Cli, stats: "StatsView", wanted: "StatsFilter") -> None:
    from caxton.cli.drawing import figures

    mark = Mark.OK if stats.node.status == "ready" else Mark.WARN
    cli.screen.state(mark, printable(figures.server_line(stats.node)))
    cli.screen.line(f"  {figures.traffic_line(stats.node, stats.window)}")
    cli.screen.line()
    if not stats.agents:
        cli.screen.line("No agents." if stats.total == 0 else "No agent matches.")
        return
    which = f"{len(stats.agents):,} of {stats.matched:,}" if len(stats.agents) < stats.matched else f"{stats.matched:,}"
    narrowed = f", of {stats.total:,}" if stats.matched < stats.total else ""
    show_figures(cli, stats.agents, total=f"{which} agent{'s' * (stats.matched != 1)}{narrowed} by {wanted.sort}")
