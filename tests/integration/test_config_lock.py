"""One server per data directory, also across processes and after kill -9."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from caxton.core.errors.server import DataDirInUse
from caxton.server.datadir import DataDir

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import sys
from pathlib import Path
from caxton.server.datadir import DataDir
with DataDir(Path(sys.argv[1])) as held:
    held.tell("http://localhost:1", "now")
    print("held", flush=True)
    sys.stdin.read()
"""


def test_other_process_is_refused_with_the_holders_pid_until_that_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataDirInUse) as caught, DataDir(tmp_path):
            pass
        assert caught.value.pid == holder.pid
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        holder.stdin.close()
        holder.stdout.close()
    assert json.loads((tmp_path / "server.json").read_text())["pid"] == holder.pid  # what the dead left behind
    with DataDir(tmp_path) as held:
        held.tell("http://localhost:2", "later")
    assert not (tmp_path / "server.json").exists()
