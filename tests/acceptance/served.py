"""A server process for one test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from caxton.client import CaxtonClient

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


ERRORS = "stderr.log"
"""The server's log, in the place."""


def environment(place: Path, client: CaxtonClient | None = None) -> dict[str, str]:
    """Of a process that is at home in `place`; with `client`, of a command that speaks to the same server."""
    found = {"HOME": str(place), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    if client is not None:
        found |= {
            "PYTHONIOENCODING": "utf-8", "CAXTON_SERVER": client.server, "CAXTON_TOKEN": _token(place / "data"),
        }  # fmt: skip
    return found


def client_of(process: subprocess.Popen[str], data: Path) -> CaxtonClient:
    """A client with the rights of an administrator, as soon as the server says where it is.

    Args:
        process: of the server.
        data: its data directory, as this process sees it.
    """
    assert process.stdout is not None
    url = re.search(r"http://\S+", process.stdout.readline())
    assert url is not None, process.stderr and process.stderr.read()
    return CaxtonClient(url[0], _token(data))


@contextmanager
def served(place: Path, *, module: str = "caxton") -> Generator[tuple[subprocess.Popen[str], CaxtonClient]]:
    """`python -m MODULE serve` on a free port, and a client of it. Killed with the block at the latest."""
    data = place / "data"
    with (
        (place / ERRORS).open("w", encoding="utf-8") as log,
        subprocess.Popen(  # a pipe nobody reads gets full
            [sys.executable, "-m", module, "serve", "--port", "0", "--data-dir", str(data)],
            env=environment(place),
            encoding="utf-8",
            stdout=subprocess.PIPE,
            stderr=log,
        ) as process,
    ):
        try:
            with client_of(process, data) as client:
                yield process, client
        finally:
            process.kill()


def _token(data: Path) -> str:
    return (data / "admin.token").read_text(encoding="ascii").strip()
