"""`caxton serve` and `caxton server …`: the server itself, in the foreground or the background."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caxton.cli.command import Cli, command, new_app
from caxton.cli.output import shown_url
from caxton.core.errors.error import CaxtonError
from caxton.core.units import parse_duration

if TYPE_CHECKING:
    from caxton.cli.contexts import Context

_PANEL = "Server options"

HostOption = Annotated[
    str | None,
    typer.Option("--host", metavar="ADDRESS", help="Where to listen. Default: 127.0.0.1.", rich_help_panel=_PANEL),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        metavar="N",
        help="Default: 8080; 0 takes a free one.",
        rich_help_panel=_PANEL,
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Where everything is kept. Default: caxton in the XDG data home.",
        rich_help_panel=_PANEL,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings (TOML); flags come before them.", rich_help_panel=_PANEL),
]
TlsCertOption = Annotated[
    Path | None,
    typer.Option("--tls-cert", metavar="FILE", help="Certificate chain (PEM): serve https.", rich_help_panel=_PANEL),
]
TlsKeyOption = Annotated[
    Path | None,
    typer.Option("--tls-key", metavar="FILE", help="The certificate's private key (PEM).", rich_help_panel=_PANEL),
]
TimeoutOption = Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long to wait.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Kill the server if it has not stopped by then.")]

START_TIMEOUT = "60s"
STOP_TIMEOUT = "45s"
"""Longer than the server's own time for finishing the messages in work."""

app = new_app("Start and stop a server on this machine.", "caxton server start", "caxton server status")


def register(top: typer.Typer) -> None:
    """Add the noun and `serve`."""
    command(
        top,
        "serve",
        "caxton serve",
        "caxton serve --port 9000 --data-dir ./data",
        "caxton serve --host 0.0.0.0 --tls-cert server.pem --tls-key server.key",
    )(serve)
    top.add_typer(app, name="server")


def serve(
    cli: Cli,
    host: HostOption = None,
    port: PortOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    ready_fd: Annotated[int | None, typer.Option("--ready-fd", hidden=True)] = None,
) -> None:
    """Run a server in the foreground until Ctrl-C or SIGTERM."""
    overrides = overrides_of(host=host, port=port, data_dir=data_dir, config=config, tls_cert=tls_cert, tls_key=tls_key)
    other: list[tuple[Path, Context]] = []
    with _reporting(ready_fd) as report_ready:
        from caxton.server.node import serve as run_server

        def on_ready(url: str, data_dir: Path, token: str) -> None:
            other.extend(_remember(cli, overrides, url=url, data_dir=data_dir, token=token))
            report_ready(url)
            _tell_running(cli, url, data_dir, os.getpid())

        code = run_server(overrides, on_ready=on_ready)
    for ours, before in other:
        _name_again(ours, before)
    raise typer.Exit(code)


@command(app, "start", "caxton server start", "caxton server start --port 9000 --data-dir ./data")
def start(
    cli: Cli,
    host: HostOption = None,
    port: PortOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    timeout: TimeoutOption = START_TIMEOUT,
) -> None:
    """Start a server in the background, and return once it serves."""
    overrides = overrides_of(host=host, port=port, data_dir=data_dir, config=config, tls_cert=tls_cert, tls_key=tls_key)
    _start(cli, overrides, parse_duration(timeout, what="--timeout"))


@command(app, "stop", "caxton server stop", "caxton server stop --timeout 10s --force")
def stop(
    cli: Cli,
    data_dir: DataDirOption = None,
    timeout: TimeoutOption = STOP_TIMEOUT,
    force: ForceOption = False,
) -> None:
    """Stop the server on this machine once its messages in work are done."""
    pid = _stop(cli, _own_data_dir(data_dir), parse_duration(timeout, what="--timeout"), force)
    cli.screen.answer({"stopped": pid}, lambda: cli.screen.done("Server stopped"))


@command(app, "status", "caxton server status", "caxton server status --output json")
def status(cli: Cli) -> None:
    """Show how the server does."""
    from caxton.cli.status import show_server

    with cli.client("Asking the server") as client:
        view, url = client.health(), client.server
    cli.screen.answer({"url": url, "server": view}, lambda: show_server(cli, view, url))


@command(app, "restart", "caxton server restart", "caxton server restart --port 9000")
def restart(
    cli: Cli,
    host: HostOption = None,
    port: PortOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    timeout: TimeoutOption = START_TIMEOUT,
) -> None:
    """Stop the server if it runs, and start it in the background with the options it had and any new ones."""
    from caxton.cli.process import saved_options

    home = _own_data_dir(data_dir)
    said = overrides_of(host=host, port=port, config=config, tls_cert=tls_cert, tls_key=tls_key)
    options = saved_options(home) | said | {"data_dir": home}
    wait_s = parse_duration(timeout, what="--timeout")
    if _is_running(home):
        _stop(cli, home, wait_s, force=False)
    _start(cli, options, wait_s)


def overrides_of(**flags: str | int | Path | None) -> dict[str, object]:
    """The settings that flags gave; paths made absolute, since a server may run elsewhere."""
    return {
        name: value.absolute() if isinstance(value, Path) else value
        for name, value in flags.items()
        if value is not None
    }


def default_data_dir(overrides: dict[str, object]) -> Path:
    """The data directory that a server with these flags would use."""
    return Path(str(setting(overrides, "server.data_dir"))).absolute()


def setting(overrides: dict[str, object], key: str) -> object:
    """The value of one setting for a server with these flags."""
    from caxton.server.config.effective import effective

    return next((value.value for value in effective(overrides) if value.key == key), None)


def secret_settings() -> set[str]:
    """What secret settings of a server started here say, as it may be written; none if they cannot be read."""
    from caxton.core.errors.error import CaxtonError
    from caxton.server.config.effective import effective
    from caxton.server.config.secrets import secrets_of

    try:
        return secrets_of(effective({}))
    except CaxtonError:
        return set()


def _own_data_dir(flag: Path | None) -> Path:
    """The data directory of the server here: the flag's, the last started one's, or the default."""
    from caxton.cli.contexts import local_data_dir

    if flag is not None:
        return flag.absolute()
    return local_data_dir() or default_data_dir({})


def _start(cli: Cli, options: dict[str, Any], timeout_s: float) -> None:
    from caxton.cli.process import launch

    data_dir = default_data_dir(options)
    with cli.screen.busy("Starting the server"):
        pid, url = launch(options | {"data_dir": data_dir}, data_dir, timeout_s=timeout_s)
    _tell_running(cli, url, data_dir, pid)


def _stop(cli: Cli, data_dir: Path, timeout_s: float, force: bool) -> int:
    from caxton.cli.process import find_running, stop

    running = find_running(data_dir)
    with cli.screen.busy("Stopping the server"):
        stop(running, timeout_s=timeout_s, force=force)
    return running.pid


def _is_running(data_dir: Path) -> bool:
    from caxton.cli.process import find_running
    from caxton.core.errors.server import ServerNotRunning

    try:
        find_running(data_dir)
    except ServerNotRunning:
        return False
    return True


def _tell_running(cli: Cli, url: str, data_dir: Path, pid: int) -> None:
    answer = {"url": url, "data_dir": str(data_dir), "pid": pid}
    cli.screen.answer(answer, lambda: cli.screen.done(f"Server running at {shown_url(url)}"))


def _remember(
    cli: Cli, overrides: dict[str, object], *, url: str, data_dir: Path, token: str
) -> "list[tuple[Path, Context]]":
    """Write the contexts file. A server serves without it as well, so a failure is only a warning.

    Returns our directory with the entry of another server that it replaced, if there was one.
    """
    from caxton.cli.contexts import remember_local

    certificate = setting(overrides, "server.tls_cert") if url.startswith("https:") else None
    try:
        before = remember_local(
            url, token=token, data_dir=data_dir, certificate=str(certificate) if certificate else None
        )
    except (CaxtonError, OSError) as exc:
        cli.screen.warn(f"the contexts file was not written, so commands will need --server and --token: {exc}")
        return []
    return [] if before is None or before.data_dir in (None, str(data_dir)) else [(data_dir, before)]


def _name_again(ours: Path, before: "Context") -> None:
    """Let commands find the server that was here before this one, if it still runs."""
    from caxton.cli.contexts import restore_local

    if before.data_dir is not None and _is_running(Path(before.data_dir)):
        with suppress(CaxtonError, OSError):
            restore_local(ours, before)


@contextmanager
def _reporting(ready_fd: int | None) -> Generator[Callable[[str], None]]:
    """Tell the process at the other end of `ready_fd`, if any, that the server serves or why it does not."""
    if ready_fd is None:
        yield lambda _url: None
        return
    from caxton.cli.process import Report, send_report

    os.set_inheritable(ready_fd, False)  # or a child of the server would hold the other end open
    told = False

    def report_ready(url: str) -> None:
        nonlocal told
        told = True
        send_report(ready_fd, Report(url=url))

    try:
        yield report_ready
    except CaxtonError as exc:
        if not told:
            send_report(ready_fd, Report(code=exc.code, detail=str(exc)))
        raise
