"""Time to ready with a million pending messages: `python bench/start.py [--json]`.

The journal is written first (`bench/backlog.py`), then a real server starts on it: from the start of the process until
it answers requests, interpreter and imports included. `empty_s` is the same start without agents and mail. The file is
in the page cache; a cold disk adds the time to read `journal_mib`. Each run writes a journal and starts on it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import msgspec
import uvloop
from backlog import write_backlog
from harness import busy_cores, emit, machine
from node import versions
from served import Connection, running_server

LIMIT_S = 300.0


def start(data_dir: Path) -> tuple[float, float, dict[str, int]]:
    """Seconds to ready, peak memory in MiB, and what the server then says of itself."""
    with running_server(data_dir, start_timeout_s=LIMIT_S, stop_timeout_s=LIMIT_S) as server:
        connection = Connection(server)
        view = connection.call("GET", "/api/v1/health")
        connection.close()
        status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return server.ready_s, round(peak / 1024), view


def measure(*, agents: int, messages_each: int, body_bytes: int, phase: str, runs: int) -> dict[str, object]:
    content = msgspec.Raw(msgspec.json.encode("x" * (body_bytes - 2)))
    with tempfile.TemporaryDirectory() as directory:
        empty_s, empty_mib, _ = start(Path(directory) / "empty")
        times: list[float] = []
        for run in range(runs):
            data_dir = Path(directory) / str(run)
            data_dir.mkdir(mode=0o700)
            written = uvloop.run(
                write_backlog(data_dir, agents=agents, messages_each=messages_each, content=content, phase=phase)
            )
            journal_mib = round((data_dir / "journal.db").stat().st_size / 2**20)
            ready_s, peak_mib, view = start(data_dir)
            kept = view["messages_pending"] + view["messages_handled"]
            if kept != written:
                raise SystemExit(f"{written} messages were pending, {kept} are there")
            times.append(ready_s)
            (data_dir / "journal.db").unlink()
    return {
        "name": "start",
        "unit": "s",
        "n": len(times),
        "median": round(statistics.median(times), 2),
        "max": round(max(times), 2),
        "empty_s": round(empty_s, 2),
        "messages": written,
        "agents": agents,
        "phase": phase,
        "body_bytes": body_bytes,
        "journal_mib": journal_mib,
        "peak_mib": peak_mib,
        "empty_mib": empty_mib,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--messages-each", type=int, default=10_000)
    parser.add_argument("--body-bytes", type=int, default=256, help="of each message's content")
    parser.add_argument("--phase", choices=("running", "stopped"), default="running", help="of the agents")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    busy = busy_cores(0.5)
    row = measure(
        agents=options.agents,
        messages_each=options.messages_each,
        body_bytes=options.body_bytes,
        phase=options.phase,
        runs=options.runs,
    )
    emit(row | {"busy_cores": busy, "machine": machine(), "versions": versions()}, options.json)


if __name__ == "__main__":
    main()
