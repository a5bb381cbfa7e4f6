"""What `caxton doctor` measures on this machine: disk, time, memory, key files, the recorder's file."""

from __future__ import annotations

import os
import resource
import stat
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from caxton.cli.checks import Check, fail, nearest_existing, ok, warn
from caxton.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

SYNCS = 15
"""Enough for a median; on a slow disk (20 ms) well below a second."""

SLOW_SYNC_S = 0.020
"""A commit waits for one: slower, and a client that sends one message after the other gets fewer than 50 a second."""

_PAGE = bytes(4096)

OLDEST_NOW = datetime(2025, 1, 1, tzinfo=UTC)
"""A clock before it was never set."""

WATCHED_S = 0.2
MAX_DRIFT_S = 0.02
"""10 % of the time watched; clocks that NTP slews differ by 0.05 %."""

MEMORY_WANTED_BYTES = 512 << 20
"""A server with a hundred small agents takes 200 MiB."""

RENEW_BEFORE = timedelta(days=14)

_IN_MEMORY = ("tmpfs", "ramfs")


def check_disk_speed(
    path: Path, sync: Callable[[int], None] = os.fdatasync, clock: Callable[[], float] = time.perf_counter
) -> Check:
    """How long does it take until a write is safe? Measured, in a file that is gone afterwards."""
    name, place = "disk speed", nearest_existing(path)
    times: list[float] = []
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            for n in range(SYNCS):
                os.pwrite(file.fileno(), _PAGE, n * len(_PAGE))
                began = clock()
                sync(file.fileno())
                times.append(clock() - began)
    except OSError as exc:
        return fail(name, f"{place} cannot be written: {exc.strerror}", "free some space, or choose another --data-dir")
    finding = f"a sync takes {median(times) * 1000:.1f} ms (median of {SYNCS}; worst {max(times) * 1000:.1f} ms)"
    kind = file_system_of(place)
    if kind in _IN_MEMORY:
        return warn(name, f"{place} is in memory ({kind}): all is lost with the power", "choose a --data-dir on a disk")
    if median(times) > SLOW_SYNC_S:
        return warn(name, finding, "put the data directory on a faster disk; each acknowledged message waits for one")
    return ok(name, finding)


def file_system_of(path: Path, mounts: Path = Path("/proc/mounts")) -> str | None:
    """The kind of file system that holds `path`; None if the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found: list[tuple[int, str]] = []
    for line in lines:
        _, place, kind, *_ = [*line.split(" "), "", "", ""]
        place = place.replace("\\040", " ")
        if place and path.resolve().is_relative_to(place):
            found.append((len(place), kind))
    return max(found)[1] if found else None


def check_time(
    wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> Check:  # fmt: skip
    """Is the wall clock set, and does it go as the steady one does? The time zone matters nowhere: all is UTC."""
    name = "time"
    wall_began, steady_began = wall(), steady()
    wait(WATCHED_S)
    passed = steady() - steady_began
    drift = abs(wall() - wall_began - passed)
    now = datetime.fromtimestamp(wall(), UTC)
    finding = f"{now.isoformat(timespec='seconds')}, goes as the steady clock does"
    if now < OLDEST_NOW:
        return fail(name, f"the clock says {now.date()}", "set it, best by NTP: tokens and times to live depend on it")
    if passed <= 0:
        return fail(name, "the steady clock stands still", "this machine cannot run timers; look at its clock source")
    if drift > MAX_DRIFT_S:
        finding = f"the wall clock jumped by {drift * 1000:.0f} ms within {passed * 1000:.0f} ms"
        return warn(name, finding, "let one program only set the clock, and by small steps (NTP)")
    return ok(name, finding)


def check_memory(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup/memory.max")) -> Check:
    """Is there memory for guests, and no limit on address space, of which each guest reserves gigabytes?"""
    name = "memory"
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        return fail(name, f"address space is limited to {format_size(soft)}", "ulimit -v unlimited (LimitAS=infinity)")
    limits = [value for value in (_available(meminfo), _number(cgroup)) if value is not None]
    if not limits:
        return ok(name, "how much there is cannot be told on this system")
    finding = f"{format_size(min(limits))} for the server"
    if min(limits) < MEMORY_WANTED_BYTES:
        return warn(name, finding, f"give it {format_size(MEMORY_WANTED_BYTES)}, or lower the agents' memory")
    return ok(name, finding)


def _available(meminfo: Path) -> int | None:
    try:
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # `max`: none
        return None


def check_keys(data_dir: Path) -> Check:
    """Are the files that prove who somebody is readable by their owner alone?"""
    name = "key files"
    files = [path for pattern in ("*.token", "*.key", "*.pem", "keys/*") for path in sorted(data_dir.glob(pattern))]
    if not files:
        return ok(name, "none yet; the first start makes them")
    for path in files:
        if path.is_symlink():
            return fail(name, f"{path} is a link", "put the file itself there; the server refuses links")
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            return fail(name, f"{path} shows secrets to others (mode {mode:04o})", f"chmod 600 {path}")
    return ok(name, f"{len(files)} files, for their owner alone")


def check_recorder(data_dir: Path, size_bytes: int, *, is_on: bool | None = None) -> Check:
    """Will the flight recorder remember what happened before this moment?

    Args:
        data_dir: with its file.
        size_bytes: what the next server would give it.
        is_on: what the server that runs says; None: none does.
    """
    from caxton.recorder.recorder import VERSION
    from caxton.recorder.ring import OtherFormat, head_of

    name, path = "recorder", data_dir / "recorder" / "facts.ring"
    if is_on is False or (is_on is None and size_bytes == 0):
        return warn(name, "it is off", "set recorder.size, or nobody can tell later what happened")
    if not path.exists():
        return ok(name, "its file will be made by the first start")
    try:
        head = head_of(path)
    except OtherFormat:
        return warn(name, f"{path} is no file of it", "the next start puts it aside and begins anew; nothing to do")
    except OSError as exc:
        return fail(name, f"{path} cannot be read: {exc.strerror}", f"chmod 600 {path}, as the server's user")
    if head.version != VERSION:
        finding = f"{path} is of version {head.version}, this is {VERSION}"
        return warn(name, finding, "the next start puts it aside; read it with the version that wrote it")
    finding = f"{format_size(path.stat().st_blocks * 512)} of {format_size(head.size_bytes)} in use"
    if is_on is None and head.size_bytes >> 20 != size_bytes >> 20:
        finding += f"; the next start puts it aside and begins one of {format_size(size_bytes)}"
    return ok(name, finding)


def check_certificate(cert: Path | None, key: Path | None, now: datetime | None = None) -> Check:
    """Are certificate and key those of each other, and is it the time for them?"""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    name = "certificate"
    if cert is None or key is None:
        return fail(name, "only one of server.tls_cert and server.tls_key is set", "give both or neither")
    try:
        leaf, private = _certificate(cert), _private_key(key)
    except OSError as exc:
        return fail(name, f"{exc.filename} cannot be read: {exc.strerror}", "let the server's user read it")
    except ValueError as exc:
        return fail(
            name, str(exc), "give files in PEM: the chain, the server's own first, and its key without a password"
        )
    mine, its = (
        one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for one in (private, leaf)
    )
    if mine != its:
        return fail(name, f"{key} is not the key of {cert}", "give the key that the certificate was made for")
    now = now or datetime.now(UTC)
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not begins <= now <= ends:
        when = f"is valid from {begins.date()} to {ends.date()}, and today is {now.date()}"
        return fail(name, f"{cert} {when}", "get another one, or set the clock")
    finding = f"{cert}, valid to {ends.date()}, with its key"
    if ends - now < RENEW_BEFORE:
        return warn(name, finding, "get the next one, and restart the server with it")
    return ok(name, finding)


def _certificate(path: Path) -> Certificate:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(path.read_bytes())[0]
    except ValueError as exc:
        raise ValueError(f"{path} is no certificate") from exc


def _private_key(path: Path) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:  # TypeError: it has a password
        raise ValueError(f"{path} is no private key that can be used") from exc
