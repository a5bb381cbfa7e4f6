"""A real redis-server and a real PostgreSQL for tests, on Unix sockets in a directory of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import redis

from tests.patience import until

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).resolve().parents[1]

FETCH_S = 300
"""To have the packages, once for a machine."""

_NOBODY = 65534
"""PostgreSQL does not run as root."""

_ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C"}


@cache
def _programs() -> tuple[Path, Path]:
    """The directories of redis-server and of PostgreSQL's programs. Skips the test where they cannot be had."""
    found = subprocess.run(
        [ROOT / "scripts" / "get-databases"], capture_output=True, encoding="utf-8", timeout=FETCH_S, check=False
    )
    if found.returncode:
        pytest.skip(f"NOT TESTED, for want of databases: {found.stderr.strip()}")
    with_redis, with_postgres = found.stdout.split()
    return Path(with_redis), Path(with_postgres)


@contextmanager
def redis_url() -> Generator[str]:
    """Run an empty redis-server; yields its URL."""
    program = _programs()[0] / "redis-server"
    with _place() as place:
        socket = place / "redis.sock"
        command = [program, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", place]
        with _running(command, place, signal.SIGTERM):
            url = f"unix://{socket}"
            until(lambda: _answers_redis(url))
            yield url


@contextmanager
def postgres_url() -> Generator[str]:
    """Run an empty PostgreSQL; yields the URL of its superuser."""
    programs = _programs()[1]
    with _place() as place:
        data = place / "data"
        made = [programs / "initdb", "-D", data, "-U", "caxton", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(made, check=True, capture_output=True, timeout=60, cwd=place, env=_ENVIRONMENT, **_as_nobody())
        settings = ("listen_addresses=", "fsync=off", "full_page_writes=off", "shared_buffers=16MB")
        options = [word for setting in settings for word in ("-c", setting)]
        with _running([programs / "postgres", "-D", data, "-k", place, *options], place, signal.SIGINT):
            url = f"host={place} user=caxton dbname=postgres"
            until(lambda: _answers_postgres(url))
            yield url


@contextmanager
def _place() -> Generator[Path]:
    """A directory that whoever the servers run as can reach."""
    place = Path(tempfile.mkdtemp(prefix="caxton-db-"))
    try:
        if os.geteuid() == 0:
            os.chown(place, _NOBODY, _NOBODY)
        yield place
    finally:
        shutil.rmtree(place)


@contextmanager
def _running(command: list[str | Path], place: Path, end: signal.Signals) -> Generator[None]:
    with (place / "log").open("wb") as log, subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=place, env=_ENVIRONMENT,
        **_as_nobody(),
    ) as process:  # fmt: skip
        try:
            yield
        finally:
            process.send_signal(end)
            process.wait(timeout=30)


def _as_nobody() -> dict[str, Any]:
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _answers_redis(url: str) -> bool:
    client: Any = redis.Redis
    with client.from_url(url) as found:
        try:
            return found.ping()
        except redis.RedisError:
            return False


def _answers_postgres(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
