"""`caxton profile`: where an agent's computing time goes."""

from pathlib import Path
from typing import Annotated

import typer

from caxton.cli.agent import AgentOption
from caxton.cli.command import Cli, command
from caxton.cli.debug_bundle import ForceOption, file_of, refuse_existing, write_file

DurationOption = Annotated[str, typer.Option("--duration", metavar="TIME", help="How long to sample.")]
FileOption = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="The profile to write; json: say as JSON what was written."),
]


def register(app: typer.Typer) -> None:
    """Add `profile` to the top level."""
    command(
        app,
        "profile",
        "caxton profile --agent InventoryChecker",
        "caxton profile --agent InventoryChecker --duration 10s --output checker.json",
    )(profile)


def profile(
    cli: Cli,
    agent: AgentOption,
    duration: DurationOption = "30s",
    output: FileOption = None,
    force: ForceOption = False,
) -> None:
    """Sample an agent while it works, and write a profile that profiler.firefox.com opens."""
    from caxton.cli.drawing.debug_text import profile_summary
    from caxton.core.units import parse_duration

    seconds = parse_duration(duration, what="duration")
    path = Path(file_of(cli, output) or f"{agent}-profile.json")
    refuse_existing(path, force=force)
    with cli.client(f"Sampling {agent} for {seconds:g} s") as client:
        data = client.profile(agent, duration_s=seconds)
    samples, functions = profile_summary(data)
    write_file(path, data)
    facts = {
        "file": str(path),
        "samples": samples,
        "functions": [{"function": name, "self": own, "total": whole} for name, own, whole in functions],
    }

    def human() -> None:
        if not samples:
            cli.screen.warn(f"no samples: {agent} hardly computed in these {seconds:g} s; send it work meanwhile")
        else:
            rows = [(name, f"{own / samples:.0%}", f"{whole / samples:.0%}") for name, own, whole in functions]
            cli.screen.table(("function", "self", "total"), rows, total=f"{samples:,} samples, one for each ms")
        cli.screen.done(f"{path} is written; open it at https://profiler.firefox.com (it stays in your browser)")

    cli.screen.answer(facts, human)
