"""`caxton monitor`: a dashboard of the whole server in the terminal."""

from typing import Annotated

import typer

from caxton.cli.command import Cli, command
from caxton.cli.top import EveryOption, WindowOption, check_duration, connector, need_terminal

_NAME = "caxton monitor"


def register(app: typer.Typer) -> None:
    """Add `monitor` to the top level."""
    command(app, "monitor", "caxton monitor", "caxton monitor --dashboard --every 1s")(monitor)


def monitor(
    cli: Cli,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="The dashboard. There is nothing else, so it may be left out.")
    ] = True,
    window: WindowOption = "10s",
    every: EveryOption = "2s",
) -> None:
    """Watch the whole server: messages, latency, queue, memory, commits and errors as curves, and what went wrong."""
    del dashboard
    window_s, every_s = check_duration("--window", window), check_duration("--every", every)
    need_terminal(cli, _NAME, "'caxton status' prints the same figures, 'caxton status --output json' as JSON")
    connect = connector(cli)
    from caxton.cli.live.monitor import MonitorApp

    MonitorApp(connect, window_s=window_s, every_s=every_s).show_until_left()
