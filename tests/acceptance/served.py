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


@contextmanager
def served(place: Path) -> Generator[tuple[subprocess.Popen[str], CaxtonClient]]:
    """`caxton serve` on a free port, and a client of it. Ended with the block at the latest."""
    arguments = ["-m", "caxton", "serve", "--port", "0", "--data-dir", str(place / "data")]
    environment = {"HOME": str(place), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    with (
        (place / ERRORS).open("w", encoding="utf-8") as log,
        subprocess.Popen(  # a pipe nobody reads gets full
            [sys.executable, *arguments],
            env=environment,
            encoding="utf-8",
            stdout=subprocess.PIPE,
            stderr=log,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            url = re.search(r"http://\S+", process.stdout.readline())
            assert url is not None
            token = (place / "data" / "admin.token").read_text(encoding="ascii").strip()
            with CaxtonClient(url[0], token) as client:
                yield process, client
        finally:
            process.kill()
