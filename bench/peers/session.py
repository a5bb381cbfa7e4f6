"""One child process and everything it starts, with a time limit, of which nothing is left running (Linux).

Only processes of the child's own session are ever stopped, by number, while its leader is still unreaped.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STOP_LIMIT_S = 10.0
"""What is still there this long after SIGKILL will not go; then the row says so."""
POLL_S = 0.05
REASON_CHARS = 300
"""A reason is for a table: the last line that a peer wrote, not its whole traceback."""


class Unavailable(Exception):
    """A peer has no figures; the message is the reason, for the table."""


@dataclass
class Session:
    """One child and all it starts, in a session (and process group) of its own, with its output in files."""

    command: Sequence[str]
    directory: Path
    """Where it runs and keeps its temporary files."""
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def run(self, limit_s: float) -> str:
        """Run to the end and return what it printed; nothing of it is left running.

        Raises:
            Unavailable: it could not start, failed, or took longer than `limit_s`.
        """
        out, err = self.directory / "stdout", self.directory / "stderr"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            try:
                child = subprocess.Popen(
                    self.command,
                    cwd=self.directory,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
            except OSError as error:
                raise Unavailable(f"cannot start: {error.strerror}") from error
        try:
            in_time = _ended(child.pid, limit_s)
        finally:
            try:
                _stop_session(child.pid)
            finally:
                child.wait()
        if not in_time:
            raise Unavailable(f"stopped after its time limit of {limit_s:.0f} s")
        if child.returncode != 0:
            raise Unavailable(f"exit code {child.returncode}: {_last_line(err) or _last_line(out)}")
        return out.read_text(encoding="utf-8", errors="replace")


def _ended(pid: int, limit_s: float) -> bool:
    """Whether the child ends within `limit_s`. It is left unreaped, so that its number stays its own."""
    deadline = time.monotonic() + limit_s
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _stop_session(session: int) -> None:
    """Kill whatever still runs in the session that our child, still unreaped, leads.

    The group is not enough: Ray gives each worker a group of its own, inside the session.
    """
    os.killpg(session, signal.SIGKILL)
    deadline = time.monotonic() + STOP_LIMIT_S
    while members := _session_members(session):
        if time.monotonic() > deadline:
            raise Unavailable(f"processes {members} do not end")
        for pid in members:
            _kill(pid)
        time.sleep(POLL_S)


def _session_members(session: int) -> list[int]:
    """Running processes of `session`, its leader excepted; none where the system has no /proc."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, member_of = entry.read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it ended meanwhile
        pid = int(entry.parent.name)
        if int(member_of) == session and pid != session and state not in "ZX":
            found.append(pid)
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip()[:REASON_CHARS] for line in reversed(lines) if line.strip()), "it said nothing")
