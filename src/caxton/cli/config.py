"""`caxton config …`: which settings a server on this machine would have, and why."""

from pathlib import Path
from typing import Annotated, cast

import typer

from caxton.cli.command import Cli, command, new_app
from caxton.cli.server import ConfigOption, DataDirOption, overrides_of

app = new_app("Look at the server's settings.", "caxton config show --effective")


def register(top: typer.Typer) -> None:
    """Add the noun."""
    top.add_typer(app, name="config")


@command(
    app,
    "show",
    "caxton config show",
    "caxton config show --effective",
    "caxton config show --config config.toml -o json",
)
def show(
    cli: Cli,
    effective: Annotated[
        bool, typer.Option("--effective", help="All settings, also those that have their default.")
    ] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show settings with the place each comes from: a flag, the environment, a file, or the default."""
    from caxton.server.config import effective as effective_values

    values = effective_values(overrides_of(config=config, data_dir=data_dir))
    shown = [value for value in values if effective or value.source != "default"]
    rows = [(value.key, _plain(value.value), value.source) for value in shown]
    as_json = [{"key": value.key, "value": _jsonable(value.value), "source": value.source} for value in shown]

    def human() -> None:
        if rows:
            cli.screen.table(("setting", "value", "source"), rows)
        else:
            cli.screen.line("All settings have their defaults; --effective shows them.")

    cli.screen.answer({"settings": as_json}, human)


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[object]", value))) or "-"
    return str(value)


def _jsonable(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
