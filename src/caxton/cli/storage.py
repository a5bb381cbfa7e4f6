"""`caxton storage …`: the journal of a server: how large it is, whether it is sound, and making it smaller."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caxton.cli.command import Cli, command, new_app
from caxton.cli.exits import ExitCode
from caxton.cli.output import Mark
from caxton.core.errors.command_line import FileMissing
from caxton.core.units import format_size

if TYPE_CHECKING:
    from caxton.core.views.storage import CompactReport, StorageView, VerifyReport

MAX_SHOWN = 50
"""Findings in a table; JSON output has all of them."""

app = new_app("Look after the journal of a server.", "caxton storage status", "caxton storage verify")

_WORDS = {
    "pending": "messages to be handled",
    "kept": "settled messages, kept",
    "dead_letters": "dead letters",
    "quarantined": "damaged rows put aside",
    "receipts": "receipts of posts with an id",
    "agents": "agents",
    "state": "entries of agents' state",
    "conversations": "conversations",
    "timers": "timers",
}


def register(top: typer.Typer) -> None:
    """Add the noun."""
    top.add_typer(app, name="storage")


OfflineOption = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Verify a data directory that no server runs on, instead."),
]


@command(app, "status", "caxton storage status", "caxton storage status --output json")
def status(cli: Cli) -> None:
    """Show what is stored, how much room it takes, and the limits."""
    with cli.client("Asking the server") as client:
        view = client.storage()
    cli.screen.answer(view, lambda: _show(cli, view))


@command(app, "verify", "caxton storage verify", "caxton storage verify --data-dir ./data")
def verify(cli: Cli, data_dir: OfflineOption = None) -> None:
    """Compare every page and row of the journal with its checksum; a server goes on meanwhile."""
    if data_dir is not None:
        with cli.screen.busy("Reading the journal"):
            report = _verify_offline(data_dir)
    else:
        with cli.client("Reading the journal") as client:
            report = client.verify_storage()
    cli.screen.answer(report, lambda: _show_report(cli, report))
    if not report.ok:
        raise typer.Exit(ExitCode.STORAGE)


@command(app, "compact", "caxton storage compact")
def compact(cli: Cli) -> None:
    """Let go of what is over its retention, and give free room back to the disk."""
    with cli.client("Compacting the journal") as client:
        report = client.compact_storage()
    cli.screen.answer(report, lambda: _show_compacted(cli, report))


def _verify_offline(data_dir: Path) -> "VerifyReport":
    from caxton.bus.upkeep import as_report
    from caxton.server.datadir import DataDir
    from caxton.storage.verify import verify_file

    path = data_dir.absolute() / "journal.db"
    if not path.is_file():
        raise FileMissing(str(path))
    with DataDir(data_dir.absolute()):  # or a server could start, and write, meanwhile
        return as_report(verify_file(path, at_rest=True))


def _show(cli: Cli, view: "StorageView") -> None:
    is_open = view.status == "writable"
    why = f" ({', '.join(view.causes)})" if view.causes else ""
    cli.screen.state(Mark.OK if is_open else Mark.WARN, f"Journal is {view.status}{why}")
    limits = view.limits
    cli.screen.facts(
        [
            ("path", view.path),
            ("in use", f"{format_size(view.journal_bytes)} of {format_size(limits.get('journal', 0))}"),
            ("file", format_size(view.file_bytes)),
            ("log", f"{format_size(view.wal_bytes)} of {format_size(limits.get('wal', 0))}"),
            ("ballast", format_size(view.ballast_bytes) if view.ballast_bytes else "given up"),
            ("disk", f"{format_size(view.free_bytes)} free"),
            ("failures", ", ".join(f"{count} {kind}" for kind, count in view.failures.items() if count) or "none"),
        ]
    )
    cli.screen.line()
    rows = [(_WORDS.get(kind, kind), str(count), view.oldest.get(kind, "")) for kind, count in view.rows.items()]
    cli.screen.table(("what", "rows", "oldest"), rows)


def _show_report(cli: Cli, report: "VerifyReport") -> None:
    looked_at = ", ".join(f"{count} {table}" for table, count in report.rows.items()) or "no rows"
    if report.ok:
        cli.screen.done(f"Journal is sound: {looked_at}")
    else:
        cli.screen.state(Mark.FAIL, f"Journal is damaged: {len(report.findings)} findings")
        shown = [(f.table or "-", f.row or "-", f.problem) for f in report.findings[:MAX_SHOWN]]
        cli.screen.table(("table", "row", "problem"), shown)
    if report.unchecked:
        cli.screen.hint(f"{report.unchecked} rows have no checksum; they could be read")


def _show_compacted(cli: Cli, report: "CompactReport") -> None:
    before, after = format_size(report.before_bytes), format_size(report.after_bytes)
    cli.screen.done(f"Journal has {after}, before {before}; {report.pruned} settled messages let go")
