"""What stopped agents with mail cost while nothing happens: `python bench/idle.py [--json]`.

Three starts of a real server: without agents, with the agents, with the agents and their mail. `cpu_s` is what the last
one used in `seconds` of silence, measured from outside while nobody is connected; the memory of an agent and of a
message is the difference of two starts.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop
from backlog import write_backlog
from harness import busy_cores, emit, machine
from node import versions
from served import Connection, running_server

LIMIT_S = 600.0
REST_S = 3.0
"""After the start, for what it left to do to be done."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Found:
    ready_s: float
    cpu_s: float
    rss_bytes: int
    switches: int
    """Voluntary context switches of all threads: how often anything woke up."""


def watch(data_dir: Path, seconds: float, *, agents: int, messages: int) -> Found:
    """Start a server there and leave it alone."""
    with running_server(data_dir, start_timeout_s=LIMIT_S, stop_timeout_s=LIMIT_S) as server:
        connection = Connection(server)
        view = connection.call("GET", "/api/v1/health")
        connection.close()
        stopped = view["agents"].get("stopped", 0)
        if (stopped, view["messages_pending"]) != (agents, messages):
            raise SystemExit(f"wanted {agents} stopped agents and {messages} messages, found {view}")
        time.sleep(REST_S)
        cpu, woken = cpu_s(server.pid), switches(server.pid)
        time.sleep(seconds)
        cpu, woken = cpu_s(server.pid) - cpu, switches(server.pid) - woken
        pages = int(Path(f"/proc/{server.pid}/statm").read_text(encoding="ascii").split()[1])
        return Found(server.ready_s, cpu, pages * PAGE_BYTES, woken)


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def switches(pid: int) -> int:
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text(encoding="utf-8").splitlines()
        count += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return count


def measure(*, agents: int, messages_each: int, body_bytes: int, seconds: float) -> dict[str, object]:
    content = msgspec.Raw(msgspec.json.encode("x" * (body_bytes - 2)))

    def prepared(name: str, each: int) -> Path:
        data_dir = Path(directory) / name
        data_dir.mkdir(mode=0o700)
        uvloop.run(write_backlog(data_dir, agents=agents, messages_each=each, content=content, phase="stopped"))
        return data_dir

    with tempfile.TemporaryDirectory() as directory:
        empty = watch(Path(directory) / "empty", seconds, agents=0, messages=0)
        bare = watch(prepared("bare", 0), seconds, agents=agents, messages=0)
        messages = agents * messages_each
        full = watch(prepared("full", messages_each), seconds, agents=agents, messages=messages)
    return {
        "name": "idle",
        "agents": agents,
        "messages_each": messages_each,
        "body_bytes": body_bytes,
        "seconds": seconds,
        "cpu_s": round(full.cpu_s, 2),
        "empty_cpu_s": round(empty.cpu_s, 2),
        "wakeups_per_s": round(full.switches / seconds, 1),
        "empty_wakeups_per_s": round(empty.switches / seconds, 1),
        "ready_s": round(full.ready_s, 2),
        "empty_ready_s": round(empty.ready_s, 2),
        "rss_mib": round(full.rss_bytes / 2**20),
        "empty_rss_mib": round(empty.rss_bytes / 2**20),
        "bytes_per_agent": round((bare.rss_bytes - empty.rss_bytes) / agents),
        "bytes_per_message": round((full.rss_bytes - bare.rss_bytes) / max(messages, 1)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=100_000)
    parser.add_argument("--messages-each", type=int, default=1)
    parser.add_argument("--body-bytes", type=int, default=256, help="of each message's content")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    busy = busy_cores(0.5)
    row = measure(
        agents=options.agents,
        messages_each=options.messages_each,
        body_bytes=options.body_bytes,
        seconds=options.seconds,
    )
    emit(row | {"busy_cores": busy, "machine": machine(), "versions": versions()}, options.json)


if __name__ == "__main__":
    main()
