"""What `caxton doctor` looks at. A check finds one thing, judges it, says what to do, and changes nothing."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from caxton.cli.contexts import LOCAL, Target, choose_target, contexts_path, read_contexts
from caxton.cli.process import find_running
from caxton.client import LOOPBACK_HOSTS, parse_server_url
from caxton.core.errors.command_line import FileUnreadable
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.server import InvalidConfig
from caxton.core.units import format_size
from caxton.version import VERSION

if TYPE_CHECKING:
    from caxton.cli.command import Cli
    from caxton.core.views.server import Reason, ServerView

PYTHONS = ((3, 11), (3, 13))
"""Oldest and newest tried. 3.14 checks C stack addresses, and host functions run on the stacks of fibers."""

SQLITE_OLDEST = (3, 51, 3)
"""Before it a WAL reset could lose committed rows."""

MAX_CLOCK_SKEW_S = 60.0
"""More confuses times to live, tokens and anybody who compares logs."""

DISK_WARN_BYTES, DISK_FAIL_BYTES = 1 << 30, 100 << 20
OPEN_FILES_WANTED = 1024
"""A connection takes one, a database a few."""

MAPS_PER_INSTANCE = 6
"""Memory mappings that one sandbox holds (docs/reference/cli.md, doctor)."""
INSTANCES_WANTED = 10_000

_TIMEOUT_S = 5.0


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(msgspec.Struct, kw_only=True):
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    finding: str
    advice: str | None = None
    """What to do; only where there is something."""


def check_python() -> Check:
    """Is this a Python that Caxton was tried on?"""
    found = sys.version_info[:2]
    version = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= found <= PYTHONS[1]:
        return ok("python", version)
    return fail("python", version, "install Caxton with Python 3.11, 3.12 or 3.13")


def check_sandbox() -> Check:
    """Has the WebAssembly engine the layout that Caxton was built for, and does it run and stop guests?"""
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = f"wasmtime {version('wasmtime')}, cffi {version('cffi')}"
        from caxton.sandbox.self_check import run_self_check  # checks layouts when imported

        wrong = run_self_check()
    except PackageNotFoundError as exc:
        return fail("sandbox", f"{exc.name} is not installed", "reinstall Caxton with its locked packages")
    except ImportError as exc:
        return fail("sandbox", f"it cannot be loaded: {exc}", "reinstall Caxton with its locked packages")
    except CaxtonError as exc:
        return fail("sandbox", str(exc), "reinstall Caxton with its locked packages")
    except (MemoryError, OSError) as exc:
        reason = f"it cannot run a guest here: {type(exc).__name__} {exc}"
        return fail("sandbox", reason, "lift limits on address space (ulimit -v) and executable memory (systemd)")
    if wrong:
        return fail("sandbox", wrong, "reinstall Caxton with its locked packages; if it stays, report it")
    return ok("sandbox", f"{found}, layouts as expected, runs and stops guests")


def check_sqlite() -> Check:
    """Is SQLite new enough to trust with a journal?"""
    try:
        import apsw
    except ImportError as exc:
        return fail("sqlite", f"apsw cannot be loaded: {exc}", "reinstall Caxton with its locked packages")
    found = apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")) >= SQLITE_OLDEST:
        return ok("sqlite", found)
    oldest = ".".join(map(str, SQLITE_OLDEST))
    return fail("sqlite", f"{found} can lose data in WAL mode", f"install an apsw with SQLite {oldest} or later")


def check_data_dir(path: Path) -> Check:
    """Can the server keep its data, and nobody else read it?"""
    name = "data directory"
    if not path.exists():
        above = nearest_existing(path)
        if (reason := _refuses(above)) is None:
            return ok(name, f"{path} will be made by the first start")
        return fail(
            name, f"{path} cannot be made: in {above} nothing can be: {reason}", "choose another with --data-dir"
        )
    if (reason := _refuses(path)) is not None:
        return fail(name, f"{path} is no directory we can write to: {reason}", "choose another with --data-dir")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return fail(name, f"{path} is open to others (mode {mode:04o})", f"chmod 700 {path}")
    return ok(name, f"{path}, writable, mode {mode:04o}")


def _refuses(directory: Path) -> str | None:
    """Why nothing can be made in there; tried, since a file system may refuse what its modes allow (/proc)."""
    try:
        with tempfile.TemporaryDirectory(dir=directory):
            return None
    except OSError as exc:
        return exc.strerror or str(exc)


def check_contexts() -> Check:
    """Is the file with the tokens readable by its owner alone?"""
    name, path = "contexts file", contexts_path()
    if not path.exists():
        return ok(name, f"{path} will be written by the first start")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return fail(name, f"{path} shows tokens to others (mode {mode:04o})", f"chmod 600 {path}")
    try:
        contexts = read_contexts()
    except CaxtonError as exc:
        return fail(name, str(exc), "remove the file; a starting server writes it again")
    return ok(
        name,
        f"{path}, mode {mode:04o}, current of {len(contexts.contexts)}: {contexts.current or '-'}",
    )


def check_server(target: Target) -> list[Check]:
    """Does the server answer, take the token, and have the same time as we have?"""
    from caxton.client import ApiProblem

    try:
        # Without the token: a wrong one is refused even here.
        with target.client(anonymous=True, timeout_s=_TIMEOUT_S) as anonymous:
            anonymous.alive()
    except CaxtonError as exc:
        return [warn("server", str(exc), "caxton server start, if one should run")]
    answers = ok("server", f"answers at {target.server}")
    try:
        with target.client(timeout_s=_TIMEOUT_S) as client:
            view = client.health()
            accepted = [answers, ok("token", "accepted"), _check_clock(view), _check_versions(view)]
            return [*accepted, _check_ready(client.reasons())]
    except ApiProblem as exc:
        why = "was refused" if target.token else "is not known"
        return [
            answers,
            fail("token", f"it {why} ({exc.code})", "give --token, or start the server again as this user"),
        ]
    except CaxtonError as exc:
        return [answers, fail("token", str(exc), "look at the server's log")]


def check_port(host: str, port: int, pid: int | None) -> Check:
    """Could a server listen here, or does it already?"""
    import socket

    name = "port"
    if pid is not None:
        return ok(name, f"{port} is held by our server (process id {pid})")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        return fail(name, f"{host}:{port} cannot be used: {reason}", "choose another with --port, or free it")
    return ok(name, f"{host}:{port} is free")


def check_disk(path: Path) -> Check:
    """Is there room for the journal to grow?"""
    free = shutil.disk_usage(nearest_existing(path)).free
    finding = f"{format_size(free)} free"
    if free < DISK_FAIL_BYTES:
        return fail("disk", finding, "free some space, or move the data directory")
    if free < DISK_WARN_BYTES:
        return warn("disk", finding, "free some space before the journal fills it")
    return ok("disk", finding)


def check_open_files() -> Check:
    """May a process open enough files and connections?"""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    finding = f"{soft} at once (hard limit {hard})"
    if soft < OPEN_FILES_WANTED:
        return warn("open files", finding, f"ulimit -n {OPEN_FILES_WANTED}")
    return ok("open files", finding)


def check_memory_maps(path: Path = Path("/proc/sys/vm/max_map_count")) -> Check:
    """Does the kernel allow memory mappings for ten thousand sandboxes?"""
    try:
        allowed = int(path.read_text())
    except (OSError, ValueError):
        return ok("memory maps", "no limit known on this system")
    finding = f"vm.max_map_count {allowed}, room for about {allowed // MAPS_PER_INSTANCE} instances"
    if allowed < INSTANCES_WANTED * MAPS_PER_INSTANCE:
        return warn("memory maps", finding, f"sysctl vm.max_map_count={INSTANCES_WANTED * MAPS_PER_INSTANCE * 2}")
    return ok("memory maps", finding)


def server_here(port: int, data_dir: Path, target: Target | None) -> int | None:
    """Process id of our own server on that port of this machine: that of the data directory, or one that answers us."""
    with suppress(CaxtonError):
        running = find_running(data_dir)
        if running.url is not None and urlsplit(running.url).port == port:
            return running.pid
    for candidate in (_local(), target):
        with suppress(CaxtonError):
            if candidate is not None and _is_here(candidate.server, port):
                with candidate.client(timeout_s=_TIMEOUT_S) as client:
                    return client.health().pid
    return None


def is_recorded(target: Target) -> bool | None:
    """Whether the server's flight recorder is on; None if it does not say."""
    try:
        with target.client(timeout_s=_TIMEOUT_S) as client:
            return client.stats(limit=0).window.is_recorded
    except CaxtonError:
        return None


def target_of(cli: Cli, data_dir: Path) -> Target | None:
    """The server to ask. Without a contexts file that can be read, one that is named, or that of the data directory."""
    try:
        return choose_target(server=cli.server, token=cli.token, context=cli.context)
    except (InvalidConfig, FileUnreadable):
        server = cli.server or os.environ.get("CAXTON_SERVER")
        token = cli.token or os.environ.get("CAXTON_TOKEN")
    if server is None:
        with suppress(CaxtonError):
            server = find_running(data_dir).url
    if server is None:
        return None
    return Target(server=parse_server_url(server), token=token, ca_file=os.environ.get("CAXTON_CA_FILE"))


def _local() -> Target | None:
    """The server that was started here last."""
    with suppress(CaxtonError):
        local = read_contexts().contexts.get(LOCAL)
        if local is not None:
            return choose_target(server=local.server, token=local.token, context=LOCAL)
    return None


def _is_here(server: str, port: int) -> bool:
    parts = urlsplit(server)
    return parts.port == port and parts.hostname in LOOPBACK_HOSTS


def _check_clock(view: ServerView) -> Check:
    """The server's time is when it started plus how long it has been up."""
    try:
        there = datetime.fromisoformat(view.started_at).timestamp() + view.uptime_s
    except ValueError:
        return warn("clock", f"the server's start time is unreadable: {view.started_at!r}", "update the server")
    skew = abs(datetime.now(UTC).timestamp() - there)
    if skew > MAX_CLOCK_SKEW_S:
        return warn("clock", f"it differs from the server's by {skew:.0f} s", "set both clocks by NTP")
    return ok("clock", f"within {max(1, round(skew))} s of the server's")


def _check_versions(view: ServerView) -> Check:
    """Were command and server tried with each other?"""
    if view.version == VERSION:
        return ok("versions", f"{VERSION}, here and on the server")
    finding = f"this command is {VERSION}, the server {view.version}"
    return warn("versions", finding, "install the same version at both ends, then start the server again")


def _check_ready(reasons: list[Reason]) -> Check:
    """Does the server take work?"""
    if not reasons:
        return ok("ready", "the server takes work")
    finding = "; ".join(f"{reason.code}: {reason.what}" for reason in reasons)
    return warn("ready", finding, reasons[0].next)


def nearest_existing(path: Path) -> Path:
    """`path`, or the directory above it that is there."""
    return next(candidate for candidate in (path, *path.parents) if candidate.exists())


def ok(name: str, finding: str) -> Check:
    """It is as it should be."""
    return Check(name=name, verdict=Verdict.OK, finding=finding)


def warn(name: str, finding: str, advice: str) -> Check:
    """It works, and may not for long."""
    return Check(name=name, verdict=Verdict.WARN, finding=finding, advice=advice)


def fail(name: str, finding: str, advice: str) -> Check:
    """It does not work."""
    return Check(name=name, verdict=Verdict.FAIL, finding=finding, advice=advice)
