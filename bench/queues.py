"""Durable queues beside Caxton, by one game on one machine in one run: `python bench/queues.py [--json]`.

The game is `bench/peers/durable.py`: posting to disk with one message in flight and with a thousand, and taking and
acknowledging what waits. Each queue is used in the way that its own client offers for much at once, with the setting
that makes an acknowledgement mean fsync. Environments, time limits, quiet machines and rows that say why there is no
figure are those of `bench/peers.py`. Redis and NATS move bytes between clients; in Caxton's row a sandboxed guest
handles each message in the server's process, and what it changes is in one transaction with the acknowledgement.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from typing import TYPE_CHECKING

from harness import machine
from peers import BENCH, QUIET_CORES, RUN_LIMIT_S, SCRIPTS, Peer, Row, leave, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = ("post", "p99", "posts/s", "1,000 in flight", "taken/s", "of all runs")


def _queue(name: str, script: str) -> Peer:
    path = SCRIPTS / f"{script}.py"
    return Peer(name, "durable queue between clients", path, pins=path.with_suffix(".txt"), median_of="post")


QUEUES = (
    Peer("caxton", "durable bus with its consumers in sandboxes", BENCH / "work_queue.py", median_of="post"),
    _queue("nats-jetstream", "nats_jetstream"),
    _queue("redis-streams", "redis_streams"),
)


def table(rows: Sequence[Row]) -> str:
    """Rows for human eyes, then the settings of each."""
    measured = [row for row in rows if row["status"] == "ok"]
    lines = [f"{'queue':<18}" + "".join(f"{column:>18}" for column in COLUMNS)]
    lines += [_line(row) for row in measured]
    lines += [f"{row['name']:<18}unavailable: {row['reason']}" for row in rows if row["status"] != "ok"]
    disturbed = [row["name"] for row in measured if min(row["busy_cores"]) > QUIET_CORES]
    if disturbed:
        lines += ["", f"NOT QUIET, measure again on an idle machine: {', '.join(disturbed)}"]
    lines += ["", *(f"{row['name']}: {row['settings']}; {_versions(row)}" for row in measured)]
    return "\n".join(lines)


def _line(row: Row) -> str:
    cells = (
        f"{row['median']:,.0f} us", f"{row['p99']:,.0f} us", f"{row['single_per_s']:,}", f"{row['messages_per_s']:,}",
        f"{row['taken_per_s']:,}", f"{min(row['rates']):,}-{max(row['rates']):,}",
    )  # fmt: skip
    return f"{row['name']:<18}" + "".join(f"{cell:>18}" for cell in cells)


def _versions(row: Row) -> str:
    return ", ".join(f"{name} {version}" for name, version in row["versions"].items())


def main() -> int:
    names = [queue.name for queue in QUEUES]
    parser = argparse.ArgumentParser(description="Measure durable queues, and Caxton, on this machine.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--n", type=int, default=5_000, help="posts to sample in each run (5000)")
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument("--limit", type=float, default=RUN_LIMIT_S, help="seconds for one run of one queue (180)")
    parser.add_argument("--patience", type=float, default=10.0, help="seconds to wait for an idle machine (10)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, leave)
    chosen = [queue for queue in QUEUES if queue.name in options.only]
    rows = measure(chosen, options.n, options.runs, options.limit, options.patience)
    if options.json:
        print(json.dumps({"machine": machine(), "rows": rows}))
    else:
        print(", ".join(f"{key} {value}" for key, value in machine().items()), table(rows), sep="\n\n")
    return 0 if any(row["status"] == "ok" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
