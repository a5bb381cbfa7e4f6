"""`caxton doctor`: is everything here as Caxton needs it?"""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from caxton.cli.command import Cli, command
from caxton.cli.exits import ExitCode
from caxton.cli.output import Mark, printable
from caxton.cli.server import DataDirOption, HostOption, PortOption, default_data_dir, overrides_of, setting
from caxton.core.errors.error import CaxtonError

if TYPE_CHECKING:
    from caxton.cli.checks import Check
    from caxton.cli.contexts import Context


def register(app: typer.Typer) -> None:
    """Add `doctor` to the top level."""
    command(app, "doctor", "caxton doctor", "caxton doctor --port 9000", "caxton doctor --output json")(doctor)


def doctor(cli: Cli, host: HostOption = None, port: PortOption = None, data_dir: DataDirOption = None) -> None:
    """Check this machine and the way to the server; say what to do about each thing that is wrong."""
    from caxton.cli.checks import Verdict

    with cli.screen.busy("Looking around"):
        checks = all_checks(cli, overrides_of(host=host, port=port, data_dir=data_dir))
    failed = sum(check.verdict is Verdict.FAIL for check in checks)
    cli.screen.answer({"ok": not failed, "checks": checks}, lambda: _show(cli, checks, failed))
    if failed:
        raise typer.Exit(ExitCode.FAILURE)


def all_checks(cli: Cli, overrides: dict[str, object]) -> "list[Check]":
    """Every check, in the order in which one thing stands on another."""
    from caxton.cli import checks, machine_checks

    data_dir, host, port = _settings(overrides)
    target = checks.target_of(cli, data_dir)
    pid = checks.server_here(port, data_dir, target)
    return [
        checks.check_python(),
        checks.check_sandbox(),
        checks.check_sqlite(),
        checks.check_data_dir(data_dir),
        checks.check_contexts(),
        *([] if target is None else checks.check_server(target)),
        checks.check_port(host, port, pid),
        *_certificate(overrides, data_dir),
        machine_checks.check_keys(data_dir),
        checks.check_disk(data_dir),
        machine_checks.check_disk_speed(data_dir),
        machine_checks.check_recorder(
            data_dir,
            int(str(setting(overrides, "recorder.size"))),
            is_on=checks.is_recorded(target) if pid is not None and target is not None else None,
        ),
        machine_checks.check_time(),
        machine_checks.check_memory(),
        checks.check_open_files(),
        checks.check_memory_maps(),
    ]


def _certificate(overrides: dict[str, object], data_dir: Path) -> "list[Check]":
    """Of those that are configured, or that the last server here was given."""
    from caxton.cli.machine_checks import check_certificate
    from caxton.cli.process import saved_options

    found = [setting(overrides, f"server.{name}") for name in ("tls_cert", "tls_key")]
    if not any(found):
        with suppress(CaxtonError):  # the options are damaged: the next start says so
            saved = saved_options(data_dir)
            found = [saved.get(name) for name in ("tls_cert", "tls_key")]
    cert, key = (Path(str(one)) if one else None for one in found)
    return [check_certificate(cert, key)] if cert or key else []


def _settings(overrides: dict[str, object]) -> tuple[Path, str, int]:
    """What a server here would use; where nothing says so, what the one that was started last does use."""
    host, port = (setting(overrides, f"server.{name}") for name in ("host", "port"))
    data_dir = default_data_dir(overrides)
    last = _last_started()
    if last is not None and last.data_dir and not overrides and "CAXTON_DATA_DIR" not in os.environ:
        data_dir = Path(last.data_dir)
        port = urlsplit(last.server).port or port
    return data_dir, str(host), int(str(port))


def _last_started() -> "Context | None":
    from caxton.cli.contexts import local_server

    try:
        return local_server()
    except CaxtonError:
        return None  # the contexts file has a check of its own


def _show(cli: Cli, checks: "list[Check]", failed: int) -> None:
    from caxton.cli.checks import Verdict

    marks = {Verdict.OK: Mark.OK, Verdict.WARN: Mark.WARN, Verdict.FAIL: Mark.FAIL}
    width = max(len(check.name) for check in checks)
    for check in checks:
        if cli.quiet and check.verdict is Verdict.OK:
            continue
        cli.screen.state(marks[check.verdict], f"{check.name:<{width}}  {printable(check.finding)}")
        if check.advice:
            cli.screen.line(f"  {'':<{width}}  next: {printable(check.advice)}")
    if failed:
        cli.screen.say(Mark.FAIL, f"{failed} of {len(checks)} checks failed")
    else:
        cli.screen.done(f"{len(checks)} checks, nothing that stands in the way")
