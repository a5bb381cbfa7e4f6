"""Caxton's peers, measured by the same game on the same machine in the same run (Linux).

Each peer is one script under `bench/peers/` that prints one JSON line. A Python peer runs in an environment
of its own, made from the exact versions in the `.txt` beside its script, kept in the user's cache directory.
They run one after another, each under a time limit, and everything they start is stopped. A peer that cannot
be installed or run is a row that says so, with the reason; no figure is ever taken from elsewhere.

The peers' game (`bench/peers/rounds.py`): 64 bytes from ping to pong and back. Median and 99th percentile are
of one round trip with one message in flight. Messages/s counts ping and pong, with `in_flight` round trips
under way; Extism's counts one message a call, because a call has only one guest. All are measured `--runs` times,
in turn, because the system's choices move some of them: Pykka's median is 18 us with both threads on one
core and 52 us on two. `medians` and `rates` are of all runs, `busy_cores` is what others used of the machine
just before each; the row itself is the run with the middle median of those begun on a quiet machine.

Caxton's rows come from its own benches, which play other games: a median there is of one hop, half a round
trip, and `caxton-latency` shows the load it was given, not what it can do. `median_of` and `rate_of` say so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

sys.path.append(str(Path(__file__).resolve().parent / "peers"))

from harness import busy_cores, machine
from session import Session, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

BENCH = Path(__file__).resolve().parent
SCRIPTS = BENCH / "peers"

INSTALL_LIMIT_S = 600.0
"""Ray, the largest (285 MB on disk), took 7 s on a fast line; this leaves room for a slow one."""
RUN_LIMIT_S = 180.0
"""The slowest peer plays 5,000 round trips in about 5 s; a much larger `--n` needs a larger `--limit`."""
QUIET_WINDOW_S = 0.5
"""How long to watch before each run whether others use the machine."""
QUIET_CORES = 0.1
"""More than this busy before a run, and the table says so: an idle system stays under 0.05."""

COLUMNS = ("sample", "median", "of all runs", "p99", "messages/s", "in flight", "n", "what it pays for")

Row = dict[str, Any]
"""As the peers print it, with `status` (`ok` or `unavailable`) and `does`; a `reason` in place of figures."""


@dataclass(frozen=True)
class Peer:
    """One row of the table."""

    name: str
    does: str
    """What the figure pays for and what not: durability, sandbox, process boundary."""
    script: Path
    arguments: tuple[str, ...] = ()
    takes_n: bool = True
    interpreter: str | None = None
    """A program on PATH that runs the script; without one it is Python, from the environment below."""
    pins: Path | None = None
    """Requirements of the peer's own environment; without them Caxton's own interpreter runs the script."""
    median_of: str = "round trip"
    """What one sample of `median` and `p99` is."""
    rate_of: str = "capacity"
    """Whether `messages_per_s` is all it can do (`capacity`), or what it was given (`load`)."""


def _python_peer(name: str, script: str, does: str, *arguments: str, median_of: str = "round trip") -> Peer:
    path = SCRIPTS / f"{script}.py"
    return Peer(name, does, path, arguments, pins=path.with_suffix(".txt"), median_of=median_of)


def _caxton(name: str, script: str, *arguments: str, median_of: str, rate_of: str = "capacity") -> Peer:
    """One of Caxton's own benches. They play other games, so `median_of` says what the median is."""
    return Peer(
        name,
        "durable journal, sandboxed guests, one process",
        BENCH / script,
        ("--json", *arguments),
        takes_n=False,
        median_of=median_of,
        rate_of=rate_of,
    )


SMALL_RING = ("--guests", "100", "--body-bytes", "64")
PAIR = ("--guests", "2", "--body-bytes", "64")
"""The peers' bodies have 64 bytes."""

PEERS = (
    _caxton("caxton-latency", "latency.py", median_of="hop, paced", rate_of="load"),
    _caxton("caxton-throughput", "throughput.py", *SMALL_RING, "--in-flight", "100", median_of="0.1 s / hops"),
    # A ring of two guests with one message in it is the peers' game: two of its hops are their round trip.
    _caxton("caxton-pair", "throughput.py", *PAIR, "--in-flight", "1", median_of="0.1 s / hops"),
    _python_peer("autogen-core", "autogen_agents", "in memory, no sandbox, one process and loop"),
    _python_peer("pykka", "pykka_actors", "in memory, no sandbox, one process, a thread per actor"),
    _python_peer(
        "spade", "spade_agents", "in memory, no sandbox, one process: SPADE's container, XMPP server bypassed"
    ),
    _python_peer(
        "spade-xmpp",
        "spade_agents",
        "kept in memory for absent agents, no sandbox, three processes: TLS to an XMPP server",
        "--xmpp",
    ),
    _python_peer("ray", "ray_actors", "in memory, no sandbox, a process per actor, gRPC on loopback"),
    _python_peer(
        "extism",
        "extism_plugin",
        "sandboxed guest, in memory; the host calls one guest: no bus, no second agent",
        median_of="guest call",
    ),
    Peer(
        "erlang",
        "in memory, isolated heaps but trusted code, one runtime process",
        SCRIPTS / "erlang.escript",
        interpreter="escript",
    ),
)


def measure(peers: Sequence[Peer], n: int, runs: int, limit_s: float, patience_s: float) -> list[Row]:
    """A row for each peer: its figures, or why there are none.

    Args:
        peers: in the order of the rows.
        n: round trips to sample in each run.
        runs: how often each is measured, in turn with the others. One that fails once is not tried again.
        limit_s: for one run of one peer, installation not counted.
        patience_s: how long to wait before each run for others to leave the machine alone.
    """
    measured: dict[str, list[Row]] = {peer.name: [] for peer in peers}
    reasons: dict[str, str] = {}
    for run in range(1, runs + 1):
        for peer in peers:
            if peer.name in reasons:
                continue
            _say(f"run {run} of {runs}: {peer.name}")
            busy = _wait_quiet(patience_s)
            try:
                measured[peer.name].append({**_figures(peer, n, limit_s), "busy_cores": busy})
            except Unavailable as reason:
                reasons[peer.name] = f"run {run}: {reason}" if run > 1 else str(reason)
    return [_row(peer, measured[peer.name], reasons.get(peer.name)) for peer in peers]


def _wait_quiet(patience_s: float) -> float:
    """Wait for a quiet machine, at most `patience_s`; how many cores others used at the end of the wait."""
    deadline = time.monotonic() + patience_s
    while (busy := busy_cores(QUIET_WINDOW_S)) > QUIET_CORES and time.monotonic() < deadline:
        pass
    return busy


def _row(peer: Peer, measured: Sequence[Row], reason: str | None) -> Row:
    """The run with the middle median, of those begun on a quiet machine if any was; and what all runs gave."""
    if reason is not None:
        return {"name": peer.name, "status": "unavailable", "reason": reason, "does": peer.does}
    quiet = [row for row in measured if row["busy_cores"] <= QUIET_CORES]
    ordered = sorted(quiet or measured, key=lambda row: row["median"])
    return {
        "does": peer.does,
        **ordered[(len(ordered) - 1) // 2],
        "name": peer.name,
        "status": "ok",
        "median_of": peer.median_of,
        "rate_of": peer.rate_of,
        "medians": [row["median"] for row in measured],
        "rates": [row.get("messages_per_s") for row in measured],
        "busy_cores": [row["busy_cores"] for row in measured],
    }


def _figures(peer: Peer, n: int, limit_s: float) -> Row:
    if not peer.script.exists():
        raise Unavailable(f"{peer.script.relative_to(BENCH.parent)} does not exist")
    interpreter = _interpreter(peer)
    count = ("--n", str(n)) if peer.takes_n else ()
    with tempfile.TemporaryDirectory(prefix="caxton-bench-", ignore_cleanup_errors=True) as directory:
        command = (interpreter, str(peer.script), *peer.arguments, *count)
        environment = _environment(Path(directory)) if peer.pins else dict(os.environ)
        printed = Session(command, Path(directory), environment).run(limit_s)
    return _parse(printed)


def _parse(printed: str) -> Row:
    """The JSON object that a bench printed: all of its output, or the last line."""
    for text in (printed, printed.strip().rpartition("\n")[2]):
        try:
            row: Any = json.loads(text)
        except ValueError:
            continue
        if isinstance(row, dict) and "median" in row:
            return cast("Row", row)
    raise Unavailable("it ended well but printed no result")


def _environment(directory: Path) -> dict[str, str]:
    """Ours, without what would change the peer's packages, and with its scratch files in `directory`."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "RAY_"))}
    scratch = {"TMPDIR": str(directory), "XDG_CACHE_HOME": str(directory / "cache")}
    return {**ours, **scratch, "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _interpreter(peer: Peer) -> str:
    if peer.interpreter is not None:
        found = shutil.which(peer.interpreter)
        if found is None:
            raise Unavailable(f"no {peer.interpreter} on PATH")
        return found
    if peer.pins is not None:
        return str(_prepared(peer.pins) / "bin" / "python")
    caxtons_own = BENCH.parent / ".venv" / "bin" / "python"
    return str(caxtons_own) if caxtons_own.exists() else sys.executable


def _prepared(pins: Path) -> Path:
    """The environment for these pins and this Python, made when it is not yet there.

    It is made beside its place and moved there when it is complete, so that a half-made one is never used.
    """
    key = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = _cache() / f"{pins.stem}-{key}"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="making-", dir=place.parent) as directory:
            made = Path(directory) / "environment"
            _make(made, pins, Path(directory))
            if not place.exists():
                made.rename(place)
    return place


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "caxton-bench"


def _make(environment: Path, pins: Path, directory: Path) -> None:
    """A virtual environment with exactly these packages, wheels only: nothing is built from source."""
    _say(f"installing {pins.stem}")
    python = str(environment / "bin" / "python")
    install = (
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
    )
    try:
        for command in ((sys.executable, "-m", "venv", str(environment)), (*install, "-r", str(pins))):
            Session(command, directory, dict(os.environ)).run(INSTALL_LIMIT_S)
    except Unavailable as reason:
        raise Unavailable(f"not installed: {reason}") from reason


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(rows: Sequence[Row]) -> str:
    """Rows for human eyes: figures first, then what could not be measured."""
    measured = [row for row in rows if row["status"] == "ok"]
    lines = [_line("peer", *COLUMNS)]
    lines += [_figures_line(row) for row in measured]
    lines += [f"{row['name']:<18}unavailable: {row['reason']}" for row in rows if row["status"] != "ok"]
    lines += [
        *_disturbance(measured),
        "",
        "versions: " + "; ".join(f"{row['name']}: {_versions(row)}" for row in measured),
    ]
    return "\n".join(lines)


def _disturbance(measured: Sequence[Row]) -> list[str]:
    """A warning where others used the machine before every run of a peer."""
    disturbed = [row["name"] for row in measured if min(row["busy_cores"]) > QUIET_CORES]
    return ["", f"NOT QUIET, measure again on an idle machine: {', '.join(disturbed)}"] if disturbed else []


def _figures_line(row: Row) -> str:
    medians = row["medians"]
    return _line(
        row["name"],
        row["median_of"],
        f"{_number(row['median'], 2)} {row.get('unit')}",
        f"{_number(min(medians), 2)}-{_number(max(medians), 2)}",
        f"{_number(row.get('p99'), 2)} {row.get('unit')}",
        _number(row.get("messages_per_s"), 0) + (" load" if row["rate_of"] == "load" else ""),
        _number(row.get("in_flight"), 0),
        _number(row.get("n"), 0),
        row["does"],
    )


def _line(name: str, *cells: str) -> str:
    *figures, does = cells
    return f"{name:<18}" + "".join(f"{figure:>15}" for figure in figures) + f"  {does}"


def _number(value: object, digits: int) -> str:
    return f"{value:,.{digits}f}" if isinstance(value, int | float) else "-"


def _versions(row: Row) -> str:
    versions: dict[str, str] = row.get("versions") or {}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _parse_arguments() -> argparse.Namespace:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(description="Measure Caxton's peers, and Caxton, on this machine.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only", metavar="NAME[,NAME]", help=f"of {', '.join(names)}")
    parser.add_argument("--n", type=int, default=5_000, help="round trips to sample in each run (5000)")
    parser.add_argument("--runs", type=int, default=3, help="how often each peer is measured (3)")
    parser.add_argument("--limit", type=float, default=RUN_LIMIT_S, help="seconds for one run of one peer (180)")
    parser.add_argument(
        "--patience", type=float, default=10.0, help="seconds to wait before each run for an idle machine (10)"
    )
    options = parser.parse_args()
    options.only = options.only.split(",") if options.only else names
    if unknown := set(options.only) - set(names):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    if min(options.n, options.runs) < 1:
        parser.error("--n and --runs must be at least 1")
    return options


def leave(_signal: int, _frame: object) -> None:
    """Unwind, so that the peer under way is stopped too."""
    sys.exit(1)


def main() -> int:
    options = _parse_arguments()
    signal.signal(signal.SIGTERM, leave)
    chosen = [peer for peer in PEERS if peer.name in options.only]
    rows = measure(chosen, options.n, options.runs, options.limit, options.patience)
    if options.json:
        print(json.dumps({"machine": machine(), "rows": rows}))
    else:
        print(", ".join(f"{key} {value}" for key, value in machine().items()), table(rows), sep="\n\n")
    return 0 if any(row["status"] == "ok" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
